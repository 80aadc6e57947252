//! Long words with the marks of those who issue them: JSON Web Tokens and the keys of services.

use std::ops::Range;

/// A mark and what follows it.
struct Issued {
    mark: &'static str,
    /// The fewest characters after the mark.
    least: usize,
    of: Alphabet,
}

#[derive(Clone, Copy)]
enum Alphabet {
    /// Capitals and digits.
    Upper,
    Hex,
    /// Letters and digits.
    Alnum,
    /// Letters, digits, `-` and `_`.
    Word,
    /// The same, and `.`.
    Dotted,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_',
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
        }
    }
}

const fn issued(mark: &'static str, least: usize, of: Alphabet) -> Issued {
    Issued { mark, least, of }
}

/// As documented by their issuers, or known from their keys.
const ISSUED: [Issued; 53] = [
    // AWS: access key ids.
    issued("AKIA", 16, Alphabet::Upper),
    issued("ASIA", 16, Alphabet::Upper),
    issued("AROA", 16, Alphabet::Upper),
    issued("AIDA", 16, Alphabet::Upper),
    issued("ABIA", 16, Alphabet::Upper),
    issued("ACCA", 16, Alphabet::Upper),
    issued("AGPA", 16, Alphabet::Upper),
    issued("ANPA", 16, Alphabet::Upper),
    // Google: API keys, OAuth tokens and client secrets.
    issued("AIza", 35, Alphabet::Word),
    issued("ya29.", 20, Alphabet::Dotted),
    issued("GOCSPX-", 20, Alphabet::Word),
    // GitHub and GitLab.
    issued("ghp_", 30, Alphabet::Alnum),
    issued("gho_", 30, Alphabet::Alnum),
    issued("ghu_", 30, Alphabet::Alnum),
    issued("ghs_", 30, Alphabet::Alnum),
    issued("ghr_", 30, Alphabet::Alnum),
    issued("github_pat_", 22, Alphabet::Word),
    issued("glpat-", 20, Alphabet::Word),
    issued("gldt-", 20, Alphabet::Word),
    issued("glrt-", 20, Alphabet::Word),
    // Slack.
    issued("xoxb-", 10, Alphabet::Word),
    issued("xoxp-", 10, Alphabet::Word),
    issued("xoxa-", 10, Alphabet::Word),
    issued("xoxr-", 10, Alphabet::Word),
    issued("xoxs-", 10, Alphabet::Word),
    issued("xoxe-", 10, Alphabet::Word),
    issued("xapp-", 10, Alphabet::Word),
    // Stripe; its publishable keys (pk_) are no secrets.
    issued("sk_live_", 16, Alphabet::Alnum),
    issued("sk_test_", 16, Alphabet::Alnum),
    issued("rk_live_", 16, Alphabet::Alnum),
    issued("rk_test_", 16, Alphabet::Alnum),
    issued("whsec_", 16, Alphabet::Alnum),
    // Language models.
    issued("sk-proj-", 20, Alphabet::Word),
    issued("sk-ant-", 20, Alphabet::Word),
    issued("sk-or-", 20, Alphabet::Word),
    issued("sk-", 32, Alphabet::Alnum),
    issued("hf_", 30, Alphabet::Alnum),
    issued("gsk_", 30, Alphabet::Alnum),
    issued("r8_", 30, Alphabet::Alnum),
    // Others.
    issued("SG.", 40, Alphabet::Dotted),
    issued("npm_", 30, Alphabet::Alnum),
    issued("pypi-", 40, Alphabet::Word),
    issued("dop_v1_", 40, Alphabet::Hex),
    issued("dapi", 32, Alphabet::Hex),
    issued("shpat_", 30, Alphabet::Hex),
    issued("shpss_", 30, Alphabet::Hex),
    issued("key-", 32, Alphabet::Hex),
    issued("SK", 32, Alphabet::Hex),
    issued("PMAK-", 40, Alphabet::Word),
    issued("lin_api_", 30, Alphabet::Alnum),
    issued("sq0atp-", 20, Alphabet::Word),
    issued("hvs.", 20, Alphabet::Word),
    issued("AGE-SECRET-KEY-1", 50, Alphabet::Upper),
];

/// The shortest of them, mark included.
const SHORTEST: usize = 15;

/// Finds web tokens and keys of services, each if it is asked for.
pub(super) fn find(text: &str, [web, service]: [bool; 2], found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let is_word = |byte: u8| Alphabet::Dotted.has(byte) || byte == b'~';
    let mut at = 0;
    while at < bytes.len() {
        if !is_word(bytes[at]) {
            at += 1;
            continue;
        }
        let end = bytes[at..]
            .iter()
            .position(|byte| !is_word(*byte))
            .map_or(bytes.len(), |length| at + length);
        if end - at >= SHORTEST {
            if let Some(secret) = web.then(|| web_token(text, at..end)).flatten() {
                found.push(secret);
            } else if service {
                service_keys(text, at..end, found);
            }
        }
        at = end;
    }
    if service {
        slack_webhooks(text, found);
    }
}

/// A token of three parts, the first of which is a JSON object in base64 (RFC 7519).
fn web_token(text: &str, word: Range<usize>) -> Option<Range<usize>> {
    let start = word.start + text[word.clone()].find("eyJ")?;
    let token = text[start..word.end].trim_end_matches('.');
    let parts = token.split('.').count();
    // A token in five parts is encrypted (RFC 7516); one that was cut may have only two.
    ((2..=5).contains(&parts) && token.len() >= 20).then(|| start..start + token.len())
}

fn service_keys(text: &str, word: Range<usize>, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for start in word.clone() {
        // A mark begins a word, or follows what joins words.
        let joined = start > word.start && bytes[start - 1].is_ascii_alphanumeric();
        if joined {
            continue;
        }
        let rest = &bytes[start..word.end];
        for issued in &ISSUED {
            let Some(secret) = rest.strip_prefix(issued.mark.as_bytes()) else { continue };
            let length = secret.iter().take_while(|byte| issued.of.has(**byte)).count();
            let whole = !secret.get(length).is_some_and(u8::is_ascii_alphanumeric);
            let is_fixed = matches!(issued.of, Alphabet::Upper) && issued.least == 16;
            if whole && length >= issued.least && (!is_fixed || length == 16) {
                found.push(start..start + issued.mark.len() + length);
                return;
            }
        }
    }
    azure_secret(text, word, found);
}

/// Client secrets of Azure: three characters, a digit, `Q~` and at least thirty more.
fn azure_secret(text: &str, word: Range<usize>, found: &mut Vec<Range<usize>>) {
    let token = &text.as_bytes()[word.clone()];
    if let [_, _, _, digit, b'Q', b'~', rest @ ..] = token
        && digit.is_ascii_digit()
        && rest.len() >= 30
    {
        found.push(word);
    }
}

/// The path of an incoming webhook of Slack is its secret.
fn slack_webhooks(text: &str, found: &mut Vec<Range<usize>>) {
    const HOST: &str = "hooks.slack.com/services/";
    for (at, _) in text.match_indices(HOST) {
        let start = at + HOST.len();
        let is_path = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'/';
        let length = text.as_bytes()[start..].iter().take_while(|byte| is_path(byte)).count();
        if length > 0 {
            found.push(start..start + length);
        }
    }
}
