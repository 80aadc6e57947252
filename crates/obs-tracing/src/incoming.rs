//! Work that another service asked for: its context, and its span as a part of the caller's trace.

use obs_model::{Baggage, Context, CorrelationId, SpanId, TraceId};
use tracing::Span;

use crate::spans::ids::{SpanIds, random_span_id, random_trace_id, with_incoming};

/// What a caller says about the trace of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The trace and the caller's span, unless it only says whether to sample.
    pub(crate) parent: Option<(TraceId, SpanId)>,
    /// Whether it samples, if it has decided.
    pub(crate) sampled: Option<bool>,
}

/// What comes from a caller.
pub(crate) struct Incoming {
    /// Correlation id and trace, with the caller's span where it names one.
    pub(crate) context: Context,
    sampled: Option<bool>,
}

impl Incoming {
    /// Continues the caller's trace, else starts one.
    pub(crate) fn new(
        correlation: CorrelationId,
        caller: Option<Caller>,
        baggage: Option<Baggage>,
    ) -> Self {
        let (parent, sampled) =
            caller.map_or((None, None), |caller| (caller.parent, caller.sampled));
        let trace = parent.map_or_else(random_trace_id, |(trace, _)| trace);
        let mut context = Context::new().with_correlation(correlation).with_trace(trace);
        if let Some((_, span)) = parent {
            context = context.with_span(span);
        }
        if let Some(baggage) = baggage {
            context = context.with_baggage(baggage);
        }
        Self { context, sampled }
    }

    /// Opens the span of the work under the caller's context; `route` is what sampling rules go by.
    pub(crate) fn open(&self, route: &str, open: impl FnOnce(&Context) -> Span) -> Span {
        let _entered = self.context.clone().enter();
        with_incoming(self.sampled, route, || open(&self.context))
    }

    /// The context in which the work is done.
    pub(crate) fn context_within(self, span: &Span) -> Context {
        // Without obskit's layer nobody gives the span an id, but errors and calls still need one.
        let id = SpanIds::of(span).map_or_else(random_span_id, |ids| ids.span);
        self.context.with_span(id)
    }
}
