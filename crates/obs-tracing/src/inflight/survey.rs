//! A look at all open spans: what is alive among them, what is stuck, and what holds up its thread.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tracing_core::Metadata;

use super::activity::Seen;
use super::threads::{self, Entered, ThreadStack};
use super::watch::Watch;
use crate::spans::SpanKey;

/// How things stood at one moment, as far as a table shows them that changes meanwhile.
pub(super) struct Survey {
    pub(super) now: u64,
    pub(super) entered: Vec<Entered>,
    pub(super) blocking: Vec<Blocking>,
    alive: Alive,
}

/// A span that holds up its thread.
#[derive(Clone, Debug)]
pub(super) struct Blocking {
    pub(super) key: SpanKey,
    pub(super) place: &'static Metadata<'static>,
    pub(super) thread: Arc<ThreadStack>,
    pub(super) task: u64,
    /// For how long so far, in nanoseconds.
    pub(super) time: u64,
}

/// What is counted of the spans of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) open: u64,
    pub(super) stuck: u64,
    /// The age of the oldest, in nanoseconds.
    pub(super) oldest: u64,
}

impl Figures {
    pub(super) fn add(&mut self, more: Self) {
        self.open += more.open;
        self.stuck += more.stuck;
        self.oldest = self.oldest.max(more.oldest);
    }
}

impl Survey {
    /// Looks at every thread and at every open span, one after the other.
    pub(super) fn take(watch: &Watch) -> Self {
        let now = watch.now();
        let entered = threads::entered(watch.table.owner);
        let mut alive = Alive::new(watch.table.made());
        for one in &entered {
            alive.mark(watch, one.key);
        }
        for key in watch.table.open_spans() {
            let last = watch.table.activity(key).map(|activity| activity.read().last);
            if last.is_some_and(|last| now.saturating_sub(last) < watch.limits.stuck_after) {
                alive.mark(watch, key);
            }
        }
        let blocking = blocking(watch, now, &entered);
        Self { now, entered, blocking, alive }
    }

    /// Whether a span is stuck.
    pub(super) fn is_stuck(&self, watch: &Watch, key: SpanKey, name: &str, seen: Seen) -> bool {
        let age = self.now.saturating_sub(seen.opened);
        watch.limits.is_stuck(name, age, self.alive.is_marked(key))
    }

    /// Counts the open spans by name.
    pub(super) fn count(&self, watch: &Watch) -> HashMap<&'static str, Figures> {
        let mut names: HashMap<&'static str, Figures> = HashMap::new();
        for key in watch.table.open_spans() {
            let seen = watch.table.watch(key, |state, activity| (state.metadata, activity.read()));
            let Some((Some(place), seen)) = seen else { continue };
            names.entry(place.name()).or_default().add(Figures {
                open: 1,
                stuck: u64::from(self.is_stuck(watch, key, place.name(), seen)),
                oldest: self.now.saturating_sub(seen.opened),
            });
        }
        names
    }
}

/// The spans that hold up their thread, one of each such thread: the innermost one that was entered so long ago.
pub(super) fn blocking(watch: &Watch, now: u64, entered: &[Entered]) -> Vec<Blocking> {
    let held = |one: &Entered| now.saturating_sub(one.since);
    entered
        .chunk_by(|one, next| Arc::ptr_eq(&one.thread, &next.thread))
        .filter_map(|thread| {
            let innermost =
                thread.iter().rev().find(|one| held(one) >= watch.limits.blocking_after)?;
            let place = watch.table.with(innermost.key, |state| state.metadata).flatten()?;
            watch.is_blamed(place, innermost.waited_for).then(|| Blocking {
                key: innermost.key,
                place,
                thread: Arc::clone(&innermost.thread),
                task: innermost.task,
                time: held(innermost),
            })
        })
        .collect()
}

/// Nanoseconds as a duration.
pub(super) const fn duration(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds)
}

/// Which spans something happens in, or below: a bit for each slot.
struct Alive(Vec<u64>);

impl Alive {
    fn new(slots: u32) -> Self {
        Self(vec![0; (slots as usize).div_ceil(64)])
    }

    /// Marks a span with all that it is a part of.
    fn mark(&mut self, watch: &Watch, key: SpanKey) {
        let mut next = Some(key);
        while let Some(key) = next {
            let (word, bit) = place(key);
            // OK because a slot that was made meanwhile belongs to a span that is too young to matter.
            let Some(word) = self.0.get_mut(word) else { return };
            if *word & bit != 0 {
                // What it is a part of is marked already.
                return;
            }
            *word |= bit;
            next = watch.table.with(key, |state| state.parent).flatten();
        }
    }

    fn is_marked(&self, key: SpanKey) -> bool {
        let (word, bit) = place(key);
        self.0.get(word).is_none_or(|word| word & bit != 0)
    }
}

fn place(key: SpanKey) -> (usize, u64) {
    ((key.slot() / 64) as usize, 1 << (key.slot() % 64))
}
