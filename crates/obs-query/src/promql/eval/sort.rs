//! The functions that put the series of an instant query in order.

use std::cmp::Ordering;

use super::Evaluator;
use super::column::{Grid, Row};
use crate::Error;
use crate::promql::float::nan_first;
use crate::promql::plan::Plan;

/// Which end comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Rising,
    Falling,
}

impl Evaluator<'_> {
    /// `sort` and `sort_desc`: by value, NaN last; the order of a range query's series is that of their labels.
    pub(super) fn sort(&self, mut rows: Vec<Row>, direction: Direction) -> Vec<Row> {
        for row in &mut rows {
            row.column.histograms = None;
        }
        rows.retain(|row| row.column.has_floats());
        if rows.first().is_some_and(|row| row.column.len() == 1) {
            rows.sort_by(|a, b| {
                let (a, b) = (a.column.floats[0], b.column.floats[0]);
                match (a.is_nan(), b.is_nan()) {
                    (true, _) | (_, true) => nan_first(&b, &a),
                    _ if direction == Direction::Rising => nan_first(&a, &b),
                    _ => nan_first(&b, &a),
                }
            });
        }
        rows
    }

    /// `sort_by_label` and `sort_by_label_desc`: by the values of labels, digits in them by their number.
    pub(super) fn sort_by_label(
        &self,
        plans: &[Plan],
        direction: Direction,
        grid: &Grid,
    ) -> Result<Vec<Row>, Error> {
        let [vector, labels @ ..] = plans else {
            return Ok(Vec::new());
        };
        let labels = labels
            .iter()
            .map(|label| self.text(label).map(crate::promql::text::Text::to_lossy))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rows = self.eval_vector(vector, grid)?;
        rows.sort_by(|a, b| {
            let order = labels
                .iter()
                .map(|label| {
                    natural(
                        a.labels.get(label).unwrap_or_default(),
                        b.labels.get(label).unwrap_or_default(),
                    )
                })
                .find(|order| order.is_ne())
                .unwrap_or_else(|| a.labels.cmp(&b.labels));
            if direction == Direction::Rising { order } else { order.reverse() }
        });
        Ok(rows)
    }
}

/// The order in which runs of digits count as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while !left.is_empty() && !right.is_empty() {
        let (a, rest_a) = run(left);
        let (b, rest_b) = run(right);
        let order = match (a.parse::<i64>(), b.parse::<i64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
        (left, right) = (rest_a, rest_b);
    }
    // Equal but for leading zeros or a rest: the shorter one first, and texts that differ never equal.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// The run of digits, or of other characters, at the start of a text, and the rest.
fn run(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    text.split_at(text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_compared_as_numbers() {
        let mut names = ["b10", "b9", "a", "b", "10", "9", "b10x", "b010"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["9", "10", "a", "b", "b9", "b010", "b10", "b10x"]);
    }
}
