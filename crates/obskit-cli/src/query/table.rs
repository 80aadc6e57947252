//! An instant vector as a table: a column for each label, and the value.

use std::collections::BTreeSet;

use super::answer::Series;

/// The name of the column of metric names, which stands first.
const METRIC: &str = "__name__";

pub(super) fn table(series: &[Series]) -> String {
    let names: BTreeSet<&str> =
        series.iter().flat_map(|series| series.labels.iter().map(|(name, _)| &**name)).collect();
    let has_metric = names.contains(METRIC);
    let columns: Vec<&str> = has_metric
        .then_some(METRIC)
        .into_iter()
        .chain(names.into_iter().filter(|name| *name != METRIC))
        .collect();
    let heads = columns.iter().map(|name| if *name == METRIC { "metric" } else { *name });
    let mut rows: Vec<Vec<&str>> = vec![heads.chain(["value"]).collect()];
    for one in series {
        let value = |name: &str| {
            one.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
        };
        let point = one.points.last().map_or("", |point| &*point.text);
        rows.push(columns.iter().map(|name| value(name)).chain([point]).collect());
    }
    aligned(&rows)
}

/// Rows with their columns under each other.
fn aligned(rows: &[Vec<&str>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            let padding = width + 2 - cell.chars().count();
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use obs_model::Timestamp;

    use super::super::answer::Point;
    use super::*;

    #[test]
    fn every_label_has_a_column_and_the_metric_is_the_first() {
        let series = |labels: &[(&str, &str)], text: &str| Series {
            labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            points: vec![Point { at: Timestamp::EPOCH, text: text.to_owned() }],
        };
        let all = [
            series(&[("__name__", "requests"), ("Zone", "eu")], "1"),
            series(&[("code", "é"), ("__name__", "up")], "-2.5"),
        ];
        assert_eq!(
            table(&all),
            "metric    Zone  code  value\nrequests  eu          1\nup              é     -2.5\n"
        );
    }
}
