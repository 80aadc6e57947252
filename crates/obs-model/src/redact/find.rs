//! Mail addresses, passwords in URLs, and private keys.

use std::ops::Range;

/// The password of `scheme://user:password@host`.
pub(super) fn url_passwords(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, separator) in text.match_indices("://") {
        let start = at + separator.len();
        let authority_end = text[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\''))
            .map_or(text.len(), |end| start + end);
        let authority = &text[start..authority_end];
        if let Some((user_info, _)) = authority.rsplit_once('@')
            && let Some((user, password)) = user_info.split_once(':')
            && !password.is_empty()
            && !super::is_replaced(password)
        {
            let password_start = start + user.len() + 1;
            found.push(password_start..password_start + password.len());
        }
    }
}

/// Mail addresses as people have them: RFC 5322 without quotes and comments, with a domain of at least two labels.
pub(super) fn emails(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for at in (0..bytes.len()).filter(|at| bytes[*at] == b'@') {
        let is_local =
            |byte: u8| byte.is_ascii_alphanumeric() || b"._%+-'".contains(&byte) || byte >= 0x80;
        let start = bytes[..at].iter().rposition(|byte| !is_local(*byte)).map_or(0, |end| end + 1);
        let local = &bytes[start..at];
        let skipped = local.iter().take_while(|byte| matches!(byte, b'.' | b'\'' | b'-')).count();
        let start = start + skipped;
        let is_domain =
            |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.' || byte >= 0x80;
        let length = bytes[at + 1..].iter().take_while(|byte| is_domain(**byte)).count();
        let domain = text[at + 1..at + 1 + length].trim_end_matches(['.', '-']);
        // OK because the user of a URL is before its host, which names a machine and not a mailbox.
        let is_url = text[..start].ends_with("://")
            || text[..start].ends_with(':') && text[..start].contains("://");
        if start < at && bytes[at - 1] != b'.' && is_mail_domain(domain) && !is_url {
            found.push(start..at + 1 + domain.len());
        }
    }
}

fn is_mail_domain(domain: &str) -> bool {
    let Some((rest, top)) = domain.rsplit_once('.') else { return false };
    let labels = rest.split('.').all(|label| !label.is_empty() && label.len() <= 63);
    let is_name = top.chars().all(|c| c.is_alphabetic()) || top.starts_with("xn--");
    labels && is_name && (2..=24).contains(&top.len()) && domain.len() <= 253
}

/// What stands between `-----BEGIN … PRIVATE KEY-----` and the end of it.
pub(super) fn private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    let mut from = 0;
    while let Some(at) = text[from..].find("-----BEGIN ") {
        let start = from + at;
        let head = &text[start + 11..];
        let label_end = head.find("-----").unwrap_or(head.len());
        let label = &head[..label_end];
        from = start + 11 + label_end;
        if !label.contains("PRIVATE KEY") || label.len() > 64 {
            continue;
        }
        let body = (from + 5).min(text.len());
        let end = text[body..].find("-----END ").map_or(text.len(), |end| {
            let end = body + end;
            let tail = &text[end + 9..];
            tail.find("-----").map_or(text.len(), |close| end + 9 + close + 5)
        });
        found.push(start..end);
        from = end;
    }
}
