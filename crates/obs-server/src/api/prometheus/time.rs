//! Times and durations as the parameters of requests have them.

use obs_model::Timestamp;

/// Reads a time: seconds since the epoch with a fraction, or RFC 3339.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        // OK because a conversion to an integer saturates.
        return Ok(Timestamp::from_millis((seconds * 1e3).round() as i64));
    }
    rfc3339(text).ok_or_else(|| format!("cannot parse {} to a valid timestamp", quoted(text)))
}

/// Reads a duration in milliseconds: seconds with a fraction, or numbers with units as in `1h30m`.
pub(super) fn duration(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = seconds * 1e3;
        // Prometheus counts nanoseconds in 64 bits.
        if !millis.is_finite() || millis.abs() > i64::MAX as f64 / 1e6 {
            return Err(format!(
                "cannot parse {} to a valid duration. It overflows int64",
                quoted(text)
            ));
        }
        return Ok(millis as i64);
    }
    with_units(text).ok_or_else(|| format!("cannot parse {} to a valid duration", quoted(text)))
}

/// A text in quotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(64).collect();
    format!("{shown:?}")
}

/// `1w2d3h4m5s6ms`: each unit at most once, the larger first.
fn with_units(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let (mut rest, mut units, mut total) = (text, &UNITS[..], 0_i64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let length = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let index = units.iter().position(|(name, _)| *name == &rest[..length])?;
        total = total.checked_add(number.checked_mul(units[index].1)?)?;
        units = &units[index + 1..];
        rest = &rest[length..];
    }
    Some(total)
}

/// `2006-01-02T15:04:05.999Z`, or with an offset such as `+02:00` in place of `Z`.
fn rfc3339(text: &str) -> Option<Timestamp> {
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
    let in_range = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    in_range.then(|| {
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
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

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the epoch to a date of the proleptic Gregorian calendar.
///
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, millis) in [
            ("0", Some(0)),
            ("1767607200.5", Some(1_767_607_200_500)),
            ("-1.5", Some(-1_500)),
            ("1e3", Some(1_000_000)),
            ("2026-01-05T10:00:00Z", Some(1_767_607_200_000)),
            ("2026-01-05T12:00:00.25+02:00", Some(1_767_607_200_250)),
            ("1969-12-31T23:59:59.999Z", Some(-1)),
            ("2000-02-29T00:00:00Z", Some(951_782_400_000)),
            ("1999-02-29T00:00:00Z", None),
            ("2026-01-05T10:00:00", None),
            ("2026-01-05", None),
            ("2026-13-05T10:00:00Z", None),
            ("2026-01-05T10:00:00.Z", None),
            ("2026-01-05T10:00:00+2:00", None),
            ("é026-01-05T10:00:00Z", None),
            ("inf", None),
            ("", None),
        ] {
            let read = timestamp(text).ok().map(Timestamp::as_millis);
            assert_eq!(read, millis, "{text:?}");
        }
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        for (text, millis) in [
            ("15", Some(15_000)),
            ("0.5", Some(500)),
            ("-1", Some(-1_000)),
            ("1h30m", Some(5_400_000)),
            ("500ms", Some(500)),
            ("1d", Some(86_400_000)),
            ("30m1h", None),
            ("1m1m", None),
            ("1x", None),
            ("m", None),
            ("", None),
            ("1e300", None),
            ("NaN", None),
        ] {
            assert_eq!(duration(text).ok(), millis, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_time_reads_back_as_it_was_written(millis in -60_000_000_000_000_i64..250_000_000_000_000) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(timestamp(&at.to_string()), Ok(at));
        }
    }
}
