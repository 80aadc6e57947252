//! Spans that have closed, many in a few vectors, so that keeping one copies bytes and allocates nothing.

use std::ops::Range;

use tracing_core::Metadata;

#[cfg(feature = "otlp")]
use super::story::{EventHead, Link};
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
    #[cfg(feature = "otlp")]
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

/// Where the story of a span stands in its batch.
#[cfg(feature = "otlp")]
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
    #[cfg(feature = "otlp")]
    events: Vec<EventHead>,
    #[cfg(feature = "otlp")]
    links: Vec<Link>,
}

impl SpanBatch {
    /// How many bytes the batch holds on to.
    pub(crate) fn capacity(&self) -> usize {
        self.heads.capacity() * size_of::<SpanHead>() + self.values.capacity() + self.told()
    }

    /// How many bytes the events and links hold on to, without their values.
    fn told(&self) -> usize {
        #[cfg(feature = "otlp")]
        let told = self.events.capacity() * size_of::<EventHead>()
            + self.links.capacity() * size_of::<Link>();
        #[cfg(not(feature = "otlp"))]
        let told = 0;
        told
    }

    pub(crate) fn clear(&mut self) {
        self.heads.clear();
        self.values.clear();
        #[cfg(feature = "otlp")]
        {
            self.events.clear();
            self.links.clear();
        }
    }

    /// How many bytes the spans take.
    pub(crate) fn used(&self) -> usize {
        self.heads.len() * size_of::<SpanHead>() + self.values.bytes()
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
            #[cfg(feature = "otlp")]
            story: StoryHead::default(),
            #[cfg(feature = "otlp")]
            kept: None,
        });
        true
    }
}

/// Spans with what happened in them.
#[cfg(feature = "otlp")]
impl SpanBatch {
    /// Adds a span that is closing with its story, as [`SpanBatch::push`] does.
    pub(crate) fn push_with_story(
        &mut self,
        span: &SpanState,
        start: u64,
        duration: u64,
        room: Room,
    ) -> bool {
        let story = &span.story;
        // OK because a story is bounded, so that the batch exceeds its limit by little.
        let told =
            story.events.len() * size_of::<EventHead>() + story.links.len() * size_of::<Link>();
        let limit = room.limit.saturating_sub(story.values.bytes() + told);
        let room = Room { limit, ..room };
        if span.metadata.is_none() || !self.push(span, start, duration, room) {
            return false;
        }
        if story.is_empty() && story.dropped_events == 0 {
            return true;
        }
        let moved = self.values.len() as u32;
        // OK because there is no bound here that it could not be within.
        let _ = self.values.make_room(&[&story.values], room.step, usize::MAX);
        self.values.append(&story.values);
        let (events, links) = (self.events.len() as u32, self.links.len() as u32);
        self.events.extend(story.events.iter().map(|event| EventHead {
            values: (event.values.0 + moved, event.values.1 + moved),
            ..*event
        }));
        self.links.extend_from_slice(&story.links);
        if let Some(head) = self.heads.last_mut() {
            head.story = StoryHead {
                events: (events, self.events.len() as u32),
                links: (links, self.links.len() as u32),
                dropped_events: story.dropped_events,
                dropped_links: story.dropped_links,
            };
        }
        true
    }

    /// Adds the spans of another batch, which are kept for this reason.
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
        self.links.extend_from_slice(&other.links);
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
    pub(crate) fn links_of(&self, head: &SpanHead) -> &[Link] {
        let (from, to) = head.story.links;
        &self.links[from as usize..to as usize]
    }
}
