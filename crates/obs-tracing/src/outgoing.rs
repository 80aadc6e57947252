//! What goes along with work that is handed on: to other services, and to other tasks of this process.

use obs_model::{Context, CorrelationId};
use tracing::Span;

use crate::spans::ids::{SpanIds, effective, random_span_id, with_decision};
use crate::traceparent::Parent;

/// The current context, with a correlation id of its own when it has none: what is called then still shares one with
/// the caller's lines.
pub(crate) fn calling_context() -> Context {
    let context = Context::current();
    if context.correlation().is_some() {
        return context;
    }
    context.with_correlation(CorrelationId::generate())
}

/// The current span, as a callee is told of it.
pub(crate) fn parent(context: &Context) -> Option<Parent> {
    let ids = SpanIds::of(&Span::current());
    let (Some(trace), Some(span)) = effective(ids, context) else { return None };
    let sampled = ids.is_some_and(|ids| ids.trace == trace && ids.sampled);
    Some(Parent { trace, span, sampled })
}

/// Where work of this process comes from that goes on elsewhere in it.
///
/// It keeps the ids of the span that it was made in, not the span itself, which may end in the meantime.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The context, with trace and span.
    pub(crate) context: Context,
    /// Whether the trace is exported, where that was decided.
    sampled: Option<bool>,
}

impl Origin {
    /// The context and the span that are current here and now.
    pub(crate) fn here() -> Self {
        let mut context = Context::current();
        let parent = parent(&context);
        let sampled = SpanIds::of(&Span::current()).and_then(|ids| {
            parent.is_some_and(|parent| parent.trace == ids.trace).then_some(ids.sampled)
        });
        if let Some(parent) = parent
            && (context.trace(), context.span()) != (Some(parent.trace), Some(parent.span))
        {
            context = context.with_trace(parent.trace).with_span(parent.span);
        }
        Self { context, sampled }
    }

    /// Opens a span as a part of the origin's; `open` must not take another parent. Returns it with the context in which
    /// the work is done.
    pub(crate) fn open(&self, open: impl FnOnce() -> Span) -> (Span, Context) {
        let span = {
            let _entered = self.context.clone().enter();
            match self.sampled {
                Some(sampled) => with_decision(sampled, open),
                None => open(),
            }
        };
        let ids = SpanIds::of(&span);
        let mut context = self.context.clone();
        if let Some(trace) = ids.map(|ids| ids.trace).or(context.trace()) {
            let id = ids.map_or_else(random_span_id, |ids| ids.span);
            context = context.with_trace(trace).with_span(id);
        }
        (span, context)
    }
}
