//! The ids of spans: where they come from and how the current ones are found.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use obs_model::{Context, SpanId, TraceId};

#[cfg(feature = "http")]
use crate::incoming::Caller;
use crate::pipeline::Pipeline;
use crate::sampling::Sampling;
use crate::spans::{SpanKey, SpanState};

/// The ids of one span, decided once when it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanIds {
    /// The trace that the span belongs to.
    pub(crate) trace: TraceId,
    /// The span's own id.
    pub(crate) span: SpanId,
    /// The span that it is a part of.
    pub(crate) parent: Option<Parent>,
    /// Whether the span is exported, and whether callees are told so.
    pub(crate) sampled: bool,
}

/// The span that another one is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// Its id.
    pub(crate) span: SpanId,
    /// Whether it comes from a context or a caller rather than from an open span of this process.
    pub(crate) remote: bool,
}

impl SpanIds {
    /// The ids of no span.
    pub(crate) const PLACEHOLDER: Self = Self {
        trace: TraceId::new(1).unwrap(),
        span: SpanId::new(1).unwrap(),
        parent: None,
        sampled: false,
    };

    /// Decides the ids of a new span.
    ///
    /// A trace that the context names wins over the enclosing span's when the two differ, because such a
    /// context was made current inside that span: it came with a message or a request.
    pub(crate) fn open(enclosing: Option<Self>, name: &str, sampling: Option<&Sampling>) -> Self {
        let span = random_span_id();
        let (trace, outer) = Context::with_current(|context| (context.trace(), context.span()));
        match (enclosing, trace) {
            (Some(parent), trace) if trace.is_none_or(|trace| trace == parent.trace) => Self {
                trace: parent.trace,
                span,
                parent: Some(Parent { span: parent.span, remote: false }),
                sampled: parent.sampled,
            },
            (_, Some(trace)) => Self {
                trace,
                span,
                parent: outer.map(|span| Parent { span, remote: true }),
                sampled: is_sampled(sampling, trace, name),
            },
            (_, None) => {
                let trace = random_trace_id();
                let sampled = sampling.is_some_and(|sampling| sampling.takes(trace, name, None));
                Self { trace, span, parent: None, sampled }
            }
        }
    }

    /// Decides the ids of the span of work that came from outside, without a look at what is current.
    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn of_work(
        caller: Option<Caller>,
        name: &str,
        route: &str,
        sampling: Option<&Sampling>,
    ) -> Self {
        let (parent, said) = caller.map_or((None, None), |caller| (caller.parent, caller.sampled));
        let (new_trace, span) = random_ids();
        let (trace, parent) = match parent {
            Some((trace, span)) => (trace, Some(Parent { span, remote: true })),
            None => (new_trace, None),
        };
        let sampled = incoming::takes(sampling, said, trace, name, route);
        Self { trace, span, parent, sampled }
    }

    /// The ids of a span, if obskit's layer is installed and keeps it.
    pub(crate) fn of(span: &tracing::Span) -> Option<Self> {
        with_state(span, |_, state| state.ids)
    }
}

/// The trace and the span that work belongs to which is done in the span `ids` and under `context`.
///
/// The context counts when there is no span, or when it names another trace: then it was made current inside
/// that span.
pub(crate) fn effective(
    ids: Option<SpanIds>,
    context: &Context,
) -> (Option<TraceId>, Option<SpanId>) {
    match (ids, context.trace()) {
        (Some(ids), trace) if trace.is_none_or(|trace| trace == ids.trace) => {
            (Some(ids.trace), Some(ids.span))
        }
        (_, trace) => (trace, context.span()),
    }
}

/// Looks at what obskit's pipeline keeps for a span.
pub(crate) fn with_state<R>(
    span: &tracing::Span,
    look: impl FnOnce(&Pipeline, &mut SpanState) -> R,
) -> Option<R> {
    span.with_subscriber(|(id, dispatch)| {
        let pipeline = dispatch.downcast_ref::<Pipeline>()?;
        pipeline.spans().with(SpanKey::of(id), |state| look(pipeline, state))
    })
    .flatten()
}

thread_local! {
    static RANDOM: Cell<[u64; 4]> = Cell::new(seed());
}

mod incoming {
    //! What is known of the work whose span is being opened: a request, a message, a tool call.

    use std::cell::{Cell, RefCell};

    use super::{Sampling, TraceId};

    /// What is known about the sampling of a trace that goes on.
    #[derive(Clone, Copy)]
    enum Said {
        /// What the caller said, from outside.
        ByCaller(Option<bool>),
        /// What this process decided when the trace came into it.
        Here(bool),
    }

    thread_local! {
        static SAID: Cell<Option<Said>> = const { Cell::new(None) };
        static ROUTE: RefCell<String> = const { RefCell::new(String::new()) };
    }

    fn saying<R>(said: Said, open: impl FnOnce() -> R) -> R {
        SAID.set(Some(said));
        let opened = open();
        SAID.set(None);
        opened
    }

    /// Opens the span of a request to `route`, whose trace was sampled or not by the caller of this process.
    pub(crate) fn with_incoming<R>(
        sampled: Option<bool>,
        route: &str,
        open: impl FnOnce() -> R,
    ) -> R {
        ROUTE.with_borrow_mut(|kept| {
            kept.clear();
            kept.push_str(route);
        });
        saying(Said::ByCaller(sampled), open)
    }

    /// Opens a span of a trace about which this process decided before.
    pub(crate) fn with_decision<R>(sampled: bool, open: impl FnOnce() -> R) -> R {
        saying(Said::Here(sampled), open)
    }

    /// Whether a trace is sampled that this process did not start, or that starts with a request.
    ///
    /// Without an export, the caller's decision is only passed on.
    pub(super) fn is_sampled(sampling: Option<&Sampling>, trace: TraceId, name: &str) -> bool {
        match (SAID.get(), sampling) {
            (Some(Said::Here(sampled)), _) => sampled,
            (Some(Said::ByCaller(said)), sampling) => {
                ROUTE.with_borrow(|route| takes(sampling, said, trace, name, route))
            }
            (None, Some(sampling)) => sampling.takes(trace, name, None),
            (None, None) => false,
        }
    }

    /// Whether the trace of work is sampled about which its caller said something, or nothing.
    pub(super) fn takes(
        sampling: Option<&Sampling>,
        said: Option<bool>,
        trace: TraceId,
        name: &str,
        route: &str,
    ) -> bool {
        match (said, sampling) {
            (said, None) => said.unwrap_or(false),
            (Some(sampled), Some(sampling)) if sampling.follows_callers() => sampled,
            (_, Some(sampling)) => sampling.takes(trace, name, Some(route)),
        }
    }
}

use incoming::is_sampled;
pub(crate) use incoming::{with_decision, with_incoming};

/// A new random trace id and a new random span id.
#[inline]
fn random_ids() -> (TraceId, SpanId) {
    loop {
        let [high, low, span] = randoms();
        let trace = TraceId::new(u128::from(high) << 64 | u128::from(low));
        if let (Some(trace), Some(span)) = (trace, SpanId::new(span)) {
            return (trace, span);
        }
    }
}

/// A new random trace id.
pub(crate) fn random_trace_id() -> TraceId {
    random_ids().0
}

/// A new random span id.
pub(crate) fn random_span_id() -> SpanId {
    loop {
        if let Some(id) = SpanId::new(random()) {
            return id;
        }
    }
}

/// Four words from the system's randomness, which keys every `RandomState`.
fn seed() -> [u64; 4] {
    let state = RandomState::new();
    [0_u64, 1, 2, 3].map(|word| state.hash_one((word, std::thread::current().id())))
}

/// A random number.
pub(crate) fn random() -> u64 {
    let [number] = randoms();
    number
}

/// Some steps of xoshiro256++ (Blackman and Vigna, 2019): fast, no lock, and enough bits that two threads or
/// machines do not meet.
#[inline]
fn randoms<const COUNT: usize>() -> [u64; COUNT] {
    let steps = |state: &Cell<[u64; 4]>| {
        let [mut a, mut b, mut c, mut d] = state.get();
        let results = std::array::from_fn(|_| {
            let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
            let shifted = b << 17;
            c ^= a;
            d ^= b;
            b ^= c;
            a ^= d;
            c ^= shifted;
            d = d.rotate_left(45);
            result
        });
        state.set([a, b, c, d]);
        results
    };
    // OK because a thread whose locals are gone still gets different numbers, only more slowly.
    RANDOM.try_with(steps).unwrap_or_else(|_| steps(&Cell::new(seed())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_differ_between_calls_and_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..1_000).map(|_| random_span_id()).collect()))
            .collect();
        let lists: Vec<Vec<SpanId>> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        let all: HashSet<SpanId> = lists.into_iter().flatten().collect();
        assert_eq!(all.len(), 4_000);
    }

    #[test]
    fn a_context_of_another_trace_wins_over_the_enclosing_span() {
        let enclosing = SpanIds::open(None, "span", None);
        let inner = SpanIds::open(Some(enclosing), "span", None);
        assert_eq!(inner.trace, enclosing.trace);
        assert_eq!(inner.parent, Some(Parent { span: enclosing.span, remote: false }));

        let (trace, span) = (random_trace_id(), random_span_id());
        let _entered = Context::new().with_trace(trace).with_span(span).enter();
        let other = SpanIds::open(Some(enclosing), "span", None);
        assert_eq!(other.trace, trace);
        assert_eq!(other.parent, Some(Parent { span, remote: true }));
    }
}
