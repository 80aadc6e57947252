//! Reads what a caller says in the headers of its request.

use http::{HeaderMap, HeaderValue};
use obs_model::CorrelationId;

use super::CORRELATION_HEADER;
use super::propagate::BAGGAGE_HEADER;
use super::propagate::with_propagators;
use super::propagation;
use crate::baggage;
use crate::incoming::{Incoming, correlation_of};

/// What the headers say, and the correlation id for the response.
pub(crate) fn read(headers: &HeaderMap) -> (Incoming, HeaderValue) {
    let (correlation, header) = correlation(headers);
    let caller = with_propagators(|propagators| propagation::read(propagators, headers));
    let baggage =
        baggage::read(|| headers.get_all(BAGGAGE_HEADER).iter().map(HeaderValue::as_bytes));
    (Incoming::new(correlation, caller, baggage), header)
}

/// The request's own correlation id when it is valid, else a new one.
fn correlation(headers: &HeaderMap) -> (CorrelationId, HeaderValue) {
    let mut given = headers.get_all(CORRELATION_HEADER).iter();
    if let Some(value) = given.next() {
        if given.next().is_none()
            && let Some(id) = correlation_of(value.as_bytes())
        {
            return (id, value.clone());
        }
        metrics::counter!("obskit_correlation_replaced_total").increment(1);
    }
    let id = CorrelationId::generate();
    // OK because a generated id consists of letters, digits and hyphens.
    let value = HeaderValue::from_str(id.as_str()).unwrap_or(HeaderValue::from_static(""));
    (id, value)
}
