//! Carries finished lines to the output without ever making the caller wait for it.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::{DropReason, Level};
use parking_lot::{Condvar, Mutex};

use crate::Error;
use crate::counters::count_dropped;
use crate::pipeline::thread;

/// How long the writer gathers lines before it writes them. It saves a wake-up per line; ERROR lines do not
/// wait.
const GATHER: Duration = Duration::from_millis(5);

/// The most memory that the writer keeps between writes.
const KEPT_BYTES: usize = 1024 * 1024;

const THREAD_NAME: &str = "obskit-log";

#[derive(Default)]
struct State {
    /// Whole lines, one after another.
    pending: Vec<u8>,
    pending_lines: u64,
    pending_by_level: [u64; Level::ALL.len()],
    accepted: u64,
    /// Lines that were written or given up.
    done: u64,
    idle: bool,
    urgent: bool,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    /// The writer waits here for lines.
    wake: Condvar,
    /// Flushers wait here for the writer.
    progress: Condvar,
    max_bytes: usize,
    max_lines: usize,
}

/// The eighths of the queue that lines of each level may fill, so that the less important ones go first. What is left
/// for ERROR alone is never taken by others.
const fn eighths(level: Level) -> usize {
    match level {
        Level::Trace => 4,
        Level::Debug => 5,
        Level::Info => 6,
        Level::Warn => 7,
        Level::Error => 8,
    }
}

/// A queue of lines with a thread that writes them; cheap to clone.
///
/// Callers copy their line into a shared buffer, which the thread takes as a whole: a line costs its caller one
/// short lock and no allocation, and a slow output delays nobody.
#[derive(Clone)]
pub(crate) struct LineQueue(Arc<Shared>);

impl LineQueue {
    /// Starts the thread.
    pub(crate) fn start(
        out: Box<dyn Write + Send>,
        max_bytes: usize,
        max_lines: usize,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            progress: Condvar::new(),
            max_bytes,
            max_lines,
        });
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                // OK because what the output itself logs must not come back to it.
                thread::suppress_for_ever();
                run(&for_thread, out);
            })
            .map_err(|source| Error::thread(THREAD_NAME, source))?;
        Ok(Self(shared))
    }

    /// Takes a whole line, or drops it and counts it.
    pub(crate) fn push(&self, line: &[u8], level: Level) {
        let share = |whole: usize| whole / 8 * eighths(level) + whole % 8 * eighths(level) / 8;
        let (max_bytes, max_lines) = (share(self.0.max_bytes), share(self.0.max_lines) as u64);
        let mut state = self.0.state.lock();
        let is_full =
            state.pending.len() + line.len() > max_bytes || state.pending_lines >= max_lines;
        if state.closed || is_full {
            let reason = if state.closed { DropReason::Closed } else { DropReason::QueueFull };
            drop(state);
            return count_dropped(reason.as_str(), level, 1);
        }
        state.pending.extend_from_slice(line);
        state.pending_lines += 1;
        state.pending_by_level[level as usize] += 1;
        state.accepted += 1;
        let urgent = level == Level::Error && !state.urgent;
        state.urgent |= urgent;
        let wake = urgent || std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.0.wake.notify_one();
        }
    }

    /// Waits until every line taken so far is written; `Err` is how many are not.
    pub(crate) fn flush(&self, until: Instant) -> Result<(), u64> {
        let state = self.0.state.lock();
        let target = state.accepted;
        self.wait(state, target, until)
    }

    /// Takes no more lines and waits as [`LineQueue::flush`] does.
    pub(crate) fn close(&self, until: Instant) -> Result<(), u64> {
        let mut state = self.0.state.lock();
        state.closed = true;
        let target = state.accepted;
        self.wait(state, target, until)
    }

    fn wait(
        &self,
        mut state: parking_lot::MutexGuard<'_, State>,
        target: u64,
        until: Instant,
    ) -> Result<(), u64> {
        state.urgent = true;
        self.0.wake.notify_one();
        while state.done < target {
            if self.0.progress.wait_until(&mut state, until).timed_out() && state.done < target {
                return Err(target - state.done);
            }
        }
        Ok(())
    }
}

/// Ends the thread of a queue when the layer that fills it is gone.
pub(crate) struct CloseOnDrop(pub(crate) LineQueue);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.0.state.lock().closed = true;
        self.0.0.wake.notify_one();
    }
}

fn run(shared: &Shared, mut out: Box<dyn Write + Send>) {
    let mut batch = Vec::new();
    loop {
        let mut state = shared.state.lock();
        while state.pending.is_empty() && !state.closed {
            state.idle = true;
            state.urgent = false;
            shared.wake.wait(&mut state);
        }
        state.idle = false;
        if !state.urgent && !state.closed {
            shared.wake.wait_for(&mut state, GATHER);
        }
        std::mem::swap(&mut state.pending, &mut batch);
        let lines = std::mem::take(&mut state.pending_lines);
        let by_level = std::mem::take(&mut state.pending_by_level);
        state.urgent = false;
        let closed = state.closed;
        drop(state);

        // OK because an output that panics loses these lines and nothing else.
        let written =
            catch_unwind(AssertUnwindSafe(|| out.write_all(&batch).and_then(|()| out.flush())));
        if !matches!(written, Ok(Ok(()))) {
            for (level, lines) in
                Level::ALL.into_iter().zip(by_level).filter(|(_, lines)| *lines > 0)
            {
                count_dropped("write_failed", level, lines);
            }
        }
        batch.clear();
        batch.shrink_to(KEPT_BYTES);

        let mut state = shared.state.lock();
        state.done += lines;
        let finished = closed && state.pending.is_empty();
        drop(state);
        shared.progress.notify_all();
        if finished {
            return;
        }
    }
}
