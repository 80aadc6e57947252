//! What of a table's rows a chart shows. The errors say what the rows lack.

use crate::table::{Table, Value};

/// Named values, for bars, lines and slices.
#[derive(Debug, PartialEq)]
pub(super) struct Named {
    /// The column that gives the values.
    pub(super) unit: String,
    /// The column that gives the names.
    pub(super) names: String,
    pub(super) points: Vec<(String, f64)>,
    /// Where each point lies on an axis, when every name is a number.
    pub(super) places: Option<Vec<f64>>,
}

/// Pairs of numbers, for a scatter chart.
#[derive(Debug, PartialEq)]
pub(super) struct Pairs {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// How often values lie in each of several ranges of one width.
#[derive(Debug, PartialEq)]
pub(super) struct Bins {
    pub(super) unit: String,
    pub(super) start: f64,
    pub(super) width: f64,
    pub(super) counts: Vec<u32>,
}

/// The rows' names and values.
pub(super) fn named(table: &Table, most: usize) -> Result<Named, String> {
    let rows = table.rows.len();
    if rows == 0 {
        return Err("there are no rows".to_owned());
    }
    if rows > most {
        return Err(format!("there are {rows} rows, and it shows at most {most}"));
    }
    let numeric = table.numeric_columns();
    // A table of one column of numbers is drawn over the rows' places.
    let value = numeric.iter().copied().find(|&column| column > 0).or(numeric.first().copied());
    let value = value.ok_or_else(no_numbers)?;
    let name = |row: usize| match (&table.rows[row][0], value) {
        (_, 0) => (row + 1).to_string(),
        // A year or an hour is a name here, so it gets no comma.
        (Value::Integer(number), _) => number.to_string(),
        (other, _) => other.to_string(),
    };
    let shown = |row: &usize| table.number(*row, value).is_some();
    let places = (0..rows).filter(shown).map(|row| table.number(row, 0).filter(|_| value > 0));
    Ok(Named {
        places: places.collect(),
        unit: table.columns[value].clone(),
        names: if value == 0 { "row".to_owned() } else { table.columns[0].clone() },
        points: (0..rows).filter_map(|row| Some((name(row), table.number(row, value)?))).collect(),
    })
}

/// The rows as parts of a whole: the largest first, and those beyond `most` together as "other".
pub(super) fn slices(table: &Table, most: usize) -> Result<Named, String> {
    let mut data = named(table, 1_000)?;
    if let Some((name, value)) = data.points.iter().find(|(_, value)| *value < 0.0) {
        return Err(format!("{name} is {value}, and a slice cannot be negative"));
    }
    if data.points.iter().all(|(_, value)| *value == 0.0) {
        return Err("every value is zero".to_owned());
    }
    data.points.sort_by(|a, b| b.1.total_cmp(&a.1));
    if data.points.len() > most {
        let other = data.points.drain(most - 1..).map(|(_, value)| value).sum();
        data.points.push(("other".to_owned(), other));
    }
    Ok(data)
}

/// The first two columns of numbers.
pub(super) fn pairs(table: &Table, most: usize) -> Result<Pairs, String> {
    let columns = table.numeric_columns();
    let &[x, y, ..] = columns.as_slice() else {
        return Err("the rows have no two columns of numbers".to_owned());
    };
    let points: Vec<(f64, f64)> = (0..table.rows.len())
        .filter_map(|row| Some((table.number(row, x)?, table.number(row, y)?)))
        .collect();
    if points.len() > most {
        return Err(format!("there are {} points, and it shows at most {most}", points.len()));
    }
    Ok(Pairs { x: table.columns[x].clone(), y: table.columns[y].clone(), points })
}

/// The first column of numbers, counted in ranges of a round width.
pub(super) fn bins(table: &Table) -> Result<Bins, String> {
    let &column = table.numeric_columns().first().ok_or_else(no_numbers)?;
    let values: Vec<f64> =
        (0..table.rows.len()).filter_map(|row| table.number(row, column)).collect();
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = round_width((highest - lowest) / 20.0);
    let start = (lowest / width).floor() * width;
    let place = |value: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 41 by the width"
        )]
        let place = ((value - start) / width).floor() as usize;
        place
    };
    let mut counts = vec![0; place(highest) + 1];
    for value in values {
        counts[place(value)] += 1;
    }
    Ok(Bins { unit: table.columns[column].clone(), start, width, counts })
}

/// The next 1, 2 or 5 times a power of ten.
fn round_width(least: f64) -> f64 {
    if least <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|step| step * power)
        .into_iter()
        .find(|w| *w >= least)
        .unwrap_or(10.0 * power)
}

fn no_numbers() -> String {
    "the rows have no column of numbers".to_owned()
}
