//! The `traceparent` header of W3C Trace Context.

use http::{HeaderMap, HeaderName};

use super::{Caller, Parent, insert, single};

/// The header's name.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub(super) fn read(headers: &HeaderMap) -> Option<Caller> {
    let parent = Parent::parse(single(headers, &TRACEPARENT)?.as_bytes())?;
    Some(Caller { parent: Some((parent.trace, parent.span)), sampled: Some(parent.sampled) })
}

pub(super) fn write(parent: Parent, headers: &mut HeaderMap) {
    insert(headers, TRACEPARENT, &parent.to_bytes());
}
