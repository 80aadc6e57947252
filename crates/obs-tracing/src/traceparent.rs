//! `traceparent` of W3C Trace Context, wherever it travels: in a header, in the `_meta` of a tool call.

use obs_model::{SpanId, TraceId};

/// What a callee is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) sampled: bool,
}

/// The length of version 00, in bytes.
const LENGTH: usize = 55;

impl Parent {
    /// Reads a header as section 3.2 of the specification asks: lower-case digits, no zero ids, version `ff`
    /// refused, and a version after 00 read by its known start.
    pub(crate) fn parse(header: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(header).ok()?;
        let known = text.get(..LENGTH)?;
        let rest = &text[LENGTH..];
        let mut parts = known.split('-');
        let version = hex_byte(parts.next()?)?;
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let trace = parts.next()?.parse().ok()?;
        let span = parts.next()?.parse().ok()?;
        let flags = hex_byte(parts.next()?)?;
        (fits && parts.next().is_none()).then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// The header in version 00.
    pub(crate) fn to_bytes(self) -> [u8; LENGTH] {
        let mut text = Vec::with_capacity(LENGTH);
        text.extend_from_slice(b"00-");
        text.extend_from_slice(&crate::line::write::hex_128(self.trace.get()));
        text.push(b'-');
        text.extend_from_slice(&crate::line::write::hex_64(self.span.get()));
        text.extend_from_slice(if self.sampled { b"-01" } else { b"-00" });
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(&text);
        bytes
    }
}

fn hex_byte(text: &str) -> Option<u8> {
    let digits = text.len() == 2 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if digits { u8::from_str_radix(text, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn headers_are_read_as_the_specification_asks() {
        let parsed = Parent::parse(GOOD.as_bytes()).unwrap();
        assert!(parsed.sampled);
        assert_eq!(parsed.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parsed.to_bytes(), *GOOD.as_bytes());

        let later = GOOD.replacen("00", "cc", 1);
        for good in [later.clone(), format!("{later}-what-the-future-holds")] {
            assert!(Parent::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-00"),
            format!("{later}x"),
            GOOD.replacen("00", "ff", 1),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01".into(),
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01".into(),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x".into(),
        ] {
            assert_eq!(Parent::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Parent::parse(&bytes);
        }

        #[test]
        fn what_is_written_reads_back(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let (trace, span) = (TraceId::new(trace).unwrap(), SpanId::new(span).unwrap());
            let given = Parent { trace, span, sampled };
            prop_assert_eq!(Parent::parse(&given.to_bytes()), Some(given));
        }
    }
}
