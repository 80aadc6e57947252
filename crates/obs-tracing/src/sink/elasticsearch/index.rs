//! The index that a line goes to, by its day.

use std::fmt::Write as _;

use obs_model::{CivilDate, Timestamp};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// The name of an index, or of a data stream, with places for parts of a date in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexPattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Year,
    Month,
    Day,
    Hour,
}

impl IndexPattern {
    /// Reads a name such as `logs-%Y.%m.%d`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            if character != '%' {
                plain.push(character);
                continue;
            }
            let piece = match rest.next() {
                Some('Y') => Piece::Year,
                Some('m') => Piece::Month,
                Some('d') => Piece::Day,
                Some('H') => Piece::Hour,
                other => {
                    let other = other.map_or(String::new(), String::from);
                    return Err(format!(
                        "the index {text:?} has %{other}: expected %Y, %m, %d or %H"
                    ));
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        let pattern = Self(pieces);
        if is_index_name(&pattern.name(Timestamp::EPOCH)) {
            Ok(pattern)
        } else {
            Err(format!(
                "the index {text:?} is not one of Elasticsearch: lower case, none of \\ / * ? \" < > | , # : and no \
                 spaces, not - _ + first, and 255 bytes at most"
            ))
        }
    }

    /// The name for a line of this time.
    pub(super) fn name(&self, at: Timestamp) -> String {
        let date = CivilDate::from_days(at.as_millis().div_euclid(DAY_MS));
        let hour = at.as_millis().rem_euclid(DAY_MS) / HOUR_MS;
        let mut name = String::new();
        for piece in &self.0 {
            // OK because writing to a text cannot fail.
            let _ = match piece {
                Piece::Text(text) => name.write_str(text),
                Piece::Year => write!(name, "{:04}", date.year),
                Piece::Month => write!(name, "{:02}", date.month),
                Piece::Day => write!(name, "{:02}", date.day),
                Piece::Hour => write!(name, "{hour:02}"),
            };
        }
        name
    }
}

/// <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-indices-create>
fn is_index_name(name: &str) -> bool {
    let bad = |character: char| {
        character.is_uppercase()
            || character.is_whitespace()
            || character.is_control()
            || "\\/*?\"<>|,#:".contains(character)
    };
    (1..=255).contains(&name.len())
        && !name.starts_with(['-', '_', '+', '.'])
        && !name.contains(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: Option<&str>) {
        let at = "2026-02-03T04:05:06.789Z".parse().unwrap();
        let name = IndexPattern::parse(pattern).ok().map(|pattern| pattern.name(at));
        assert_eq!(name.as_deref(), expected, "{pattern}");
    }

    #[test]
    fn patterns_take_the_date_of_the_line_in_utc() {
        check("logs", Some("logs"));
        check("logs-%Y.%m.%d", Some("logs-2026.02.03"));
        check("%H-logs-%Y", Some("04-logs-2026"));
        check("logs-checkout-default", Some("logs-checkout-default"));
        let late = IndexPattern::parse("l-%d-%H").unwrap();
        assert_eq!(late.name(Timestamp::from_millis(-1)), "l-31-23");
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_names_an_index_on_every_day(text in "[a-z%YmdH._-]{0,12}", at: i64) {
            if let Ok(pattern) = IndexPattern::parse(&text) {
                let at = at % (400_000 * DAY_MS);
                proptest::prop_assert!(is_index_name(&pattern.name(Timestamp::from_millis(at.abs()))));
            }
        }
    }

    #[test]
    fn what_elasticsearch_refuses_is_refused() {
        for bad in ["", "Logs", "-logs", "_logs", "a b", "a/b", "a*", "a%", "a%q", "a%%", "a,b"] {
            check(bad, None);
        }
        check(&"x".repeat(256), None);
    }
}
