//! Reads what a caller says in the headers of its request.

use http::{HeaderMap, HeaderValue};
use obs_model::{Baggage, CorrelationId};
use tracing_core::dispatcher;

use super::propagate::{CORRELATION, propagators};
use super::propagation::{Propagator, TRACEPARENT, traceparent};
use crate::baggage;
use crate::incoming::{Caller, Incoming};
use crate::pipeline::Pipeline;

/// What the headers say, and the correlation id for the response.
pub(crate) fn read(headers: &HeaderMap) -> (Incoming, HeaderValue) {
    let (said, header) =
        dispatcher::get_default(|dispatch| Said::read(headers, dispatch.downcast_ref()));
    (said.into(), header)
}

/// What the headers of a request say.
pub(super) struct Said {
    /// The request's own correlation id when it is valid, else a new one.
    pub(super) correlation: CorrelationId,
    pub(super) caller: Option<Caller>,
    pub(super) baggage: Option<Baggage>,
}

impl Said {
    /// Reads the headers by the rules of a pipeline; with it comes the correlation id for the response.
    #[inline(always)]
    pub(super) fn read(headers: &HeaderMap, pipeline: Option<&Pipeline>) -> (Self, HeaderValue) {
        let found = Found::among(headers);
        let (correlation, header) = correlation(found.correlation);
        let caller = propagators(pipeline).iter().find_map(|propagator| match propagator {
            Propagator::TraceContext => traceparent::parse(found.traceparent.once()?),
            other => other.read(headers),
        });
        let baggage = pipeline.filter(|_| found.has_baggage).and_then(|pipeline| {
            let parts = headers.get_all(baggage::NAME).iter();
            pipeline.baggage().take(parts.map(HeaderValue::as_bytes))
        });
        (Self { correlation, caller, baggage }, header)
    }
}

impl From<Said> for Incoming {
    fn from(said: Said) -> Self {
        Self::new(said.correlation, said.caller, said.baggage)
    }
}

/// The headers that nearly every request is asked for, found in one pass: requests have few, so that looking at each of
/// them costs less than a search for one.
#[derive(Default)]
struct Found<'a> {
    correlation: Header<'a>,
    traceparent: Header<'a>,
    has_baggage: bool,
}

/// A header that was looked for.
#[derive(Clone, Copy, Default)]
enum Header<'a> {
    #[default]
    Missing,
    Once(&'a HeaderValue),
    Repeated,
}

impl<'a> Found<'a> {
    #[inline(always)]
    fn among(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                CORRELATION => found.correlation.add(value),
                TRACEPARENT => found.traceparent.add(value),
                baggage::NAME => found.has_baggage = true,
                _ => (),
            }
        }
        found
    }
}

impl<'a> Header<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        *self = if matches!(self, Self::Missing) { Self::Once(value) } else { Self::Repeated };
    }

    /// Its value, if it is there exactly once.
    fn once(self) -> Option<&'a HeaderValue> {
        if let Self::Once(value) = self { Some(value) } else { None }
    }
}

/// The request's own correlation id when it is valid, else a new one.
#[inline(always)]
fn correlation(given: Header<'_>) -> (CorrelationId, HeaderValue) {
    if let Header::Once(value) = given
        && let Some(id) = value.to_str().ok().and_then(CorrelationId::of_caller)
    {
        return (id, value.clone());
    }
    if !matches!(given, Header::Missing) {
        metrics::counter!("obskit_correlation_replaced_total").increment(1);
    }
    let id = CorrelationId::generate();
    // OK because a generated id consists of letters, digits and hyphens.
    let value = HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""));
    (id, value)
}
