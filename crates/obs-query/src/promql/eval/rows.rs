//! What every node does with its rows in the end: names dropped, duplicates found, results handed out.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use obs_model::{Labels, Sample, Timestamp};

use super::Evaluator;
use super::column::{Column, Grid, Row, Value};
use super::identity::Identity;
use crate::Error;
use crate::promql::error::execution;
use crate::promql::native::HistogramSample;
use crate::promql::value::{MatrixSeries, QueryValue, VectorPoint};

/// Upstream's message for two series of a result that cannot be told apart.
pub(super) const DUPLICATE: &str = "vector cannot contain metrics with the same labelset";

impl Evaluator<'_> {
    /// Drops the metric's name, now or in the end.
    pub(super) fn drop_name(&self, row: &mut Row) {
        if !self.options.delayed_name_removal {
            row.labels.drop_metric();
        }
        row.drop_name = true;
    }

    /// Rows whose labels must differ, unless names are dropped in the end only.
    pub(super) fn unique(&self, mut rows: Vec<Row>) -> Result<Vec<Row>, Error> {
        if !self.options.delayed_name_removal && has_duplicates(&mut rows) {
            return Err(execution(DUPLICATE));
        }
        Ok(rows)
    }

    /// Puts rows with equal labels together; they must not have values at the same step.
    ///
    /// Rows without a value are left out.
    pub(super) fn merged(&self, rows: Vec<Row>) -> Result<Vec<Row>, Error> {
        let mut rows = rows;
        rows.retain(|row| !row.column.is_empty());
        if !has_duplicates(&mut rows) {
            return Ok(rows);
        }
        let mut places: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
        let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
        for mut row in rows {
            match places.entry(row.labels.settle().clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(merged.len());
                    merged.push(row);
                }
                Entry::Occupied(occupied) => {
                    if !merged[*occupied.get()].column.merge(row.column) {
                        return Err(execution(DUPLICATE));
                    }
                }
            }
        }
        Ok(merged)
    }

    /// Drops the names that are still there.
    pub(super) fn finished(&self, value: Value) -> Result<Value, Error> {
        let Value::Vector(mut rows) = value else {
            return Ok(value);
        };
        rows.retain(|row| !row.column.is_empty());
        if self.options.delayed_name_removal {
            for row in rows.iter_mut().filter(|row| row.drop_name) {
                row.labels.drop_metric();
            }
        }
        if has_duplicates(&mut rows) {
            return Err(execution(DUPLICATE));
        }
        Ok(Value::Vector(rows))
    }
}

/// Whether series differ without the labels about the metric.
pub(super) fn differ_without_metric(series: &[Labels]) -> bool {
    let row = |labels| Row {
        labels: Identity::bare(labels),
        drop_name: true,
        column: Column::of_floats(Vec::new()),
    };
    !has_duplicates(&mut series.iter().map(row).collect::<Vec<_>>())
}

/// Whether two rows cannot be told apart.
fn has_duplicates(rows: &mut [Row]) -> bool {
    let [first, rest @ ..] = &*rows else {
        return false;
    };
    // Rows of one metric differ without its name as they do with it.
    if !rest.iter().all(|row| first.labels.is_of_same_metric(&row.labels)) {
        for row in rows.iter_mut() {
            row.labels.settle();
        }
    }
    let mut hashes: Vec<(u64, usize)> =
        rows.iter().enumerate().map(|(index, row)| (row.labels.full_hash(), index)).collect();
    hashes.sort_unstable();
    hashes.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1).any(|same| {
        same.iter().enumerate().any(|(place, (_, a))| {
            same[place + 1..].iter().any(|(_, b)| rows[*a].labels.is_fully_equal(&rows[*b].labels))
        })
    })
}

/// Turns every value's sign round.
pub(super) fn negate(column: &mut Column) {
    for value in &mut column.floats {
        if !super::column::is_absent(*value) {
            *value = -*value;
        }
    }
    for histogram in column.histograms.iter_mut().flatten().flatten() {
        *histogram = Arc::new(histogram.scaled(-1.0));
    }
}

/// The answer to an instant query.
pub(super) fn vector(value: Value, at: i64) -> QueryValue {
    let timestamp = Timestamp::from_millis(at);
    match value {
        Value::Scalar(values) => QueryValue::Scalar(Sample { timestamp, value: values[0] }),
        Value::Vector(rows) => QueryValue::Vector(
            rows.into_iter()
                .filter_map(|row| {
                    let value = row.column.get(0)?;
                    Some(VectorPoint { labels: row.labels.into_labels(), timestamp, value })
                })
                .collect(),
        ),
    }
}

/// The answer to a range query.
pub(super) fn matrix(value: Value, grid: &Grid) -> QueryValue {
    let rows = match value {
        Value::Vector(rows) => rows,
        Value::Scalar(values) => vec![Row {
            labels: Labels::empty().into(),
            drop_name: false,
            column: Column::of_floats(values),
        }],
    };
    let mut series: Vec<MatrixSeries> = rows
        .into_iter()
        .map(|row| MatrixSeries {
            floats: floats(&row.column, grid),
            histograms: histograms(&row.column, grid),
            labels: row.labels.into_labels(),
        })
        .collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    QueryValue::Matrix(series)
}

pub(super) fn floats(column: &Column, grid: &Grid) -> Vec<Sample> {
    let mut samples = Vec::with_capacity(column.count());
    for (step, time) in grid.times().enumerate() {
        if let Some(value) = column.float(step) {
            samples.push(Sample { timestamp: Timestamp::from_millis(time), value });
        }
    }
    samples
}

pub(super) fn histograms(column: &Column, grid: &Grid) -> Vec<HistogramSample> {
    if column.histograms.is_none() {
        return Vec::new();
    }
    let mut samples = Vec::new();
    for (step, time) in grid.times().enumerate() {
        if let Some(value) = column.histogram(step) {
            let timestamp = Timestamp::from_millis(time);
            samples.push(HistogramSample { timestamp, value: Arc::clone(value) });
        }
    }
    samples
}
