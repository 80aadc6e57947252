//! Draws a statement's rows as a chart, in SVG.

mod data;
mod draw;

use serde::{Deserialize, Serialize};

use crate::error::AnalystError;
use crate::table::Table;

/// A kind of chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartKind {
    /// A bar for each row.
    Bar,
    /// A line through the rows, in their order.
    Line,
    /// A point for each pair of numbers.
    Scatter,
    /// A slice for each row.
    Pie,
    /// How often the values of one column occur.
    Histogram,
}

impl ChartKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Bar, Self::Line, Self::Scatter, Self::Pie, Self::Histogram];

    /// The kind's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bar => "bar",
            Self::Line => "line",
            Self::Scatter => "scatter",
            Self::Pie => "pie",
            Self::Histogram => "histogram",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A drawn chart.
#[derive(Clone, Debug, Serialize)]
pub struct Chart {
    /// What kind it is.
    #[serde(rename = "type")]
    pub kind: ChartKind,
    /// The title that stands in it.
    pub title: String,
    /// How many rows it shows.
    pub points: usize,
    /// The drawing.
    pub svg: String,
}

/// Draws the rows.
///
/// The first column names a bar, a slice or a point of a line, and the first column of numbers after it gives the
/// value. A scatter chart takes the first two columns of numbers and a histogram the first.
///
/// # Errors
///
/// [`AnalystError::ChartImpossible`] when the rows have no such columns or are more than such a chart can show.
pub fn create(kind: ChartKind, title: &str, table: &Table) -> Result<Chart, AnalystError> {
    let drawn = match kind {
        ChartKind::Bar => data::named(table, 50).map(|data| draw::bar(title, &data)),
        ChartKind::Line => data::named(table, 2_000).map(|data| draw::line(title, &data)),
        ChartKind::Pie => data::slices(table, 8).map(|data| draw::pie(title, &data)),
        ChartKind::Scatter => data::pairs(table, 2_000).map(|data| draw::scatter(title, &data)),
        ChartKind::Histogram => data::bins(table).map(|data| draw::histogram(title, &data)),
    };
    let impossible = |reason| AnalystError::ChartImpossible { kind: kind.name(), reason };
    let svg = drawn.map_err(impossible)?.map_err(impossible)?;
    Ok(Chart { kind, title: title.to_owned(), points: table.rows.len(), svg })
}

#[cfg(test)]
mod tests;
