//! Work that may hold its thread.

use super::threads;

/// Runs work that may hold this thread for long without harm: the spans that are entered in it do not count as blocking.
///
/// It is for `tokio::task::block_in_place`, which hands the tasks of this thread to another one, and for runtimes whose tasks
/// may wait for each other.
pub fn may_block<R>(work: impl FnOnce() -> R) -> R {
    threads::may_block(work)
}
