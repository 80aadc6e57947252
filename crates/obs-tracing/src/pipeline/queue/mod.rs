//! Carries finished lines to those who take them away, without ever making the caller wait for it.

mod batch;
mod lanes;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use obs_model::{Level, Timestamp};
use parking_lot::{Condvar, Mutex};

use crate::Error;
use crate::counters::count_dropped;
use crate::pipeline::thread;
use crate::sink::LineHead;
pub(crate) use batch::{Batch, NewLine};
pub(crate) use lanes::QueueLimits;
use lanes::{Lanes, Refused};
pub(crate) use writer::{Drain, Output};

/// What the writer and those who wait for it tell each other.
#[derive(Default)]
struct Progress {
    closed: bool,
    /// How often the writer began to take lines away.
    begun: u64,
    /// How often it was done with them.
    finished: u64,
    /// Whether the writer is gone, with all lines that were taken.
    ended: bool,
}

struct Shared {
    lanes: Lanes,
    /// Whether the writer waits for a line.
    idle: AtomicBool,
    /// Whether it should not wait for more of them.
    urgent: AtomicBool,
    progress: Mutex<Progress>,
    /// The writer waits here for lines.
    wake: Condvar,
    /// Flushers wait here for the writer.
    done: Condvar,
    reasons: [&'static str; 2],
}

impl Shared {
    /// Wakes the writer, wherever it is on its way to waiting.
    fn wake(&self) {
        // Taken so that the writer either waits already or has yet to look.
        drop(self.progress.lock());
        self.wake.notify_one();
    }
}

/// A queue of lines with a thread that takes them away; cheap to clone.
///
/// Callers copy their line into a buffer that they share with few other threads, and the thread takes all of them as a
/// whole: a line costs its caller one short lock that is seldom contended, and no allocation, and a slow output delays
/// nobody. Lines of different threads are put in order by their times.
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
            lanes: Lanes::new(limits),
            idle: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
            progress: Mutex::default(),
            wake: Condvar::new(),
            done: Condvar::new(),
            reasons: D::REASONS,
        });
        let for_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // OK because what the output itself logs must not come back to it.
                thread::suppress_for_ever();
                writer::run(&for_thread, &mut *drain);
            })
            .map_err(|source| Error::thread(name, source))?;
        Ok(Self(shared))
    }

    /// Takes a line, with what is known of it where the drain wants to know, or drops it and counts it.
    pub(crate) fn push(
        &self,
        line: NewLine<'_>,
        at: Timestamp,
        level: Level,
        head: Option<LineHead>,
    ) {
        let shared = &*self.0;
        if let Err(refused) = shared.lanes.push(line, at, level, head) {
            let [full, closed] = shared.reasons;
            let reason = if refused == Refused::Closed { closed } else { full };
            return count_dropped(reason, level, 1);
        }
        // OK because the writer says that it is idle before it looks at the lanes for the last time: either it has seen
        // the line, or the lock of the lane has shown this thread that it waits.
        let is_first =
            shared.idle.load(Ordering::Relaxed) && shared.idle.swap(false, Ordering::Relaxed);
        let is_urgent = level == Level::Error && !shared.urgent.swap(true, Ordering::Relaxed);
        if is_first || is_urgent {
            shared.wake();
        }
    }

    /// Waits until every line taken so far is written; `Err` is how many are not.
    pub(crate) fn flush(&self, until: Instant) -> Result<(), u64> {
        let shared = &*self.0;
        let mut progress = shared.progress.lock();
        // What is being taken away just now may have passed a line's lane already.
        let wanted = progress.begun + 1;
        shared.urgent.store(true, Ordering::Relaxed);
        shared.wake.notify_one();
        while progress.finished < wanted && !progress.ended {
            let is_late = shared.done.wait_until(&mut progress, until).timed_out();
            if is_late && progress.finished < wanted {
                drop(progress);
                // OK because lines of others may have come meanwhile: then there is one at least.
                return match shared.lanes.left() {
                    0 => Ok(()),
                    left => Err(left),
                };
            }
        }
        Ok(())
    }

    /// Takes no more lines and waits as [`LineQueue::flush`] does.
    pub(crate) fn close(&self, until: Instant) -> Result<(), u64> {
        self.stop();
        self.flush(until)
    }

    /// Takes no more lines; the thread ends when it has taken the others away.
    fn stop(&self) {
        self.0.lanes.close();
        self.0.progress.lock().closed = true;
        self.0.wake();
    }
}

/// Ends the thread of a queue when the layer that fills it is gone.
pub(crate) struct CloseOnDrop(pub(crate) LineQueue);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};
    use std::time::Duration;

    use super::*;

    struct Told(Sender<Vec<u8>>);

    impl Drain for Told {
        const REASONS: [&'static str; 2] = ["queue_full", "closed"];

        fn take(&mut self, batch: &Batch) {
            self.0.send(batch.bytes().to_vec()).expect("the test listens");
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn every_line_of_every_thread_is_written_once_and_no_flush_hangs() {
        let (told, lines) = channel();
        let limits = QueueLimits { bytes: 64 << 20, lines: 1 << 20 };
        let queue = LineQueue::start(Box::new(Told(told)), limits, "test").unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let queue = &queue;
                scope.spawn(move || {
                    for number in 0..2_000 {
                        let line = format!("{thread} {number}\n");
                        let level = if number % 500 == 0 { Level::Error } else { Level::Info };
                        queue.push(NewLine::Whole(line.as_bytes()), Timestamp::EPOCH, level, None);
                        if number % 97 == 0 {
                            // So that the writer falls idle now and then.
                            queue.flush(soon()).unwrap();
                        }
                    }
                    queue.flush(soon()).unwrap();
                });
            }
        });
        queue.close(soon()).unwrap();
        drop(queue);
        let text = lines.iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        for thread in 0..4 {
            let prefix = format!("{thread} ");
            let numbers: Vec<usize> =
                text.lines().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect();
            assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
        }
        assert_eq!(text.lines().count(), 8_000);
    }
}
