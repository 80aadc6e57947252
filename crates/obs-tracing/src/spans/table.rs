//! The table of open spans.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use obs_model::FieldValue;
use parking_lot::Mutex;
use tracing_core::Metadata;
use tracing_core::span::Id;

use super::free;
use super::ids::SpanIds;
use super::known::KnownFields;
use super::life::Life;
use crate::fields::keys::keys_of;
use crate::fields::{FieldBuffer, FieldRules, RawFields, RawVisitor};
use crate::inflight::Activity;
use crate::traces::Story;

/// Slots of the first page; each page has twice as many as the one before.
const FIRST_PAGE: u32 = 64;

/// Pages of a table: room for a little over four million spans.
const PAGES: usize = 16;

/// The largest memory that the fields of a closed span leave in its slot, in bytes.
const KEPT_BYTES: usize = 2 * 1024;

/// Where a span is: the number of its slot, and which use of the slot it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanKey {
    slot: u32,
    /// The lowest bit says whether the span is exported, so that others need not be looked up for it.
    generation: u32,
}

impl SpanKey {
    /// A span that the table had no room for: it is never found.
    pub(crate) const NONE: Self = Self { slot: u32::MAX - 1, generation: 0 };

    /// Whether the span may be exported, so that what happens in it is kept.
    #[cfg(any(feature = "http", feature = "otlp"))]
    pub(crate) const fn is_exported(self) -> bool {
        self.generation & 1 == 1
    }

    pub(crate) fn id(self) -> Id {
        Id::from_u64(self.number())
    }

    pub(crate) fn of(id: &Id) -> Self {
        Self::from_number(id.into_u64())
    }

    /// The key as one number, which is not zero.
    pub(crate) const fn number(self) -> u64 {
        // OK because a slot's number is below `u32::MAX`, so that the sum is not zero and does not overflow.
        (self.generation as u64) << 32 | (self.slot + 1) as u64
    }

    pub(crate) const fn from_number(number: u64) -> Self {
        Self { slot: (number as u32).wrapping_sub(1), generation: (number >> 32) as u32 }
    }

    /// The number of the slot, which is below [`SpanTable::made`].
    pub(crate) const fn slot(self) -> u32 {
        self.slot
    }
}

/// What a new span is.
pub(crate) struct NewSpan {
    pub(crate) ids: SpanIds,
    pub(crate) metadata: &'static Metadata<'static>,
    /// The enclosing span, which is kept open: its reference is handed over.
    pub(crate) parent: Option<SpanKey>,
    /// The span that began the trace here, if that is another one.
    pub(crate) root: Option<SpanKey>,
    pub(crate) exported: bool,
    /// When it opens by the time that open spans are watched by, if they are.
    pub(crate) watched_since: Option<u64>,
    /// When it opens by the pipeline's clock, if it is measured or kept.
    pub(crate) began: Option<Duration>,
    /// Whether something is kept of it when it closes.
    pub(crate) is_kept: bool,
}

/// What is known of an open span.
pub(crate) struct SpanState {
    pub(crate) ids: SpanIds,
    pub(crate) metadata: Option<&'static Metadata<'static>>,
    pub(crate) parent: Option<SpanKey>,
    /// The span that began the trace here, if that is another one; it closes last.
    pub(crate) root: Option<SpanKey>,
    /// When it opened by the pipeline's clock, if it is measured or kept.
    pub(crate) began: Option<Duration>,
    /// Whether something is kept of it when it closes.
    pub(crate) is_kept: bool,
    /// Whether it got values after it was opened.
    changed: bool,
    /// Whether it reported an error.
    pub(crate) failed: bool,
    /// Whether there may be anything in what is emptied when it closes: there is nothing in most requests.
    is_used: bool,
    /// Those of the span's own fields that are not even written down: they come before all others.
    known: Option<KnownFields>,
    /// Those that no line needed yet.
    raw: RawFields,
    /// The others, rendered.
    rendered: FieldBuffer,
    /// The others as they were given, if something is kept of the span when it closes.
    settled: RawFields,
    /// What happened in it: its events if it is exported, and its links if something is kept of it.
    pub(crate) story: Story,
    /// The span that stands for it where OpenTelemetry's own calls look for it.
    #[cfg(feature = "otlp")]
    pub(crate) stand_in: Option<Id>,
}

impl SpanState {
    /// The span's own fields.
    pub(crate) fn fields(&mut self, rules: &FieldRules) -> &mut FieldBuffer {
        self.put_known(rules);
        if !self.raw.is_empty()
            && let Some(place) = self.metadata
        {
            let keys = keys_of(place, rules.owner, &rules.redactor);
            if self.is_kept && self.settled.is_empty() {
                // What is within the bounds of a span's values is within those of a line's.
                std::mem::swap(&mut self.settled, &mut self.raw);
                self.settled.render_all(&mut self.rendered, &keys, rules);
                return &mut self.rendered;
            }
            if self.is_kept {
                self.settle(rules);
            }
            self.raw.render_into(&mut self.rendered, &keys, rules);
        }
        &mut self.rendered
    }

    /// Empties what spans have beside their ids, and keeps some of its memory for the next one.
    fn empty(&mut self) {
        let kept = self.raw.capacity() + self.rendered.capacity() + self.settled.capacity();
        if kept > KEPT_BYTES {
            (self.raw, self.rendered, self.settled) = Default::default();
        } else {
            self.raw.clear();
            self.rendered.clear();
            self.settled.clear();
        }
        if !self.story.is_empty() {
            self.story.clear();
        }
        #[cfg(feature = "otlp")]
        {
            self.stand_in = None;
        }
    }

    fn put_known(&mut self, rules: &FieldRules) {
        if let Some(known) = self.known.take() {
            let mut visitor = RawVisitor { rules, raw: &mut self.raw };
            known.texts.put(&known.correlation, &mut visitor);
        }
    }

    /// Sets the field `status`, if the span has one and anybody will look at it once it is closed.
    #[cfg(feature = "http")]
    pub(crate) fn put_status(&mut self, status: u16) {
        let place = self.metadata.filter(|_| self.is_kept);
        if let Some(field) = place.and_then(|place| place.fields().field("status")) {
            self.is_used = true;
            self.raw.put_number(field.index(), status.into());
        }
    }

    /// Keeps the values that are about to be rendered as they were given, within the bounds of a line.
    fn settle(&mut self, rules: &FieldRules) {
        let (values, bytes) = (2 * rules.max_fields, 2 * rules.max_bytes);
        self.settled.append(&self.raw);
        if self.settled.exceeds(values, bytes) {
            self.settled.forget_replaced();
            self.settled.shorten(values, bytes);
        }
    }

    /// The span's own values as they were given: those that were rendered, then the others.
    pub(crate) fn given(&self) -> [&RawFields; 2] {
        [&self.settled, &self.raw]
    }

    /// Adds a field whose name is only known at run time to what is kept of the span.
    pub(crate) fn keep_named(&mut self, name: &str, value: &FieldValue) {
        self.changed = true;
        if self.is_kept {
            self.settled.put_named(name, value);
        }
    }

    /// Adds values to what is kept of the span, when it closes.
    #[cfg(feature = "otlp")]
    pub(crate) fn add_last(&mut self, values: &RawFields) {
        self.raw.append(values);
    }

    /// Adds values that the span got later.
    pub(crate) fn record(&mut self, later: &RawFields, rules: &FieldRules) {
        self.changed = true;
        self.failed |= later.has_text("ERROR") && {
            let status = self.metadata.and_then(|place| place.fields().field("otel.status_code"));
            status.is_some_and(|status| later.text(status.index()) == Some("ERROR"))
        };
        self.put_known(rules);
        self.raw.append(later);
        if self.raw.is_full(rules) {
            self.fields(rules);
        }
    }
}

// In this order, so that what every entering and leaving needs is together, and apart from its neighbours, which other
// threads are in, by two cache lines, because processors fetch them in pairs.
#[repr(C, align(128))]
struct Slot {
    life: Life,
    /// What happened to the span, if open spans are watched.
    activity: Activity,
    /// Whether the span got values after it was opened.
    changed: AtomicBool,
    state: UnsafeCell<SpanState>,
}

// SAFETY: The state, which may be sent between threads, is reached by one thread at a time: by the one that took the free
// slot, until it shows the span; by the one that has locked its life; and by the one that gave the last reference back,
// until it frees the slot. The rest is atomic.
unsafe impl Sync for Slot where SpanState: Send {}

/// A look at an open span.
struct Look<'a>(&'a Slot);

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.0.life.unlock();
    }
}

/// A span whose last reference was given back: nobody else finds it any more.
#[must_use = "its slot is lost unless it is closed"]
pub(crate) struct Last<'a> {
    slot: &'a Slot,
    number: u32,
}

impl Last<'_> {
    pub(crate) fn state(&mut self) -> &mut SpanState {
        // SAFETY: Who gave the last reference back has the state to itself until it closes the span, and this borrows
        // `self`, of which there is one.
        unsafe { &mut *self.slot.state.get() }
    }
}

/// The open spans of one pipeline.
pub(crate) struct SpanTable {
    /// Tells this pipeline's spans from another's.
    pub(crate) owner: u32,
    max_open: u32,
    pages: [OnceLock<Box<[Slot]>>; PAGES],
    /// Slots that were ever used.
    made: AtomicU32,
    /// Slots that are free and that no thread keeps.
    free: Mutex<Vec<u32>>,
}

impl SpanTable {
    pub(crate) fn new(owner: u32, max_open: usize) -> Arc<Self> {
        let room = (0..PAGES).map(|page| FIRST_PAGE << page).sum::<u32>();
        Arc::new(Self {
            owner,
            max_open: u32::try_from(max_open).unwrap_or(u32::MAX).min(room),
            pages: [const { OnceLock::new() }; PAGES],
            made: AtomicU32::new(0),
            free: Mutex::default(),
        })
    }

    /// Opens a span with one reference and lets `fill` set its fields, also those that are not written down; `None` when
    /// too many are open.
    #[inline(always)]
    pub(crate) fn open(
        self: &Arc<Self>,
        new: NewSpan,
        fill: impl FnOnce(&mut RawFields, &mut Option<KnownFields>),
    ) -> Option<SpanKey> {
        let number = free::take(self).or_else(|| self.unused())?;
        let slot = self.make(number);
        // SAFETY: The slot was free, and is this thread's alone until `begin` shows the span.
        let state = unsafe { &mut *slot.state.get() };
        let generation = (slot.life.generation() | 1).wrapping_add(1) | u32::from(new.exported);
        state.ids = new.ids;
        state.metadata = Some(new.metadata);
        state.parent = new.parent;
        state.root = new.root;
        state.failed = false;
        state.began = new.began;
        state.is_kept = new.is_kept;
        state.changed = false;
        slot.changed.store(false, Ordering::Relaxed);
        fill(&mut state.raw, &mut state.known);
        state.is_used = !state.raw.is_empty();
        if let Some(at) = new.watched_since {
            slot.activity.open(at);
        }
        slot.life.begin(generation);
        Some(SpanKey { slot: number, generation })
    }

    /// Adds a reference; `false` when there is no such span.
    pub(crate) fn retain(&self, key: SpanKey) -> bool {
        self.slot(key).is_some_and(|slot| slot.life.retain(key.generation))
    }

    /// Gives a reference back; if it was the last, [`SpanTable::close`] must follow.
    pub(crate) fn release(&self, key: SpanKey) -> Option<Last<'_>> {
        let slot = self.slot(key)?;
        slot.life.release(key.generation).then_some(Last { slot, number: key.slot })
    }

    /// Frees the slot of a span without references; returns the span's parent, whose reference goes to the caller.
    #[inline(always)]
    pub(crate) fn close(self: &Arc<Self>, mut last: Last<'_>) -> Option<SpanKey> {
        let state = last.state();
        let parent = state.parent.take();
        state.metadata = None;
        state.known = None;
        if state.is_used {
            state.empty();
        }
        last.slot.life.end();
        free::give(self, last.number);
        parent
    }

    /// Looks at an open span.
    pub(crate) fn with<R>(
        &self,
        key: SpanKey,
        look: impl FnOnce(&mut SpanState) -> R,
    ) -> Option<R> {
        let slot = self.slot(key)?;
        if !slot.life.lock(key.generation) {
            return None;
        }
        let _look = Look(slot);
        // SAFETY: The life is locked, so that no other thread is here, until `_look` is dropped.
        let state = unsafe { &mut *slot.state.get() };
        state.is_used = true;
        let seen = look(state);
        if state.changed {
            slot.changed.store(true, Ordering::Relaxed);
        }
        Some(seen)
    }

    /// Whether a span that stays open meanwhile has the values that it was opened with, and no others.
    #[cfg(feature = "http")]
    pub(crate) fn is_as_opened(&self, key: SpanKey) -> bool {
        self.slot(key).is_some_and(|slot| {
            slot.life.is_open(key.generation) && !slot.changed.load(Ordering::Relaxed)
        })
    }

    /// What happened to an open span; `None` when there is no such span.
    pub(crate) fn activity(&self, key: SpanKey) -> Option<&Activity> {
        let slot = self.slot(key)?;
        slot.life.is_open(key.generation).then_some(&slot.activity)
    }

    /// How many slots there are, in use or not.
    pub(crate) fn made(&self) -> u32 {
        self.made.load(Ordering::Relaxed)
    }

    /// The spans that are open, without a lock: each may close, and its slot be used again, before it is looked at.
    pub(crate) fn open_spans(&self) -> impl Iterator<Item = SpanKey> {
        (0..self.made()).filter_map(|number| {
            let (page, at) = place(number)?;
            let generation = self.pages[page].get()?.get(at)?.life.open_generation()?;
            Some(SpanKey { slot: number, generation })
        })
    }

    /// Looks at an open span and at what happened to it.
    pub(crate) fn watch<R>(
        &self,
        key: SpanKey,
        look: impl FnOnce(&mut SpanState, &Activity) -> R,
    ) -> Option<R> {
        let activity = &self.slot(key)?.activity;
        self.with(key, |state| look(state, activity))
    }

    /// Takes back the slots that a thread kept.
    pub(super) fn give_back(&self, slots: &mut Vec<u32>, from: usize) {
        self.free.lock().extend(slots.drain(from..));
    }

    /// Hands a thread up to `count` free slots.
    pub(super) fn hand_out(&self, slots: &mut Vec<u32>, count: usize) {
        let mut free = self.free.lock();
        let from = free.len().saturating_sub(count);
        slots.extend(free.drain(from..));
    }

    fn unused(&self) -> Option<u32> {
        let next = |made: u32| (made < self.max_open).then_some(made + 1);
        self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }

    fn slot(&self, key: SpanKey) -> Option<&Slot> {
        let (page, at) = place(key.slot)?;
        self.pages[page].get()?.get(at)
    }

    fn make(&self, number: u32) -> &Slot {
        // OK because numbers are below `max_open`, which has a place for each.
        let (page, at) = place(number).unwrap_or_default();
        &self.pages[page].get_or_init(|| (0..FIRST_PAGE << page).map(|_| Slot::empty()).collect())
            [at]
    }
}

impl Slot {
    fn empty() -> Self {
        Self {
            life: Life::new(),
            activity: Activity::default(),
            changed: AtomicBool::new(false),
            state: UnsafeCell::new(SpanState {
                ids: SpanIds::PLACEHOLDER,
                metadata: None,
                parent: None,
                root: None,
                began: None,
                is_kept: false,
                changed: false,
                failed: false,
                is_used: false,
                known: None,
                raw: RawFields::default(),
                rendered: FieldBuffer::default(),
                settled: RawFields::default(),
                story: Story::default(),
                #[cfg(feature = "otlp")]
                stand_in: None,
            }),
        }
    }
}

/// The page of a slot, and the slot's place in it.
fn place(number: u32) -> Option<(usize, usize)> {
    let shifted = number.checked_add(FIRST_PAGE)?;
    let page = (shifted.ilog2() - FIRST_PAGE.ilog2()) as usize;
    (page < PAGES).then(|| (page, (shifted - (FIRST_PAGE << page)) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    use proptest::prelude::*;
    use tracing_core::{Callsite, Kind, Level, callsite, field, identify_callsite, subscriber};

    struct Place;
    static PLACE: Place = Place;
    static META: Metadata<'static> = Metadata::new(
        "span",
        "test",
        Level::INFO,
        None,
        None,
        None,
        field::FieldSet::new(&[], identify_callsite!(&PLACE)),
        Kind::SPAN,
    );

    impl Callsite for Place {
        fn set_interest(&self, _: subscriber::Interest) {}
        fn metadata(&self) -> &Metadata<'_> {
            &META
        }
    }

    fn open(table: &Arc<SpanTable>, parent: Option<SpanKey>) -> Option<SpanKey> {
        let _ = callsite::Identifier(&PLACE);
        let new = NewSpan {
            ids: SpanIds::PLACEHOLDER,
            metadata: &META,
            parent,
            root: None,
            exported: false,
            watched_since: None,
            began: None,
            is_kept: false,
        };
        table.open(new, |_, _| {})
    }

    #[test]
    fn every_number_has_a_place_of_its_own() {
        let mut expected = (0, 0);
        for number in 0..10_000 {
            assert_eq!(place(number), Some(expected), "{number}");
            expected.1 += 1;
            if expected.1 == (FIRST_PAGE as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert_eq!(place(u32::MAX), None);
    }

    #[test]
    fn beyond_the_bound_no_span_opens_until_one_closes() {
        let table = SpanTable::new(crate::pipeline::next_owner(), 2);
        let (first, second) = (open(&table, None).unwrap(), open(&table, None).unwrap());
        assert_eq!(open(&table, None), None);
        assert!(!table.retain(SpanKey::NONE) && table.release(SpanKey::NONE).is_none());
        table.close(table.release(first).unwrap());
        let third = open(&table, None).unwrap();
        assert_eq!(third.slot, first.slot);
        assert!(!table.retain(first) && table.with(first, |_| ()).is_none());
        assert!(table.with(second, |_| ()).is_some() && table.with(third, |_| ()).is_some());
    }

    #[test]
    fn slots_kept_by_a_thread_that_ends_are_not_lost() {
        let table = SpanTable::new(crate::pipeline::next_owner(), 64);
        for _ in 0..10 {
            let table = Arc::clone(&table);
            std::thread::spawn(move || {
                let keys: Vec<_> = (0..64).map(|_| open(&table, None).unwrap()).collect();
                for key in keys {
                    table.close(table.release(key).unwrap());
                }
            })
            .join()
            .unwrap();
        }
    }

    proptest! {
        /// The table against a map of reference counts.
        #[test]
        fn a_span_is_open_as_long_as_it_has_references(
            steps in prop::collection::vec((0_u8..4, 0_usize..8), 0..200),
        ) {
            let table = SpanTable::new(crate::pipeline::next_owner(), 8);
            let mut known: Vec<SpanKey> = Vec::new();
            let mut counts: HashMap<usize, u32> = HashMap::new();
            for (step, which) in steps {
                let which = if known.is_empty() { 0 } else { which % known.len() };
                let count = counts.get(&which).copied().unwrap_or(0);
                match step {
                    0 => {
                        let open_now = counts.values().filter(|count| **count > 0).count();
                        let opened = open(&table, None);
                        prop_assert_eq!(opened.is_some(), open_now < 8);
                        if let Some(key) = opened {
                            counts.insert(known.len(), 1);
                            known.push(key);
                        }
                    }
                    1 if !known.is_empty() => {
                        prop_assert_eq!(table.retain(known[which]), count > 0);
                        if count > 0 { counts.insert(which, count + 1); }
                    }
                    2 if !known.is_empty() => {
                        let last = table.release(known[which]);
                        prop_assert_eq!(last.is_some(), count == 1);
                        if let Some(last) = last { table.close(last); }
                        counts.insert(which, count.saturating_sub(1));
                    }
                    _ => if let Some(key) = known.get(which) {
                        prop_assert_eq!(table.with(*key, |_| ()).is_some(), count > 0);
                    },
                }
            }
        }
    }
}
