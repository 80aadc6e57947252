//! Carries finished lines to those who take them away, without ever making the caller wait for it.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::Level;
use parking_lot::{Condvar, Mutex};

use crate::Error;
use crate::counters::count_dropped;
use crate::pipeline::thread;
use crate::sink::LineHead;

/// How long the writer gathers lines before it writes them. It saves a wake-up per line; ERROR lines do not
/// wait.
const GATHER: Duration = Duration::from_millis(5);

/// The most memory that the writer keeps between writes.
const KEPT_BYTES: usize = 1024 * 1024;

/// Lines that are taken away together.
#[derive(Default)]
pub(crate) struct Batch {
    /// Whole lines with their ends, one after another.
    bytes: Vec<u8>,
    /// What is known of each, and where it ends, if somebody wants to know.
    heads: Vec<(LineHead, usize)>,
    lines: u64,
    by_level: [u64; Level::ALL.len()],
}

impl Batch {
    /// How many lines there are.
    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }

    /// Each line without its end, if the queue was given its head.
    pub(crate) fn lines_with_heads(&self) -> impl Iterator<Item = (LineHead, &[u8])> {
        let starts = std::iter::once(0).chain(self.heads.iter().map(|(_, end)| *end));
        self.heads
            .iter()
            .zip(starts)
            .map(|((head, end), start)| (*head, &self.bytes[start..end - 1]))
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.heads.len() * size_of::<(LineHead, usize)>()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.heads.clear();
        self.heads.shrink_to(KEPT_BYTES / size_of::<(LineHead, usize)>());
        self.lines = 0;
        self.by_level = Default::default();
    }
}

/// Who takes lines away, on a thread of its own.
pub(crate) trait Drain: Send + 'static {
    /// As which reasons lines count that found the queue full, or closed.
    const REASONS: [&'static str; 2];

    /// Takes lines. It must not panic.
    fn take(&mut self, batch: &Batch);
}

/// The output of the process.
pub(crate) struct Output(pub(crate) Box<dyn Write + Send>);

impl Drain for Output {
    const REASONS: [&'static str; 2] = ["queue_full", "closed"];

    fn take(&mut self, batch: &Batch) {
        // OK because an output that panics loses these lines and nothing else.
        let write = || self.0.write_all(&batch.bytes).and_then(|()| self.0.flush());
        if !matches!(catch_unwind(AssertUnwindSafe(write)), Ok(Ok(()))) {
            let by_level = Level::ALL.into_iter().zip(batch.by_level);
            for (level, lines) in by_level.filter(|(_, lines)| *lines > 0) {
                count_dropped("write_failed", level, lines);
            }
        }
    }
}

/// How much waits at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) bytes: usize,
    pub(crate) lines: usize,
}

#[derive(Default)]
struct State {
    pending: Batch,
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
    limits: QueueLimits,
    reasons: [&'static str; 2],
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

/// A queue of lines with a thread that takes them away; cheap to clone.
///
/// Callers copy their line into a shared buffer, which the thread takes as a whole: a line costs its caller one
/// short lock and no allocation, and a slow output delays nobody.
#[derive(Clone)]
pub(crate) struct LineQueue(Arc<Shared>);

impl LineQueue {
    /// Starts the thread.
    pub(crate) fn start<D: Drain>(
        mut drain: Box<D>,
        limits: QueueLimits,
        name: &'static str,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            progress: Condvar::new(),
            limits,
            reasons: D::REASONS,
        });
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // OK because what the output itself logs must not come back to it.
                thread::suppress_for_ever();
                run(&for_thread, &mut *drain);
            })
            .map_err(|source| Error::thread(name, source))?;
        Ok(Self(shared))
    }

    /// Takes a whole line, with what is known of it where the drain wants to know, or drops it and counts it.
    pub(crate) fn push(&self, line: &[u8], level: Level, head: Option<LineHead>) {
        let share = |whole: usize| whole / 8 * eighths(level) + whole % 8 * eighths(level) / 8;
        let QueueLimits { bytes, lines } = self.0.limits;
        let (max_bytes, max_lines) = (share(bytes), share(lines) as u64);
        let mut state = self.0.state.lock();
        let is_full =
            state.pending.size() + line.len() > max_bytes || state.pending.lines >= max_lines;
        if state.closed || is_full {
            let [full, closed] = self.0.reasons;
            let reason = if state.closed { closed } else { full };
            drop(state);
            return count_dropped(reason, level, 1);
        }
        let pending = &mut state.pending;
        pending.bytes.extend_from_slice(line);
        if let Some(head) = head {
            pending.heads.push((head, pending.bytes.len()));
        }
        pending.lines += 1;
        pending.by_level[level as usize] += 1;
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

fn run(shared: &Shared, drain: &mut impl Drain) {
    let mut batch = Batch::default();
    loop {
        let mut state = shared.state.lock();
        while state.pending.lines == 0 && !state.closed {
            state.idle = true;
            state.urgent = false;
            shared.wake.wait(&mut state);
        }
        state.idle = false;
        if !state.urgent && !state.closed {
            shared.wake.wait_for(&mut state, GATHER);
        }
        std::mem::swap(&mut state.pending, &mut batch);
        state.urgent = false;
        let closed = state.closed;
        drop(state);

        drain.take(&batch);

        let mut state = shared.state.lock();
        state.done += batch.lines;
        let finished = closed && state.pending.lines == 0;
        drop(state);
        batch.clear();
        shared.progress.notify_all();
        if finished {
            return;
        }
    }
}
