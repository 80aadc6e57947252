//! Says in a sentence what the rows show.

use crate::table::{Table, Value, number_text};

/// The form of an answer's sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The rows are ranked: the first column names them, the second counts.
    Ranking {
        /// What is counted, in the plural.
        what: &'static str,
    },
    /// The rows are points of a curve: the first column is the place, the second the value.
    Extremes {
        /// What the values are, in the plural.
        what: &'static str,
        /// A word to put before a place.
        point: &'static str,
    },
    /// The rows are parts of a whole.
    Share {
        /// What the whole is made of, in the plural.
        what: &'static str,
    },
    /// The first column is a sample of values.
    Distribution {
        /// What was measured.
        what: &'static str,
        /// In which unit.
        unit: &'static str,
    },
    /// The first two columns are pairs of numbers.
    Correlation,
    /// One row; `{column}` in the text stands for its value.
    Sentence(&'static str),
    /// Nothing is known of the rows' meaning.
    Rows,
}

impl Answer {
    /// The sentence for these rows.
    #[must_use]
    pub fn say(self, table: &Table) -> String {
        if table.rows.is_empty() {
            return "The data has no such rows.".to_owned();
        }
        match self {
            Self::Ranking { what } => ranking(table, what),
            Self::Extremes { what, point } => extremes(table, what, point),
            Self::Share { what } => share(table, what),
            Self::Distribution { what, unit } => distribution(table, what, unit),
            Self::Correlation => correlation(table),
            Self::Sentence(template) => sentence(table, template),
            Self::Rows => rows(table),
        }
    }
}

fn ranking(table: &Table, what: &str) -> String {
    let first = &table.rows[0];
    let mut text = format!("{} leads with {} {what}", first[0], first[1]);
    let others: Vec<String> =
        table.rows[1..].iter().take(2).map(|row| format!("{} ({})", row[0], row[1])).collect();
    if !others.is_empty() {
        text.push_str(", ahead of ");
        text.push_str(&others.join(" and "));
    }
    text.push('.');
    text
}

fn extremes(table: &Table, what: &str, point: &str) -> String {
    let points = (0..table.rows.len()).filter_map(|row| Some((row, table.number(row, 1)?)));
    let highest = points.clone().max_by(|a, b| a.1.total_cmp(&b.1));
    let lowest = points.min_by(|a, b| a.1.total_cmp(&b.1));
    let (Some((high, most)), Some((low, least))) = (highest, lowest) else {
        return rows(table);
    };
    let place = |row: usize| {
        // A year or an hour is a name here, so it gets no comma.
        let name = match &table.rows[row][0] {
            Value::Integer(number) => number.to_string(),
            other => other.to_string(),
        };
        if point.is_empty() { name } else { format!("{point} {name}") }
    };
    format!(
        "The most is {} {what} ({}), the least {} ({}).",
        number_text(most),
        place(high),
        number_text(least),
        place(low)
    )
}

fn share(table: &Table, what: &str) -> String {
    let total: f64 = (0..table.rows.len()).filter_map(|row| table.number(row, 1)).sum();
    let part = |row: usize| {
        let percent = table.number(row, 1).unwrap_or(0.0) / total.max(f64::MIN_POSITIVE) * 100.0;
        format!("{} {percent:.1} %", table.rows[row][0])
    };
    let parts: Vec<String> = (0..table.rows.len().min(3)).map(part).collect();
    format!("Of {} {what}: {}.", number_text(total), parts.join(", "))
}

fn distribution(table: &Table, what: &str, unit: &str) -> String {
    let mut values: Vec<f64> =
        (0..table.rows.len()).filter_map(|row| table.number(row, 0)).collect();
    if values.is_empty() {
        return rows(table);
    }
    values.sort_by(f64::total_cmp);
    let at = |part: usize| number_text(values[(values.len() - 1) * part / 100]);
    format!(
        "Of {} values, the median {what} is {} {unit}; a tenth lies below {} and a tenth above {}.",
        number_text(precise(values.len())),
        at(50),
        at(10),
        at(90)
    )
}

fn correlation(table: &Table) -> String {
    let pairs: Vec<(f64, f64)> = (0..table.rows.len())
        .filter_map(|row| Some((table.number(row, 0)?, table.number(row, 1)?)))
        .collect();
    let Some(r) = pearson(&pairs) else {
        return format!("{} rows are too alike for a correlation.", pairs.len());
    };
    let strength = match r.abs() {
        r if r < 0.1 => "practically none",
        r if r < 0.3 => "weak",
        r if r < 0.6 => "moderate",
        _ => "strong",
    };
    format!(
        "Over {} rows, the correlation of {} and {} is {r:.2}: {strength}.",
        pairs.len(),
        table.columns[0],
        table.columns[1]
    )
}

/// Pearson's correlation coefficient; `None` when one of the two does not vary.
fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = precise(pairs.len());
    let mean_x = pairs.iter().map(|pair| pair.0).sum::<f64>() / n;
    let mean_y = pairs.iter().map(|pair| pair.1).sum::<f64>() / n;
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x).powi(2);
        yy += (y - mean_y).powi(2);
    }
    let r = xy / (xx * yy).sqrt();
    r.is_finite().then_some(r)
}

fn sentence(table: &Table, template: &str) -> String {
    let mut text = template.to_owned();
    for (column, value) in table.columns.iter().zip(&table.rows[0]) {
        text = text.replace(&format!("{{{column}}}"), &value.to_string());
    }
    text
}

fn rows(table: &Table) -> String {
    let first: Vec<String> = table
        .columns
        .iter()
        .zip(&table.rows[0])
        .take(4)
        .map(|(column, value)| format!("{column} {value}"))
        .collect();
    let count = table.rows.len();
    let rows = if count == 1 { "one row".to_owned() } else { format!("{count} rows") };
    format!("The statement returns {rows}; the first has {}.", first.join(", "))
}

#[expect(clippy::cast_precision_loss, reason = "there are at most 10,000 rows")]
const fn precise(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(answer: Answer, columns: &[&str], rows: Vec<Vec<Value>>, expected: &str) {
        let table = Table { columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows };
        assert_eq!(answer.say(&table), expected);
    }

    fn row(name: &str, value: i64) -> Vec<Value> {
        vec![Value::Text(name.into()), Value::Integer(value)]
    }

    #[test]
    fn each_form_says_what_the_rows_hold() {
        check(Answer::Rows, &["a"], vec![], "The data has no such rows.");
        check(
            Answer::Ranking { what: "departures" },
            &["airport", "flights"],
            vec![row("DFW", 1103), row("ORD", 1095), row("ATL", 846)],
            "DFW leads with 1,103 departures, ahead of ORD (1,095) and ATL (846).",
        );
        check(
            Answer::Extremes { what: "strikes", point: "" },
            &["year", "strikes"],
            vec![
                vec![Value::Integer(1990), Value::Integer(5)],
                vec![Value::Integer(1991), Value::Integer(1200)],
            ],
            "The most is 1,200 strikes (1991), the least 5 (1990).",
        );
        check(
            Answer::Share { what: "strikes" },
            &["phase", "strikes"],
            vec![row("Approach", 3), row("Climb", 1)],
            "Of 4 strikes: Approach 75.0 %, Climb 25.0 %.",
        );
        check(
            Answer::Distribution { what: "delay", unit: "minutes" },
            &["delay"],
            (0..=100).map(|n| vec![Value::Integer(n)]).collect(),
            "Of 101 values, the median delay is 50 minutes; a tenth lies below 10 and a tenth above 90.",
        );
        check(
            Answer::Correlation,
            &["x", "y"],
            (0..10).map(|n| vec![Value::Integer(n), Value::Integer(-2 * n)]).collect(),
            "Over 10 rows, the correlation of x and y is -1.00: strong.",
        );
        check(
            Answer::Sentence("{state} has {airports}."),
            &["state", "airports"],
            vec![row("TX", 209)],
            "TX has 209.",
        );
        check(
            Answer::Rows,
            &["a", "b"],
            vec![row("x", 1)],
            "The statement returns one row; the first has a x, b 1.",
        );
    }
}
