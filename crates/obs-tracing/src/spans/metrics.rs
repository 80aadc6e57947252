//! Requests, errors and durations of spans, by their names, so that an instrumented function alone is measured.

use std::cell::RefCell;
use std::time::Duration;

use metrics::{Counter, Histogram};
use tracing_core::Metadata;

use crate::counters::recorder_address;
use crate::duration::milliseconds;
use crate::names::CodeNames;

/// The places in the code whose handles a thread keeps at hand; one more takes the place of another.
const KEPT: usize = 256;

/// The metrics of the spans of one pipeline.
pub(crate) struct SpanMetrics {
    owner: u32,
    names: CodeNames,
}

/// The handles of one name.
pub(crate) struct SpanHandles {
    requests: Counter,
    errors: Counter,
    duration_ms: Histogram,
}

impl SpanHandles {
    /// Counts a span that closed.
    pub(crate) fn count(&self, took: Duration, failed: bool) {
        self.requests.increment(1);
        if failed {
            self.errors.increment(1);
        }
        self.duration_ms.record(milliseconds(took));
    }
}

struct Kept {
    owner: u32,
    recorder: usize,
    place: &'static Metadata<'static>,
    handles: SpanHandles,
}

thread_local! {
    static HANDLES: RefCell<Vec<Option<Kept>>> = const { RefCell::new(Vec::new()) };
}

impl SpanMetrics {
    pub(crate) fn new(owner: u32, max_names: usize) -> Self {
        Self { owner, names: CodeNames::new(max_names) }
    }

    /// Counts a span that closed.
    pub(crate) fn record(&self, place: &'static Metadata<'static>, took: Duration, failed: bool) {
        let recorder = recorder_address();
        let address = std::ptr::from_ref(place).addr();
        let slot = ((address >> 4) ^ (address >> 12)) % KEPT;
        // OK because a recorder that itself closes a span here only misses the kept handles.
        let kept = HANDLES.try_with(|handles| {
            let mut handles = handles.try_borrow_mut().ok()?;
            if handles.is_empty() {
                handles.resize_with(KEPT, || None);
            }
            let kept = &mut handles[slot];
            let is_kept = kept.as_ref().is_some_and(|kept| {
                (kept.owner, kept.recorder) == (self.owner, recorder)
                    && std::ptr::eq(kept.place, place)
            });
            if !is_kept {
                let handles = self.handles(place);
                *kept = Some(Kept { owner: self.owner, recorder, place, handles });
            }
            kept.as_ref()?.handles.count(took, failed);
            Some(())
        });
        if !matches!(kept, Ok(Some(()))) {
            self.handles(place).count(took, failed);
        }
    }

    /// Handles for spans of this place, of the recorder that is installed now.
    pub(crate) fn handles(&self, place: &'static Metadata<'static>) -> SpanHandles {
        let span = self.names.label(place.name());
        SpanHandles {
            requests: metrics::counter!("span_requests_total", "span" => span),
            errors: metrics::counter!("span_errors_total", "span" => span),
            duration_ms: metrics::histogram!("span_duration_ms", "span" => span),
        }
    }
}
