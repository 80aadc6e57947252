//! Keeping secrets out of telemetry.

use std::borrow::Cow;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Parts of field names whose values are secrets; compared without case, `-` and `_`.
const SECRET_KEYS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "session",
    "signature",
    "creditcard",
];

/// Words after which a text carries a credential, as in `Authorization: Bearer …`.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// Removes secrets from field values and texts.
///
/// A value is replaced as a whole when its key names a secret. In any text, the credential after `Bearer` or
/// `Basic`, JSON Web Tokens, the password of a URL, and the value of a `key=value` or `"key": "value"` pair
/// whose key names a secret are replaced by [`REDACTED`].
///
/// ```
/// use obs_model::Redactor;
///
/// let redactor = Redactor::new();
/// assert_eq!(redactor.field("db_password", "hunter2"), "[redacted]");
/// assert_eq!(redactor.text("call with Bearer abc123 failed"), "call with Bearer [redacted] failed");
/// assert_eq!(redactor.text("postgres://app:hunter2@db/x"), "postgres://app:[redacted]@db/x");
/// assert_eq!(redactor.text("nothing to hide"), "nothing to hide");
/// ```
#[derive(Clone, Debug)]
pub struct Redactor {
    keys: Vec<String>,
}

impl Redactor {
    /// A redactor with the default keys.
    #[must_use]
    pub fn new() -> Self {
        Self { keys: SECRET_KEYS.iter().map(|key| (*key).to_owned()).collect() }
    }

    /// This redactor, also for keys that contain `key`; case, `-` and `_` do not matter.
    #[must_use]
    pub fn with_key(mut self, key: &str) -> Self {
        let key = folded(key);
        if !key.is_empty() {
            self.keys.push(key);
        }
        self
    }

    /// Whether the value of a field with this name is a secret.
    #[must_use]
    pub fn is_secret_key(&self, key: &str) -> bool {
        let key = folded(key);
        self.keys.iter().any(|secret| key.contains(secret.as_str()))
            // OK because an id of a session or a count of tokens names a secret without being one.
            && !["sessionid", "sessions", "tokens", "tokenstotal", "tokensused", "tokencount"].contains(&key.as_str())
    }

    /// The value of the field `key`, without secrets.
    #[must_use]
    pub fn field<'a>(&self, key: &str, value: &'a str) -> Cow<'a, str> {
        if self.is_secret_key(key) { Cow::Borrowed(REDACTED) } else { self.text(value) }
    }

    /// A free text, without secrets. It is borrowed when there is nothing to remove.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !may_hold_secret(text) {
            return Cow::Borrowed(text);
        }
        let mut found: Vec<(usize, usize)> = Vec::new();
        // OK because folding ASCII case keeps every byte offset.
        let folded = text.to_ascii_lowercase();
        find_schemes(&folded, &mut found);
        find_json_web_tokens(text, &mut found);
        find_url_passwords(text, &mut found);
        self.find_pairs(text, &mut found);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        found.sort_unstable();
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (start, end) in found {
            if start >= from {
                out.push_str(&text[from..start]);
                out.push_str(REDACTED);
            }
            from = from.max(end);
        }
        out.push_str(&text[from..]);
        Cow::Owned(out)
    }

    /// `key=value`, `key: value` and `"key": "value"` where the key names a secret.
    fn find_pairs(&self, text: &str, found: &mut Vec<(usize, usize)>) {
        for (at, _) in text.match_indices(['=', ':']) {
            let before = text[..at].trim_end_matches(['"', '\'']);
            let key_start = before
                .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
                .map_or(0, |end| end + before[end..].chars().next().map_or(1, char::len_utf8));
            let key = &before[key_start..];
            if key.is_empty() || !self.is_secret_key(key) {
                continue;
            }
            let value = text[at + 1..].trim_start_matches([' ', '"', '\'']);
            let start = text.len() - value.len();
            let quoted = text[at + 1..start].ends_with(['"', '\'']);
            let end = if quoted {
                value.find(['"', '\''])
            } else {
                value.find([' ', ',', ';', '&', '}', ')', '\n'])
            };
            let end = start + end.unwrap_or(value.len());
            let is_scheme = SCHEMES.iter().any(|scheme| {
                value.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme))
            });
            if end > start && !is_scheme {
                found.push((start, end));
            }
        }
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether any of the searches could find something, in one pass and without allocating: most texts hold
/// nothing that looks like a secret.
fn may_hold_secret(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'=' | b':' => true,
        b'J' => bytes[..at].ends_with(b"ey"),
        b' ' => SCHEMES.iter().any(|scheme| {
            let start = (at + 1).checked_sub(scheme.len());
            start.is_some_and(|start| bytes[start..=at].eq_ignore_ascii_case(scheme.as_bytes()))
        }),
        _ => false,
    })
}

fn find_schemes(folded: &str, found: &mut Vec<(usize, usize)>) {
    for scheme in SCHEMES {
        for (at, _) in folded.match_indices(scheme) {
            let start = at + scheme.len();
            let end = start + token_length(&folded[start..]);
            // OK because "basic auth" in a sentence has a short word after it, a credential does not.
            if end - start >= 6 {
                found.push((start, end));
            }
        }
    }
}

fn find_json_web_tokens(text: &str, found: &mut Vec<(usize, usize)>) {
    for (at, _) in text.match_indices("eyJ") {
        let token = &text[at..at + token_length(&text[at..])];
        if token.len() >= 20 && token.bytes().filter(|byte| *byte == b'.').count() == 2 {
            found.push((at, at + token.len()));
        }
    }
}

fn find_url_passwords(text: &str, found: &mut Vec<(usize, usize)>) {
    for (at, separator) in text.match_indices("://") {
        let start = at + separator.len();
        let authority_end = text[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .map_or(text.len(), |end| start + end);
        let authority = &text[start..authority_end];
        if let Some((user_info, _)) = authority.rsplit_once('@')
            && let Some((user, password)) = user_info.split_once(':')
            && !password.is_empty()
        {
            let password_start = start + user.len() + 1;
            found.push((password_start, password_start + password.len()));
        }
    }
}

/// How many bytes at the start of `text` could belong to a token.
fn token_length(text: &str) -> usize {
    text.bytes()
        .position(|byte| {
            !(byte.is_ascii_alphanumeric()
                || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'='))
        })
        .unwrap_or(text.len())
}

fn folded(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_replaced_and_the_rest_is_kept() {
        let redactor = Redactor::new().with_key("tax-id");
        for (given, expected) in [
            ("Authorization: Bearer abcdef.ghi", "Authorization: Bearer [redacted]"),
            ("GET /x?api_key=12345&page=2", "GET /x?api_key=[redacted]&page=2"),
            (r#"{"password": "a b", "user": "u"}"#, r#"{"password": "[redacted]", "user": "u"}"#),
            ("TaxId=77 kept", "TaxId=[redacted] kept"),
            ("https://u:p%40x@h/p", "https://u:[redacted]@h/p"),
            ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "jwt [redacted] end"),
            ("basic idea", "basic idea"),
            ("tokens=12 at 10:30", "tokens=12 at 10:30"),
            ("é=ö: ü", "é=ö: ü"),
        ] {
            assert_eq!(redactor.text(given), expected);
        }
    }

    #[test]
    fn keys_are_matched_without_case_and_separators() {
        let redactor = Redactor::new();
        for key in ["Password", "X-Api-Key", "db_passwd", "Set-Cookie", "clientSecret"] {
            assert!(redactor.is_secret_key(key), "{key}");
        }
        for key in ["user", "passenger", "session_id", "tokens_used", "key"] {
            assert!(!redactor.is_secret_key(key), "{key}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_redacted_without_panicking_and_once_is_enough(text in ".{0,80}") {
            let redactor = Redactor::new();
            let once = redactor.text(&text).into_owned();
            prop_assert_eq!(redactor.text(&once).into_owned(), once);
        }
    }
}
