//! Spans that have closed, many in a few vectors, so that keeping one copies bytes and allocates nothing.

use std::ops::Range;

use tracing_core::Metadata;

use super::story::{EventHead, LinkHead};
use crate::fields::RawFields;
use crate::spans::SpanState;
use crate::spans::ids::SpanIds;

/// The largest step in which a batch grows, in bytes.
const LARGEST_STEP: usize = 64 * 1024;

/// What is known of one span, beside its values.
#[derive(Clone, Copy)]
pub(crate) struct SpanHead {
    pub(crate) place: &'static Metadata<'static>,
    pub(crate) ids: SpanIds,
    /// When it opened, in nanoseconds after the epoch.
    pub(crate) start: u64,
    /// How long it was open, in nanoseconds.
    pub(crate) duration: u64,
    /// Whether it reported an error.
    pub(crate) failed: bool,
    values: (u32, u32),
    pub(crate) story: StoryHead,
    /// Why it is exported, if head sampling did not take it.
    #[cfg(feature = "otlp")]
    pub(crate) kept: Option<Kept>,
}

/// Why a trace is exported that head sampling did not take.
#[cfg(feature = "otlp")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Error,
    Slow,
    Alert,
    SameTrace,
}

#[cfg(feature = "otlp")]
impl Kept {
    /// The value of the `reason` label and of the attribute.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Slow => "slow",
            Self::Alert => "alert",
            Self::SameTrace => "same_trace",
        }
    }
}

/// How much a batch may hold on to, in bytes, and in which steps it grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) limit: usize,
    pub(crate) step: usize,
}

impl Room {
    /// So much, in steps that suit it.
    pub(crate) fn of(limit: usize) -> Self {
        Self { limit, step: (limit / 32).min(LARGEST_STEP) }
    }
}

/// How much is kept of the story of a span.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    All,
    /// How many events and links there were.
    Counts,
}

/// Where the story of a span stands in its batch.
#[derive(Clone, Copy, Default)]
pub(crate) struct StoryHead {
    events: (u32, u32),
    links: (u32, u32),
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
}

impl SpanHead {
    /// When it closed, in nanoseconds after the epoch.
    pub(crate) fn end(&self) -> u64 {
        self.start.saturating_add(self.duration)
    }

    /// Where its values stand among those of its batch.
    pub(crate) fn values(&self) -> Range<usize> {
        self.values.0 as usize..self.values.1 as usize
    }
}

/// Spans that have closed, in the order in which they did.
#[derive(Clone, Default)]
pub(crate) struct SpanBatch {
    pub(crate) heads: Vec<SpanHead>,
    pub(crate) values: RawFields,
    events: Vec<EventHead>,
    links: Vec<LinkHead>,
}

impl SpanBatch {
    /// How many bytes the batch holds on to.
    pub(crate) fn capacity(&self) -> usize {
        self.heads.capacity() * size_of::<SpanHead>() + self.values.capacity() + self.told()
    }

    /// How many bytes the events and links hold on to, without their values.
    fn told(&self) -> usize {
        bytes_told(self.events.capacity(), self.links.capacity())
    }

    pub(crate) fn clear(&mut self) {
        self.heads.clear();
        self.values.clear();
        self.events.clear();
        self.links.clear();
    }

    /// How many bytes the spans take.
    pub(crate) fn used(&self) -> usize {
        let told = bytes_told(self.events.len(), self.links.len());
        self.heads.len() * size_of::<SpanHead>() + self.values.bytes() + told
    }

    /// Adds a span that is closing, unless the batch would then hold on to more than it may.
    pub(crate) fn push(
        &mut self,
        span: &SpanState,
        start: u64,
        duration: u64,
        Room { limit, step }: Room,
    ) -> bool {
        let Some(place) = span.metadata else { return true };
        // Growing by a share of what there is copies each byte a few times only.
        let step = step.max(self.capacity() / 16);
        let mut heads = self.heads.capacity();
        if heads == self.heads.len() {
            heads += (step / size_of::<SpanHead>()).max(1);
        }
        let Some(room) = limit.checked_sub(heads * size_of::<SpanHead>() + self.told()) else {
            return false;
        };
        if !self.values.make_room(&span.given(), step, room) {
            return false;
        }
        self.heads.reserve_exact(heads - self.heads.len());
        let from = self.values.len();
        for given in span.given() {
            self.values.append(given);
        }
        let values = (from as u32, self.values.len() as u32);
        let ids = span.ids;
        self.heads.push(SpanHead {
            place,
            ids,
            start,
            duration,
            failed: span.failed,
            values,
            story: StoryHead::default(),
            #[cfg(feature = "otlp")]
            kept: None,
        });
        true
    }
}

/// Spans with what happened in them.
impl SpanBatch {
    /// Adds a span that is closing with its story, as [`SpanBatch::push`] does.
    #[cfg(feature = "otlp")]
    pub(crate) fn push_with_story(
        &mut self,
        span: &SpanState,
        start: u64,
        duration: u64,
        room: Room,
    ) -> bool {
        if span.story.is_empty() {
            return span.metadata.is_some() && self.push(span, start, duration, room);
        }
        self.push_told(span, start, duration, room, Told::All)
    }

    /// Adds a span that is closing with as much of its story, which is not empty.
    pub(crate) fn push_told(
        &mut self,
        span: &SpanState,
        start: u64,
        duration: u64,
        room: Room,
        told: Told,
    ) -> bool {
        let story = &span.story;
        let (events, links) = match told {
            Told::All => (&*story.events, &*story.links),
            Told::Counts => (&[][..], &[][..]),
        };
        if span.metadata.is_none()
            || !self.make_room(span, events.len(), links.len(), room)
            || !self.push(span, start, duration, room)
        {
            return false;
        }
        let moved = self.values.len() as u32;
        if told == Told::All {
            self.values.append(&story.values);
        }
        let (first_event, first_link) = (self.events.len() as u32, self.links.len() as u32);
        let shift = |(from, to): (u32, u32)| (from + moved, to + moved);
        self.events
            .extend(events.iter().map(|event| EventHead { values: shift(event.values), ..*event }));
        self.links
            .extend(links.iter().map(|link| LinkHead { values: shift(link.values), ..*link }));
        let left_out = |all: usize, kept: usize| (all - kept) as u32;
        if let Some(head) = self.heads.last_mut() {
            head.story = StoryHead {
                events: (first_event, self.events.len() as u32),
                links: (first_link, self.links.len() as u32),
                dropped_events: story.dropped_events + left_out(story.events.len(), events.len()),
                dropped_links: story.dropped_links + left_out(story.links.len(), links.len()),
            };
        }
        true
    }

    /// Makes room for one more span with so many events and links and, if there are any, their values, unless the batch
    /// would then hold on to more than it may.
    fn make_room(
        &mut self,
        span: &SpanState,
        events: usize,
        links: usize,
        Room { limit, step }: Room,
    ) -> bool {
        let step = step.max(self.capacity() / 16);
        let heads = grown(&self.heads, 1, step);
        let (events_held, links_held) =
            (grown(&self.events, events, step), grown(&self.links, links, step));
        let held = heads * size_of::<SpanHead>() + bytes_told(events_held, links_held);
        let Some(left) = limit.checked_sub(held) else { return false };
        let [first, second] = span.given();
        let all = [first, second, &span.story.values];
        let values = if events + links > 0 { &all[..] } else { &all[..2] };
        if !self.values.make_room(values, step, left) {
            return false;
        }
        self.heads.reserve_exact(heads - self.heads.len());
        self.events.reserve_exact(events_held - self.events.len());
        self.links.reserve_exact(links_held - self.links.len());
        true
    }

    /// Adds the spans of another batch, which are kept for this reason.
    #[cfg(feature = "otlp")]
    pub(crate) fn extend(&mut self, other: &Self, kept: Kept) {
        let moved = self.values.len() as u32;
        let (events, links) = (self.events.len() as u32, self.links.len() as u32);
        let shift = |(from, to): (u32, u32), by: u32| (from + by, to + by);
        self.values.append(&other.values);
        self.events.extend(
            other
                .events
                .iter()
                .map(|event| EventHead { values: shift(event.values, moved), ..*event }),
        );
        self.links.extend(
            other.links.iter().map(|link| LinkHead { values: shift(link.values, moved), ..*link }),
        );
        self.heads.extend(other.heads.iter().map(|head| SpanHead {
            values: shift(head.values, moved),
            story: StoryHead {
                events: shift(head.story.events, events),
                links: shift(head.story.links, links),
                ..head.story
            },
            kept: Some(kept),
            ..*head
        }));
    }

    /// The events of a span of the batch.
    pub(crate) fn events_of(&self, head: &SpanHead) -> &[EventHead] {
        let (from, to) = head.story.events;
        &self.events[from as usize..to as usize]
    }

    /// The links of a span of the batch.
    pub(crate) fn links_of(&self, head: &SpanHead) -> &[LinkHead] {
        let (from, to) = head.story.links;
        &self.links[from as usize..to as usize]
    }
}

/// How much room there should be in all for `more` than there is: what there is, if they fit, else a step more.
fn grown<T>(of: &Vec<T>, more: usize, step: usize) -> usize {
    if of.capacity() - of.len() >= more {
        of.capacity()
    } else {
        of.len() + more.max(step / size_of::<T>())
    }
}

/// How many bytes so many events and links take, without their values.
const fn bytes_told(events: usize, links: usize) -> usize {
    events * size_of::<EventHead>() + links * size_of::<LinkHead>()
}
