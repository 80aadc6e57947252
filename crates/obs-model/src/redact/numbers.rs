//! Numbers with a meaning: payment cards, bank accounts, phones.

use std::ops::Range;

use super::uuid;

/// Finds cards, accounts and phones, each if it is asked for.
pub(super) fn find(text: &str, [card, account, phone]: [bool; 3], found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let begins = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if begins && uuid::begins(bytes, at) {
            at += uuid::BYTES;
            continue;
        }
        let secret = match bytes[at] {
            _ if !begins => None,
            b'0'..=b'9' => card
                .then(|| card_number(bytes, at))
                .flatten()
                .or_else(|| phone.then(|| american_phone(bytes, at)).flatten()),
            b'+' | b'(' => phone
                .then(|| international_phone(bytes, at).or_else(|| american_phone(bytes, at)))
                .flatten(),
            b'A'..=b'Z' | b'a'..=b'z' => account.then(|| bank_account(bytes, at)).flatten(),
            _ => None,
        };
        match secret {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
}

/// Where a card's number that begins at `start` ends.
fn card_number(bytes: &[u8], start: usize) -> Option<usize> {
    // The fraction of a number, or a part of a version, is no card.
    if start > 0 && matches!(bytes[start - 1], b'.' | b'_') {
        return None;
    }
    let mut digits = [0_u8; 19];
    let (mut count, mut end, mut separator) = (0, start, None);
    for (at, &byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'0'..=b'9' => {
                *digits.get_mut(count)? = byte - b'0';
                count += 1;
                end = at + 1;
            }
            // Groups are separated by one and the same character.
            b' ' | b'-' if end == at && separator.is_none_or(|one| one == byte) => {
                if !bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                    break;
                }
                separator = Some(byte);
            }
            _ => break,
        }
    }
    let after = bytes.get(end);
    let is_part = after.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        || after == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
    let digits = &digits[..count];
    (!is_part && is_issuer(digits) && is_grouped(&bytes[start..end], separator) && luhn(digits))
        .then_some(end)
}

/// Whether the groups are those of a card: fours, or four, six and the rest.
fn is_grouped(number: &[u8], separator: Option<u8>) -> bool {
    let Some(separator) = separator else { return true };
    let mut lengths = [0_usize; 8];
    let mut groups = 0;
    for group in number.split(|byte| *byte == separator) {
        match lengths.get_mut(groups) {
            Some(length) => *length = group.len(),
            None => return false,
        }
        groups += 1;
    }
    let lengths = &lengths[..groups];
    let fours =
        lengths.split_last().is_some_and(|(last, rest)| rest.iter().all(|l| *l == 4) && *last <= 4);
    fours || matches!(lengths, [4, 6, 4 | 5])
}

/// Whether the first digits are of a network, and the length is one of its numbers' lengths.
fn is_issuer(digits: &[u8]) -> bool {
    let start = |count: usize| digits.iter().take(count).fold(0_u32, |n, d| n * 10 + u32::from(*d));
    let (one, two, three, four) = (start(1), start(2), start(3), start(4));
    match digits.len() {
        13 => one == 4,
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37) || matches!(four, 2131 | 1800),
        16 => {
            one == 4
                || matches!(two, 51..=55 | 35 | 50 | 56..=58 | 62 | 65 | 67)
                || matches!(four, 2221..=2720 | 6011)
                || matches!(three, 644..=649)
        }
        17..=19 => one == 4 && digits.len() == 19 || matches!(two, 50 | 56..=58 | 62 | 63 | 67),
        _ => false,
    }
}

/// The check of ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, u32::from(*digit)) {
            (1, digit) if digit > 4 => digit * 2 - 9,
            (1, digit) => digit * 2,
            (_, digit) => digit,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != digits[0])
}

/// The lengths of accounts by country, from the IBAN registry (SWIFT, release 98).
const ACCOUNTS: [(&[u8; 2], usize); 79] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
];

/// Where an account's number that begins at `start` ends.
fn bank_account(bytes: &[u8], start: usize) -> Option<usize> {
    let head = bytes.get(start..start + 4)?;
    if !(head[2].is_ascii_digit() && head[3].is_ascii_digit()) {
        return None;
    }
    let country = [head[0].to_ascii_uppercase(), head[1].to_ascii_uppercase()];
    let length = ACCOUNTS.iter().find(|(code, _)| **code == country)?.1;
    let mut number = [0_u8; 34];
    let (mut count, mut end) = (0, start);
    while count < length {
        match bytes.get(end)? {
            byte if byte.is_ascii_alphanumeric() => {
                number[count] = byte.to_ascii_uppercase();
                count += 1;
            }
            b' ' | b'-' if count % 4 == 0 && bytes[end - 1].is_ascii_alphanumeric() => {}
            _ => return None,
        }
        end += 1;
    }
    let is_part = bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
    (!is_part && mod_97(&number[..length]) == 1).then_some(end)
}

/// The check of ISO/IEC 7064, as ISO 13616 uses it.
fn mod_97(number: &[u8]) -> u32 {
    let rearranged = number[4..].iter().chain(&number[..4]);
    rearranged.fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
    })
}

/// Where a number such as `+49 (0)30 901820` ends.
fn international_phone(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes[start] != b'+' || !matches!(bytes.get(start + 1), Some(b'1'..=b'9')) {
        return None;
    }
    let (mut digits, mut groups, mut end) = (0, 1, start + 1);
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                end = at + 1;
            }
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if at - end < 2 => {
                groups += usize::from(at == end);
            }
            _ => break,
        }
        at += 1;
    }
    let is_part = bytes.get(end).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    let is_number = (8..=15).contains(&digits) && (groups >= 2 || digits >= 10);
    (!is_part && is_number).then_some(end)
}

/// Where a number such as `(212) 555-0142` or `212-555-0142` ends.
fn american_phone(bytes: &[u8], start: usize) -> Option<usize> {
    if start > 0 && matches!(bytes[start - 1], b'.' | b'-' | b'/' | b'_') {
        return None;
    }
    let digits = |at: usize, count: usize| {
        let group = bytes.get(at..at + count)?;
        group.iter().all(u8::is_ascii_digit).then_some(group)
    };
    let is_code = |group: &[u8]| (b'2'..=b'9').contains(&group[0]);
    let bracketed = bytes[start] == b'(';
    let area = start + usize::from(bracketed);
    if !is_code(digits(area, 3)?) {
        return None;
    }
    let mut at = area + 3;
    let separator = if bracketed {
        (bytes.get(at) == Some(&b')')).then_some(())?;
        at += 1 + usize::from(bytes.get(at + 1) == Some(&b' '));
        b'-'
    } else {
        let separator = *bytes.get(at).filter(|byte| matches!(byte, b'-' | b'.'))?;
        at += 1;
        separator
    };
    if !is_code(digits(at, 3)?) || bytes.get(at + 3) != Some(&separator) {
        return None;
    }
    digits(at + 4, 4)?;
    let end = at + 8;
    let is_part = match bytes.get(end) {
        Some(b'.' | b'-') => bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric),
        Some(byte) => byte.is_ascii_alphanumeric() || *byte == b'_',
        None => false,
    };
    (!is_part).then_some(end)
}
