//! Times and durations as the parameters of requests have them.

use obs_model::Timestamp;
use obs_query::promql::parse_duration;

/// Reads a time: seconds since the epoch with a fraction, or RFC 3339.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        // OK because a conversion to an integer saturates.
        return Ok(Timestamp::from_millis((seconds * 1e3).round() as i64));
    }
    text.parse().map_err(|_| format!("cannot parse {} to a valid timestamp", quoted(text)))
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
    parse_duration(text)
        .ok()
        .and_then(|duration| i64::try_from(duration.as_millis()).ok())
        .ok_or_else(|| format!("cannot parse {} to a valid duration", quoted(text)))
}

/// A text in quotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(64).collect();
    format!("{shown:?}")
}

#[cfg(test)]
mod tests {
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
            ("2026-01-05", None),
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
}
