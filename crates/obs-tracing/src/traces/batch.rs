//! Spans that have closed, many in a few vectors, so that keeping one copies bytes and allocates nothing.

use std::ops::Range;

use tracing_core::Metadata;

use crate::fields::RawFields;
use crate::spans::SpanState;
use crate::spans::ids::SpanIds;

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
}

impl SpanBatch {
    /// How many bytes the batch holds on to.
    pub(crate) fn capacity(&self) -> usize {
        self.heads.capacity() * size_of::<SpanHead>() + self.values.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.heads.clear();
        self.values.clear();
    }

    /// How many bytes the spans take.
    pub(crate) fn used(&self) -> usize {
        self.heads.len() * size_of::<SpanHead>() + self.values.bytes()
    }

    /// Adds a span that is closing, unless the batch would then hold on to more than `limit` bytes.
    pub(crate) fn push(
        &mut self,
        span: &SpanState,
        start: u64,
        duration: u64,
        limit: usize,
    ) -> bool {
        let Some(place) = span.metadata else { return true };
        let step = limit / 32;
        let mut heads = self.heads.capacity();
        if heads == self.heads.len() {
            heads += (step / size_of::<SpanHead>()).max(1);
        }
        let Some(room) = limit.checked_sub(heads * size_of::<SpanHead>()) else { return false };
        if !self.values.make_room(span.given(), step, room) {
            return false;
        }
        self.heads.reserve_exact(heads - self.heads.len());
        let from = self.values.len();
        for given in span.given() {
            self.values.append(given);
        }
        let values = (from as u32, self.values.len() as u32);
        let ids = span.ids;
        self.heads.push(SpanHead { place, ids, start, duration, failed: span.failed, values });
        true
    }
}
