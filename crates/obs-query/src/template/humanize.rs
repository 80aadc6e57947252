//! Numbers for people, as Prometheus' templates write them.

use super::format::general;

/// A number with four digits, as `%.4g`.
fn short(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    format!("{sign}{}", general(value.abs(), Some(4)))
}

/// Divides by `base` as long as the number is at least that, and there are prefixes.
fn scaled_down(mut value: f64, base: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut last = "";
    for prefix in prefixes {
        if value.abs() < base {
            break;
        }
        last = prefix;
        value /= base;
    }
    (value, last)
}

/// Multiplies by a thousand as long as the number is below one, and there are prefixes.
fn scaled_up(mut value: f64) -> (f64, &'static str) {
    let mut last = "";
    for prefix in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if value.abs() >= 1.0 {
            break;
        }
        last = prefix;
        value *= 1_000.0;
    }
    (value, last)
}

/// With metric prefixes: `12.35k`.
pub(super) fn decimal(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return short(value);
    }
    let (scaled, prefix) = if value.abs() >= 1.0 {
        scaled_down(value, 1_000.0, ["k", "M", "G", "T", "P", "E", "Z", "Y"])
    } else {
        scaled_up(value)
    };
    format!("{}{prefix}", short(scaled))
}

/// With binary prefixes: `12.06ki`.
pub(super) fn binary(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return short(value);
    }
    let prefixes = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
    let (scaled, prefix) = scaled_down(value, 1_024.0, prefixes);
    format!("{}{prefix}", short(scaled))
}

/// As percent: `12.3%` for 0.123.
pub(super) fn percentage(value: f64) -> String {
    format!("{}%", short(value * 100.0))
}

/// Seconds as a duration: `1h 2m 3s`.
pub(super) fn duration(value: f64) -> String {
    if !value.is_finite() {
        return short(value);
    }
    if value == 0.0 {
        return format!("{}s", short(value));
    }
    if value.abs() < 1.0 {
        let (scaled, prefix) = scaled_up(value);
        return format!("{}{prefix}s", short(scaled));
    }
    let (sign, value) = if value < 0.0 { ("-", -value) } else { ("", value) };
    // OK because the conversion saturates: nobody reads such a number of days.
    let whole = value as i64;
    let (days, hours) = (whole / 86_400, whole / 3_600 % 24);
    let (minutes, seconds) = (whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", short(value))
    }
}
