//! The rows that a statement returns.

use serde::Serialize;

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// A text, or a blob in SQL's hexadecimal notation.
    Text(String),
}

impl Value {
    /// The value as a number, when it is a finite one.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "charts and sentences need no more than 53 bits"
    )]
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::Integer(value) => Some(value as f64),
            Self::Real(value) => value.is_finite().then_some(value),
            Self::Null | Self::Text(_) => None,
        }
    }

    /// How many bytes the value takes, about.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Integer(_) | Self::Real(_) => 8,
            Self::Text(text) => text.len(),
        }
    }
}

impl std::fmt::Display for Value {
    /// Numbers have a comma between thousands and at most two decimals.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("none"),
            Self::Integer(value) => f.write_str(&grouped(&value.to_string())),
            Self::Real(value) => f.write_str(&number_text(*value)),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The rows that a statement returned, under the names of its columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns' names, in order.
    pub columns: Vec<String>,
    /// The rows; each has as many values as there are columns.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// The number in a row's column, when there is one.
    #[must_use]
    pub fn number(&self, row: usize, column: usize) -> Option<f64> {
        self.rows.get(row)?.get(column)?.number()
    }

    /// The place of the first column whose every value is a number or NULL, with at least one number.
    #[must_use]
    pub fn numeric_columns(&self) -> Vec<usize> {
        (0..self.columns.len())
            .filter(|&column| {
                let mut numbers = 0;
                self.rows.iter().all(|row| {
                    let number = row[column].number().is_some();
                    numbers += usize::from(number);
                    number || row[column] == Value::Null
                }) && numbers > 0
            })
            .collect()
    }
}

/// A number for people: a comma between thousands, and at most two decimals.
#[must_use]
pub fn number_text(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    grouped(if text == "-0" { "0" } else { text })
}

/// Puts a comma between thousands in a decimal number.
fn grouped(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, decimals) = rest.split_once('.').map_or((rest, None), |(a, b)| (a, Some(b)));
    let mut out = String::from(sign);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(decimals) = decimals {
        out.push('.');
        out.push_str(decimals);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded_for_people() {
        let cases = [
            (0.0, "0"),
            (-0.001, "0"),
            (999.0, "999"),
            (1000.0, "1,000"),
            (-1234567.891, "-1,234,567.89"),
            (12.5, "12.5"),
        ];
        for (value, text) in cases {
            assert_eq!(number_text(value), text);
        }
        assert_eq!(Value::Integer(20000).to_string(), "20,000");
    }

    #[test]
    fn a_column_with_a_text_is_not_numeric() {
        let table = Table {
            columns: vec!["a".into(), "b".into(), "c".into()],
            rows: vec![
                vec![Value::Text("x".into()), Value::Integer(1), Value::Null],
                vec![Value::Integer(2), Value::Null, Value::Null],
            ],
        };
        assert_eq!(table.numeric_columns(), [1]);
    }
}
