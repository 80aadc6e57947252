//! The status codes of gRPC.

use http::{HeaderMap, StatusCode};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(u8);

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

impl Code {
    pub(super) const OK: Self = Self(0);
    pub(super) const CANCELLED: Self = Self(1);
    pub(super) const UNKNOWN: Self = Self(2);
    pub(super) const UNIMPLEMENTED: Self = Self(12);
    pub(super) const INTERNAL: Self = Self(13);
    pub(super) const UNAVAILABLE: Self = Self(14);

    /// What headers or trailers say; `None` when they say nothing. What is no code is unknown.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get("grpc-status")?;
        let code = value.to_str().ok().and_then(|text| text.parse().ok());
        Some(code.filter(|code| usize::from(*code) < NAMES.len()).map_or(Self::UNKNOWN, Self))
    }

    /// What a status of HTTP means where there is none of gRPC (its "HTTP to gRPC Status Code Mapping").
    pub(super) fn of_http(status: StatusCode) -> Option<Self> {
        Some(Self(match status.as_u16() {
            200 => return None,
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502..=504 => 14,
            _ => 2,
        }))
    }

    pub(super) const fn name(self) -> &'static str {
        NAMES[self.0 as usize]
    }

    pub(super) const fn number(self) -> u8 {
        self.0
    }

    /// Whether the code says that the server itself failed.
    pub(super) const fn is_fault_of_server(self) -> bool {
        matches!(self.0, 2 | 4 | 12 | 13 | 14 | 15)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_or_unknown() {
        for (value, expected) in [
            ("0", Some("OK")),
            ("5", Some("NOT_FOUND")),
            ("16", Some("UNAUTHENTICATED")),
            ("17", Some("UNKNOWN")),
            ("256", Some("UNKNOWN")),
            ("-1", Some("UNKNOWN")),
            ("", Some("UNKNOWN")),
        ] {
            let headers =
                HeaderMap::from_iter([("grpc-status".parse().unwrap(), value.parse().unwrap())]);
            assert_eq!(Code::of(&headers).map(Code::name), expected, "{value}");
        }
        assert_eq!(Code::of(&HeaderMap::new()), None);
        let of_http = |status| Code::of_http(StatusCode::from_u16(status).unwrap()).map(Code::name);
        assert_eq!(
            [200, 404, 503, 500].map(of_http),
            [None, Some("UNIMPLEMENTED"), Some("UNAVAILABLE"), Some("UNKNOWN")]
        );
    }
}
