//! What a request presents as its token.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The texts in the request's `Authorization` headers that could be the token.
///
/// Of HTTP Basic (RFC 7617) it is the password, or the user name when the password is empty.
pub(super) fn presented(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::AUTHORIZATION)
        .into_iter()
        .map(|value| value.to_str().ok().and_then(token_of).unwrap_or_default())
        .take(4)
        .collect()
}

fn token_of(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        Some(rest.to_owned())
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some(if password.is_empty() { user } else { password }.to_owned())
    } else {
        None
    }
}

/// `text` as the value of a query parameter.
pub(super) fn query_escaped(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            escaped.push(char::from(byte));
        } else {
            // OK because writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_from_bearer_and_basic() {
        // Basic values: `:secret`, `any:secret`, `secret:`, `a:b:c`, no colon, not base64.
        for (value, expected) in [
            ("Bearer secret", Some("secret")),
            ("bearer  secret ", Some("secret")),
            ("Basic OnNlY3JldA==", Some("secret")),
            ("basic YW55OnNlY3JldA==", Some("secret")),
            ("Basic c2VjcmV0Og==", Some("secret")),
            ("Basic YTpiOmM=", Some("b:c")),
            ("Basic c2VjcmV0", None),
            ("Basic ?", None),
            ("Digest secret", None),
            ("secret", None),
        ] {
            assert_eq!(token_of(value).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn a_query_value_keeps_nothing_that_could_end_it() {
        assert_eq!(query_escaped("/errors/a?b=c&d#é"), "/errors/a%3Fb%3Dc%26d%23%C3%A9");
    }
}
