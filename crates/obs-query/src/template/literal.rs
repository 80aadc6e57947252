//! Constants in templates, as Go writes them.

use super::ast::OperandKind;
use crate::selector::literal;

/// The value of a text in double quotes.
pub(super) fn text(word: &str) -> Result<String, String> {
    match literal::read(word).map(|literal| literal.value) {
        Some(Ok(text)) => Ok(text),
        Some(Err((_, message))) => Err(message),
        None => Err(format!("malformed string {word}")),
    }
}

/// The value of a character in single quotes.
pub(super) fn character(word: &str) -> Option<char> {
    let text = text(word).ok()?;
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// The value of a number: whole if it is written so.
pub(super) fn number(word: &str) -> Result<OperandKind, String> {
    let bad = || format!("bad number syntax: {word:?}");
    if let Some(number) = integer(word) {
        return Ok(OperandKind::Integer(number));
    }
    let has_digit = word
        .trim_start_matches(['+', '-'])
        .starts_with(|it: char| it.is_ascii_digit() || it == '.');
    let is_float = word.contains(['.', 'e', 'E']) && !word.contains(['x', 'X', '_']);
    if !has_digit || !is_float {
        let digits = word.trim_start_matches(['+', '-']);
        if !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit()) {
            return Err(format!("integer overflow: {word}"));
        }
        return Err(bad());
    }
    word.parse::<f64>().ok().filter(|it| it.is_finite()).map(OperandKind::Float).ok_or_else(bad)
}

fn integer(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let digits = digits.replace('_', "");
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(octal) if octal.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits.as_str()),
    };
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}
