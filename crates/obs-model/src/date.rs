//! Dates of the proleptic Gregorian calendar.
//!
//! The conversions are those of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms" (`civil_from_days`,
//! `days_from_civil`).

use crate::Timestamp;

const DAY_MS: i64 = 86_400_000;

/// A date of the proleptic Gregorian calendar.
///
/// ```
/// use obs_model::CivilDate;
///
/// let date = CivilDate::from_days(19_782);
/// assert_eq!((date.year, date.month, date.day), (2024, 2, 29));
/// assert_eq!((date.day_of_week(), date.day_of_year(), date.days_in_month()), (4, 60, 29));
/// assert_eq!(date.to_days(), 19_782);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate {
    /// The year; 0 is the one before the year 1.
    pub year: i64,
    /// The month, from 1 to 12.
    pub month: u8,
    /// The day of the month, from 1 to 31.
    pub day: u8,
}

impl CivilDate {
    /// The date that is so many days after 1970-01-01.
    ///
    /// Exact as long as the days are those of a [`Timestamp`].
    #[must_use]
    pub const fn from_days(days: i64) -> Self {
        let shifted = days.saturating_add(719_468);
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + (month <= 2) as i64;
        Self { year, month: month as u8, day: day as u8 }
    }

    /// How many days after 1970-01-01 it is.
    #[must_use]
    pub const fn to_days(self) -> i64 {
        let (month, day) = (self.month as i64, self.day as i64);
        let year = if month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        era * 146_097 + day_of_era - 719_468
    }

    /// How many days its month has.
    #[must_use]
    pub const fn days_in_month(self) -> u8 {
        match self.month {
            2 if self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// The day of the week: 0 is Sunday.
    #[must_use]
    pub const fn day_of_week(self) -> u8 {
        (self.to_days() + 4).rem_euclid(7) as u8
    }

    /// The day of the year, from 1 to 366.
    #[must_use]
    pub const fn day_of_year(self) -> u16 {
        let first = Self { year: self.year, month: 1, day: 1 };
        (self.to_days() - first.to_days() + 1) as u16
    }
}

impl Timestamp {
    /// The date in UTC.
    #[must_use]
    pub const fn civil_date(self) -> CivilDate {
        CivilDate::from_days(self.as_millis().div_euclid(DAY_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_those_of_the_gregorian_calendar() {
        for (days, date, week, year) in [
            (0, (1970, 1, 1), 4, 1),
            (-1, (1969, 12, 31), 3, 365),
            (11_016, (2000, 2, 29), 2, 60),
            (19_782, (2024, 2, 29), 4, 60),
            (47_541, (2100, 3, 1), 1, 60),
            (-719_528, (0, 1, 1), 6, 1),
        ] {
            let found = CivilDate::from_days(days);
            assert_eq!((found.year, found.month, found.day), date, "{days}");
            assert_eq!((found.day_of_week(), found.day_of_year()), (week, year), "{days}");
        }
        let lengths =
            |year| (1..=12).map(move |month| CivilDate { year, month, day: 1 }.days_in_month());
        assert_eq!(lengths(2023).map(u32::from).sum::<u32>(), 365);
        assert_eq!(lengths(2000).map(u32::from).sum::<u32>(), 366);
        assert_eq!(lengths(1900).map(u32::from).sum::<u32>(), 365);
    }

    proptest! {
        #[test]
        fn days_and_dates_are_the_same(millis in any::<i64>()) {
            let days = millis.div_euclid(DAY_MS);
            let date = CivilDate::from_days(days);
            prop_assert_eq!(date.to_days(), days);
            prop_assert!((1..=date.days_in_month()).contains(&date.day));
            prop_assert_eq!(CivilDate::from_days(days + 1) > date, true);
        }
    }
}
