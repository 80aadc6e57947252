//! The `Retry-After` header.

use std::time::{Duration, SystemTime};

use obs_model::Timestamp;

/// How long the destination asks to be left alone: RFC 9110, section 10.2.3.
///
/// The value is a number of seconds or an HTTP date in any of its three forms (section 5.6.7); a date that
/// has passed asks for nothing. Anything else is `None`, and the caller's own back-off applies.
pub(crate) fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number with too many digits is a long time all the same.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let at = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(at.saturating_sub(Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_and_dates_are_read_and_anything_else_is_not() {
        // 2023-11-14T22:13:20Z, a Tuesday.
        let now = Timestamp::from_millis(1_700_000_000_000);
        for (value, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Tue, 14 Nov 2023 22:14:20 GMT", Some(60)),
            ("Tuesday, 14-Nov-23 22:14:20 GMT", Some(60)),
            ("Tue Nov 14 22:14:20 2023", Some(60)),
            ("Tue, 14 Nov 2023 22:13:20 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("1.5", None),
            ("", None),
            ("soon", None),
        ] {
            assert_eq!(parse(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_date_reads_back_to_the_second(now in 0_u64..4_000_000_000, wait in 0_u64..100_000) {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(now + wait);
            let now = Timestamp::from_millis(i64::try_from(now * 1_000).expect("in range"));
            prop_assert_eq!(
                parse(&httpdate::fmt_http_date(at), now),
                Some(Duration::from_secs(wait))
            );
        }

        #[test]
        fn no_value_makes_it_panic(value in ".{0,40}", now in any::<i64>()) {
            let _ = parse(&value, Timestamp::from_millis(now));
        }
    }
}
