//! What the handles and the worker share, and the account of what became of every message.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use obs_model::{Accepted, DropReason};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;

use crate::endpoints::Endpoints;
use crate::queue::{Held, Queue, Refusal, Wake};
use crate::self_metrics::{Published, SelfMetrics};
use crate::spool::Spooled;
use crate::status::Reason;
use crate::{
    DeliveryConfig, DeliveryReport, DeliveryStatus, DropCounts, LastError, Message, Phase,
    Priority, Transport,
};

/// What the handles and the worker share.
///
/// What is held is not counted: it is what was taken and has no fate yet. So a message is always in exactly one
/// place: held, spooled, delivered, dropped or undelivered.
pub(crate) struct Shared {
    pub(crate) config: DeliveryConfig,
    pub(crate) metrics: SelfMetrics,
    pub(crate) endpoints: Endpoints,
    pub(crate) queue: Queue,
    /// Wakes the worker when there is something to do, or when there will be nothing any more.
    pub(crate) work: Notify,
    /// The instant at which shutdown ends, once there is one.
    pub(crate) deadline: watch::Sender<Option<Instant>>,
    /// Whether the destination has ended.
    pub(crate) ended: watch::Sender<bool>,
    /// Flushes that the worker has not seen yet.
    pub(crate) flushes: Mutex<Vec<oneshot::Sender<()>>>,
    /// Apart from the state, because offers count here as well.
    dropped: [AtomicU64; Reason::ALL.len()],
    overflowed: [AtomicU64; Priority::ALL.len()],
    state: Mutex<State>,
    published: Mutex<Published>,
}

struct State {
    phase: Phase,
    delivered: u64,
    undelivered: u64,
    recovered: u64,
    spooled: u64,
    spooled_bytes: u64,
    spool_errors: u64,
    retries: u64,
    panics: u64,
    sending: usize,
    not_before: Option<Instant>,
    last_delivered_at: Option<obs_model::Timestamp>,
    last_error: Option<LastError>,
    next_batch: u64,
    in_hand: BTreeMap<u64, InHand>,
    /// Ids of spooled messages whose fate was settled since the worker last asked.
    settled: Vec<u64>,
}

/// Messages that the worker has taken from the queue.
struct InHand {
    since: Instant,
    first: u64,
    items: usize,
    /// Of those that are in memory only.
    memory: (usize, usize),
}

/// What became of messages that the worker has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Delivered,
    Dropped(Reason),
}

impl Shared {
    pub(crate) fn new(
        config: DeliveryConfig,
        transports: Vec<(String, Box<dyn Transport>)>,
    ) -> Self {
        let state = State {
            phase: Phase::Running,
            delivered: 0,
            undelivered: 0,
            recovered: 0,
            spooled: 0,
            spooled_bytes: 0,
            spool_errors: 0,
            retries: 0,
            panics: 0,
            sending: 0,
            not_before: None,
            last_delivered_at: None,
            last_error: None,
            next_batch: 0,
            in_hand: BTreeMap::new(),
            settled: Vec::new(),
        };
        let deadline = watch::Sender::new(None);
        Self {
            metrics: SelfMetrics::bind(&config.name),
            endpoints: Endpoints::new(&config, transports, deadline.subscribe()),
            queue: Queue::new(config.capacity, config.max_bytes, config.overflow),
            config,
            work: Notify::new(),
            deadline,
            ended: watch::Sender::new(false),
            flushes: Mutex::default(),
            dropped: Default::default(),
            overflowed: Default::default(),
            state: Mutex::new(state),
            published: Mutex::default(),
        }
    }

    /// Takes a message if there is room for it; never waits for anything but short critical sections.
    pub(crate) fn offer(
        &self,
        message: Message,
        waiting: Option<oneshot::Sender<Spooled>>,
    ) -> Accepted {
        if message.size() > self.config.max_message_bytes {
            return self.refuse(
                Reason::TooLarge,
                DropReason::TooLarge,
                message.priority(),
                waiting,
            );
        }
        let evicted = |held: Held| {
            self.overflowed(held.message.priority());
            self.count(Reason::Evicted, 1);
            tell(held.waiting, Spooled::Dropped(DropReason::QueueFull));
        };
        match self.queue.offer(message, waiting, evicted) {
            Ok(Wake::Yes) => {
                self.work.notify_one();
                Accepted::Taken
            }
            Ok(Wake::No) => Accepted::Taken,
            Err(refused) => {
                let (reason, answer) = match refused.why {
                    Refusal::Full => (Reason::QueueFull, DropReason::QueueFull),
                    Refusal::Closed => (Reason::Closed, DropReason::Closed),
                };
                self.refuse(reason, answer, refused.message.priority(), refused.waiting)
            }
        }
    }

    #[cold]
    fn refuse(
        &self,
        reason: Reason,
        answer: DropReason,
        priority: Priority,
        waiting: Option<oneshot::Sender<Spooled>>,
    ) -> Accepted {
        self.count(reason, 1);
        match reason {
            // The worker is awake while the queue is full, and brings the metrics up to date.
            Reason::QueueFull => self.overflowed(priority),
            _ => self.publish(),
        }
        tell(waiting, Spooled::Dropped(answer));
        Accepted::Dropped(answer)
    }

    fn count(&self, reason: Reason, messages: u64) {
        // OK because `ALL` lists the reasons in the order in which they are declared.
        self.dropped[reason as usize].fetch_add(messages, Ordering::AcqRel);
    }

    fn overflowed(&self, priority: Priority) {
        self.overflowed[priority as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn dropped(&self) -> DropCounts {
        DropCounts::of(std::array::from_fn(|reason| self.dropped[reason].load(Ordering::Acquire)))
    }

    /// Notes that the worker has taken messages from the queue; the answer names them.
    pub(crate) fn take_in_hand(&self, items: &[Held]) -> u64 {
        let in_hand = InHand {
            since: items.iter().map(|held| held.offered_at).min().unwrap_or_else(Instant::now),
            first: items.iter().map(|held| held.number).min().unwrap_or(u64::MAX),
            items: items.len(),
            memory: in_memory(items),
        };
        let mut state = self.state.lock();
        let name = state.next_batch;
        state.next_batch += 1;
        if state.phase == Phase::Closed {
            drop(state);
            self.queue.release(in_hand.memory.0, in_hand.memory.1);
        } else {
            state.in_hand.insert(name, in_hand);
        }
        name
    }

    /// Notes that an attempt begins.
    pub(crate) fn sending(&self, is_retry: bool) {
        let mut state = self.state.lock();
        state.sending += 1;
        state.not_before = None;
        state.retries += u64::from(is_retry);
    }

    /// Notes that an attempt has ended, and how it failed if it did.
    pub(crate) fn sent(&self, error: Option<(String, bool)>) {
        let at = self.config.clock.now();
        let mut state = self.state.lock();
        state.sending = state.sending.saturating_sub(1);
        if let Some((message, is_permanent)) = error {
            state.last_error = Some(LastError { at, message, is_permanent });
        }
    }

    /// Notes a failure that was not an attempt's.
    pub(crate) fn failed(&self, message: String, is_permanent: bool) {
        let at = self.config.clock.now();
        self.state.lock().last_error = Some(LastError { at, message, is_permanent });
    }

    /// Notes that the transport or the encoder panicked.
    pub(crate) fn panicked(&self) {
        self.state.lock().panics += 1;
    }

    /// Notes until when the destination is left alone.
    pub(crate) fn waiting_until(&self, not_before: Instant) {
        self.state.lock().not_before = Some(not_before);
    }

    /// Settles messages of a batch in hand; once the destination has ended they are settled already.
    pub(crate) fn settle(&self, batch: u64, items: Vec<Held>, fate: Fate) {
        if items.is_empty() {
            return;
        }
        let now = self.config.clock.now();
        let (memory, bytes) = in_memory(&items);
        let mut state = self.state.lock();
        if state.phase == Phase::Closed {
            return;
        }
        let count = items.len() as u64;
        match fate {
            Fate::Delivered => {
                state.delivered += count;
                state.last_delivered_at = Some(now);
            }
            Fate::Dropped(reason) => self.count(reason, count),
        }
        state.spooled = state.spooled.saturating_sub(count - memory as u64);
        let spooled = items.iter().filter(|held| held.is_spooled);
        state.settled.extend(spooled.map(|held| held.number));
        if let Some(in_hand) = state.in_hand.get_mut(&batch) {
            in_hand.items -= items.len();
            in_hand.memory.0 -= memory;
            in_hand.memory.1 -= bytes;
            if in_hand.items == 0 {
                state.in_hand.remove(&batch);
            }
        }
        drop(state);
        self.queue.release(memory, bytes);
        for held in items {
            // It was sent before it could be spooled, because the spool failed.
            tell(held.waiting, Spooled::InMemory);
        }
    }

    /// Notes that messages in hand are in the spool now.
    pub(crate) fn spooled(&self, batch: u64, items: &[Held]) {
        let (memory, bytes) = in_memory(items);
        let mut state = self.state.lock();
        if state.phase == Phase::Closed {
            return;
        }
        state.spooled += memory as u64;
        state.in_hand.remove(&batch);
        drop(state);
        self.queue.release(memory, bytes);
    }

    /// Puts messages in hand back into the queue, because they could not be spooled.
    pub(crate) fn put_back(&self, batch: u64, items: Vec<Held>) {
        let mut ordered = self.queue.ordered();
        // None if the destination has ended, with these messages undelivered.
        if self.state.lock().in_hand.remove(&batch).is_some() {
            ordered.put_back(items);
        }
    }

    /// Notes what the spool held when the destination started.
    pub(crate) fn recovered(&self, messages: u64, bytes: u64) {
        let mut state = self.state.lock();
        state.recovered = messages;
        state.spooled = messages;
        state.spooled_bytes = bytes;
    }

    /// Drops a record of the spool that is not a message.
    pub(crate) fn unreadable(&self, id: u64) {
        self.failed(format!("record {id} of the spool is not a message"), true);
        let mut state = self.state.lock();
        if state.phase != Phase::Closed {
            state.spooled = state.spooled.saturating_sub(1);
            self.count(Reason::Permanent, 1);
        }
    }

    /// Notes how many bytes the spool holds.
    pub(crate) fn spool_holds(&self, bytes: u64) {
        self.state.lock().spooled_bytes = bytes;
    }

    /// Notes that the spool could not be written or read.
    pub(crate) fn spool_failed(&self, message: String) {
        self.failed(message, false);
        self.state.lock().spool_errors += 1;
    }

    /// The ids of the spooled messages whose fate was settled since the last call.
    pub(crate) fn take_settled(&self) -> Vec<u64> {
        std::mem::take(&mut self.state.lock().settled)
    }

    /// The number of the oldest message that is in memory only and has no fate yet.
    pub(crate) fn oldest_number(&self) -> u64 {
        let queued = self.queue.ordered().front().map(|held| held.number);
        let state = self.state.lock();
        let in_hand = state.in_hand.values().filter(|it| it.memory.0 > 0).map(|it| it.first).min();
        queued.into_iter().chain(in_hand).min().unwrap_or(u64::MAX)
    }

    /// Takes no more messages; what is held is still sent.
    pub(crate) fn close(&self) {
        self.queue.close();
        let mut state = self.state.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::Draining;
        }
        drop(state);
        self.work.notify_one();
    }

    pub(crate) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// Ends the destination: what is still held in memory is undelivered. Doing so again changes nothing.
    pub(crate) fn end(&self) {
        self.queue.close();
        let mut ordered = self.queue.ordered();
        let left: Vec<Held> = std::iter::from_fn(|| ordered.pop()).collect();
        let (mut items, mut bytes) = in_memory(&left);
        let mut state = self.state.lock();
        if state.phase != Phase::Closed {
            state.undelivered = self.balance(&state).2;
        }
        state.phase = Phase::Closed;
        state.sending = 0;
        state.not_before = None;
        for in_hand in std::mem::take(&mut state.in_hand).into_values() {
            items += in_hand.memory.0;
            bytes += in_hand.memory.1;
        }
        drop(state);
        drop(ordered);
        self.queue.release(items, bytes);
        for held in left {
            tell(held.waiting, Spooled::Dropped(DropReason::Closed));
        }
        self.flushes.lock().clear();
        self.publish();
        self.ended.send_replace(true);
    }

    /// What was dropped, what was taken, and how much of that is held in memory only.
    fn balance(&self, state: &State) -> (DropCounts, u64, u64) {
        // Fates are read before what was taken, so that a message that passes meanwhile counts as held.
        let dropped = self.dropped();
        let taken = self.queue.taken();
        let settled = state.delivered + state.undelivered + dropped.total() - dropped.refused();
        (dropped, taken, (taken + state.recovered).saturating_sub(settled + state.spooled))
    }

    pub(crate) fn report(&self) -> DeliveryReport {
        let status = self.status();
        DeliveryReport {
            offered: status.offered,
            recovered: status.recovered,
            delivered: status.delivered,
            dropped: status.dropped,
            undelivered: status.undelivered,
            spooled: status.spooled,
        }
    }

    pub(crate) fn status(&self) -> DeliveryStatus {
        let now = Instant::now();
        let queued_since = self.queue.ordered().front().map(|held| held.offered_at);
        let endpoints = self.endpoints.status();
        let failures_in_a_row = self.endpoints.failures_in_a_row();
        let state = self.state.lock();
        let (dropped, taken, held) = self.balance(&state);
        let oldest = state.in_hand.values().map(|it| it.since).chain(queued_since).min();
        DeliveryStatus {
            name: self.config.name.clone(),
            phase: state.phase,
            queued: usize::try_from(held).unwrap_or(usize::MAX),
            queued_bytes: self.queue.used().1,
            in_flight: state.in_hand.values().map(|it| it.items).sum(),
            oldest_age: oldest.map(|since| now.duration_since(since)),
            is_sending: state.sending > 0,
            next_attempt_in: state
                .not_before
                .map(|at| at.duration_since(now))
                .filter(|wait| *wait > Duration::ZERO),
            failures_in_a_row,
            endpoints,
            offered: taken + dropped.refused(),
            recovered: state.recovered,
            delivered: state.delivered,
            dropped,
            dropped_by_priority: std::array::from_fn(|priority| {
                self.overflowed[priority].load(Ordering::Relaxed)
            }),
            undelivered: state.undelivered,
            spooled: state.spooled,
            spooled_bytes: state.spooled_bytes,
            spool_errors: state.spool_errors,
            retries: state.retries,
            panics: state.panics,
            last_delivered_at: state.last_delivered_at,
            last_error: state.last_error.clone(),
        }
    }

    /// Brings the metrics up to date.
    pub(crate) fn publish(&self) {
        // The lock is taken first, so that a status read earlier cannot overwrite the gauges of a later one.
        let mut published = self.published.lock();
        self.metrics.publish(&self.status(), &mut published);
        self.endpoints.publish();
    }

    pub(crate) fn last_error(&self) -> Option<LastError> {
        self.state.lock().last_error.clone()
    }
}

/// How many of the messages are in memory only, and their bytes.
fn in_memory(items: &[Held]) -> (usize, usize) {
    let memory = items.iter().filter(|held| !held.is_spooled);
    memory.fold((0, 0), |(items, bytes), held| (items + 1, bytes + held.size()))
}

/// Tells whoever waits to know whether a message is in the spool.
pub(crate) fn tell(waiting: Option<oneshot::Sender<Spooled>>, spooled: Spooled) {
    if let Some(waiting) = waiting {
        // OK because whoever no longer wants to know is not told.
        let _ = waiting.send(spooled);
    }
}
