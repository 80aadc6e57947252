//! Functions of a point in time, in UTC.

use crate::promql::functions::Function;

const DAY_SECONDS: i64 = 86_400;

/// The function of a time in seconds since the epoch, if it is one.
pub(super) fn of_time(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::DayOfMonth => |at| civil(at).day as f64,
        Function::DayOfWeek => |at| (days(at) + 4).rem_euclid(7) as f64,
        Function::DayOfYear => |at| {
            let Civil { year, .. } = civil(at);
            (days(at) - days_before_year(year) + 1) as f64
        },
        Function::DaysInMonth => |at| {
            let Civil { year, month, .. } = civil(at);
            days_in_month(year, month) as f64
        },
        Function::Hour => |at| (second_of_day(at) / 3_600) as f64,
        Function::Minute => |at| (second_of_day(at) / 60 % 60) as f64,
        Function::Month => |at| civil(at).month as f64,
        Function::Year => |at| civil(at).year as f64,
        _ => return None,
    })
}

fn days(at: f64) -> i64 {
    // OK because the conversion saturates: a time that far away has no meaningful date anyway.
    (at as i64).div_euclid(DAY_SECONDS)
}

fn second_of_day(at: f64) -> i64 {
    (at as i64).rem_euclid(DAY_SECONDS)
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(at: f64) -> Civil {
    let shifted = days(at) + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// How many days after the epoch the first of January is.
fn days_before_year(year: i64) -> i64 {
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    before * 365 + leap_days - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_gregorian_calendar() {
        // 2024-02-29T23:59:59Z was a Thursday, the 60th day of a leap year.
        let at = 1_709_251_199.0;
        for (function, expected) in [
            (Function::Year, 2024.0),
            (Function::Month, 2.0),
            (Function::DayOfMonth, 29.0),
            (Function::DayOfWeek, 4.0),
            (Function::DayOfYear, 60.0),
            (Function::DaysInMonth, 29.0),
            (Function::Hour, 23.0),
            (Function::Minute, 59.0),
        ] {
            assert_eq!(of_time(function).unwrap()(at), expected, "{function:?}");
        }
        assert_eq!(of_time(Function::Year).unwrap()(-1.0), 1969.0);
        assert_eq!(of_time(Function::DayOfYear).unwrap()(-1.0), 365.0);
        for at in [f64::NAN, f64::INFINITY, -1e300] {
            of_time(Function::DayOfYear).unwrap()(at);
        }
    }
}
