//! Lets the spans that are exported have the ids that stand in the log.

use std::cell::Cell;

use opentelemetry::Context;
use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
};
use opentelemetry_sdk::trace::{IdGenerator, SdkTracer, Span};

use crate::spans::ids::{SpanIds, random_span_id, random_trace_id};

thread_local! {
    /// The ids of the span that this thread is starting.
    static STARTING: Cell<Option<SpanIds>> = const { Cell::new(None) };
}

/// Starts a span with these ids.
pub(super) fn starting<R>(ids: SpanIds, start: impl FnOnce() -> R) -> R {
    STARTING.set(Some(ids));
    let result = start();
    STARTING.set(None);
    result
}

/// Hands out the ids of the span that is being started.
#[derive(Debug)]
pub(super) struct LinkedIds;

impl IdGenerator for LinkedIds {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(STARTING.get().map_or_else(random_trace_id, |ids| ids.trace).get())
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(STARTING.get().map_or_else(random_span_id, |ids| ids.span).get())
    }
}

/// A tracer that starts spans under the parent that the log knows.
#[derive(Debug)]
pub(crate) struct LinkedTracer(pub(super) SdkTracer);

impl Tracer for LinkedTracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        let Some(ids) = STARTING.get() else {
            return self.0.build_with_context(builder, parent);
        };
        let known = match ids.parent {
            Some(known) => SpanContext::new(
                TraceId::from(ids.trace.get()),
                SpanId::from(known.span.get()),
                TraceFlags::SAMPLED,
                known.remote,
                TraceState::default(),
            ),
            None => SpanContext::empty_context(),
        };
        let given = parent.span().span_context().clone();
        if (given.trace_id(), given.span_id()) == (known.trace_id(), known.span_id()) {
            return self.0.build_with_context(builder, parent);
        }
        self.0.build_with_context(builder, &parent.with_remote_span_context(known))
    }
}
