//! Points in time, as Go's `time.Time` in UTC has them.

use std::sync::Arc;

use obs_model::{CivilDate, Timestamp};

use super::value::Value;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A time as `Time.String` writes it: `2023-11-14 22:13:20.5 +0000 UTC`.
pub(super) fn text(millis: i64) -> String {
    format(millis, "2006-01-02 15:04:05.999 -0700 MST")
}

/// What a method of a time gives; `None` if there is no such method.
pub(super) fn method(
    millis: i64,
    name: &str,
    arguments: &[Value],
) -> Option<Result<Value, String>> {
    let clock = Clock::of(millis);
    let result = match name {
        "Format" => {
            return Some(match arguments {
                [Value::Text(layout)] => Ok(Value::text(format(millis, layout))),
                _ => Err("wrong arguments for Format: expected a layout".to_owned()),
            });
        }
        "String" => Value::text(text(millis)),
        "UTC" => Value::Time(millis),
        "Unix" => Value::Integer(millis.div_euclid(1_000)),
        "UnixMilli" => Value::Integer(millis),
        "Year" => Value::Integer(clock.date.year),
        "Month" => Value::Text(Arc::from(clock.month())),
        "Day" => Value::Integer(i64::from(clock.date.day)),
        "Weekday" => Value::Text(Arc::from(clock.weekday())),
        "YearDay" => Value::Integer(i64::from(clock.date.day_of_year())),
        "Hour" => Value::Integer(clock.hour),
        "Minute" => Value::Integer(clock.minute),
        "Second" => Value::Integer(clock.second),
        _ => return None,
    };
    if arguments.is_empty() {
        return Some(Ok(result));
    }
    Some(Err(format!("wrong number of args for {name}: want 0 got {}", arguments.len())))
}

struct Clock {
    date: CivilDate,
    hour: i64,
    minute: i64,
    second: i64,
    millis: i64,
}

impl Clock {
    fn of(millis: i64) -> Self {
        let within = millis.rem_euclid(86_400_000);
        Self {
            date: Timestamp::from_millis(millis).civil_date(),
            hour: within / 3_600_000,
            minute: within / 60_000 % 60,
            second: within / 1_000 % 60,
            millis: within % 1_000,
        }
    }

    fn month(&self) -> &'static str {
        MONTHS[usize::from(self.date.month) - 1]
    }

    fn weekday(&self) -> &'static str {
        WEEKDAYS[usize::from(self.date.day_of_week())]
    }

    /// What a part of a layout stands for.
    fn part(&self, layout: &str) -> String {
        let date = self.date;
        let twelve = (self.hour + 11) % 12 + 1;
        match layout {
            "2006" => format!("{:04}", date.year),
            "06" => format!("{:02}", date.year.rem_euclid(100)),
            "January" => self.month().to_owned(),
            "Jan" => self.month()[..3].to_owned(),
            "01" => format!("{:02}", date.month),
            "1" => date.month.to_string(),
            "Monday" => self.weekday().to_owned(),
            "Mon" => self.weekday()[..3].to_owned(),
            "002" => format!("{:03}", date.day_of_year()),
            "02" => format!("{:02}", date.day),
            "_2" => format!("{:2}", date.day),
            "2" => date.day.to_string(),
            "15" => format!("{:02}", self.hour),
            "03" => format!("{twelve:02}"),
            "3" => twelve.to_string(),
            "04" => format!("{:02}", self.minute),
            "4" => self.minute.to_string(),
            "05" => format!("{:02}", self.second),
            "5" => self.second.to_string(),
            "PM" => if self.hour < 12 { "AM" } else { "PM" }.to_owned(),
            "pm" => if self.hour < 12 { "am" } else { "pm" }.to_owned(),
            "MST" => "UTC".to_owned(),
            "Z07:00" | "Z0700" => "Z".to_owned(),
            "-07:00" => "+00:00".to_owned(),
            "-0700" => "+0000".to_owned(),
            "-07" => "+00".to_owned(),
            other => other.to_owned(),
        }
    }

    /// What `.000` or `.999` stands for: so many digits of the second, or those that are not zero.
    fn fraction(&self, layout: &str) -> String {
        let digits = layout.len() - 1;
        let nanos = format!("{:03}000000", self.millis);
        let kept = &nanos[..digits.min(nanos.len())];
        if layout.ends_with('0') {
            return format!(".{kept}");
        }
        let kept = kept.trim_end_matches('0');
        if kept.is_empty() { String::new() } else { format!(".{kept}") }
    }
}

/// The parts of layouts, longer ones before those that they begin with.
const PARTS: [&str; 27] = [
    "January", "Jan", "Monday", "Mon", "MST", "2006", "-07:00", "-0700", "-07", "Z07:00", "Z0700",
    "002", "01", "02", "03", "04", "05", "06", "15", "PM", "pm", "_2", "1", "2", "3", "4", "5",
];

/// Writes a time as Go's `Time.Format` does in UTC.
fn format(millis: i64, layout: &str) -> String {
    let clock = Clock::of(millis);
    let mut out = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        let digits = |digit| {
            let after = rest.get(1..).unwrap_or_default();
            let count = after.bytes().take_while(|it| *it == digit).count();
            let ends = !after[count..].starts_with(|it: char| it.is_ascii_digit());
            (count > 0 && ends && count <= 9).then_some(count + 1)
        };
        let fraction =
            if matches!(first, '.' | ',') { digits(b'0').or_else(|| digits(b'9')) } else { None };
        if let Some(length) = fraction {
            out.push_str(&clock.fraction(&rest[..length]));
            rest = &rest[length..];
        } else if let Some(part) = PARTS.iter().find(|part| rest.starts_with(**part)) {
            out.push_str(&clock.part(part));
            rest = &rest[part.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}
