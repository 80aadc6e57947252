//! Work that keeps its context, and operations that are traced.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Instant;

use obs_model::{Context, FieldValue, WithContext};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::duration::milliseconds;
use crate::fields::keys::Key;
use crate::spans::ids::with_state;

/// A future that keeps the context and the span that are current here and now, wherever it is polled: for executors
/// and combinators that have no helper of their own.
///
/// ```
/// use obs_model::Context;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let entered = Context::new().with_user("u-17").enter();
/// let later = obs_tracing::carry(async { Context::current() });
/// drop(entered);
/// assert_eq!(later.await.user(), Some("u-17"));
/// # });
/// ```
pub fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> + use<F> {
    future.in_current_context().in_current_span()
}

/// A closure that keeps the context and the span that are current here and now, on whichever thread it runs: for
/// `std::thread::spawn` and pools of threads.
///
/// ```
/// use obs_model::Context;
///
/// let _entered = Context::new().with_user("u-17").enter();
/// let work = obs_tracing::carry_fn(|| Context::current().user().map(str::to_owned));
/// assert_eq!(std::thread::spawn(work).join().unwrap().as_deref(), Some("u-17"));
/// ```
pub fn carry_fn<R, W: FnOnce() -> R>(work: W) -> impl FnOnce() -> R + use<R, W> {
    let (context, span) = (Context::current(), Span::current());
    move || {
        let _entered = context.enter();
        span.in_scope(work)
    }
}

/// Spawns a task that keeps the context and the span of its spawner, on the current tokio runtime.
///
/// # Panics
///
/// There is no current tokio runtime, as with `tokio::spawn`.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(carry(future))
}

/// Runs blocking work on a thread of the current tokio runtime that is meant for it, with the context and the span of
/// its spawner.
///
/// ```
/// use obs_model::Context;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let _entered = Context::new().with_user("u-17").enter();
/// let seen = obs_tracing::spawn_blocking(Context::current).await.unwrap();
/// assert_eq!(seen.user(), Some("u-17"));
/// # });
/// ```
///
/// # Panics
///
/// There is no current tokio runtime, as with `tokio::task::spawn_blocking`.
pub fn spawn_blocking<R, W>(work: W) -> JoinHandle<R>
where
    W: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    tokio::task::spawn_blocking(carry_fn(work))
}

/// As [`spawn`], for a future that stays on this thread.
///
/// # Panics
///
/// This is outside of a `tokio::task::LocalSet`, as with `tokio::task::spawn_local`.
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    tokio::task::spawn_local(carry(future))
}

/// As [`spawn`], into a set of tasks.
///
/// ```
/// use tokio::task::JoinSet;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let mut tasks = JoinSet::new();
/// for number in 0..3 {
///     obs_tracing::spawn_in(&mut tasks, async move { number });
/// }
/// assert_eq!(tasks.join_all().await.len(), 3);
/// # });
/// ```
///
/// # Panics
///
/// There is no current tokio runtime, as with `JoinSet::spawn`.
pub fn spawn_in<F>(tasks: &mut JoinSet<F::Output>, future: F) -> AbortHandle
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tasks.spawn(carry(future))
}

/// Runs an operation in a span of its own, which nests in the current one.
///
/// The span is called `name` where it is exported and carries the `attributes`, as does every line logged
/// within. When the operation ends, an event tells how long it took (`duration_ms`): at level DEBUG, or, when it
/// failed, at level ERROR with the error.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let rows = obs_tracing::trace_async(
///     "load_orders",
///     async { Ok::<_, std::io::Error>(3) },
///     [("table", "orders".into()), ("limit", 100_u64.into())],
/// )
/// .await?;
/// assert_eq!(rows, 3);
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
///
/// # Errors
///
/// Those of the operation, unchanged.
pub async fn trace_async<T, E>(
    name: &str,
    operation: impl Future<Output = Result<T, E>>,
    attributes: impl IntoIterator<Item = (&str, FieldValue)>,
) -> Result<T, E>
where
    E: StdError + 'static,
{
    let span = tracing::info_span!(
        target: "obskit::operation",
        "operation",
        operation = name,
        otel.name = name,
        otel.status_code = Empty,
        duration_ms = Empty,
    );
    for (key, value) in attributes {
        set_attribute(&span, key, value);
    }
    let started = Instant::now();
    let result = operation.instrument(span.clone()).await;
    let duration_ms = milliseconds(started.elapsed());
    span.record("duration_ms", duration_ms);
    span.in_scope(|| match &result {
        Ok(_) => {
            tracing::debug!(target: "obskit::operation", duration_ms, "operation finished");
        }
        Err(error) => {
            Span::current().record("otel.status_code", "ERROR");
            let error: &(dyn StdError + 'static) = error;
            tracing::error!(target: "obskit::operation", duration_ms, error, "operation failed");
        }
    });
    result
}

/// Adds a field whose name is only known at run time, which `tracing` itself cannot.
pub(crate) fn set_attribute(span: &Span, key: &str, value: FieldValue) {
    with_state(span, |pipeline, state| {
        let rules = pipeline.field_rules();
        state.fields(rules).put_value(Key::new(key, &rules.redactor), &value, rules);
        state.keep_named(key, &value);
    });
}
