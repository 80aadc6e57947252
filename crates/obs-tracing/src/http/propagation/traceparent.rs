//! The `traceparent` header of W3C Trace Context.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Caller, Parent, insert, single};

/// The header's name.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// What its value says.
pub(in crate::http) fn parse(value: &HeaderValue) -> Option<Caller> {
    let parent = Parent::parse(value.as_bytes())?;
    Some(Caller { parent: Some((parent.trace, parent.span)), sampled: Some(parent.sampled) })
}

pub(super) fn read(headers: &HeaderMap) -> Option<Caller> {
    parse(single(headers, TRACEPARENT)?)
}

pub(super) fn write(parent: Parent, headers: &mut HeaderMap) {
    insert(headers, HeaderName::from_static(TRACEPARENT), &parent.to_bytes());
}
