//! The spans that closed last, within a bound.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use super::batch::{Room, SpanBatch, Told};
use crate::pipeline::shard;
use crate::spans::SpanState;

/// The least memory that makes sense, in bytes.
pub(crate) const MIN_BYTES: usize = 256 * 1024;

/// The most threads that keep spans without meeting each other: an eighth of the memory is then being filled.
const SHARDS: usize = 8;

/// The parts in which the memory is forgotten.
const PARTS: usize = 64;

/// The smallest part, in bytes: the largest span that is kept.
const SMALLEST_PART: usize = 16 * 1024;

/// The largest part, in bytes: what a reader copies while a thread that closes a span waits.
const LARGEST_PART: usize = 128 * 1024;

/// Spans that have closed. Each thread fills a part of its own with others that it seldom meets; full parts stand in one
/// row, of which the oldest is emptied for the next.
pub(crate) struct SpanMemory {
    filling: Box<[Mutex<SpanBatch>]>,
    /// The parts that are full, the oldest first.
    full: Mutex<VecDeque<Arc<SpanBatch>>>,
    part_bytes: usize,
    max_full: usize,
}

impl SpanMemory {
    /// A memory of `bytes` bytes at most.
    pub(crate) fn new(bytes: usize) -> Self {
        Self::with_shards(bytes, shard::count(SHARDS))
    }

    fn with_shards(bytes: usize, shards: usize) -> Self {
        let part_bytes = (bytes / PARTS).clamp(SMALLEST_PART, LARGEST_PART);
        Self {
            filling: (0..shards).map(|_| Mutex::default()).collect(),
            full: Mutex::default(),
            part_bytes,
            max_full: (bytes / part_bytes).saturating_sub(shards).max(1),
        }
    }

    /// Keeps a span that is closing.
    pub(crate) fn keep(&self, span: &SpanState, start: u64, duration: u64) -> Forgotten {
        if !span.story.is_empty() {
            return self.keep_with_story(span, start, duration);
        }
        self.push(|part, room| part.push(span, start, duration, room))
    }

    /// Keeps a span in which something happened; what happened is only counted if it does not fit into a part.
    #[cold]
    fn keep_with_story(&self, span: &SpanState, start: u64, duration: u64) -> Forgotten {
        let add = |part: &mut SpanBatch, room: Room, told: Told| {
            part.push_told(span, start, duration, room, told)
        };
        let room = Room::of(self.part_bytes);
        let mut part = self.filling[shard::of(self.filling.len())].lock();
        if add(&mut part, room, Told::All) {
            return Forgotten::default();
        }
        // A part is only full if the next one has room: stories that no part has room for would empty the memory.
        let mut next = SpanBatch::default();
        if !part.heads.is_empty() && add(&mut next, room, Told::All) {
            let full = std::mem::replace(&mut *part, next);
            let (_, evicted) = self.put_away(full);
            return Forgotten { evicted, too_large: false };
        }
        drop(part);
        self.push(|part, room| add(part, room, Told::Counts))
    }

    /// Adds a span to the part that this thread fills, or to the next one.
    #[inline(always)]
    fn push(&self, add: impl Fn(&mut SpanBatch, Room) -> bool) -> Forgotten {
        let shard = shard::of(self.filling.len());
        let room = Room::of(self.part_bytes);
        let mut part = self.filling[shard].lock();
        if add(&mut part, room) {
            return Forgotten::default();
        }
        self.push_to_next(&mut part, room, add)
    }

    /// Adds a span that there is no more room for in a part to the one that takes its place.
    #[cold]
    fn push_to_next(
        &self,
        part: &mut SpanBatch,
        room: Room,
        add: impl Fn(&mut SpanBatch, Room) -> bool,
    ) -> Forgotten {
        let mut forgotten = Forgotten::default();
        if !part.heads.is_empty() {
            let full = std::mem::take(part);
            (*part, forgotten.evicted) = self.put_away(full);
            if add(part, room) {
                return forgotten;
            }
            // What the vectors of another part hold on to may leave no room for what this span needs.
            *part = SpanBatch::default();
            if add(part, room) {
                return forgotten;
            }
        }
        forgotten.too_large = true;
        forgotten
    }

    /// Keeps a full part; returns an empty one, with the vectors of the oldest if there is no room for more, and how
    /// many spans that one had.
    fn put_away(&self, part: SpanBatch) -> (SpanBatch, usize) {
        let mut full = self.full.lock();
        full.push_back(Arc::new(part));
        if full.len() <= self.max_full {
            return Default::default();
        }
        let Some(oldest) = full.pop_front() else { return Default::default() };
        drop(full);
        let evicted = oldest.heads.len();
        // A part whose vectors suited other spans better, or that somebody reads, is not used again.
        let part = match Arc::try_unwrap(oldest) {
            Ok(mut oldest) if oldest.used() >= oldest.capacity() / 4 * 3 => {
                oldest.clear();
                oldest
            }
            _ => SpanBatch::default(),
        };
        (part, evicted)
    }

    /// Everything that is kept, as it is now, the oldest parts first; a span may be there twice when its part became full meanwhile.
    pub(crate) fn parts(&self) -> Vec<Arc<SpanBatch>> {
        let copy = |part: &Mutex<SpanBatch>| Arc::new(part.lock().clone());
        let filling: Vec<_> = self.filling.iter().map(copy).collect();
        let mut parts: Vec<_> = self.full.lock().iter().map(Arc::clone).collect();
        parts.extend(filling);
        parts
    }
}

/// What is no longer kept, or never was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "what is forgotten is counted"]
pub(crate) struct Forgotten {
    evicted: usize,
    too_large: bool,
}

impl Forgotten {
    /// Counts it. A recorder may itself log, so that nothing may be locked.
    pub(crate) fn count(self) {
        for (reason, count) in [("evicted", self.evicted), ("too_large", self.too_large.into())] {
            if count > 0 {
                metrics::counter!("obskit_span_memory_dropped_total", "reason" => reason)
                    .increment(count as u64);
            }
        }
    }
}

#[cfg(all(test, feature = "otlp"))]
mod tests {
    use super::*;

    use std::collections::HashSet;
    use std::sync::LazyLock;

    use obs_model::{FieldValue, SpanId, TraceId};
    use proptest::prelude::*;
    use tracing_core::Metadata;

    use crate::fields::RawFields;
    use crate::spans::ids::SpanIds;
    use crate::spans::{NewSpan, SpanTable};

    const BYTES: usize = 8 * SMALLEST_PART;

    fn place() -> &'static Metadata<'static> {
        static PLACE: LazyLock<&'static Metadata<'static>> = LazyLock::new(|| {
            let dispatch = tracing::Dispatch::new(tracing_subscriber::Registry::default());
            let span =
                tracing::dispatcher::with_default(&dispatch, || tracing::info_span!("place"));
            span.metadata().expect("the registry keeps every span")
        });
        &PLACE
    }

    fn text(bytes: usize) -> RawFields {
        let mut values = RawFields::default();
        values.put_named("text", &FieldValue::from("x".repeat(bytes)));
        values
    }

    /// A span of so many bytes, with so many events of so many bytes and so many links.
    #[derive(Clone, Copy, Debug)]
    struct Given {
        bytes: usize,
        events: usize,
        event_bytes: usize,
        links: usize,
    }

    fn given() -> impl Strategy<Value = Given> {
        let events = prop_oneof![3 => Just(0_usize), 3 => 0_usize..20, 1 => 0_usize..200];
        let links = prop_oneof![3 => Just(0_usize), 1 => 0_usize..200];
        let bytes = prop_oneof![9 => 0_usize..2_000, 1 => 0_usize..20_000];
        let one = (bytes, events, 0_usize..2_000, links);
        one.prop_map(|(bytes, events, event_bytes, links)| Given {
            bytes,
            events,
            event_bytes,
            links,
        })
    }

    /// Opens the span with this number, tells its story and keeps it.
    fn keep(memory: &SpanMemory, table: &Arc<SpanTable>, number: u64, given: Given) -> Forgotten {
        let id = SpanId::new(number + 1).expect("it is not zero");
        let new = NewSpan {
            ids: SpanIds { span: id, ..SpanIds::PLACEHOLDER },
            metadata: place(),
            parent: None,
            root: None,
            exported: true,
            watched_since: None,
            began: None,
            is_kept: true,
        };
        let key = table.open(new, |raw, _| raw.append(&text(given.bytes))).expect("there is room");
        let forgotten = table.with(key, |state| {
            for _ in 0..given.events {
                state.story.add_event(Some(place()), number, &text(given.event_bytes));
            }
            for link in 1..=given.links as u64 {
                let (trace, span) = (TraceId::new(link.into()), SpanId::new(link));
                let (trace, span) = trace.zip(span).expect("they are not zero");
                state.story.add_link(trace, span, &RawFields::default());
            }
            memory.keep(state, number, 1)
        });
        let last = table.release(key);
        table.close(last.expect("it has one reference"));
        forgotten.expect("it is open")
    }

    fn held(memory: &SpanMemory) -> usize {
        let filling: usize = memory.filling.iter().map(|part| part.lock().capacity()).sum();
        filling + memory.full.lock().iter().map(|part| part.capacity()).sum::<usize>()
    }

    proptest! {
        /// Whatever happened in spans, the memory stays within its bound, and every span, event and link is either kept or
        /// counted.
        #[test]
        fn the_memory_holds_its_bound_with_events_and_links_and_what_it_leaves_out_is_counted(
            spans in prop::collection::vec(given(), 0..120),
        ) {
            let table = SpanTable::new(crate::pipeline::next_owner(), 64);
            let memory = SpanMemory::with_shards(BYTES, 1);
            let (mut evicted, mut too_large) = (0, 0);
            for (number, given) in spans.iter().enumerate() {
                let forgotten = keep(&memory, &table, number as u64, *given);
                evicted += forgotten.evicted;
                too_large += usize::from(forgotten.too_large);
                // Only the values of a span itself may be too much.
                prop_assert!(!forgotten.too_large || given.bytes > SMALLEST_PART / 2);
                prop_assert!(held(&memory) <= BYTES, "{} bytes", held(&memory));
            }
            let parts = memory.parts();
            let mut kept = HashSet::new();
            for part in &parts {
                for head in &part.heads {
                    let (events, links) = (part.events_of(head), part.links_of(head));
                    let given = spans[head.start as usize];
                    prop_assert_eq!(events.len() + head.story.dropped_events as usize, given.events);
                    prop_assert_eq!(links.len() + head.story.dropped_links as usize, given.links);
                    for event in events {
                        prop_assert_eq!(event.at, head.start);
                        let (from, to) = (event.values.0 as usize, event.values.1 as usize);
                        let mut fields = part.values.given(from..to);
                        let is_its_own = matches!(
                            fields.next(),
                            Some((_, crate::fields::GivenValue::Text { kept, .. }))
                                if kept.len() == given.event_bytes
                        );
                        prop_assert!(is_its_own && fields.next().is_none());
                    }
                    for (number, link) in (1_u64..).zip(links) {
                        prop_assert_eq!(link.span.get(), number);
                    }
                    kept.insert(head.start);
                }
            }
            prop_assert_eq!(kept.len() + evicted + too_large, spans.len());
        }
    }

    #[test]
    fn stories_that_no_part_has_room_for_leave_the_spans_before_them_in_the_memory() {
        let table = SpanTable::new(crate::pipeline::next_owner(), 64);
        let memory = SpanMemory::with_shards(BYTES, 1);
        let plain = Given { bytes: 10, events: 0, event_bytes: 0, links: 0 };
        let told = Given { bytes: 10, events: 60, event_bytes: 1_000, links: 0 };
        for number in 0..40 {
            let given = if number % 2 == 0 { plain } else { told };
            assert_eq!(keep(&memory, &table, number, given), Forgotten::default());
        }
        let parts = memory.parts();
        let heads: Vec<_> = parts.iter().flat_map(|part| &part.heads).collect();
        assert_eq!(heads.len(), 40);
        assert_eq!(heads.iter().map(|head| head.story.dropped_events).sum::<u32>(), 20 * 60);
    }
}
