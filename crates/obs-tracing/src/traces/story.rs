//! What happened in a span that is exported: its events and links, within bounds.

use obs_model::{SpanId, TraceId};
use tracing_core::Metadata;

use crate::fields::RawFields;

/// The most events, and the most links, of one span: the limits of OpenTelemetry's specification.
const MOST: usize = 128;

/// The most bytes that the values of a span's events take.
const MOST_BYTES: usize = 64 * 1024;

/// An event of a span.
#[derive(Clone, Copy)]
pub(crate) struct EventHead {
    pub(crate) place: &'static Metadata<'static>,
    /// When it happened, in nanoseconds after the epoch.
    pub(crate) at: u64,
    /// Where its values stand.
    pub(crate) values: (u32, u32),
}

/// The span that a link leads to.
pub(crate) type Link = (TraceId, SpanId);

/// What happened in a span.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) events: Vec<EventHead>,
    pub(crate) values: RawFields,
    pub(crate) links: Vec<Link>,
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
}

impl Story {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.links.is_empty()
    }

    /// Adds an event with its values, or counts it when there are too many.
    pub(crate) fn add_event(
        &mut self,
        place: &'static Metadata<'static>,
        at: u64,
        values: &RawFields,
    ) {
        if self.events.len() >= MOST || self.values.bytes() + values.bytes() > MOST_BYTES {
            self.dropped_events += 1;
            return;
        }
        let from = self.values.len() as u32;
        self.values.append(values);
        self.events.push(EventHead { place, at, values: (from, self.values.len() as u32) });
    }

    /// Adds a link, or counts it when there are too many.
    pub(crate) fn add_link(&mut self, to: Link) {
        if self.links.len() >= MOST {
            self.dropped_links += 1;
        } else {
            self.links.push(to);
        }
    }

    /// Forgets everything, and the memory too when it was much.
    pub(crate) fn clear(&mut self) {
        if self.values.capacity() > 4 * 1024 {
            *self = Self::default();
        } else {
            self.events.clear();
            self.values.clear();
            self.links.clear();
            (self.dropped_events, self.dropped_links) = (0, 0);
        }
    }
}
