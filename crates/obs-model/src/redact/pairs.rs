//! Credentials by what stands before them: `key=value`, `"key": "value"`, `Bearer …`.

use std::ops::Range;

use super::is_replaced;
use super::keys::KeyNames;

/// Words after which a text carries a credential, as in `Authorization: Bearer …`.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// The shortest credential after such a word: "basic auth" in a sentence has a shorter word there.
const SHORTEST: usize = 6;

/// Words before "token: …" that tell of a parser, not of a credential.
const PARSERS: [&str; 3] = ["unexpected", "expected", "invalid"];

/// `key=value`, `key: value` and `"key": "value"` where the key names a secret.
pub(super) fn find(text: &str, keys: &KeyNames, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for at in (0..bytes.len()).filter(|at| matches!(bytes[*at], b'=' | b':')) {
        // A path of modules is no pair, and neither is a comparison.
        let beside = [at.checked_sub(1), Some(at + 1)];
        if beside.into_iter().flatten().any(|at| matches!(bytes.get(at), Some(b':' | b'='))) {
            continue;
        }
        let before = text[..at].trim_end_matches(['"', '\'', '\\', ' ']);
        let spaced = text[..at].ends_with(' ');
        let key_start = before
            .bytes()
            .rposition(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')))
            .map_or(0, |end| end + 1);
        let key = &before[key_start..];
        if key.len() < 3 || (spaced && bytes[at] == b':') || !keys.is_secret(key) {
            continue;
        }
        if let Some(value) = value_after(text, at, key)
            && !(is_prose(text, at) && is_told(&before[..key_start], key, &text[value.clone()]))
        {
            found.push(value);
        }
    }
}

/// The value after the `=` or `:` at `at`.
fn value_after(text: &str, at: usize, key: &str) -> Option<Range<usize>> {
    let value = text[at + 1..].trim_start_matches([' ', '"', '\'', '\\']);
    let start = text.len() - value.len();
    let gap = &text[at + 1..start];
    let end = if gap.ends_with(['"', '\'']) {
        value.find(['"', '\''])
    } else if holds_many(key) {
        value.find(['\n', '\r', '"', '\''])
    } else {
        value.find([' ', ',', ';', '&', '}', ')', ']', '\n', '\r', '\t', '"', '\''])
    };
    let end = start + end.unwrap_or(value.len());
    let value = &text[start..end];
    let is_scheme = SCHEMES.iter().any(|scheme| starts_with(value, scheme));
    (!value.is_empty() && !is_scheme && !is_replaced(&text[start..])).then_some(start..end)
}

/// Whether the value is everything up to the end of the line, as in a header.
fn holds_many(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.ends_with("cookie") || key.ends_with("authorization")
}

/// Whether the pair may be part of a sentence: `key: value` without quotes.
fn is_prose(text: &str, at: usize) -> bool {
    text.as_bytes()[at] == b':'
        && text[at + 1..].starts_with(' ')
        && !text[at + 2..].starts_with(['"', '\''])
}

/// Whether a sentence tells about the key instead of giving its value: "secret: not found".
fn is_told(before: &str, key: &str, value: &str) -> bool {
    let key = key.to_ascii_lowercase();
    if ["pass", "pwd", "key", "pin"].iter().any(|strong| key.contains(strong)) {
        return false;
    }
    let word = before.trim_end().rsplit(' ').next().unwrap_or_default();
    PARSERS.iter().any(|parser| word.eq_ignore_ascii_case(parser))
        || value.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-' || byte == b'.')
}

/// What follows `Bearer` or `Basic`.
pub(super) fn find_schemes(text: &str, found: &mut Vec<Range<usize>>) {
    for scheme in SCHEMES {
        let mut from = 0;
        while let Some(at) = position(&text[from..], scheme) {
            let start = from + at + scheme.len();
            let end = start + token_length(&text[start..]);
            if end - start >= SHORTEST && !is_word(scheme, &text[start..end]) {
                found.push(start..end);
            }
            from = start;
        }
    }
}

/// Whether "basic" is followed by a plain word: credentials of that scheme are base64 of more than a few letters.
fn is_word(scheme: &str, token: &str) -> bool {
    let plain = token
        .trim_end_matches(['.', ','])
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    plain && (scheme == SCHEMES[1] || token.len() < 16)
}

fn position(text: &str, lower: &str) -> Option<usize> {
    text.as_bytes()
        .windows(lower.len())
        .position(|part| part.eq_ignore_ascii_case(lower.as_bytes()))
}

fn starts_with(text: &str, lower: &str) -> bool {
    text.get(..lower.len()).is_some_and(|head| head.eq_ignore_ascii_case(lower))
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
