//! A line that is one JSON object in another form, for sinks that write it so.

use super::{logfmt, text};
use crate::config::LogFormat;

/// Appends the line without its end, as the pipeline would have written it in this form, without colours.
pub(crate) fn recast(json: &[u8], format: LogFormat, out: &mut Vec<u8>) {
    match format {
        LogFormat::Json => out.extend_from_slice(json),
        LogFormat::Logfmt => logfmt::recast(json, out),
        LogFormat::Text => text::recast(json, out),
    }
}

/// The members of an object that the pipeline has written, in their order: keys without their quotes, values as they are.
///
/// Such an object has no spaces between its parts, and its values are scalars or objects of scalars.
pub(super) struct Members<'a>(&'a [u8]);

impl<'a> Members<'a> {
    pub(super) const fn of(object: &'a [u8]) -> Self {
        Self(object)
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let [b'{' | b',', rest @ ..] = self.0 else { return None };
        let (key, rest) = rest.split_at_checked(string_end(rest)?)?;
        let [b':', rest @ ..] = rest else { return None };
        let (value, rest) = rest.split_at_checked(value_end(rest)?)?;
        self.0 = rest;
        Some((&key[1..key.len() - 1], value))
    }
}

/// Where the string that stands at the start ends, behind its quote.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = (*text.first()? == b'"').then_some(1)?;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Where the value that stands at the start ends.
fn value_end(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string_end(text),
        b'{' => {
            let mut inner = Members(text);
            if text.get(1) == Some(&b'}') {
                return Some(2);
            }
            inner.by_ref().for_each(drop);
            Some(text.len() - inner.0.strip_prefix(b"}")?.len())
        }
        _ => memchr::memchr2(b',', b'}', text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;
    use crate::line::write;

    proptest! {
        #[test]
        fn members_of_any_texts_read_back_and_every_form_is_one_line(
            pairs in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..8),
        ) {
            let mut metadata = Vec::new();
            for (key, value) in &pairs {
                metadata.push(if metadata.is_empty() { b'{' } else { b',' });
                write::push_string(&mut metadata, key, 0, usize::MAX);
                metadata.push(b':');
                write::push_string(&mut metadata, value, 0, usize::MAX);
            }
            metadata.extend_from_slice(if pairs.is_empty() { b"{}" } else { b"}" });
            let read: Map<String, Value> = serde_json::from_slice(&metadata).unwrap();
            let found: Vec<_> = Members::of(&metadata).collect();
            prop_assert_eq!(found.len(), read.len());
            for ((key, value), (expected_key, expected)) in found.into_iter().zip(&read) {
                let key = [b"\"", key, b"\""].concat();
                prop_assert_eq!(&serde_json::from_slice::<String>(&key).unwrap(), expected_key);
                prop_assert_eq!(&serde_json::from_slice::<Value>(value).unwrap(), expected);
            }
            let line = [br#"{"level":"INFO","metadata":"#, &metadata[..], b"}"].concat();
            for format in [LogFormat::Logfmt, LogFormat::Text] {
                let mut out = Vec::new();
                recast(&line, format, &mut out);
                prop_assert!(std::str::from_utf8(&out).is_ok());
                prop_assert!(!out.iter().any(|byte| *byte < 0x20), "{:?}", out);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            for format in [LogFormat::Logfmt, LogFormat::Text] {
                recast(&bytes, format, &mut Vec::new());
                recast(&[b"{", &bytes[..]].concat(), format, &mut Vec::new());
            }
        }
    }

    fn members(object: &str) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        Members::of(object.as_bytes()).map(|(key, value)| (text(key), text(value))).collect()
    }

    #[test]
    fn members_are_told_apart_whatever_their_texts_hold() {
        let object = r#"{"a":"x\\","b{,":{"c":"}\",","d":-1.5},"e":{},"f":true}"#;
        assert_eq!(
            members(object),
            [("a", r#""x\\""#), ("b{,", r#"{"c":"}\",","d":-1.5}"#), ("e", "{}"), ("f", "true")]
        );
        assert_eq!(members("{}"), []);
        for broken in ["", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":\"", "{\"a\":{\"b\":1", "{a:1}"] {
            assert_eq!(members(broken), [], "{broken}");
        }
    }
}
