//! `uber-trace-id` of Jaeger: `{trace}:{span}:{parent}:{flags}`, in hexadecimal digits without leading zeros.

use http::{HeaderMap, HeaderName};
use obs_model::{SpanId, TraceId};

use super::{Caller, Parent, hex, insert, single};
use crate::line::write;

const NAME: HeaderName = HeaderName::from_static("uber-trace-id");

pub(super) fn read(headers: &HeaderMap) -> Option<Caller> {
    let text = single(headers, &NAME)?.to_str().ok()?;
    // Some clients send the separators percent-encoded.
    let text = text.replace("%3A", ":").replace("%3a", ":");
    let parts: Vec<&str> = text.splitn(5, ':').collect();
    let [trace, span, _, flags] = parts[..] else { return None };
    let span = u64::try_from(hex(span, 1, 16)?).ok()?;
    let parent = (TraceId::new(hex(trace, 1, 32)?)?, SpanId::new(span)?);
    // The second bit asks to debug, which is to sample.
    let sampled = hex(flags, 1, 2)? & 3 != 0;
    Some(Caller { parent: Some(parent), sampled: Some(sampled) })
}

pub(super) fn write(parent: Parent, headers: &mut HeaderMap) {
    let mut text = Vec::with_capacity(53);
    text.extend_from_slice(&write::hex_128(parent.trace.get()));
    text.push(b':');
    text.extend_from_slice(&write::hex_64(parent.span.get()));
    text.extend_from_slice(if parent.sampled { b":0:1" } else { b":0:0" });
    insert(headers, NAME, &text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_with_and_without_leading_zeros_and_percent_encoded() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(NAME, text.parse().unwrap());
            read(&headers)
        };
        let ids = Some((TraceId::new(0xabc).unwrap(), SpanId::new(0xde).unwrap()));
        for (text, sampled) in
            [("abc:de:0:1", true), ("0abc%3Ade%3A0%3A0", false), ("abc:de:1f:3", true)]
        {
            assert_eq!(of(text), Some(Caller { parent: ids, sampled: Some(sampled) }), "{text}");
        }
        for bad in
            ["", "abc:de:0", "abc:de:0:1:2", "0:de:0:1", "abc:0:0:1", "g:de:0:1", "abc:de:0:"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
