//! When metrics are pushed: at every tick of a grid, on demand, and once more at the end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_delivery::{Delivery, DeliveryReport};
use obs_model::{Clock, Timestamp};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::outbox::{Outbox, SelfMetrics, ToDelivery};
use crate::error::{Error, Kind};

/// The shortest interval; a registry of ordinary size is read in a few milliseconds.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// How many requests for a round may wait; further ones wait with their callers.
const WAITING_ROUNDS: usize = 16;

/// Whether there will be another round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Round {
    Regular,
    Last,
}

/// A way to put all metrics into requests.
pub(super) trait Export: Send + 'static {
    /// Puts everything as it is now into `outbox`, with the time `at`.
    fn round(&mut self, at: Timestamp, round: Round, outbox: &mut dyn Outbox);
}

pub(super) fn interval_problems(interval: Duration) -> Vec<String> {
    let is_good = interval >= MIN_INTERVAL;
    let problem = || format!("interval is {interval:?}: at least {MIN_INTERVAL:?}");
    (!is_good).then(problem).into_iter().collect()
}

/// Metrics that are being pushed. Dropping it ends that at once, without a last round; [`Pusher::shutdown`] ends it well.
pub struct Pusher {
    asks: mpsc::Sender<Ask>,
    task: AbortHandle,
    delivery: Delivery,
}

/// A round out of turn, and whom to tell when its requests are with the delivery.
struct Ask {
    round: Round,
    done: oneshot::Sender<()>,
}

impl Drop for Pusher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Pusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pusher").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

impl Pusher {
    pub(super) fn start(
        interval: Duration,
        clock: Arc<dyn Clock>,
        delivery: Delivery,
        exporter: impl Export,
    ) -> Result<Self, Error> {
        let runtime = Handle::try_current().map_err(|_| Kind::NoRuntime)?;
        let (asks, asked) = mpsc::channel(WAITING_ROUNDS);
        let driver = Driver {
            interval,
            metrics: SelfMetrics::bind(delivery.name()),
            delivery: delivery.clone(),
            exporter: Arc::new(Mutex::new(exporter)),
            last: None,
            tick: clock.now().align_down(interval),
            clock,
        };
        let task = runtime.spawn(driver.run(asked)).abort_handle();
        Ok(Self { asks, task, delivery })
    }

    /// Reads all metrics now, out of turn, and returns when their requests are with the delivery.
    pub async fn export(&self) {
        self.ask(Round::Regular).await;
    }

    /// Pushes the last values, says that the series end, and delivers what it can within `deadline`.
    pub async fn shutdown(self, deadline: Duration) -> DeliveryReport {
        let started = tokio::time::Instant::now();
        // OK because a round that takes longer than the deadline is given up, and the report is made in any case.
        let _ = tokio::time::timeout(deadline, self.ask(Round::Last)).await;
        self.delivery.shutdown(deadline.saturating_sub(started.elapsed())).await
    }

    /// Where the requests go, for its status.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    async fn ask(&self, round: Round) {
        let (done, is_done) = oneshot::channel();
        if self.asks.send(Ask { round, done }).await.is_ok() {
            // OK because a task that ended does no more rounds.
            let _ = is_done.await;
        }
    }
}

/// Does one round, and delivers what it can of that within `deadline`.
pub(super) async fn once(
    clock: Arc<dyn Clock>,
    delivery: Delivery,
    mut exporter: impl Export,
    deadline: Duration,
) -> DeliveryReport {
    let started = tokio::time::Instant::now();
    let metrics = SelfMetrics::bind(delivery.name());
    metrics.rounds.increment(1);
    let (to, counted) = (delivery.clone(), metrics.clone());
    let work = tokio::task::spawn_blocking(move || {
        let mut outbox = ToDelivery { delivery: &to, metrics: &counted };
        exporter.round(clock.now(), Round::Regular, &mut outbox);
    });
    if work.await.is_err() {
        metrics.missed.increment(1);
    }
    delivery.shutdown(deadline.saturating_sub(started.elapsed())).await
}

/// The task behind a [`Pusher`].
struct Driver<E> {
    interval: Duration,
    clock: Arc<dyn Clock>,
    delivery: Delivery,
    metrics: SelfMetrics,
    exporter: Arc<Mutex<E>>,
    /// The time of the samples that were pushed last.
    last: Option<Timestamp>,
    /// The tick that was reached last.
    tick: Timestamp,
}

impl<E: Export> Driver<E> {
    async fn run(mut self, mut asked: mpsc::Receiver<Ask>) {
        loop {
            let now = self.clock.now();
            let wait = self.tick.plus(self.interval).since(now).max(Duration::from_millis(1));
            tokio::select! {
                biased;
                ask = asked.recv() => {
                    let Some(ask) = ask else { return };
                    let at = self.clock.now();
                    self.round(at, ask.round).await;
                    // OK because whoever asked may have gone.
                    let _ = ask.done.send(());
                    if ask.round == Round::Last {
                        return;
                    }
                }
                () = tokio::time::sleep(wait) => self.reach_tick().await,
            }
        }
    }

    async fn reach_tick(&mut self) {
        let tick = self.clock.now().align_down(self.interval);
        if tick <= self.tick {
            // Earlier if the clock was set back: the grid goes on from there.
            self.tick = tick;
            return;
        }
        let passed = tick.since(self.tick).as_millis() / self.interval.as_millis().max(1);
        self.metrics.missed.increment(u64::try_from(passed).unwrap_or(u64::MAX).saturating_sub(1));
        self.tick = tick;
        self.round(tick, Round::Regular).await;
    }

    async fn round(&mut self, at: Timestamp, round: Round) {
        let at = self.after_last(at);
        self.last = Some(at);
        self.metrics.rounds.increment(1);
        let (exporter, delivery) = (Arc::clone(&self.exporter), self.delivery.clone());
        let metrics = self.metrics.clone();
        // Away from the threads that serve requests: a large registry takes a while to read and to compress.
        let work = tokio::task::spawn_blocking(move || {
            let mut outbox = ToDelivery { delivery: &delivery, metrics: &metrics };
            exporter.lock().round(at, round, &mut outbox);
        });
        if work.await.is_err() {
            self.metrics.missed.increment(1);
        }
    }

    /// A time after that of the round before, since a receiver takes one sample of a series per time. When the clock was
    /// set back by more than an interval, the samples follow it.
    fn after_last(&self, at: Timestamp) -> Timestamp {
        match self.last {
            Some(last) if at <= last && last.since(at) < self.interval => {
                last.plus(Duration::from_millis(1))
            }
            _ => at,
        }
    }
}
