//! The ids of a call in its `_meta`.

use obs_model::{Baggage, Context, CorrelationId};
use serde_json::{Map, Value};

use crate::baggage;
use crate::incoming::Caller;
use crate::outgoing;
use crate::traceparent::Parent;

/// `_meta` of a request or an answer of MCP.
pub type Meta = Map<String, Value>;

const TRACEPARENT: &str = "traceparent";
const CORRELATION: &str = "correlationId";

/// Writes the current correlation id, trace and span into `meta`, in place of those that are there.
///
/// ```
/// use obs_model::Context;
/// use obs_tracing::tools::{Meta, inject};
///
/// let _entered = Context::new().with_correlation("req-42".parse().unwrap()).enter();
/// let mut meta = Meta::new();
/// inject(&mut meta);
/// assert_eq!(meta["correlationId"], "req-42");
/// ```
pub fn inject(meta: &mut Meta) {
    Context::with_current(|context| {
        if let Some(id) = context.correlation() {
            meta.insert(CORRELATION.to_owned(), id.as_str().into());
        }
        if let Some(parent) = outgoing::parent(context) {
            let text = parent.to_bytes();
            meta.insert(TRACEPARENT.to_owned(), String::from_utf8_lossy(&text).into());
        }
        if let Some(text) = baggage::written(context) {
            meta.insert(baggage::NAME.to_owned(), text.into());
        }
    });
}

/// The valid correlation id in `meta`; one that is not valid is counted.
pub(super) fn correlation(meta: &Meta) -> Option<CorrelationId> {
    let id = meta.get(CORRELATION)?.as_str().and_then(CorrelationId::of_caller);
    if id.is_none() {
        metrics::counter!("obskit_correlation_replaced_total").increment(1);
    }
    id
}

/// What of the baggage in `meta` is taken.
pub(super) fn taken_baggage(meta: &Meta) -> Option<Baggage> {
    let text = meta.get(baggage::NAME)?.as_str()?;
    baggage::read(|| std::iter::once(text.as_bytes()))
}

/// What `meta` says about the trace.
pub(super) fn caller(meta: &Meta) -> Option<Caller> {
    let parent = Parent::parse(meta.get(TRACEPARENT)?.as_str()?.as_bytes())?;
    Some(Caller { parent: Some((parent.trace, parent.span)), sampled: Some(parent.sampled) })
}
