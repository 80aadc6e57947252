//! Work that may hold its thread.

use super::threads;

/// Runs work that may hold this thread for long without harm: the spans that are entered in it do not count as blocking.
///
/// It is for threads that are not the executor's, and for `tokio::task::block_in_place`.
pub fn may_block<R>(work: impl FnOnce() -> R) -> R {
    threads::may_block(work)
}
