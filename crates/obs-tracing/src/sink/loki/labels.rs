//! The labels of a line, which say what stream it belongs to.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use metrics::Counter;
use obs_model::Level;

use crate::sink::Line;
use crate::sink::names::IDS;

/// What Loki takes at most, unless it is set up otherwise.
pub(super) const MAX_LABELS: usize = 15;

/// The longest value of a label, in bytes; Loki's own limit is twice that.
const MAX_VALUE: usize = 1_024;

/// What a value becomes when there are too many.
const OTHER: &str = "other";

/// Makes the labels of lines, and never more different ones than agreed.
pub(super) struct Labels {
    /// The name of each label, with the field that it takes its value from or with the value itself.
    sources: BTreeMap<String, Source>,
    seen: HashSet<String>,
    max_sets: usize,
    capped: Counter,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    Level,
    Field(String),
    Fixed(String),
}

impl Labels {
    pub(super) fn new(sources: BTreeMap<String, Source>, max_sets: usize, capped: Counter) -> Self {
        Self { sources, seen: HashSet::new(), max_sets, capped }
    }

    /// The labels of a line as a selector: `{level="info",service="checkout"}`.
    pub(super) fn of(&mut self, line: &Line<'_>) -> String {
        let labels = self.render(line, |value| value);
        if self.seen.contains(&labels) {
            return labels;
        }
        if self.seen.len() < self.max_sets {
            self.seen.insert(labels.clone());
            return labels;
        }
        self.capped.increment(1);
        self.render(line, |_| Cow::Borrowed(OTHER))
    }

    fn render<'a>(
        &self,
        line: &'a Line<'_>,
        value_of: impl Fn(Cow<'a, str>) -> Cow<'a, str>,
    ) -> String {
        let mut labels = String::from("{");
        for (name, source) in &self.sources {
            let value: Cow<'_, str> = match source {
                Source::Level => Cow::Borrowed(level_name(line.level())),
                Source::Fixed(value) => Cow::Borrowed(value),
                Source::Field(field) => match line.text_of(field) {
                    Some(value) => value_of(value),
                    None => continue,
                },
            };
            if !value.is_empty() {
                push(&mut labels, name, &value);
            }
        }
        labels.push('}');
        labels
    }

    /// The fields that are labels, and need not be told a second time.
    pub(super) fn has_field(&self, member: &str) -> bool {
        self.sources.values().any(|source| matches!(source, Source::Field(name) if name == member))
    }
}

/// The usual name of a level in Loki, by which Grafana colours lines.
const fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// Appends a label, with its value quoted as Go quotes texts.
fn push(labels: &mut String, name: &str, value: &str) {
    if labels.len() > 1 {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for character in value[..value.floor_char_boundary(MAX_VALUE)].chars() {
        match character {
            '"' | '\\' => labels.extend(['\\', character]),
            '\n' => labels.push_str("\\n"),
            control if control.is_control() => {
                // OK because writing to a text cannot fail.
                let _ = write!(labels, "\\u{:04x}", u32::from(control));
            }
            other => labels.push(other),
        }
    }
    labels.push('"');
}

/// The name of the label, or of the structured metadata, that a field becomes: letters, digits and `_`, in snake case.
pub(super) fn label_name(field: &str) -> String {
    if let Some(id) = IDS.iter().find(|id| id.member == field) {
        return id.snake.to_owned();
    }
    let valid = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let name: String =
        field.chars().map(|character| if valid(character) { character } else { '_' }).collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// The member of a line that a field of code is written to.
pub(super) fn member_name(field: &str) -> &str {
    match field {
        "trace_id" => "traceId",
        "span_id" => "spanId",
        _ => IDS.iter().find(|id| id.snake == field).map_or(field, |id| id.member),
    }
}

#[cfg(test)]
mod tests {
    use obs_model::Timestamp;

    use super::*;
    use crate::sink::LineHead;

    fn head(level: Level) -> LineHead {
        LineHead {
            at: Timestamp::EPOCH,
            level,
            target: "t",
            trace: None,
            span: None,
            sampled: false,
        }
    }

    fn labels(max_sets: usize) -> Labels {
        let field = |name: &str| Source::Field(member_name(name).to_owned());
        let sources = BTreeMap::from([
            ("service".to_owned(), field("service")),
            ("level".to_owned(), Source::Level),
            ("env".to_owned(), Source::Fixed("prod".to_owned())),
            (label_name("organizationId"), field("organization_id")),
        ]);
        Labels::new(sources, max_sets, Counter::noop())
    }

    fn of(labels: &mut Labels, level: Level, json: &str) -> String {
        labels.of(&Line::new(head(level), json.as_bytes()))
    }

    #[test]
    fn labels_are_sorted_quoted_and_left_out_where_there_is_no_value() {
        let mut labels = labels(10);
        assert_eq!(
            of(&mut labels, Level::Warn, r#"{"service":"a\"b\\c\nd\u0007é","organizationId":"o"}"#),
            "{env=\"prod\",level=\"warn\",organization_id=\"o\",service=\"a\\\"b\\\\c\\nd\\u0007é\"}"
        );
        assert_eq!(
            of(&mut labels, Level::Error, r#"{"service":""}"#),
            r#"{env="prod",level="error"}"#
        );
        let long = format!(r#"{{"service":"{}"}}"#, "é".repeat(2_000));
        assert!(of(&mut labels, Level::Error, &long).len() < 1_100);
    }

    /// Reads a value back as Go's `strconv.Unquote` does, as far as values are quoted here.
    fn unquoted(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\\' => match rest.next().unwrap() {
                    'n' => out.push('\n'),
                    'u' => {
                        let digits: String = rest.by_ref().take(4).collect();
                        let code = u32::from_str_radix(&digits, 16).unwrap();
                        out.push(char::from_u32(code).unwrap());
                    }
                    other => out.push(other),
                },
                '"' => panic!("a quote inside of {text}"),
                other => out.push(other),
            }
        }
        out
    }

    proptest::proptest! {
        #[test]
        fn any_value_reads_back(value in ".{1,40}") {
            let json = serde_json::json!({"service": value, "organizationId": "o"}).to_string();
            let labels = of(&mut labels(1), Level::Info, &json);
            let quoted = labels.split_once(",service=\"").unwrap().1.strip_suffix("\"}").unwrap();
            proptest::prop_assert_eq!(unquoted(quoted), value);
        }
    }

    #[test]
    fn beyond_the_cap_values_become_other_and_known_ones_stay() {
        let mut labels = labels(2);
        let line = |service: &str| format!(r#"{{"service":"{service}","organizationId":"o"}}"#);
        for service in ["a", "b"] {
            assert!(of(&mut labels, Level::Info, &line(service)).contains(service));
        }
        for service in ["c", "d"] {
            let capped = of(&mut labels, Level::Info, &line(service));
            assert_eq!(
                capped,
                r#"{env="prod",level="info",organization_id="other",service="other"}"#
            );
        }
        assert!(of(&mut labels, Level::Info, &line("a")).contains("\"a\""));
    }

    #[test]
    fn names_are_what_loki_takes() {
        for (field, name) in [
            ("organizationId", "organization_id"),
            ("http.route", "http_route"),
            ("2fa", "_2fa"),
            ("zürich", "z_rich"),
        ] {
            assert_eq!(label_name(field), name);
        }
    }
}
