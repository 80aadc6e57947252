//! The thread of a queue.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;

use super::batch::Batch;
use super::{Progress, Shared};
use crate::counters::count_dropped;
use crate::line::write::TimeWriter;

/// How long the writer gathers lines before it writes them. It saves a wake-up per line; ERROR lines do not
/// wait.
const GATHER: Duration = Duration::from_millis(10);

/// The most memory that the writer keeps between writes, twice: for the lanes and for itself.
const KEPT_BYTES: usize = 1024 * 1024;

/// Who takes lines away, on a thread of its own.
pub(crate) trait Drain: Send + 'static {
    /// As which reasons lines count that found the queue full, or closed.
    const REASONS: [&'static str; 2];

    /// Takes lines, which are whole. It must not panic.
    fn take(&mut self, batch: &Batch);
}

/// The output of the process.
pub(crate) struct Output(pub(crate) Box<dyn Write + Send>);

impl Drain for Output {
    const REASONS: [&'static str; 2] = ["queue_full", "closed"];

    fn take(&mut self, batch: &Batch) {
        // OK because an output that panics loses these lines and nothing else.
        let write = || self.0.write_all(batch.bytes()).and_then(|()| self.0.flush());
        if !matches!(catch_unwind(AssertUnwindSafe(write)), Ok(Ok(()))) {
            for (level, lines) in batch.by_level().filter(|(_, lines)| *lines > 0) {
                count_dropped("write_failed", level, lines);
            }
        }
    }
}

/// Takes lines away until the queue is closed and empty.
pub(super) fn run(shared: &Shared, drain: &mut impl Drain) {
    let mut parts = Vec::new();
    let (mut merged, mut time) = (Batch::default(), TimeWriter::default());
    let kept = shared.lanes.share_of(KEPT_BYTES);
    let mut had_lines = false;
    loop {
        let is_last = wait(shared, had_lines);
        had_lines = shared.lanes.take(&mut parts);
        if had_lines {
            let mut filled = parts.iter().filter(|part| part.lines() > 0);
            let batch = match (filled.next(), filled.next()) {
                (Some(only), None) if only.is_whole() => only,
                _ => {
                    merged.merge(&parts, &mut time);
                    &merged
                }
            };
            drain.take(batch);
            shared.lanes.add_done(batch.lines());
            merged.clear(KEPT_BYTES);
            parts.iter_mut().for_each(|part| part.clear(kept));
        }
        let mut progress = shared.progress.lock();
        progress.finished += 1;
        progress.ended = is_last;
        drop(progress);
        shared.done.notify_all();
        if is_last {
            return;
        }
    }
}

/// Waits for lines, and a little longer for more of them; whether no more will come.
///
/// Where there were lines a moment ago there will soon be more: then nobody has to wake it.
fn wait(shared: &Shared, had_lines: bool) -> bool {
    let mut progress = shared.progress.lock();
    if !had_lines {
        wait_for_first(shared, &mut progress);
    }
    if !shared.urgent.load(Ordering::Relaxed) && !progress.closed {
        shared.wake.wait_for(&mut progress, GATHER);
    }
    // What is urgent from now on is urgent for the next time.
    shared.urgent.store(false, Ordering::Relaxed);
    progress.begun += 1;
    progress.closed
}

fn wait_for_first(shared: &Shared, progress: &mut MutexGuard<'_, Progress>) {
    loop {
        shared.idle.store(true, Ordering::Relaxed);
        let is_asked = progress.closed || shared.urgent.load(Ordering::Relaxed);
        if is_asked || shared.lanes.is_any_waiting() {
            break;
        }
        shared.wake.wait(progress);
    }
    shared.idle.store(false, Ordering::Relaxed);
}
