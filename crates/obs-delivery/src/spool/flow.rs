//! What is on its way into the spool, and out of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::record::{self, OVERHEAD};
use super::turn::{self, Done, Orders, Read};
use super::window::{MAX_ITEMS, Window};
use super::{Spool, SpoolError, SpoolRecord, Spooled};
use crate::batch::Source;
use crate::queue::Held;
use crate::state::{Shared, tell};

/// The shortest time between two turns that push, so that each writes what many offers brought.
const PUSH_EVERY: Duration = Duration::from_millis(5);
/// How long a spool that failed or is full is left alone.
const REST: Duration = Duration::from_millis(500);
/// The most that one turn pushes.
const TURN_ITEMS: usize = 4_096;
const TURN_BYTES: usize = 4 << 20;

/// The spool of a destination, as its worker sees it.
pub(crate) struct Flow {
    spool: Arc<dyn Spool>,
    /// What is sent next.
    window: Window,
    /// Ids of what is or was in the window and has no fate yet.
    unsettled: BTreeSet<u64>,
    /// The first id that is not in the window yet.
    next_read: u64,
    /// Whether all that is in the spool is, or was, in the window.
    is_caught_up: bool,
    /// One past the last id that was pushed by this process.
    end: Option<u64>,
    /// One past the last id that was acknowledged.
    acknowledged: u64,
    turn: Option<Turn>,
    push_at: Instant,
    rests_until: Option<Instant>,
    /// Whether the last turn failed, and not for want of room.
    is_failing: bool,
    /// Whether nothing is sent any more.
    is_last: bool,
}

/// A turn under way, and the name under which the worker has in hand what it pushes.
struct Turn {
    task: JoinHandle<Done>,
    batch: Option<u64>,
}

impl Flow {
    pub(crate) fn new(spool: Arc<dyn Spool>, window_bytes: usize) -> Self {
        Self {
            window: Window::new(window_bytes),
            unsettled: BTreeSet::new(),
            next_read: 0,
            is_caught_up: spool.is_empty(),
            end: None,
            acknowledged: 0,
            turn: None,
            push_at: Instant::now(),
            rests_until: None,
            is_failing: false,
            is_last: false,
            spool,
        }
    }

    /// What is sent next; from memory alone if the spool fails and there is nothing else to send.
    pub(crate) fn window(&mut self) -> Option<&mut Window> {
        (!self.is_bypassed()).then_some(&mut self.window)
    }

    /// Whether messages are sent without having been in the spool, because it fails.
    pub(crate) fn is_bypassed(&self) -> bool {
        let is_pushing = self.turn.as_ref().is_some_and(|turn| turn.batch.is_some());
        self.is_failing && self.window.items() == 0 && !is_pushing
    }

    /// Whether there is nothing to write, read or acknowledge.
    pub(crate) fn is_idle(&self) -> bool {
        let nothing_to_do = self.is_caught_up && self.to_acknowledge().is_none();
        self.turn.is_none() && self.window.items() == 0 && (nothing_to_do || self.is_failing)
    }

    pub(crate) fn is_taking_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// The first id that is in the spool and has no fate yet.
    pub(crate) fn first_unsettled(&self) -> u64 {
        let unread = if self.is_caught_up { u64::MAX } else { self.next_read };
        self.unsettled.first().map_or(unread, |first| *first)
    }

    /// One past the last id in the spool, if that is known.
    pub(crate) fn end(&self) -> Option<u64> {
        self.end.or_else(|| self.is_caught_up.then_some(self.next_read))
    }

    /// Takes note of what the worker settled.
    pub(crate) fn settle(&mut self, ids: Vec<u64>) {
        for id in ids {
            self.unsettled.remove(&id);
        }
    }

    /// Begins a turn if there is something to do. Otherwise the answer says when there may be.
    pub(crate) fn begin_turn(&mut self, shared: &Shared) -> Option<Instant> {
        if self.turn.is_some() {
            return None;
        }
        let now = Instant::now();
        if let Some(until) = self.rests_until {
            if now < until {
                return Some(until);
            }
            self.rests_until = None;
        }
        let has_waiting = shared.queue.ordered().len() > 0;
        let may_push = has_waiting && now >= self.push_at;
        let orders = Orders {
            acknowledge: self.to_acknowledge(),
            push: if may_push { self.take_from(shared) } else { Vec::new() },
            read: self.to_read(shared),
        };
        let is_stuck = may_push && orders.push.is_empty();
        if orders.push.is_empty() && orders.acknowledge.is_none() && orders.read.is_none() {
            return match (is_stuck, has_waiting) {
                (true, _) => Some(now + REST),
                (false, true) => Some(self.push_at),
                (false, false) => None,
            };
        }
        let batch = (!orders.push.is_empty()).then(|| {
            self.push_at = now + PUSH_EVERY;
            shared.take_in_hand(&orders.push)
        });
        let (spool, clock) = (Arc::clone(&self.spool), Arc::clone(&shared.config.clock));
        let task =
            tokio::task::spawn_blocking(move || turn::take(spool.as_ref(), orders, clock.as_ref()));
        self.turn = Some(Turn { task, batch });
        None
    }

    /// Begins a turn that pushes and acknowledges what there is, unless the spool fails.
    pub(crate) fn make_last_turn(&mut self, shared: &Shared) {
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.push_at = Instant::now();
        // Nothing is read any more.
        self.is_last = true;
        let _ = self.begin_turn(shared);
    }

    /// Waits for the turn under way, and takes note of what it did; for ever if there is none.
    pub(crate) async fn end_turn(&mut self, shared: &Shared) {
        let Some(turn) = &mut self.turn else { return std::future::pending().await };
        let done = (&mut turn.task).await;
        let batch = turn.batch;
        self.turn = None;
        // An error means that the runtime is going away: then what was in hand is undelivered.
        let Ok(done) = done else { return };
        self.is_failing = false;
        self.note(done, batch, shared);
        shared.spool_holds(self.spool.bytes());
    }

    fn note(&mut self, done: Done, batch: Option<u64>, shared: &Shared) {
        match done.acknowledged {
            Some(Ok(id)) => self.acknowledged = id + 1,
            Some(Err(error)) => self.fail(&error, shared),
            None => {}
        }
        if let (Some((items, ids)), Some(batch)) = (done.pushed, batch) {
            match ids {
                Ok(ids) => {
                    shared.spooled(batch, &items);
                    self.keep(items, ids.start);
                    self.end = Some(ids.end);
                }
                Err(error) => {
                    self.fail(&error, shared);
                    shared.put_back(batch, items);
                }
            }
        }
        match done.read {
            Some(Ok(records)) => self.take_in(records, shared),
            Some(Err(error)) => self.fail(&error, shared),
            None => {}
        }
    }

    fn fail(&mut self, error: &SpoolError, shared: &Shared) {
        self.rests_until = Some(Instant::now() + REST);
        // A spool that has no room while it holds nothing will not have any later.
        if !error.is_full() || (self.is_caught_up && self.unsettled.is_empty()) {
            self.is_failing = true;
            shared.spool_failed(format!("spool: {error}"));
        }
    }

    /// Keeps in memory what was just pushed and is sent next, as far as there is room for it.
    fn keep(&mut self, items: Vec<Held>, start: u64) {
        if self.is_caught_up {
            self.next_read = start;
        }
        for (id, mut held) in (start..).zip(items) {
            tell(held.waiting.take(), Spooled::Durably);
            if self.is_caught_up && !self.window.is_full() {
                held.is_spooled = true;
                held.number = id;
                self.unsettled.insert(id);
                self.next_read = id + 1;
                self.window.push(held);
            } else {
                self.is_caught_up = false;
            }
        }
    }

    fn take_in(&mut self, records: Vec<SpoolRecord>, shared: &Shared) {
        if records.is_empty() {
            self.is_caught_up = true;
        }
        let (now, clock) = (Instant::now(), shared.config.clock.now().as_millis());
        for SpoolRecord { id, bytes } in records {
            self.next_read = self.next_read.max(id + 1);
            let Some((message, offered_at)) = record::decode(bytes) else {
                shared.unreadable(id);
                continue;
            };
            let age = u64::try_from(clock.saturating_sub(offered_at.as_millis())).unwrap_or(0);
            let offered_at = now.checked_sub(Duration::from_millis(age)).unwrap_or(now);
            self.unsettled.insert(id);
            self.window.push(Held {
                message,
                offered_at,
                number: id,
                waiting: None,
                is_spooled: true,
            });
        }
    }

    /// The last id such that it and all before it are settled, unless it is acknowledged already.
    fn to_acknowledge(&self) -> Option<u64> {
        let bound = self.unsettled.first().copied().unwrap_or(self.next_read);
        (bound > self.acknowledged).then(|| bound - 1)
    }

    fn to_read(&self, shared: &Shared) -> Option<Read> {
        let max_bytes = shared.config.spool.window_bytes;
        if self.is_last || self.is_caught_up || self.window.bytes() > max_bytes / 2 {
            return None;
        }
        let max_items = MAX_ITEMS.saturating_sub(self.window.items());
        // Half a window at a time, rather than a record whenever one has left.
        (max_items >= MAX_ITEMS / 2).then_some(Read {
            from: self.next_read,
            max_items,
            max_bytes: max_bytes - self.window.bytes(),
        })
    }

    /// Takes from the queue what one turn may push and the spool has room for.
    fn take_from(&self, shared: &Shared) -> Vec<Held> {
        let config = &shared.config.spool;
        let items_left = config.max_items.saturating_sub(self.spool.len());
        let bytes_left = config.max_bytes.saturating_sub(self.spool.bytes());
        let items_left = usize::try_from(items_left).unwrap_or(usize::MAX).min(TURN_ITEMS);
        let bytes_left = usize::try_from(bytes_left).unwrap_or(usize::MAX);
        let mut items: Vec<Held> = Vec::new();
        let mut bytes = 0;
        let mut ordered = shared.queue.ordered();
        while items.len() < items_left
            && let Some(next) = ordered.front()
        {
            bytes += next.size() + OVERHEAD;
            if bytes > bytes_left || (bytes > TURN_BYTES && !items.is_empty()) {
                break;
            }
            items.extend(ordered.pop());
        }
        items
    }
}
