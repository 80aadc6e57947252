//! Reading a time in the form of RFC 3339.

use std::str::FromStr;

use super::Timestamp;
use crate::CivilDate;

/// A text that is not a time in the form of RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not a time: expected RFC 3339, as in 2006-01-02T15:04:05.999Z")]
pub struct InvalidTimestamp {
    given: String,
}

/// Reads `2006-01-02T15:04:05.999Z`, with an offset such as `+02:00` in place of `Z`, to the nearest millisecond.
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        read(text).ok_or_else(|| InvalidTimestamp { given: text.chars().take(64).collect() })
    }
}

fn read(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't'])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let (millis, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
            // Finer digits are rounded, which may make a whole second.
            let fraction: f64 = format!("0.{}", &rest[..end]).parse().ok()?;
            ((fraction * 1e3).round() as i64, &rest[end..])
        }
    };
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = match zone.as_bytes().first()? {
                b'+' => 1,
                b'-' => -1,
                _ => return None,
            };
            let [hours, minutes] = numbers(&zone[1..], ':', [2, 2])?;
            if hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 60 + minutes) * 60
        }
    };
    // OK because numbers of two digits fit.
    let date = CivilDate { year, month: month as u8, day: day as u8 };
    let in_range = (1..=12).contains(&month)
        && (1..=date.days_in_month()).contains(&date.day)
        && hour < 24
        && minute < 60
        && second < 60;
    in_range.then(|| {
        let seconds = date.to_days() * 86_400 + hour * 3_600 + minute * 60 + second;
        Timestamp::from_millis((seconds - offset) * 1_000 + millis)
    })
}

/// Numbers of exactly so many digits each.
fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut parts = text.split(separator);
    let mut values = [0; N];
    for (value, width) in values.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        *value = part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(values)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_to_the_millisecond() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-01-05T10:00:00Z", Some(1_767_607_200_000)),
            ("2026-01-05t12:00:00.25+02:00", Some(1_767_607_200_250)),
            ("2026-01-05T10:00:00.9999Z", Some(1_767_607_201_000)),
            ("1969-12-31T23:59:59.999z", Some(-1)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("1999-02-29T00:00:00Z", None),
            ("2026-01-05T10:00:00", None),
            ("2026-01-05", None),
            ("2026-13-05T10:00:00Z", None),
            ("2026-01-05T24:00:00Z", None),
            ("2026-01-05T10:00:00.Z", None),
            ("2026-01-05T10:00:00+2:00", None),
            ("2026-01-05T10:00:00+24:00", None),
            ("\u{e9}026-01-05T10:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok().map(Timestamp::as_millis), millis, "{text:?}");
        }
        let error = "soon".parse::<Timestamp>().unwrap_err().to_string();
        assert_eq!(
            error,
            "\"soon\" is not a time: expected RFC 3339, as in 2006-01-02T15:04:05.999Z"
        );
    }

    proptest! {
        #[test]
        fn a_time_reads_back_as_it_was_written(millis in -60_000_000_000_000_i64..250_000_000_000_000) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(at.to_string().parse(), Ok(at));
        }
    }
}
