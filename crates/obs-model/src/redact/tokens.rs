//! Long words with the marks of those who issue them: JSON Web Tokens and the keys of services.

use std::ops::Range;

/// A mark and what follows it.
struct Issued {
    mark: &'static str,
    /// The fewest characters after the mark.
    least: usize,
    of: Alphabet,
}

/// What a key is made of.
#[derive(Clone, Copy)]
enum Alphabet {
    /// Capitals and digits.
    Upper = 1,
    Hex = 2,
    /// Letters and digits.
    Alnum = 4,
    /// Letters, digits, `-` and `_`.
    Word = 8,
    /// The same, and `.`.
    Dotted = 16,
    /// The same, and `~`: what is gone through in one piece.
    Any = 32,
}

/// The alphabets that each byte is in.
const ALPHABETS: [u8; 256] = {
    let mut alphabets = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let alnum = byte.is_ascii_alphanumeric();
        let word = alnum || byte == b'-' || byte == b'_';
        let dotted = word || byte == b'.';
        let upper = byte.is_ascii_uppercase() || byte.is_ascii_digit();
        alphabets[byte as usize] = bit(Alphabet::Upper, upper)
            | bit(Alphabet::Hex, byte.is_ascii_hexdigit())
            | bit(Alphabet::Alnum, alnum)
            | bit(Alphabet::Word, word)
            | bit(Alphabet::Dotted, dotted)
            | bit(Alphabet::Any, dotted || byte == b'~');
        byte += 1;
    }
    alphabets
};

const fn bit(alphabet: Alphabet, is_in: bool) -> u8 {
    if is_in { alphabet as u8 } else { 0 }
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        ALPHABETS[usize::from(byte)] & self as u8 != 0
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

/// Which of them begin with each byte, a bit for each, so that most words are compared with none.
const BEGINNING: [u64; 256] = {
    let mut beginning = [0; 256];
    let mut at = 0;
    while at < ISSUED.len() {
        beginning[ISSUED[at].mark.as_bytes()[0] as usize] |= 1 << at;
        at += 1;
    }
    beginning
};

/// The shortest of them, mark included.
const SHORTEST: usize = 15;

/// Finds web tokens and keys of services, each if it is asked for.
pub(super) fn find(text: &str, [web, service]: [bool; 2], found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let is_word = |byte: u8| Alphabet::Any.has(byte);
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
        let mut marks = BEGINNING[usize::from(bytes[start])];
        while marks != 0 {
            let issued = &ISSUED[marks.trailing_zeros() as usize];
            marks &= marks - 1;
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
    const HOST: &[u8] = b"hooks.slack.com/services/";
    let bytes = text.as_bytes();
    if bytes.len() < HOST.len() {
        return;
    }
    let slashes = (HOST.len() - 1..bytes.len()).filter(|at| bytes[*at] == b'/');
    for start in slashes.map(|at| at + 1).filter(|start| bytes[..*start].ends_with(HOST)) {
        let is_path = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'/';
        let length = bytes[start..].iter().take_while(|byte| is_path(byte)).count();
        if length > 0 {
            found.push(start..start + length);
        }
    }
}
