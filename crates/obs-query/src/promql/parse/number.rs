//! Numbers and durations in all the forms that PromQL has.

use std::time::Duration;

use crate::Error;
use crate::promql::error::QueryError;

/// The largest number of seconds that a duration may have: what 64 bits of nanoseconds hold.
pub(super) const MAX_SECONDS: f64 = (1_u64 << 63) as f64 / 1e9;

/// The units of durations, the largest first, with their milliseconds.
pub(crate) const DURATION_UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The value of a number token.
pub(crate) fn number(word: &str) -> Option<f64> {
    if word.eq_ignore_ascii_case("inf") {
        return Some(f64::INFINITY);
    }
    if word.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    integer(word).or_else(|| {
        let value: f64 = word.replace('_', "").parse().ok()?;
        value.is_finite().then_some(value)
    })
}

/// An integer as Go writes them: decimal, `0x` hexadecimal, or octal after a leading zero.
fn integer(word: &str) -> Option<f64> {
    let (radix, digits) = match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        Some(rest) => (16, rest),
        None if word.len() > 1 && word.starts_with('0') => (8, &word[1..]),
        None => (10, word),
    };
    let digits = digits.replace('_', "");
    i64::from_str_radix(&digits, radix).ok().map(|value| value as f64)
}

/// The milliseconds of a duration such as `1h30m`; an error if it is not one or too long.
///
/// The units are y, w, d, h, m, s and ms, in this order, each at most once, each after a whole number.
pub(crate) fn duration_millis(word: &str) -> Result<i64, &'static str> {
    const INVALID: &str = "not a valid duration: expected whole numbers with the units y, w, d, h, m, s, ms in this order";
    const TOO_LONG: &str = "duration out of range";
    if word == "0" {
        return Ok(0);
    }
    if word.is_empty() {
        return Err("empty duration: expected one such as 5m");
    }
    let (mut rest, mut next, mut total) = (word, 0, 0_i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit_bytes = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + unit_bytes];
        let Some(index) = DURATION_UNITS[next..].iter().position(|(name, _)| *name == unit) else {
            return Err(INVALID);
        };
        if digits == 0 {
            return Err(INVALID);
        }
        let (_, millis) = DURATION_UNITS[next + index];
        next += index + 1;
        total = rest[..digits]
            .parse::<i64>()
            .ok()
            .and_then(|count| count.checked_mul(millis))
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total as f64 / 1e3 <= MAX_SECONDS)
            .ok_or(TOO_LONG)?;
        rest = &rest[digits + unit_bytes..];
    }
    Ok(total)
}

/// Reads a duration as PromQL has it, such as `1h30m`.
///
/// ```
/// use obs_query::promql::parse_duration;
/// use std::time::Duration;
///
/// assert_eq!(parse_duration("1h30m")?, Duration::from_secs(5_400));
/// assert!(parse_duration("30m1h").is_err());
/// # Ok::<(), obs_query::Error>(())
/// ```
///
/// # Errors
///
/// The text is not whole numbers with the units y, w, d, h, m, s and ms, in this order, or it is more than 292 years.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let millis = duration_millis(text)
        .map_err(|problem| QueryError::Invalid(format!("{problem}, found {text:?}")))?;
    // OK because no part of a duration has a sign.
    Ok(Duration::from_millis(millis.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (word, expected) in [
            ("0x1F", 31.0),
            ("0X_ff", 255.0),
            ("0755", 493.0),
            ("08", 8.0),
            ("1_000", 1_000.0),
            ("1_0.5", 10.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("5e-3", 0.005),
            ("iNf", f64::INFINITY),
        ] {
            assert_eq!(number(word), Some(expected), "{word}");
        }
        assert!(number("nan").unwrap().is_nan());
        for word in ["0x", "1e400", &"9".repeat(400), "0xFFFFFFFFFFFFFFFFF"] {
            assert_eq!(number(word), None, "{word}");
        }
    }

    #[test]
    fn durations_have_their_units_in_order() {
        for (word, expected) in [
            ("0", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1m30ms", 60_030),
            ("1y1w1d1h1m1s1ms", 365 * 86_400_000 + 7 * 86_400_000 + 86_400_000 + 3_661_001),
        ] {
            assert_eq!(duration_millis(word), Ok(expected), "{word}");
        }
        for word in ["", "5", "5m1h", "5m1m", "5mm", "5y1hs", "1.5h", "300000y"] {
            assert!(duration_millis(word).is_err(), "{word}");
        }
    }
}
