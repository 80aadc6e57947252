//! Reads the service's own metrics and compares them with what the load client counted.

use std::collections::{BTreeMap, BTreeSet};

/// The families that a client can know exactly, and the labels by which it knows them; others are added up.
pub(super) const FAMILIES: [(&str, &[&str]); 6] = [
    ("api_requests_total", &["endpoint", "method", "status"]),
    ("analyst_workflow_executions_total", &["status"]),
    ("analyst_tool_executions_total", &["tool_name", "status"]),
    ("charts_created_total", &["chart_type"]),
    ("sql_queries_executed_total", &[]),
    ("successful_analyses_total", &[]),
];

/// Counts by family and by the values of the family's labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts(BTreeMap<(&'static str, Vec<String>), f64>);

/// One series on both sides.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The series, as PromQL would write it.
    pub series: String,
    /// What the client counted.
    pub client: f64,
    /// By how much the service's counter rose.
    pub service: f64,
}

impl Comparison {
    /// Whether both counted the same.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "both are whole numbers, which floats hold exactly")]
    pub fn is_equal(&self) -> bool {
        self.client == self.service
    }
}

impl Counts {
    /// Adds one; a family that is not known is left out.
    pub(super) fn add(&mut self, family: &str, labels: &[&str]) {
        let Some((family, _)) = FAMILIES.iter().find(|(name, _)| *name == family) else { return };
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        *self.0.entry((family, labels)).or_default() += 1.0;
    }

    /// The count of a family under these values of its labels.
    #[must_use]
    pub fn get(&self, family: &str, labels: &[&str]) -> f64 {
        let find = |((name, values), _): &(&(&'static str, Vec<String>), &f64)| {
            *name == family && values.iter().map(String::as_str).eq(labels.iter().copied())
        };
        self.0.iter().find(find).map_or(0.0, |(_, count)| *count)
    }

    /// Reads the counts of a text exposition.
    #[must_use]
    pub fn of_exposition(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = &line[..line.find(['{', ' ']).unwrap_or(line.len())];
            let Some((family, wanted)) = FAMILIES.iter().find(|(family, _)| *family == name) else {
                continue;
            };
            let Some((labels, value)) = series(&line[name.len()..]) else { continue };
            let values =
                wanted.iter().map(|name| labels.get(*name).cloned().unwrap_or_default()).collect();
            *counts.0.entry((family, values)).or_default() += value;
        }
        counts
    }

    /// Puts what the client counted next to what the service counted between two readings.
    #[must_use]
    pub fn compare(&self, before: &Self, after: &Self) -> Vec<Comparison> {
        let keys: BTreeSet<_> = self.0.keys().chain(after.0.keys()).collect();
        let count = |counts: &Self, key| counts.0.get(key).copied().unwrap_or_default();
        keys.into_iter()
            .map(|key| Comparison {
                series: written(key),
                client: count(self, key),
                service: count(after, key) - count(before, key),
            })
            .filter(|comparison| comparison.client != 0.0 || comparison.service != 0.0)
            .collect()
    }
}

fn written((family, values): &(&'static str, Vec<String>)) -> String {
    let names =
        FAMILIES.iter().find(|(name, _)| name == family).map_or(&[][..], |(_, names)| names);
    let labels: Vec<String> =
        names.iter().zip(values).map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    format!("{family}{{{}}}", labels.join(","))
}

/// Splits what follows a metric's name into its labels and its value.
fn series(text: &str) -> Option<(BTreeMap<String, String>, f64)> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            rest = rest.trim_start_matches([',', ' ']);
            if let Some(after) = rest.strip_prefix('}') {
                rest = after;
                break;
            }
            let (name, after) = rest.split_once("=\"")?;
            let (value, after) = quoted(after)?;
            labels.insert(name.to_owned(), value);
            rest = after;
        }
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((labels, value))
}

/// Reads a label's value up to its closing quote.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[place + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# TYPE charts_created_total counter\n\
        charts_created_total{chart_type=\"bar\",organization_id=\"acme\"} 3\n\
        charts_created_total{organization_id=\"a\\\"}{b\",chart_type=\"bar\"} 2 1700000000000\n\
        charts_created_totals{chart_type=\"bar\"} 9\n\
        successful_analyses_total 4\n";

    #[test]
    fn labels_that_the_client_does_not_know_are_added_up() {
        let counts = Counts::of_exposition(TEXT);
        assert_eq!(counts.get("charts_created_total", &["bar"]), 5.0);
        assert_eq!(counts.get("successful_analyses_total", &[]), 4.0);
        assert_eq!(counts.0.len(), 2);
    }

    #[test]
    fn a_comparison_takes_off_what_was_there_before_and_shows_what_one_side_lacks() {
        let after = Counts::of_exposition(TEXT);
        let before = Counts::of_exposition("charts_created_total{chart_type=\"bar\"} 4\n");
        let mut client = Counts::default();
        client.add("charts_created_total", &["bar"]);
        client.add("charts_created_total", &["pie"]);
        let compared = client.compare(&before, &after);
        let lines: Vec<_> = compared
            .iter()
            .map(|c| (c.series.as_str(), c.client, c.service, c.is_equal()))
            .collect();
        assert_eq!(
            lines,
            [
                ("charts_created_total{chart_type=\"bar\"}", 1.0, 1.0, true),
                ("charts_created_total{chart_type=\"pie\"}", 1.0, 0.0, false),
                ("successful_analyses_total{}", 0.0, 4.0, false),
            ]
        );
    }
}
