//! What happened in a span: its events and links, within bounds.

use obs_model::{SpanId, TraceId};
use tracing_core::Metadata;

use crate::fields::RawFields;

/// The most events, and the most links, of one span: the limits of OpenTelemetry's specification.
const MOST: usize = 128;

/// The most bytes that the values of a span's events and links take.
const MOST_BYTES: usize = 64 * 1024;

/// An event of a span.
#[derive(Clone, Copy)]
pub(crate) struct EventHead {
    /// Where in the code it happened; `None` for one that was told through OpenTelemetry's own calls, whose name is the
    /// first of its values.
    pub(crate) place: Option<&'static Metadata<'static>>,
    /// When it happened, in nanoseconds after the epoch.
    pub(crate) at: u64,
    /// Where its values stand.
    pub(crate) values: (u32, u32),
}

/// A link of a span.
#[derive(Clone, Copy)]
pub(crate) struct LinkHead {
    /// The span that it leads to, and that span's trace.
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// Where its values stand.
    pub(crate) values: (u32, u32),
}

/// What happened in a span.
#[derive(Default)]
pub(crate) struct Story {
    /// Whether there is anything in it: nothing happened in most spans.
    is_told: bool,
    pub(crate) events: Vec<EventHead>,
    pub(crate) links: Vec<LinkHead>,
    /// The values of both.
    pub(crate) values: RawFields,
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
}

impl Story {
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_told
    }

    /// Adds an event with its values, or counts it when there are too many.
    #[cfg(feature = "otlp")]
    pub(crate) fn add_event(
        &mut self,
        place: Option<&'static Metadata<'static>>,
        at: u64,
        values: &RawFields,
    ) {
        self.is_told = true;
        if self.events.len() >= MOST || !self.has_room(values) {
            self.dropped_events += 1;
            return;
        }
        let values = self.add_values(values);
        self.events.push(EventHead { place, at, values });
    }

    /// Adds a link with its values, or counts it when there are too many.
    pub(crate) fn add_link(&mut self, trace: TraceId, span: SpanId, values: &RawFields) {
        self.is_told = true;
        if self.links.len() >= MOST || !self.has_room(values) {
            self.dropped_links += 1;
            return;
        }
        let values = self.add_values(values);
        self.links.push(LinkHead { trace, span, values });
    }

    /// Counts events and links that were dropped before they came here.
    #[cfg(feature = "otlp")]
    pub(crate) fn add_dropped(&mut self, events: u32, links: u32) {
        self.is_told |= events > 0 || links > 0;
        self.dropped_events = self.dropped_events.saturating_add(events);
        self.dropped_links = self.dropped_links.saturating_add(links);
    }

    fn has_room(&self, values: &RawFields) -> bool {
        self.values.bytes() + values.bytes() <= MOST_BYTES
    }

    fn add_values(&mut self, values: &RawFields) -> (u32, u32) {
        let from = self.values.len() as u32;
        self.values.append(values);
        (from, self.values.len() as u32)
    }

    /// Forgets everything, and the memory too when it was much.
    pub(crate) fn clear(&mut self) {
        if self.values.capacity() > 4 * 1024 {
            *self = Self::default();
        } else {
            self.is_told = false;
            self.events.clear();
            self.values.clear();
            self.links.clear();
            (self.dropped_events, self.dropped_links) = (0, 0);
        }
    }
}
