//! Making label sets, and the functions that are about labels only.

use obs_model::{LabelLimits, Labels, METRIC_NAME_LABEL};

use super::Evaluator;
use super::column::{Grid, Row};
use super::identity::Identity;
use super::rows::DUPLICATE;
use crate::Error;
use crate::promql::error::execution;
use crate::promql::plan::Plan;
use crate::promql::text::Text;

/// What a query may make out of labels: more than a store accepts, but not without bound.
const LIMITS: LabelLimits =
    LabelLimits { max_labels: 1_024, max_name_bytes: 16 * 1_024, max_value_bytes: 1 << 20 };

/// A label set of these pairs; an empty value is the same as no label.
pub(crate) fn label_set<N: AsRef<str>, V: AsRef<str>>(
    pairs: impl IntoIterator<Item = (N, V)>,
) -> Result<Labels, Error> {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.as_ref().is_empty());
    Labels::with_limits(pairs, &LIMITS)
        .map_err(|error| execution(format!("the result's labels are not valid: {error}")))
}

/// `labels` with one label set, or taken away by an empty value.
pub(super) fn with_label(labels: &Identity, name: &str, value: &str) -> Result<Labels, Error> {
    if value.is_empty() {
        return Ok(labels.filter(|known| known != name));
    }
    label_set(labels.iter().filter(|(known, _)| *known != name).chain([(name, value)]))
}

/// A label's name out of a string literal.
pub(super) fn label_name<'t>(text: &'t Text, context: &str) -> Result<&'t str, Error> {
    match text.as_str() {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(execution(format!("{context}: {}", text.to_lossy()))),
    }
}

impl Evaluator<'_> {
    /// `label_replace(vector, destination, replacement, source, regex)`.
    pub(super) fn label_replace(&self, plans: &[Plan], grid: &Grid) -> Result<Vec<Row>, Error> {
        let [vector, destination, replacement, source, pattern] = plans else {
            return Err(execution("label_replace takes five arguments"));
        };
        let (replacement, source, pattern) = (
            self.text(replacement)?.to_lossy(),
            self.text(source)?.to_lossy(),
            self.text(pattern)?.to_lossy(),
        );
        let regex = crate::selector::compile(&pattern).map_err(|_| {
            execution(format!("invalid regular expression in label_replace(): {pattern}"))
        })?;
        let destination = label_name(
            self.text(destination)?,
            "invalid destination label name in label_replace()",
        )?;
        let mut rows = self.eval_vector(vector, grid)?;
        for row in &mut rows {
            self.budget.work(16)?;
            let value = row.labels.get(&source).unwrap_or_default();
            let Some(captures) = regex.captures(value) else {
                continue;
            };
            let new = expanded(&replacement, &captures);
            row.labels = with_label(&row.labels, destination, &new)?.into();
            row.drop_name &= destination != METRIC_NAME_LABEL;
        }
        distinct(rows)
    }

    /// `label_join(vector, destination, separator, source…)`.
    pub(super) fn label_join(&self, plans: &[Plan], grid: &Grid) -> Result<Vec<Row>, Error> {
        let [vector, destination, separator, sources @ ..] = plans else {
            return Err(execution("label_join takes at least three arguments"));
        };
        let separator = self.text(separator)?.to_lossy();
        let sources = sources
            .iter()
            .map(|source| {
                label_name(self.text(source)?, "invalid source label name in label_join()")
            })
            .collect::<Result<Vec<_>, _>>()?;
        let destination =
            label_name(self.text(destination)?, "invalid destination label name in label_join()")?;
        let mut rows = self.eval_vector(vector, grid)?;
        for row in &mut rows {
            self.budget.work(16)?;
            let values: Vec<&str> =
                sources.iter().map(|source| row.labels.get(source).unwrap_or_default()).collect();
            row.labels = with_label(&row.labels, destination, &values.join(&separator))?.into();
            row.drop_name &= destination != METRIC_NAME_LABEL;
        }
        distinct(rows)
    }
}

fn distinct(rows: Vec<Row>) -> Result<Vec<Row>, Error> {
    let mut labels: Vec<&Identity> = rows.iter().map(|row| &row.labels).collect();
    labels.sort();
    if labels.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(execution(DUPLICATE));
    }
    Ok(rows)
}

/// Fills a template in with what was captured, as Go's `Regexp.Expand` does: `$1`, `${name}`, `$$`.
///
/// A name without braces is as long as can be: `$1x` is `${1x}`. What was not captured is empty.
fn expanded(template: &str, captures: &regex::Captures<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = rest.strip_prefix('{');
        let body = braced.unwrap_or(rest);
        let length = body.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(body.len());
        let name = &body[..length];
        let closed = braced.is_none() || body[length..].starts_with('}');
        if name.is_empty() || !closed {
            // Go leaves a malformed reference as it stands.
            out.push('$');
            continue;
        }
        let captured = match name.parse::<usize>() {
            Ok(index) => captures.get(index),
            Err(_) => captures.name(name),
        };
        out.push_str(captured.map_or("", |found| found.as_str()));
        rest = &body[length + usize::from(braced.is_some())..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in_as_go_does() {
        let regex = regex::Regex::new("^(a)(?P<second>b)(c)?$").unwrap();
        let captures = regex.captures("ab").unwrap();
        for (template, expected) in [
            ("$1-$2", "a-b"),
            ("${1}x", "ax"),
            ("$1x", ""),
            ("$second$3", "b"),
            ("$$1", "$1"),
            ("$", "$"),
            ("${1", "${1"),
            ("${}", "${}"),
            ("$0", "ab"),
        ] {
            assert_eq!(expanded(template, &captures), expected, "{template}");
        }
    }

    #[test]
    fn an_empty_value_takes_the_label_away() {
        let labels = Identity::from(Labels::new([("a", "1"), ("b", "2")]).unwrap());
        assert_eq!(with_label(&labels, "a", "").unwrap().to_string(), r#"{b="2"}"#);
        assert_eq!(with_label(&labels, "c", "3").unwrap().len(), 3);
    }
}
