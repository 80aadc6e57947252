//! Hands correlation id and trace on to the services that this one calls.

use http::{HeaderMap, HeaderName, HeaderValue};
use obs_model::Context;

use super::propagation::{self, Propagator, TRACEPARENT};
use crate::baggage;
use crate::outgoing;
use crate::pipeline::Pipeline;

/// The name of [`CORRELATION_HEADER`].
pub(super) const CORRELATION: &str = "x-correlation-id";

/// The header that carries the correlation id: `X-Correlation-ID`.
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static(CORRELATION);

/// The header that carries trace and span: `traceparent` of W3C Trace Context.
pub const TRACEPARENT_HEADER: HeaderName = HeaderName::from_static(TRACEPARENT);

/// The header that carries [baggage](crate::baggage).
pub const BAGGAGE_HEADER: HeaderName = HeaderName::from_static(baggage::NAME);

/// The forms in which trace and span travel; without a pipeline that is W3C Trace Context.
pub(super) fn propagators(pipeline: Option<&Pipeline>) -> &[Propagator] {
    pipeline.map_or(&[Propagator::TraceContext], Pipeline::propagators)
}

/// Writes the current correlation id, trace and span into the headers of an outgoing request, in place of
/// those that are there, in the forms of [`LogConfig::propagators`](crate::LogConfig), and the [baggage](crate::baggage)
/// that may be sent.
///
/// ```
/// use obs_model::{Context, CorrelationId};
///
/// let _entered = Context::new().with_correlation("req-42".parse()?).enter();
/// let mut headers = http::HeaderMap::new();
/// obs_tracing::http::propagate(&mut headers);
/// assert_eq!(headers["x-correlation-id"], "req-42");
/// # Ok::<(), obs_model::InvalidId>(())
/// ```
pub fn propagate(headers: &mut HeaderMap) {
    Context::with_current(|context| {
        if let Some(id) = context.correlation()
            && let Ok(value) = HeaderValue::from_str(id.as_str())
        {
            headers.insert(CORRELATION_HEADER, value);
        }
        if let Some(parent) = outgoing::parent(context) {
            tracing::dispatcher::get_default(|dispatch| {
                propagation::write(propagators(dispatch.downcast_ref()), parent, headers);
            });
        }
        if let Some(text) = baggage::written(context)
            && let Ok(value) = HeaderValue::from_str(&text)
        {
            headers.insert(BAGGAGE_HEADER, value);
        }
    });
}
