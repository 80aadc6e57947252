//! The bounded queue: offering takes a reservation and a shard, and nothing that other threads hold for long.
//!
//! A message is first pushed to one of a few *shards*, each behind a lock of its own that a thread shares with
//! few others, and is moved from there to the *ordered* queue by whoever needs the order: the worker, or an offer
//! that has to make room. Numbers given under the shard's lock restore the order across shards.

mod ordered;
mod room;

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use tokio::time::Instant;

pub(crate) use ordered::Ordered;
pub(crate) use room::{MAX_BYTES, MAX_ITEMS, Room};

use crate::spool::Spooled;
use crate::{Message, Overflow};

/// A message that is held.
pub(crate) struct Held {
    pub(crate) message: Message,
    pub(crate) offered_at: Instant,
    /// Its place in the order of all that were taken; for what is in the spool, its id there.
    pub(crate) number: u64,
    /// Told once the message is in the spool, or never will be.
    pub(crate) waiting: Option<oneshot::Sender<Spooled>>,
    pub(crate) is_spooled: bool,
}

impl Held {
    pub(crate) fn size(&self) -> usize {
        self.message.size()
    }
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Closed,
}

/// A message that was not taken, to be told about it.
pub(crate) struct Refused {
    pub(crate) why: Refusal,
    pub(crate) message: Message,
    pub(crate) waiting: Option<oneshot::Sender<Spooled>>,
}

/// The queue of a destination.
pub(crate) struct Queue {
    shards: Box<[Shard]>,
    ordered: Mutex<Ordered>,
    room: Room,
    overflow: Overflow,
    /// How many messages were taken so far, and so the number of the next one.
    taken: AtomicU64,
    /// From how many items or bytes held on an offer wakes the worker.
    wake_items: AtomicUsize,
    wake_bytes: AtomicUsize,
}

/// Apart by two cache lines, because processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Default)]
struct Shard(Mutex<Inbox>);

#[derive(Default)]
struct Inbox {
    is_closed: bool,
    items: Vec<Held>,
}

/// Whether an offer has to wake the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Wake {
    Yes,
    No,
}

impl Queue {
    pub(crate) fn new(capacity: usize, max_bytes: usize, overflow: Overflow) -> Self {
        Self {
            shards: (0..shard_count()).map(|_| Shard::default()).collect(),
            ordered: Mutex::new(Ordered::default()),
            room: Room::new(capacity, max_bytes),
            overflow,
            taken: AtomicU64::new(0),
            wake_items: AtomicUsize::new(1),
            wake_bytes: AtomicUsize::new(1),
        }
    }

    /// Takes a message, making room for it if the overflow rule has any to make; `evicted` sees what had to go.
    pub(crate) fn offer(
        &self,
        message: Message,
        waiting: Option<oneshot::Sender<Spooled>>,
        evicted: impl FnMut(Held),
    ) -> Result<Wake, Refused> {
        let size = message.size();
        let offered_at = Instant::now();
        let reserved = match self.room.reserve(size) {
            Some(reserved) => reserved,
            None => match self.make_room(&message, size, evicted) {
                Some(reserved) => reserved,
                None => return Err(Refused { why: Refusal::Full, message, waiting }),
            },
        };
        {
            let mut inbox = self.shards[shard_index(self.shards.len())].0.lock();
            if inbox.is_closed {
                drop(inbox);
                self.room.release(1, size);
                return Err(Refused { why: Refusal::Closed, message, waiting });
            }
            let number = self.taken.fetch_add(1, Ordering::AcqRel);
            inbox.items.push(Held { message, offered_at, number, waiting, is_spooled: false });
        }
        // OK to read relaxed: whoever sets these looks into the shards under their locks afterwards, so it either
        // saw the message there, or its setting happened before the lock was taken above.
        let is_due = reserved.items >= self.wake_items.load(Ordering::Relaxed)
            || reserved.bytes >= self.wake_bytes.load(Ordering::Relaxed);
        Ok(if is_due { Wake::Yes } else { Wake::No })
    }

    /// Reserves room at the cost of messages that are held, if the rule allows it.
    #[cold]
    fn make_room(
        &self,
        message: &Message,
        size: usize,
        mut evicted: impl FnMut(Held),
    ) -> Option<room::Used> {
        if self.overflow == Overflow::DropNewest || size > self.room.max_bytes() {
            return None;
        }
        let mut ordered = match self.overflow {
            // What is in the shards is younger than what is ordered already, so it need not be looked at.
            Overflow::DropOldest => self.ordered.lock(),
            Overflow::DropNewest | Overflow::ByPriority => self.ordered(),
        };
        loop {
            if let Some(reserved) = self.room.reserve(size) {
                return Some(reserved);
            }
            let held = match self.overflow {
                Overflow::DropNewest => None,
                Overflow::DropOldest => ordered.pop().or_else(|| {
                    self.gather(&mut ordered);
                    ordered.pop()
                }),
                Overflow::ByPriority => {
                    let below = message.priority();
                    let needed = self.room.missing(size);
                    if ordered.can_free(below, needed) { ordered.evict(below) } else { None }
                }
            }?;
            self.room.release(1, held.size());
            evicted(held);
        }
    }

    /// The ordered queue, with everything in it that was taken before this call.
    pub(crate) fn ordered(&self) -> MutexGuard<'_, Ordered> {
        let mut ordered = self.ordered.lock();
        self.gather(&mut ordered);
        ordered
    }

    /// Moves what is in the shards into the ordered queue. True if something came in meanwhile.
    pub(crate) fn collect(&self) -> bool {
        self.gather(&mut self.ordered.lock())
    }

    fn gather(&self, ordered: &mut Ordered) -> bool {
        // What has a number below this is in its shard once the shard's lock is ours, or was not fully offered
        // before whatever has a higher one. What comes later has to wait for the next round, or it could overtake
        // a message in a shard that was looked into already.
        let before = self.taken.load(Ordering::Acquire);
        let mut came_in = false;
        for shard in &self.shards {
            let mut inbox = shard.0.lock();
            let end = inbox.items.partition_point(|held| held.number < before);
            came_in |= end < inbox.items.len();
            ordered.gather(inbox.items.drain(..end));
            inbox.items.shrink_to(KEPT_CAPACITY);
        }
        ordered.arrange();
        came_in
    }

    /// Frees the room of messages that are no longer held.
    pub(crate) fn release(&self, items: usize, bytes: usize) {
        self.room.release(items, bytes);
    }

    /// Says from how many more items or bytes on an offer wakes the worker. Look into the queue afterwards.
    pub(crate) fn wake_after(&self, items: usize, bytes: usize) {
        let used = self.room.used();
        self.wake_items.store(used.items.saturating_add(items), Ordering::Relaxed);
        self.wake_bytes.store(used.bytes.saturating_add(bytes), Ordering::Relaxed);
    }

    /// Has every offer wake the worker. Look into the queue afterwards.
    pub(crate) fn wake_at_once(&self) {
        self.wake_items.store(0, Ordering::Relaxed);
    }

    /// Has no offer wake the worker.
    pub(crate) fn wake_never(&self) {
        self.wake_items.store(usize::MAX, Ordering::Relaxed);
        self.wake_bytes.store(usize::MAX, Ordering::Relaxed);
    }

    /// Takes no more messages.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            shard.0.lock().is_closed = true;
        }
    }

    /// How many messages were taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// How many items and bytes hold room at this moment.
    pub(crate) fn used(&self) -> (usize, usize) {
        let used = self.room.used();
        (used.items, used.bytes)
    }
}

/// How many places for messages an emptied shard keeps, so that a burst does not hold on to its memory.
const KEPT_CAPACITY: usize = 1_024;

/// Twice as many as there are processors, so that two busy threads seldom meet; a few at most, because the
/// worker looks into each.
fn shard_count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        (2 * processors).next_power_of_two().clamp(2, 32)
    })
}

/// The shard of this thread, always the same one, so that a thread's own messages keep their order.
fn shard_index(count: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static TICKET: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    // A thread whose locals are gone may still log while it ends; it shares the first shard.
    let ticket = TICKET.try_with(|ticket| {
        if ticket.get() == usize::MAX {
            ticket.set(NEXT.fetch_add(1, Ordering::Relaxed) % (usize::MAX / 2));
        }
        ticket.get()
    });
    ticket.unwrap_or(0) & (count - 1)
}
