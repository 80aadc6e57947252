//! Numbers, durations and times as people read them.

use std::time::Duration;

use obs_model::Timestamp;

/// What a figure counts, which decides how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Events each second.
    PerSecond,
    /// Hundredths of a whole.
    Percent,
    /// Milliseconds.
    Milliseconds,
    /// Bytes, in powers of 1024.
    Bytes,
}

impl Unit {
    /// `value` with its unit.
    pub(super) fn write(self, value: f64) -> String {
        match self {
            Self::PerSecond => format!("{}/s", number(value)),
            Self::Percent => format!("{} %", number(value)),
            Self::Milliseconds if value >= 1_000.0 => format!("{} s", number(value / 1_000.0)),
            Self::Milliseconds => format!("{} ms", number(value)),
            Self::Bytes => bytes(value),
        }
    }

    /// A round figure that is at least `value`, as the top of an axis that is cut into four.
    pub(super) fn round_up(self, value: f64) -> f64 {
        let least = match self {
            Self::PerSecond => 0.4,
            Self::Percent | Self::Milliseconds => 4.0,
            Self::Bytes => 4.0 * 1_024.0,
        };
        let value = if value.is_finite() { value.max(least) } else { least };
        let scale =
            if self == Self::Bytes { 1_024_f64.powf((value.log2() / 10.0).floor()) } else { 1.0 };
        let value = value / scale;
        let power = 10_f64.powf(value.log10().floor());
        let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0];
        let top = steps.into_iter().find(|step| step * power >= value * 0.999_999).unwrap_or(10.0);
        let top = if self == Self::Percent {
            (top * power).min(100.0_f64.max(value))
        } else {
            top * power
        };
        top * scale
    }
}

/// A number with as many digits as its size deserves.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    let text = if !value.is_finite() {
        return value.to_string();
    } else if size >= 10_000.0 {
        return with_thousands(value);
    } else if size >= 100.0 || size == 0.0 {
        return format!("{value:.0}");
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.01 {
        format!("{value:.2}")
    } else {
        return format!("{value:.1e}");
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn with_thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |rest| ("-", rest));
    let mut text = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value.abs() < 1_024.0 {
            return format!("{} {unit}", number(value));
        }
        value /= 1_024.0;
    }
    format!("{} TiB", number(value))
}

/// A duration in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let pair = |large: u64, large_unit, small: u64, small_unit| {
        if small == 0 {
            format!("{large} {large_unit}")
        } else {
            format!("{large} {large_unit} {small} {small_unit}")
        }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => pair(minutes, "min", seconds % 60, "s"),
        (0, _, _) => pair(hours, "h", minutes, "min"),
        _ => pair(days, "d", hours, "h"),
    }
}

/// How long something short took, to three digits.
#[cfg(any(feature = "health", feature = "tracing"))]
pub(super) fn latency(duration: Duration) -> String {
    Unit::Milliseconds.write(duration.as_secs_f64() * 1_000.0)
}

/// A time in its largest units, and a short one to three digits.
#[cfg(feature = "tracing")]
pub(super) fn time(time: Duration) -> String {
    if time < Duration::from_secs(10) { latency(time) } else { duration(time) }
}

/// How long before `now` something was: `just now`, `20 s ago`, `3 min ago`, `5 h ago`, `2 d ago`.
#[cfg(any(feature = "alerts", feature = "errors", feature = "tracing"))]
pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    match now.since(at).as_secs() {
        0..=1 => String::from("just now"),
        seconds @ ..60 => format!("{seconds} s ago"),
        seconds @ ..3_600 => format!("{} min ago", seconds / 60),
        seconds @ ..86_400 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

/// The time of day in UTC, `14:05`.
pub(super) fn time_of_day(at: Timestamp) -> String {
    at.to_string().get(11..16).unwrap_or_default().to_owned()
}

/// The time of day in UTC with seconds, `14:05:30`.
pub(super) fn time_of_day_with_seconds(at: Timestamp) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_carry_as_many_digits_as_they_deserve() {
        for (unit, value, expected) in [
            (Unit::PerSecond, 0.0, "0/s"),
            (Unit::PerSecond, 0.004, "4.0e-3/s"),
            (Unit::PerSecond, 0.25, "0.25/s"),
            (Unit::PerSecond, 12.34, "12.3/s"),
            (Unit::PerSecond, 1_234.4, "1234/s"),
            (Unit::PerSecond, 1_234_567.0, "1\u{202f}234\u{202f}567/s"),
            (Unit::Percent, 2.5, "2.5 %"),
            (Unit::Percent, 100.0, "100 %"),
            (Unit::Milliseconds, 20.0, "20 ms"),
            (Unit::Milliseconds, 1_500.0, "1.5 s"),
            (Unit::Bytes, 512.0, "512 B"),
            (Unit::Bytes, 64.0 * 1_024.0 * 1_024.0, "64 MiB"),
            (Unit::Bytes, 1.5 * 1_024.0_f64.powi(4), "1.5 TiB"),
        ] {
            assert_eq!(unit.write(value), expected, "{unit:?} {value}");
        }
    }

    #[test]
    fn the_top_of_an_axis_is_round_and_not_below_the_data() {
        for (unit, value, expected) in [
            (Unit::PerSecond, 0.0, 0.4),
            (Unit::PerSecond, 13.0, 16.0),
            (Unit::PerSecond, 16.0, 16.0),
            (Unit::Milliseconds, 950.0, 1_000.0),
            (Unit::Percent, 0.0, 4.0),
            (Unit::Percent, 97.0, 100.0),
            (Unit::Bytes, 60.0 * 1_048_576.0, 60.0 * 1_048_576.0),
            (Unit::Bytes, 61.0 * 1_048_576.0, 80.0 * 1_048_576.0),
            (Unit::PerSecond, f64::INFINITY, 0.4),
        ] {
            assert_eq!(unit.round_up(value), expected, "{unit:?} {value}");
        }
        for exponent in 0..200_i32 {
            let value = 1.37_f64.powi(exponent - 20);
            assert!(Unit::Bytes.round_up(value) >= value * 0.999, "{value}");
            assert!(Unit::PerSecond.round_up(value) >= value * 0.999, "{value}");
        }
    }

    #[test]
    fn durations_use_their_two_largest_units() {
        for (seconds, expected) in [
            (0, "0 s"),
            (45, "45 s"),
            (200, "3 min 20 s"),
            (3_600, "1 h"),
            (7_500, "2 h 5 min"),
            (349_200, "4 d 1 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }

    #[cfg(any(feature = "alerts", feature = "errors", feature = "tracing"))]
    #[test]
    fn ages_use_their_largest_unit() {
        for (seconds, expected) in [
            (0, "just now"),
            (45, "45 s ago"),
            (200, "3 min ago"),
            (7_500, "2 h ago"),
            (349_200, "4 d ago"),
        ] {
            let now = Timestamp::EPOCH.plus(Duration::from_secs(seconds));
            assert_eq!(ago(Timestamp::EPOCH, now), expected);
        }
    }
}
