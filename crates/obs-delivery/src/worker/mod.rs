//! The worker: takes batches from the queue in order, and has each delivered.

mod attempt;
mod lane;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::batch::{Due, Patience, due, take};
use crate::state::Shared;
use crate::{BatchConfig, Encoder, Phase};
use lane::{Flow, deliver};

/// How often the metrics are brought up to date while messages are held.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// Sends until the destination is closed and empty, or until its deadline.
pub(crate) async fn run(ending: EndOnDrop, encoder: Option<Box<dyn Encoder>>) {
    let shared = Arc::clone(&ending.0);
    let deadline = shared.deadline.subscribe();
    let mut worker = Worker {
        shared: &shared,
        encoder: encoder.as_deref(),
        lanes: FuturesUnordered::new(),
        flushes: Vec::new(),
        flow: Flow::GoOn,
        publish_at: Instant::now() + PUBLISH_EVERY,
    };
    tokio::select! {
        biased;
        () = worker.send_all() => {}
        () = reached(deadline) => {}
    }
    drop(worker);
    drop(ending);
}

/// Ends the destination with its worker, also if the task is aborted or its runtime goes away.
///
/// It is made before the task, because a task that is dropped before it first runs makes nothing.
pub(crate) struct EndOnDrop(pub(crate) Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Returns when the deadline, once there is one, is reached.
async fn reached(mut deadline: watch::Receiver<Option<Instant>>) {
    loop {
        let at = *deadline.borrow_and_update();
        let passed = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = passed => return,
            // OK because the sender lives as long as the worker: this is never an error in a loop.
            _ = deadline.changed() => {}
        }
    }
}

/// A batch on its way.
type LaneFuture<'a> = Pin<Box<dyn Future<Output = Flow> + Send + 'a>>;

struct Worker<'a> {
    shared: &'a Shared,
    encoder: Option<&'a dyn Encoder>,
    lanes: FuturesUnordered<LaneFuture<'a>>,
    flushes: Vec<Flush>,
    flow: Flow,
    publish_at: Instant,
}

/// Someone who waits until everything numbered below `mark` has its fate.
struct Flush {
    mark: u64,
    done: oneshot::Sender<()>,
}

impl Worker<'_> {
    async fn send_all(&mut self) {
        loop {
            let phase = self.shared.phase();
            self.see_flushes();
            let due = self.fill_lanes(phase);
            let is_idle = self.lanes.is_empty() && due == Due::Never;
            if self.flow == Flow::Stop && self.lanes.is_empty() {
                return;
            }
            if is_idle {
                self.shared.publish();
                if phase != Phase::Running {
                    return;
                }
            }
            self.arm(due);
            if self.shared.queue.collect() || self.is_due() {
                continue;
            }
            self.pause(due, is_idle).await;
        }
    }

    /// Starts as many batches as are due and may be in flight. The answer says when there is another.
    fn fill_lanes(&mut self, phase: Phase) -> Due {
        loop {
            let due = self.next_due(phase);
            if due != Due::Now || !self.has_free_lane() {
                return due;
            }
            let batch = {
                let mut ordered = self.shared.queue.ordered();
                take(&mut *ordered, self.batching(), self.encoder)
            };
            // None if an offer that needed room was quicker.
            if !batch.is_empty() {
                self.lanes.push(Box::pin(deliver(self.shared, self.encoder, batch)));
            }
        }
    }

    fn next_due(&self, phase: Phase) -> Due {
        let is_hurried = phase != Phase::Running || !self.flushes.is_empty();
        let patience = if is_hurried { Patience::None } else { Patience::Wait };
        due(&*self.shared.queue.ordered(), self.batching(), Instant::now(), patience)
    }

    fn is_due(&self) -> bool {
        self.has_free_lane() && self.next_due(self.shared.phase()) == Due::Now
    }

    fn has_free_lane(&self) -> bool {
        self.flow == Flow::GoOn && self.lanes.len() < self.shared.config.concurrency
    }

    /// The limits of a batch, if messages are put together at all.
    fn batching(&self) -> Option<&BatchConfig> {
        self.encoder.map(|_| &self.shared.config.batch)
    }

    /// Says which offers are to wake the worker: those that make a batch due that can be sent.
    fn arm(&self, due: Due) {
        let queue = &self.shared.queue;
        match due {
            _ if !self.has_free_lane() => queue.wake_never(),
            Due::Never => queue.wake_at_once(),
            Due::Now | Due::At(_) => {
                let batch = &self.shared.config.batch;
                let (items, bytes) = {
                    let ordered = queue.ordered();
                    (ordered.len(), ordered.bytes())
                };
                queue.wake_after(
                    batch.max_items.saturating_sub(items),
                    batch.max_bytes.saturating_sub(bytes),
                );
            }
        }
    }

    /// Waits until there may be something to do.
    async fn pause(&mut self, due: Due, is_idle: bool) {
        let batch_at = match due {
            Due::At(at) if self.has_free_lane() => Some(at),
            Due::At(_) | Due::Now | Due::Never => None,
        };
        let publish_at = (!is_idle).then_some(self.publish_at);
        let wake_at = batch_at.into_iter().chain(publish_at).min();
        let wake = async {
            match wake_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(flow) = self.lanes.next() => {
                if flow == Flow::Stop {
                    self.flow = Flow::Stop;
                }
            }
            () = self.shared.work.notified() => {}
            () = wake => {}
        }
        if self.publish_at <= Instant::now() {
            self.shared.publish();
            self.publish_at = Instant::now() + PUBLISH_EVERY;
        }
    }

    /// Takes note of new flushes, and ends those of which nothing is held any more.
    fn see_flushes(&mut self) {
        let new = std::mem::take(&mut *self.shared.flushes.lock());
        let mark = self.shared.queue.taken();
        self.flushes.extend(new.into_iter().map(|done| Flush { mark, done }));
        if self.flushes.is_empty() {
            return;
        }
        let oldest = self.shared.oldest_number();
        for flush in std::mem::take(&mut self.flushes) {
            if oldest >= flush.mark {
                // OK because whoever no longer waits is not told.
                let _ = flush.done.send(());
            } else if !flush.done.is_closed() {
                self.flushes.push(flush);
            }
        }
    }
}
