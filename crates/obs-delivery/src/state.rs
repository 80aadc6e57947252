//! The bounded queue and the account of what became of every message.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Accepted, DropReason};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::self_metrics::SelfMetrics;
use crate::status::Reason;
use crate::{
    DeliveryConfig, DeliveryReport, DeliveryStatus, DropCounts, LastError, Message, Phase,
};

/// What the handles and the worker share.
///
/// The worker leaves a message at the front of the queue while it tries to send it, and settles it once its
/// fate is known. So a message is always in exactly one place: held, delivered, dropped or undelivered.
pub(crate) struct Shared {
    pub(crate) config: DeliveryConfig,
    pub(crate) metrics: SelfMetrics,
    /// Wakes the worker when there is a message, or when there will be none any more.
    pub(crate) work: Notify,
    /// The instant at which shutdown ends, once there is one.
    pub(crate) deadline: watch::Sender<Option<Instant>>,
    /// Whether the destination has ended.
    pub(crate) ended: watch::Sender<bool>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    queue: VecDeque<Held>,
    bytes: usize,
    offered: u64,
    delivered: u64,
    dropped: DropCounts,
    undelivered: u64,
    retries: u64,
    panics: u64,
    failures_in_a_row: u32,
    is_sending: bool,
    not_before: Option<Instant>,
    last_delivered_at: Option<obs_model::Timestamp>,
    last_error: Option<LastError>,
}

/// A message in the queue.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) message: Arc<Message>,
    pub(crate) offered_at: Instant,
    size: usize,
}

/// What the worker does next.
pub(crate) enum Next {
    Send(Held),
    Wait,
    End,
}

/// What became of the message at the front of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Dropped(Reason),
}

impl Shared {
    pub(crate) fn new(config: DeliveryConfig) -> Self {
        let state = State {
            phase: Phase::Running,
            queue: VecDeque::new(),
            bytes: 0,
            offered: 0,
            delivered: 0,
            dropped: DropCounts::default(),
            undelivered: 0,
            retries: 0,
            panics: 0,
            failures_in_a_row: 0,
            is_sending: false,
            not_before: None,
            last_delivered_at: None,
            last_error: None,
        };
        Self {
            metrics: SelfMetrics::bind(&config.name),
            config,
            work: Notify::new(),
            deadline: watch::Sender::new(None),
            ended: watch::Sender::new(false),
            state: Mutex::new(state),
        }
    }

    /// Takes a message if there is room for it; never waits for anything but the short critical section.
    pub(crate) fn offer(&self, message: Message) -> Accepted {
        let size = message.size();
        let message = Arc::new(message);
        let refused = {
            let mut state = self.state.lock();
            state.offered += 1;
            let refused = self.refusal(&state, size);
            match refused {
                Some((reason, _)) => state.dropped.add(reason),
                None => {
                    state.bytes += size;
                    state.queue.push_back(Held { message, offered_at: Instant::now(), size });
                }
            }
            refused
        };
        self.metrics.offered.increment(1);
        match refused {
            Some((reason, answer)) => {
                self.metrics.dropped(reason).increment(1);
                Accepted::Dropped(answer)
            }
            None => {
                self.metrics.held(size);
                self.work.notify_one();
                Accepted::Taken
            }
        }
    }

    fn refusal(&self, state: &State, size: usize) -> Option<(Reason, DropReason)> {
        if state.phase != Phase::Running {
            Some((Reason::Closed, DropReason::Closed))
        } else if size > self.config.max_message_bytes {
            Some((Reason::TooLarge, DropReason::TooLarge))
        } else if state.queue.len() >= self.config.capacity
            || state.bytes.saturating_add(size) > self.config.max_bytes
        {
            Some((Reason::QueueFull, DropReason::QueueFull))
        } else {
            None
        }
    }

    pub(crate) fn next(&self) -> Next {
        let state = self.state.lock();
        match (state.queue.front(), state.phase) {
            (Some(held), _) => Next::Send(held.clone()),
            (None, Phase::Running) => Next::Wait,
            (None, Phase::Draining | Phase::Closed) => Next::End,
        }
    }

    /// Notes that an attempt begins.
    pub(crate) fn sending(&self, is_retry: bool) {
        let mut state = self.state.lock();
        state.is_sending = true;
        state.not_before = None;
        state.retries += u64::from(is_retry);
        drop(state);
        if is_retry {
            self.metrics.retries.increment(1);
        }
    }

    /// Notes that an attempt failed, and that `failures` did in a row.
    pub(crate) fn failed(&self, message: String, is_permanent: bool, failures: u32) {
        let at = self.config.clock.now();
        let mut state = self.state.lock();
        state.is_sending = false;
        state.failures_in_a_row = failures;
        state.last_error = Some(LastError { at, message, is_permanent });
    }

    /// Notes that an attempt panicked.
    pub(crate) fn panicked(&self) {
        self.state.lock().panics += 1;
        self.metrics.panics.increment(1);
    }

    /// Notes until when the destination is left alone.
    pub(crate) fn waiting_until(&self, not_before: Instant) {
        self.state.lock().not_before = Some(not_before);
    }

    /// Settles the message at the front of the queue; once the destination has ended there is none.
    pub(crate) fn settle(&self, fate: Fate) {
        let now = self.config.clock.now();
        let held = {
            let mut state = self.state.lock();
            state.is_sending = false;
            let Some(held) = state.queue.pop_front() else { return };
            state.bytes -= held.size;
            match fate {
                Fate::Delivered => {
                    state.delivered += 1;
                    state.failures_in_a_row = 0;
                    state.last_delivered_at = Some(now);
                }
                Fate::Dropped(reason) => state.dropped.add(reason),
            }
            held
        };
        self.metrics.released(1, held.size);
        match fate {
            Fate::Delivered => self.metrics.delivered.increment(1),
            Fate::Dropped(reason) => self.metrics.dropped(reason).increment(1),
        }
    }

    /// Takes no more messages; what is held is still sent.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::Draining;
        }
        drop(state);
        self.work.notify_one();
    }

    /// Ends the destination: what is still held is undelivered. Doing so again changes nothing.
    pub(crate) fn end(&self) {
        let (left, bytes) = {
            let mut state = self.state.lock();
            state.phase = Phase::Closed;
            state.is_sending = false;
            state.not_before = None;
            state.undelivered += state.queue.len() as u64;
            (std::mem::take(&mut state.queue), std::mem::take(&mut state.bytes))
        };
        self.metrics.released(left.len(), bytes);
        self.metrics.undelivered.increment(left.len() as u64);
        self.ended.send_replace(true);
    }

    pub(crate) fn report(&self) -> DeliveryReport {
        let state = self.state.lock();
        DeliveryReport {
            offered: state.offered,
            delivered: state.delivered,
            dropped: state.dropped,
            undelivered: state.undelivered,
        }
    }

    pub(crate) fn status(&self) -> DeliveryStatus {
        let now = Instant::now();
        let state = self.state.lock();
        DeliveryStatus {
            name: self.config.name.clone(),
            phase: state.phase,
            queued: state.queue.len(),
            queued_bytes: state.bytes,
            oldest_age: state.queue.front().map(|held| now.duration_since(held.offered_at)),
            is_sending: state.is_sending,
            next_attempt_in: state
                .not_before
                .map(|at| at.duration_since(now))
                .filter(|wait| *wait > Duration::ZERO),
            failures_in_a_row: state.failures_in_a_row,
            offered: state.offered,
            delivered: state.delivered,
            dropped: state.dropped,
            undelivered: state.undelivered,
            retries: state.retries,
            panics: state.panics,
            last_delivered_at: state.last_delivered_at,
            last_error: state.last_error.clone(),
        }
    }

    pub(crate) fn last_error(&self) -> Option<LastError> {
        self.state.lock().last_error.clone()
    }
}
