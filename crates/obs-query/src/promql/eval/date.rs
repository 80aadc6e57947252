//! Functions of a point in time, in UTC.

use obs_model::CivilDate;

use crate::promql::functions::Function;

const DAY_SECONDS: i64 = 86_400;

/// The function of a time in seconds since the epoch, if it is one.
pub(super) fn of_time(function: Function) -> Option<fn(f64) -> f64> {
    Some(match function {
        Function::DayOfMonth => |at| f64::from(date(at).day),
        Function::DayOfWeek => |at| f64::from(date(at).day_of_week()),
        Function::DayOfYear => |at| f64::from(date(at).day_of_year()),
        Function::DaysInMonth => |at| f64::from(date(at).days_in_month()),
        Function::Hour => |at| (second_of_day(at) / 3_600) as f64,
        Function::Minute => |at| (second_of_day(at) / 60 % 60) as f64,
        Function::Month => |at| f64::from(date(at).month),
        Function::Year => |at| date(at).year as f64,
        _ => return None,
    })
}

fn date(at: f64) -> CivilDate {
    // OK because the conversion saturates: a time that far away has no meaningful date anyway.
    CivilDate::from_days((at as i64).div_euclid(DAY_SECONDS))
}

fn second_of_day(at: f64) -> i64 {
    (at as i64).rem_euclid(DAY_SECONDS)
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
