//! Work that may hold its thread.

use obs_model::Context;
use tokio::task::JoinHandle;
use tracing::Span;

use super::threads;

/// Runs blocking work on tokio's threads for that, with the context and the span of the caller, and does not take it for
/// something that blocks the executor.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let lines = obs_tracing::spawn_blocking(|| "a\nb".lines().count()).await?;
/// assert_eq!(lines, 2);
/// # Ok::<(), tokio::task::JoinError>(()) }).unwrap();
/// ```
///
/// # Panics
///
/// There is no current tokio runtime, as with `tokio::task::spawn_blocking`.
pub fn spawn_blocking<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> JoinHandle<R> {
    let (context, span) = (Context::current(), Span::current());
    tokio::task::spawn_blocking(move || {
        let _entered = context.enter();
        may_block(|| span.in_scope(work))
    })
}

/// Runs work that may hold this thread for long without harm: the spans that are entered in it do not count as blocking.
///
/// It is for threads that are not the executor's, and for `tokio::task::block_in_place`.
pub fn may_block<R>(work: impl FnOnce() -> R) -> R {
    threads::may_block(work)
}
