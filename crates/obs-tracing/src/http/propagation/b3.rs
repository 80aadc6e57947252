//! The headers of Zipkin: `b3`, and `X-B3-…` (openzipkin/b3-propagation).

use http::{HeaderMap, HeaderName};
use obs_model::{SpanId, TraceId};

use super::{Caller, Parent, hex, insert, single};
use crate::line::write;

const SINGLE: HeaderName = HeaderName::from_static("b3");
const TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
const SPAN: HeaderName = HeaderName::from_static("x-b3-spanid");
const SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// Whether to sample; a request to debug is one to sample.
fn sampled(text: &str) -> Option<bool> {
    match text {
        "1" | "d" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    }
}

fn ids(trace: &str, span: &str) -> Option<(TraceId, SpanId)> {
    if !matches!(trace.len(), 16 | 32) {
        return None;
    }
    let span = u64::try_from(hex(span, 16, 16)?).ok()?;
    Some((TraceId::new(hex(trace, 16, 32)?)?, SpanId::new(span)?))
}

/// `{trace}-{span}[-{sampled}[-{parent}]]`, or the decision alone.
pub(super) fn read_single(headers: &HeaderMap) -> Option<Caller> {
    let text = single(headers, &SINGLE)?.to_str().ok()?;
    let parts: Vec<&str> = text.splitn(5, '-').collect();
    match parts[..] {
        [decision] => Some(Caller { parent: None, sampled: Some(sampled(decision)?) }),
        [trace, span] => Some(Caller { parent: Some(ids(trace, span)?), sampled: None }),
        [trace, span, decision] | [trace, span, decision, _] => {
            Some(Caller { parent: Some(ids(trace, span)?), sampled: Some(sampled(decision)?) })
        }
        _ => None,
    }
}

pub(super) fn read_multi(headers: &HeaderMap) -> Option<Caller> {
    let text = |name| single(headers, &name).and_then(|value| value.to_str().ok());
    let parent = match (text(TRACE), text(SPAN)) {
        (Some(trace), Some(span)) => Some(ids(trace, span)?),
        _ => None,
    };
    let debug = text(FLAGS) == Some("1");
    let sampled = if debug { Some(true) } else { text(SAMPLED).and_then(sampled) };
    (parent.is_some() || sampled.is_some()).then_some(Caller { parent, sampled })
}

fn digits(parent: Parent) -> (Vec<u8>, Vec<u8>, &'static [u8]) {
    let (mut trace, mut span) = (Vec::with_capacity(52), Vec::with_capacity(16));
    trace.extend_from_slice(&write::hex_128(parent.trace.get()));
    span.extend_from_slice(&write::hex_64(parent.span.get()));
    (trace, span, if parent.sampled { b"1" } else { b"0" })
}

pub(super) fn write_single(parent: Parent, headers: &mut HeaderMap) {
    let (mut text, span, decision) = digits(parent);
    for part in [&span, decision] {
        text.push(b'-');
        text.extend_from_slice(part);
    }
    insert(headers, SINGLE, &text);
}

pub(super) fn write_multi(parent: Parent, headers: &mut HeaderMap) {
    let (trace, span, decision) = digits(parent);
    insert(headers, TRACE, &trace);
    insert(headers, SPAN, &span);
    insert(headers, SAMPLED, decision);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE_ID: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN_ID: &str = "e457b5a2e4d86bd1";

    fn single_of(text: &str) -> Option<Caller> {
        let mut headers = HeaderMap::new();
        headers.insert(SINGLE, text.parse().unwrap());
        read_single(&headers)
    }

    #[test]
    fn the_single_header_is_read_as_documented() {
        let parent = ids(TRACE_ID, SPAN_ID);
        assert!(parent.is_some());
        for (text, sampled) in [
            (format!("{TRACE_ID}-{SPAN_ID}"), None),
            (format!("{TRACE_ID}-{SPAN_ID}-1"), Some(true)),
            (format!("{TRACE_ID}-{SPAN_ID}-d-05e3ac9a4f6e3b90"), Some(true)),
            (format!("{TRACE_ID}-{SPAN_ID}-0"), Some(false)),
        ] {
            assert_eq!(single_of(&text), Some(Caller { parent, sampled }), "{text}");
        }
        assert_eq!(single_of("0"), Some(Caller { parent: None, sampled: Some(false) }));
        let short = single_of(&format!("{}-{SPAN_ID}", &TRACE_ID[16..])).unwrap().parent.unwrap();
        assert_eq!(short.0.to_string(), format!("{:0>32}", &TRACE_ID[16..]));
        for bad in ["", "2", "x-y", "0-0-0", &TRACE_ID[1..], &format!("{TRACE_ID}-{SPAN_ID}-1-2-3")]
        {
            assert_eq!(single_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_headers_are_read_as_documented() {
        let of = |pairs: &[(HeaderName, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            read_multi(&pairs.collect())
        };
        let parent = ids(TRACE_ID, SPAN_ID);
        let both = [(TRACE, TRACE_ID), (SPAN, SPAN_ID)];
        assert_eq!(of(&both), Some(Caller { parent, sampled: None }));
        let denied = [both[0].clone(), both[1].clone(), (SAMPLED, "0")];
        assert_eq!(of(&denied), Some(Caller { parent, sampled: Some(false) }));
        let debugged = [both[0].clone(), both[1].clone(), (FLAGS, "1")];
        assert_eq!(of(&debugged), Some(Caller { parent, sampled: Some(true) }));
        assert_eq!(of(&[(SAMPLED, "1")]), Some(Caller { parent: None, sampled: Some(true) }));
        assert_eq!(of(&[(TRACE, "zz"), (SPAN, SPAN_ID)]), None);
        assert_eq!(of(&[]), None);
    }
}
