//! The ids that tie logs, traces, errors and requests together.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use arrayvec::ArrayString;
use uuid::Uuid;

use crate::Redactor;

/// The id that one request keeps on every log line, span, response and outgoing call.
///
/// It comes from outside in the `X-Correlation-ID` header, so it is checked: 1 to 128 characters out of
/// `A–Z a–z 0–9 - _ . : / + =`, which covers UUIDs, ULIDs, W3C and X-Ray trace ids and base64, and cannot
/// break a log line, a header or a URL.
///
/// ```
/// use obs_model::CorrelationId;
///
/// assert_eq!("req-42".parse::<CorrelationId>()?.as_str(), "req-42");
/// assert!("a\r\nSet-Cookie: x".parse::<CorrelationId>().is_err());
/// assert_eq!(CorrelationId::generate().as_str().len(), 36);
/// # Ok::<(), obs_model::InvalidId>(())
/// ```
#[derive(Clone)]
pub struct CorrelationId(Text);

/// What each ASCII byte is in an id, or 0 if it may not stand in one.
const KINDS: [u8; 128] = {
    let mut kinds = [0; 128];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        kinds[byte as usize] = match byte {
            b'0'..=b'9' => ACCEPTED | DIGIT,
            b'=' | b':' => ACCEPTED | PAIR,
            b'-' | b'_' | b'.' | b'/' | b'+' => ACCEPTED,
            _ if byte.is_ascii_alphabetic() => ACCEPTED,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};
const DIGIT: u8 = 1;
const PAIR: u8 = 2;
const ACCEPTED: u8 = 4;

/// What is in a text that is an id.
struct Survey {
    digits: u8,
    has_pair: bool,
}

impl Survey {
    /// Looks at a text once; `None` if it is no id.
    #[inline]
    fn of(text: &str) -> Option<Self> {
        if !(1..=CorrelationId::MAX_LEN).contains(&text.len()) {
            return None;
        }
        // OK because there are fewer digits than a byte can count.
        let (mut all, mut any, mut digits) = (ACCEPTED, 0, 0);
        for byte in text.bytes() {
            let kind = KINDS.get(usize::from(byte)).copied().unwrap_or(0);
            all &= kind;
            any |= kind;
            digits += kind & DIGIT;
        }
        (all != 0).then_some(Self { digits, has_pair: any & PAIR != 0 })
    }
}

/// The longest id that is held without an allocation: a UUID.
const SHORT: usize = 36;

#[derive(Clone)]
enum Text {
    Short(ArrayString<SHORT>),
    Long(Arc<str>),
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        ArrayString::from(text).map_or_else(|_| Self::Long(text.into()), Self::Short)
    }
}

impl CorrelationId {
    /// The longest id that is accepted from outside, in bytes.
    pub const MAX_LEN: usize = 128;

    /// A new random id: a version 4 UUID (RFC 9562).
    #[must_use]
    pub fn generate() -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text: &str = Uuid::new_v4().as_hyphenated().encode_lower(&mut buffer);
        Self(text.into())
    }

    /// Reads an id as it stands in a header.
    ///
    /// # Errors
    ///
    /// The bytes are not an id as described at the type. The error does not repeat them, so that it may be
    /// logged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidId> {
        std::str::from_utf8(bytes).map_err(|_| Self::REFUSED)?.parse()
    }

    /// The id that a caller gave, unless there is a secret in it by the rules of [`Redactor::new`]: it would travel on to
    /// every line and every callee.
    ///
    /// ```
    /// use obs_model::CorrelationId;
    ///
    /// assert_eq!(CorrelationId::of_caller("req-42").unwrap().as_str(), "req-42");
    /// assert_eq!(CorrelationId::of_caller("password=hunter2hunter2"), None);
    /// assert_eq!(CorrelationId::of_caller("a b"), None);
    /// ```
    #[must_use]
    #[inline]
    pub fn of_caller(text: &str) -> Option<Self> {
        let survey = Survey::of(text)?;
        // Too short for a key, a number or a token, and no pair: there is nothing in it to look for.
        let is_harmless = text.len() < 15 && survey.digits < 7 && !survey.has_pair;
        (is_harmless || has_no_secret(text)).then(|| Self(text.into()))
    }

    const REFUSED: InvalidId =
        InvalidId::new("correlation id", "1 to 128 characters out of A-Z a-z 0-9 - _ . : / + =");

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Short(text) => text,
            Text::Long(text) => text,
        }
    }
}

#[cold]
fn has_no_secret(text: &str) -> bool {
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::new);
    matches!(REDACTOR.text(text), Cow::Borrowed(_))
}

impl PartialEq for CorrelationId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for CorrelationId {}

impl PartialOrd for CorrelationId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CorrelationId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for CorrelationId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl FromStr for CorrelationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Survey::of(text).map(|_| Self(text.into())).ok_or(Self::REFUSED)
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CorrelationId({})", self.as_str())
    }
}

/// Makes an id type of W3C Trace Context: a fixed number of lower-case hexadecimal digits, never all zero.
macro_rules! trace_context_id {
    ($(#[$doc:meta])* $name:ident, $int:ty, $nonzero:ty, $digits:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name($nonzero);

        impl $name {
            /// The id with this value, unless it is zero, which W3C Trace Context forbids.
            #[must_use]
            pub const fn new(value: $int) -> Option<Self> {
                match <$nonzero>::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The id's value; its big-endian bytes are what travels in `traceparent` and OTLP.
            #[must_use]
            pub const fn get(self) -> $int {
                self.0.get()
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let digits = text.len() == $digits
                    && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                <$int>::from_str_radix(text, 16)
                    .ok()
                    .filter(|_| digits)
                    .and_then(Self::new)
                    .ok_or(InvalidId::new(
                        $what,
                        concat!(stringify!($digits), " lower-case hexadecimal digits, not all zero"),
                    ))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", stringify!($digits), "x}"), self.get())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

trace_context_id! {
    /// The id of a trace: 32 lower-case hexadecimal digits (W3C Trace Context, `trace-id`).
    TraceId, u128, NonZeroU128, 32, "trace id"
}

trace_context_id! {
    /// The id of a span: 16 lower-case hexadecimal digits (W3C Trace Context, `parent-id`).
    SpanId, u64, NonZeroU64, 16, "span id"
}

/// A text that is not an id of the kind asked for. It never repeats the text, which may be hostile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: expected {expected}")]
pub struct InvalidId {
    what: &'static str,
    expected: &'static str,
}

impl InvalidId {
    pub(crate) const fn new(what: &'static str, expected: &'static str) -> Self {
        Self { what, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_correlation_id_from_outside_is_taken_only_when_it_is_harmless() {
        let longest = "x".repeat(CorrelationId::MAX_LEN);
        for good in
            ["a", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "Root=1-5759e988-bd86", "a/b+c=:_.", &longest]
        {
            assert_eq!(CorrelationId::from_bytes(good.as_bytes()).unwrap().as_str(), good);
        }
        let too_long = "x".repeat(CorrelationId::MAX_LEN + 1);
        for bad in ["", " a", "a b", "a\nb", "a\0", "{\"a\":1}", "é", "<script>", "a,b", &too_long]
        {
            let error = CorrelationId::from_bytes(bad.as_bytes()).unwrap_err().to_string();
            assert!(bad.len() < 3 || !error.contains(bad), "the error repeats {bad:?}");
        }
        assert!(CorrelationId::from_bytes(&[0xff, 0xfe]).is_err());
    }

    proptest! {
        #[test]
        fn the_id_of_a_caller_is_taken_unless_there_is_a_secret_in_it(
            text in "[A-Za-z0-9_.:/+=-]{1,16}|[0-9.-]{1,14}|(?i:password|token)[=:][a-z0-9]{1,20}|.{0,20}",
        ) {
            let expected = text.parse::<CorrelationId>().ok();
            let expected = expected.filter(|id| Redactor::new().text(id.as_str()) == id.as_str());
            prop_assert_eq!(CorrelationId::of_caller(&text), expected);
        }
    }

    #[test]
    fn ids_are_the_same_by_their_text_however_long_it_is() {
        for length in [1, SHORT - 1, SHORT, SHORT + 1, CorrelationId::MAX_LEN] {
            let text = "x".repeat(length);
            let id: CorrelationId = text.parse().unwrap();
            assert_eq!(id.as_str(), text);
            let longer: Result<CorrelationId, _> = format!("{text}x").parse();
            assert!(longer.is_err() || longer.is_ok_and(|longer| longer > id && longer != id));
            let kept = std::collections::HashSet::from([id.clone()]);
            assert!(kept.contains(&text.parse::<CorrelationId>().unwrap()));
        }
    }

    #[test]
    fn trace_and_span_ids_read_back_and_are_never_zero() {
        let trace: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
        assert_eq!(trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        let span: SpanId = "00f067aa0ba902b7".parse().unwrap();
        assert_eq!(span.to_string(), "00f067aa0ba902b7");
        for bad in
            ["", "0000000000000000", "00F067AA0BA902B7", "+0f067aa0ba902b7", "00f067aa0ba902b"]
        {
            assert!(bad.parse::<SpanId>().is_err(), "{bad}");
        }
        assert_eq!(TraceId::new(0), None);
    }
}
