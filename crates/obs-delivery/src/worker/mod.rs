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
use crate::spool::{self, Spool};
use crate::state::Shared;
use crate::{Encoder, Phase};
use lane::{Flow, deliver};

/// How often the metrics are brought up to date while messages are held.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// Sends until the destination is closed and empty, or until its deadline.
pub(crate) async fn run(
    ending: EndOnDrop,
    encoder: Option<Box<dyn Encoder>>,
    spool: Option<Arc<dyn Spool>>,
) {
    let shared = Arc::clone(&ending.0);
    let deadline = shared.deadline.subscribe();
    let mut worker = Worker {
        shared: &shared,
        encoder: encoder.as_deref(),
        lanes: FuturesUnordered::new(),
        spool: spool.map(|spool| spool::Flow::new(spool, shared.config.spool.window_bytes)),
        flushes: Vec::new(),
        flow: Flow::GoOn,
        publish_at: Instant::now() + PUBLISH_EVERY,
    };
    tokio::select! {
        biased;
        () = worker.send_all() => {}
        () = reached(deadline) => {}
    }
    worker.spool_the_rest().await;
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
    spool: Option<spool::Flow>,
    flushes: Vec<Flush>,
    flow: Flow,
    publish_at: Instant,
}

/// Someone who waits until everything that was there when the worker saw it has its fate.
struct Flush {
    /// One past the last number of what was in memory.
    mark: u64,
    /// One past the last id of what is in the spool once none of that is in memory.
    spool_mark: Option<u64>,
    done: oneshot::Sender<()>,
}

impl Worker<'_> {
    async fn send_all(&mut self) {
        loop {
            let phase = self.shared.phase();
            let spool_at = self.serve_spool();
            self.see_flushes();
            let due = self.fill_lanes(phase);
            if self.flow == Flow::Stop && self.lanes.is_empty() {
                return;
            }
            let is_idle = self.is_idle(due);
            if is_idle {
                self.shared.publish();
                if phase != Phase::Running {
                    return;
                }
            }
            self.arm(due, spool_at);
            if self.shared.queue.collect() || self.is_due() || self.may_begin_turn(spool_at) {
                continue;
            }
            self.pause(due, spool_at, is_idle).await;
        }
    }

    /// Tells the spool what was settled, and has it do what there is to do. The answer says when there is more.
    fn serve_spool(&mut self) -> Option<Instant> {
        let spool = self.spool.as_mut()?;
        spool.settle(self.shared.take_settled());
        spool.begin_turn(self.shared)
    }

    /// Whether something came in for the spool since it was served.
    fn may_begin_turn(&self, spool_at: Option<Instant>) -> bool {
        self.spool.as_ref().is_some_and(|spool| !spool.is_taking_turn())
            && spool_at.is_none()
            && self.shared.queue.ordered().len() > 0
    }

    fn is_idle(&self, due: Due) -> bool {
        self.lanes.is_empty()
            && due == Due::Never
            && self
                .spool
                .as_ref()
                .is_none_or(|spool| spool.is_idle() && self.shared.queue.ordered().len() == 0)
    }

    /// Starts as many batches as are due and may be in flight. The answer says when there is another.
    fn fill_lanes(&mut self, phase: Phase) -> Due {
        loop {
            let due = self.next_due(phase);
            if due != Due::Now || !self.has_free_lane() {
                return due;
            }
            let batching = self.encoder.map(|_| &self.shared.config.batch);
            let batch = match self.spool.as_mut().and_then(spool::Flow::window) {
                Some(window) => take(window, batching, self.encoder),
                None => take(&mut *self.shared.queue.ordered(), batching, self.encoder),
            };
            // None if an offer that needed room was quicker.
            if !batch.is_empty() {
                self.lanes.push(Box::pin(deliver(self.shared, self.encoder, batch)));
            }
        }
    }

    fn next_due(&mut self, phase: Phase) -> Due {
        let is_hurried = phase != Phase::Running || !self.flushes.is_empty();
        let patience = if is_hurried { Patience::None } else { Patience::Wait };
        let batching = self.encoder.map(|_| &self.shared.config.batch);
        let now = Instant::now();
        match self.spool.as_mut().and_then(spool::Flow::window) {
            Some(window) => due(window, batching, now, patience),
            None => due(&*self.shared.queue.ordered(), batching, now, patience),
        }
    }

    fn is_due(&mut self) -> bool {
        self.has_free_lane() && self.next_due(self.shared.phase()) == Due::Now
    }

    fn has_free_lane(&self) -> bool {
        self.flow == Flow::GoOn && self.lanes.len() < self.shared.config.concurrency
    }

    /// Says which offers are to wake the worker: those that make a batch due that can be sent, or that the spool
    /// can take.
    fn arm(&self, due: Due, spool_at: Option<Instant>) {
        let queue = &self.shared.queue;
        match (due, &self.spool) {
            (_, Some(spool)) if !spool.is_bypassed() => {
                if spool.is_taking_turn() || spool_at.is_some() {
                    queue.wake_never();
                } else {
                    queue.wake_at_once();
                }
            }
            _ if !self.has_free_lane() => queue.wake_never(),
            (Due::Never, _) => queue.wake_at_once(),
            (Due::Now | Due::At(_), _) => {
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
    async fn pause(&mut self, due: Due, spool_at: Option<Instant>, is_idle: bool) {
        let batch_at = match due {
            Due::At(at) if self.has_free_lane() => Some(at),
            Due::At(_) | Due::Now | Due::Never => None,
        };
        let publish_at = (!is_idle).then_some(self.publish_at);
        let wake_at = batch_at.into_iter().chain(spool_at).chain(publish_at).min();
        let wake = async {
            match wake_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let spool_turn = async {
            match &mut self.spool {
                Some(spool) => spool.end_turn(self.shared).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = spool_turn => {}
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
        let seen = |done| Flush { mark, spool_mark: None, done };
        self.flushes.extend(new.into_iter().map(seen));
        if self.flushes.is_empty() {
            return;
        }
        let oldest = self.shared.oldest_number();
        for mut flush in std::mem::take(&mut self.flushes) {
            let is_done = oldest >= flush.mark
                && self.spool.as_ref().is_none_or(|spool| {
                    flush.spool_mark = flush.spool_mark.or_else(|| spool.end());
                    flush.spool_mark.is_some_and(|mark| spool.first_unsettled() >= mark)
                });
            if is_done {
                // OK because whoever no longer waits is not told.
                let _ = flush.done.send(());
            } else if !flush.done.is_closed() {
                self.flushes.push(flush);
            }
        }
    }

    /// Leaves in the spool, if there is one, what is held in memory, and forgets there what has its fate.
    async fn spool_the_rest(&mut self) {
        // What is in flight is given up; of that, what is in the spool stays there.
        self.lanes.clear();
        self.shared.close();
        let Some(spool) = &mut self.spool else { return };
        loop {
            if spool.is_taking_turn() {
                spool.end_turn(self.shared).await;
            }
            spool.settle(self.shared.take_settled());
            self.shared.queue.collect();
            spool.make_last_turn(self.shared);
            if !spool.is_taking_turn() {
                return;
            }
        }
    }
}
