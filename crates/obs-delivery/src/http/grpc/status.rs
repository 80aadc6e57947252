//! What a gRPC server answers beside its message: the status, and when to come back.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

/// Standard base64, with padding or without, as gRPC asks of those who read it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Names of the status codes, by number.
const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const UNKNOWN: u32 = 2;
const RESOURCE_EXHAUSTED: u32 = 8;
const UNAVAILABLE: u32 = 14;

/// The status of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    code: u32,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
}

impl Status {
    /// The status that headers or trailers carry, if they do.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let code = text("grpc-status")?.parse().unwrap_or(UNKNOWN);
        let details = text("grpc-status-details-bin").and_then(|text| BASE64.decode(text).ok());
        Some(Self {
            code,
            message: text("grpc-message").map(percent_decoded).unwrap_or_default(),
            retry_after: details.as_deref().and_then(retry_delay),
        })
    }

    /// The status of an answer that carries none, by gRPC's "HTTP to gRPC status code mapping".
    pub(super) fn of_http(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502..=504 => UNAVAILABLE,
            _ => UNKNOWN,
        };
        Self { code, message: format!("HTTP {status}"), retry_after: None }
    }

    /// The status of an answer that ended without one, as when the server went away.
    pub(super) fn missing() -> Self {
        Self { code: UNAVAILABLE, message: "no status".to_owned(), retry_after: None }
    }

    pub(super) fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Whether trying again can help, as OTLP's specification has it: a server that is exhausted says when.
    pub(super) fn is_passing(&self) -> bool {
        match self.code {
            1 | 4 | 10 | 11 | UNAVAILABLE | 15 => true,
            RESOURCE_EXHAUSTED => self.retry_after.is_some(),
            _ => false,
        }
    }

    /// Whether less of it might be taken: servers have no status of its own for that, but say so in these words.
    pub(super) fn is_too_large(&self) -> bool {
        self.code == RESOURCE_EXHAUSTED
            && self.retry_after.is_none()
            && ["larger than max", "message length too large", "exceeds maximum size"]
                .iter()
                .any(|words| self.message.contains(words))
    }

    pub(super) fn name(&self) -> &'static str {
        NAMES.get(self.code as usize).copied().unwrap_or("a status that is not known")
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = |digit: &u8| (*digit as char).to_digit(16).map(|digit| digit as u8);
        match (first, after) {
            (b'%', [high, low, after @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                bytes.push(hex(high).unwrap_or(0) << 4 | hex(low).unwrap_or(0));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The delay of the `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_delay(status: &[u8]) -> Option<Duration> {
    fields(status).filter(|(number, _)| *number == 3).find_map(|(_, any)| {
        let part = |wanted: u64| {
            fields(any.bytes()).find(|(number, _)| *number == wanted).map(|(_, value)| value)
        };
        if !part(1)?.bytes().ends_with(b"/google.rpc.RetryInfo") {
            return None;
        }
        let info = part(2)?;
        let delay = fields(info.bytes()).find(|(number, _)| *number == 1)?.1;
        let number = |wanted: u64| {
            fields(delay.bytes())
                .find(|(number, _)| *number == wanted)
                .map_or(0, |(_, v)| v.whole())
        };
        // A negative delay asks for nothing.
        let seconds = i64::try_from(number(1)).unwrap_or(0);
        Some(Duration::new(
            seconds.unsigned_abs(),
            u32::try_from(number(2)).unwrap_or(0).min(999_999_999),
        ))
    })
}

/// A value of a protobuf message.
#[derive(Clone, Copy)]
enum Value<'a> {
    Whole(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn whole(self) -> u64 {
        match self {
            Self::Whole(value) => value,
            Self::Bytes(_) => 0,
        }
    }

    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Whole(_) => &[],
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// The fields of a protobuf message with their numbers, as far as it is well-formed.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let key = varint(&mut message)?;
        let value = match key & 7 {
            0 => Value::Whole(varint(&mut message)?),
            1 => Value::Bytes(message.split_off(..8)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(message.split_off(..length)?)
            }
            5 => Value::Bytes(message.split_off(..4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *message.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `google.rpc.Status { code: 14, details: [RetryInfo { retry_delay: 3.5 s }] }`.
    fn with_retry_info() -> String {
        let mut any = vec![0x0a, 40];
        any.extend_from_slice(b"type.googleapis.com/google.rpc.RetryInfo");
        let delay = [0x08, 3, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
        any.extend_from_slice(&[0x12, delay.len() as u8 + 2, 0x0a, delay.len() as u8]);
        any.extend_from_slice(&delay);
        let mut status = vec![0x08, 14, 0x1a, any.len() as u8];
        status.extend_from_slice(&any);
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(status)
    }

    fn status(code: &str, message: &str, details: &str) -> Status {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", code.parse().unwrap());
        headers.insert("grpc-message", message.parse().unwrap());
        headers.insert("grpc-status-details-bin", details.parse().unwrap());
        Status::of(&headers).unwrap()
    }

    #[test]
    fn the_statuses_of_the_specification_are_tried_again() {
        for code in 0..20_u32 {
            let passing = status(&code.to_string(), "", "").is_passing();
            assert_eq!(passing, [1, 4, 10, 11, 14, 15].contains(&code), "{code}");
        }
        let exhausted = status("8", "try%20sp%C3%A4ter", &with_retry_info());
        assert!(exhausted.is_passing() && !exhausted.is_too_large());
        assert_eq!(exhausted.retry_after, Some(Duration::from_millis(3_500)));
        assert_eq!((exhausted.name(), &*exhausted.message), ("RESOURCE_EXHAUSTED", "try später"));
        let message = "grpc: received message larger than max (5 vs. 4)";
        assert!(status("8", message, "").is_too_large());
        assert_eq!(Status::of(&HeaderMap::new()), None);
        assert!(Status::of_http(StatusCode::BAD_GATEWAY).is_passing());
        assert!(!Status::of_http(StatusCode::NOT_FOUND).is_passing());
    }

    proptest! {
        #[test]
        fn details_of_any_kind_are_read_without_harm(details in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = retry_delay(&details);
            let text = BASE64.encode(&details);
            prop_assert_eq!(BASE64.decode(text.trim_end_matches('=')).unwrap(), details);
        }

        #[test]
        fn a_percent_encoded_message_is_read_back(text in "\\PC{0,20}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(percent_decoded(&encoded), text);
        }
    }
}
