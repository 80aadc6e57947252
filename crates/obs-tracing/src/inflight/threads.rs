//! The spans that each thread is in, where every thread can see them.
//!
//! A thread writes its own list with plain stores; others read it while it changes. A reader may miss what happens at
//! that moment, but never takes a span to have been entered earlier than it was: the time is stored before the key that
//! makes it count, and a key that goes is cleared first.

use std::cell::{Cell, OnceCell};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use parking_lot::Mutex;

use crate::spans::SpanKey;

/// How many spans of a thread are seen; those entered deeper are not.
const DEPTH: usize = 32;

/// One thread's list.
#[derive(Debug)]
pub(crate) struct ThreadStack {
    pub(crate) name: Option<Arc<str>>,
    /// What the operating system calls the thread.
    pub(crate) os_id: Option<u32>,
    depth: AtomicUsize,
    frames: [Frame; DEPTH],
}

#[derive(Debug, Default)]
struct Frame {
    /// The span, or 0 for one that was left before those inside it.
    key: AtomicU64,
    since: AtomicU64,
    task: AtomicU64,
    /// How much of the time was reported as blocking already.
    reported: AtomicU64,
    owner: AtomicU32,
    waited_for: AtomicBool,
}

/// A span that a thread has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) since: u64,
    pub(super) task: u64,
    pub(super) reported: u64,
    /// Whether tasks wait for the thread while it is in the span: it is an executor's, and nobody said that it may block.
    pub(super) waited_for: bool,
    /// Whether the thread is still in it, because it had entered it more than once.
    pub(super) is_still_in: bool,
}

/// A span that a thread is in.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    pub(super) key: SpanKey,
    pub(super) since: u64,
    pub(super) task: u64,
    /// As in [`Left`].
    pub(super) waited_for: bool,
    pub(super) thread: Arc<ThreadStack>,
}

/// The lists of all threads that were ever in a span and live.
static THREADS: Mutex<Vec<Arc<ThreadStack>>> = Mutex::new(Vec::new());

/// A thread's own hold on its list.
struct Local {
    stack: OnceCell<Arc<ThreadStack>>,
    /// Whether the thread may be held for as long as its work likes.
    may_block: Cell<bool>,
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(own) = self.stack.get() {
            THREADS.lock().retain(|stack| !Arc::ptr_eq(stack, own));
        }
    }
}

thread_local! {
    static LOCAL: Local = const { Local { stack: OnceCell::new(), may_block: Cell::new(false) } };
}

/// Notes that this thread enters a span.
#[inline]
pub(super) fn enter(owner: u32, key: SpanKey, at: u64) {
    // OK because a thread whose locals are gone has no later work that anybody would look at.
    let _ = LOCAL.try_with(|local| {
        let stack = local.stack.get_or_init(register);
        let waited_for = tokio::runtime::worker_index().is_some() && !local.may_block.get();
        stack.push(owner, key, at, current_task(), waited_for);
    });
}

/// Notes that this thread leaves a span, and lets `count` add the visit up while others still see it, if the thread was
/// seen entering it.
#[inline]
pub(super) fn leave(owner: u32, key: SpanKey, count: impl FnOnce(Left)) {
    // OK because a thread whose locals are gone was not seen.
    let _ = LOCAL.try_with(|local| {
        if let Some(stack) = local.stack.get() {
            stack.pop(owner, key, count);
        }
    });
}

/// Notes that so much of the time of the span that this thread is in now was reported as blocking.
pub(super) fn reported(owner: u32, time: u64) {
    let _ = LOCAL.try_with(|local| {
        if let Some(frame) = local.stack.get().and_then(|stack| stack.innermost(owner)) {
            frame.reported.store(frame.reported.load(Ordering::Relaxed) + time, Ordering::Relaxed);
        }
    });
}

/// Lets `work` hold this thread for as long as it likes.
pub(super) fn may_block<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = LOCAL.try_with(|local| local.may_block.set(self.0));
        }
    }
    // OK because a thread whose locals are gone is not looked at.
    let before = LOCAL.try_with(|local| local.may_block.replace(true)).unwrap_or(true);
    let _restore = Restore(before);
    work()
}

/// All spans of one pipeline that threads are in now, those of one thread together, the outermost first.
pub(super) fn entered(owner: u32) -> Vec<Entered> {
    let stacks = THREADS.lock().clone();
    stacks.iter().flat_map(|stack| stack.entered(owner)).collect()
}

fn register() -> Arc<ThreadStack> {
    let stack = Arc::new(ThreadStack {
        name: std::thread::current().name().map(Arc::from),
        os_id: os_id(),
        depth: AtomicUsize::new(0),
        frames: Default::default(),
    });
    THREADS.lock().push(Arc::clone(&stack));
    stack
}

impl ThreadStack {
    #[inline]
    fn push(&self, owner: u32, key: SpanKey, at: u64, task: u64, waited_for: bool) {
        let depth = self.depth.load(Ordering::Relaxed);
        let Some(frame) = self.frames.get(depth) else { return };
        frame.since.store(at, Ordering::Relaxed);
        frame.task.store(task, Ordering::Relaxed);
        frame.reported.store(0, Ordering::Relaxed);
        frame.owner.store(owner, Ordering::Relaxed);
        frame.waited_for.store(waited_for, Ordering::Relaxed);
        frame.key.store(key.number(), Ordering::Release);
        self.depth.store(depth + 1, Ordering::Release);
    }

    #[inline]
    fn pop(&self, owner: u32, key: SpanKey, count: impl FnOnce(Left)) {
        let depth = self.depth.load(Ordering::Relaxed);
        let is_it = |frame: &Frame| {
            frame.key.load(Ordering::Relaxed) == key.number()
                && frame.owner.load(Ordering::Relaxed) == owner
        };
        // Nearly always it is the last one, and all below it are other spans.
        let frames = self.frames.get(..depth).unwrap_or_default();
        let Some(at) = frames.iter().rposition(is_it) else { return };
        let frame = &self.frames[at];
        let left = Left {
            since: frame.since.load(Ordering::Relaxed),
            task: frame.task.load(Ordering::Relaxed),
            reported: frame.reported.load(Ordering::Relaxed),
            waited_for: frame.waited_for.load(Ordering::Relaxed),
            is_still_in: self.frames[..at].iter().any(is_it),
        };
        count(left);
        frame.key.store(0, Ordering::Release);
        if at + 1 == depth {
            let is_free = |frame: &Frame| frame.key.load(Ordering::Relaxed) == 0;
            let free = self.frames[..at].iter().rev().take_while(|frame| is_free(frame)).count();
            self.depth.store(at - free, Ordering::Release);
        }
    }

    fn innermost(&self, owner: u32) -> Option<&Frame> {
        let depth = self.depth.load(Ordering::Relaxed);
        self.frames[..depth].iter().rev().find(|frame| {
            frame.key.load(Ordering::Relaxed) != 0 && frame.owner.load(Ordering::Relaxed) == owner
        })
    }

    /// The spans that the thread is in, as another thread sees them.
    fn entered(self: &Arc<Self>, owner: u32) -> impl Iterator<Item = Entered> {
        let depth = self.depth.load(Ordering::Acquire);
        self.frames[..depth].iter().filter_map(move |frame| {
            let key = frame.key.load(Ordering::Acquire);
            let seen = Entered {
                key: SpanKey::from_number(key),
                since: frame.since.load(Ordering::Relaxed),
                task: frame.task.load(Ordering::Relaxed),
                waited_for: frame.waited_for.load(Ordering::Relaxed),
                thread: Arc::clone(self),
            };
            let is_own = frame.owner.load(Ordering::Relaxed) == owner;
            // What was read between belongs together if the key is still the same.
            fence(Ordering::Acquire);
            let is_same = frame.key.load(Ordering::Relaxed) == key;
            (key != 0 && is_own && is_same).then_some(seen)
        })
    }
}

/// The tokio task that this thread runs; 0 when it runs none.
#[inline]
fn current_task() -> u64 {
    /// Keeps the number that is hashed, which is all that an id of tokio's is made of.
    struct Number(u64);
    impl Hasher for Number {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = self.0 << 8 | u64::from(*byte);
            }
        }

        fn write_u64(&mut self, number: u64) {
            self.0 = number;
        }
    }
    tokio::task::try_id().map_or(0, |id| {
        let mut number = Number(0);
        id.hash(&mut number);
        number.0
    })
}

/// What the operating system calls this thread.
fn os_id() -> Option<u32> {
    // The link is `PID/task/TID`.
    let link = std::fs::read_link("/proc/thread-self").ok()?;
    link.file_name()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> SpanKey {
        SpanKey::from_number(number)
    }

    fn leave(owner: u32, key: SpanKey) -> Option<Left> {
        let mut seen = None;
        super::leave(owner, key, |left| seen = Some(left));
        seen
    }

    fn inside(owner: u32) -> Vec<(u64, u64)> {
        let own = std::thread::current().name().map(Arc::from);
        let mine = entered(owner).into_iter().filter(|one| one.thread.name == own);
        mine.map(|one| (one.key.number(), one.since)).collect()
    }

    #[test]
    fn others_see_what_a_thread_is_in_also_when_spans_are_left_out_of_order() {
        const OWNER: u32 = u32::MAX;
        for (number, at) in [(1, 10), (2, 20), (3, 30), (2, 40)] {
            enter(OWNER, key(number), at);
        }
        assert_eq!(inside(OWNER), [(1, 10), (2, 20), (3, 30), (2, 40)]);
        let left = leave(OWNER, key(2)).unwrap();
        assert_eq!((left.since, left.is_still_in), (40, true));
        assert!(!leave(OWNER, key(2)).unwrap().is_still_in);
        assert_eq!(inside(OWNER), [(1, 10), (3, 30)]);
        assert!(inside(OWNER - 1).is_empty() && leave(OWNER - 1, key(1)).is_none());
        leave(OWNER, key(3)).unwrap();
        enter(OWNER, key(4), 50);
        assert_eq!(inside(OWNER), [(1, 10), (4, 50)]);
        leave(OWNER, key(1)).unwrap();
        leave(OWNER, key(4)).unwrap();
        assert!(inside(OWNER).is_empty() && leave(OWNER, key(4)).is_none());
    }

    #[test]
    fn more_spans_than_are_seen_do_no_harm() {
        const OWNER: u32 = u32::MAX - 2;
        for number in 1..=100 {
            enter(OWNER, key(number), number);
        }
        assert_eq!(inside(OWNER).len(), DEPTH);
        for number in (1..=100).rev() {
            assert_eq!(leave(OWNER, key(number)).is_some(), number <= DEPTH as u64);
        }
        assert!(inside(OWNER).is_empty());
    }

    #[test]
    fn a_reader_never_takes_a_span_to_have_been_entered_earlier_than_it_was() {
        const OWNER: u32 = u32::MAX - 4;
        let writer = std::thread::spawn(|| {
            for number in 1..=300_000 {
                enter(OWNER, key(number), number);
                leave(OWNER, key(number)).unwrap();
            }
        });
        while !writer.is_finished() {
            for one in entered(OWNER) {
                assert!(one.since >= one.key.number(), "{one:?}");
            }
        }
        writer.join().unwrap();
        assert!(entered(OWNER).is_empty());
    }

    #[tokio::test]
    async fn a_task_is_known_by_the_number_that_tokio_shows() {
        let (shown, number) =
            tokio::spawn(async { (tokio::task::id().to_string(), current_task()) }).await.unwrap();
        assert_eq!(shown, number.to_string());
        assert_eq!(current_task(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_thread_knows_what_the_system_calls_it() {
        let own = os_id().unwrap();
        assert!(std::path::Path::new(&format!("/proc/self/task/{own}")).exists());
        assert_ne!(std::thread::spawn(os_id).join().unwrap(), Some(own));
    }
}
