//! Sub-queries: an expression evaluated on a grid of its own, whose values are samples for what is around it.

use obs_model::Timestamp;

use super::Evaluator;
use super::column::{Grid, Value};
use super::select::{RawSeries, SeriesView};
use super::{identity, rows};
use crate::Error;
use crate::promql::error::{QueryError, execution};
use crate::promql::native::{CounterResetHint, HistogramSample};
use crate::promql::plan::{Plan, RangePlan, RangeSource, When};
use crate::promql::value::{MatrixSeries, QueryValue};
use std::sync::Arc;

/// A series that a sub-query gives.
struct WindowSeries {
    raw: RawSeries,
    /// Whether the metric's name goes away in the end.
    drop_name: bool,
}

/// What is done with each series of a window and whether its name goes away; an error ends the reading.
type Visit<'v> = &'v mut dyn FnMut(SeriesView<'_>, bool) -> Result<(), Error>;

impl Evaluator<'_> {
    /// Shows the series that a range function goes through, with everything that the steps of `grid` need.
    pub(super) fn each_series(
        &self,
        range: &RangePlan,
        grid: &Grid,
        visit: Visit<'_>,
    ) -> Result<(), Error> {
        match &range.source {
            RangeSource::Selector(selector) => {
                self.each_window(selector, range.window, range.when, grid, &mut |series| {
                    self.budget.pass(series.floats.len() + series.histograms.len())?;
                    visit(series, false)
                })
            }
            RangeSource::Subquery { plan, step } => {
                let found = self.subquery(plan, *step, range.window, range.when, grid)?;
                found.iter().try_for_each(|series| visit(series.raw.view(), series.drop_name))
            }
        }
    }

    fn subquery(
        &self,
        plan: &Plan,
        step: i64,
        window: i64,
        when: When,
        grid: &Grid,
    ) -> Result<Vec<WindowSeries>, Error> {
        let (first, last) = (when.at_step(grid.start), when.at_step(grid.end()));
        let after = first.saturating_sub(window);
        // The steps are multiples of the step, beginning with the first one after the window's open end.
        let start = after.div_euclid(step).saturating_add(1).saturating_mul(step);
        if start > last {
            return Ok(Vec::new());
        }
        let steps = last.abs_diff(start) / step.unsigned_abs() + 1;
        let limit = self.options.max_samples;
        let steps = match usize::try_from(steps) {
            Ok(steps) if steps <= limit => steps,
            _ => return Err(QueryError::TooManySteps { steps, limit }.into()),
        };
        let inner = Grid { start, step, steps };
        let before = self.budget.held();
        let Value::Vector(found) = self.eval(plan, &inner)? else {
            return Err(execution("subquery is only allowed on instant vector"));
        };
        let series: Vec<_> = found
            .into_iter()
            .map(|row| WindowSeries {
                drop_name: row.drop_name,
                raw: RawSeries {
                    floats: rows::floats(&row.column, &inner),
                    histograms: unhinted(rows::histograms(&row.column, &inner)),
                    labels: row.labels.into_labels(),
                },
            })
            .collect();
        self.budget.release(self.budget.held().saturating_sub(before));
        self.budget.hold(series.iter().map(|series| series.raw.len()).sum())?;
        Ok(series)
    }

    /// A range selector or sub-query as the whole query.
    pub(super) fn whole_range(&self, range: &RangePlan, at: i64) -> Result<QueryValue, Error> {
        let grid = Grid::instant(at);
        let mut series = Vec::new();
        self.each_series(range, &grid, &mut |view, drop_name| {
            self.budget.hold(view.floats.len() + view.histograms.len())?;
            let drop_name = drop_name && self.options.delayed_name_removal;
            let labels = view.subject.labels;
            series.push(MatrixSeries {
                labels: if drop_name { identity::without_metric(labels) } else { labels.clone() },
                floats: view.floats.to_vec(),
                histograms: view.histograms.to_vec(),
            });
            Ok(())
        })?;
        series.retain(|series| !series.floats.is_empty() || !series.histograms.is_empty());
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        if series.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
            return Err(execution(rows::DUPLICATE));
        }
        Ok(QueryValue::Matrix(series))
    }
}

/// Takes back what was known of resets between neighbours, because a sub-query's neighbours are other ones.
fn unhinted(samples: Vec<HistogramSample>) -> Vec<HistogramSample> {
    let known = [CounterResetHint::Reset, CounterResetHint::NotReset];
    samples
        .into_iter()
        .map(|sample| {
            if !known.contains(&sample.value.hint) {
                return sample;
            }
            let mut value = (*sample.value).clone();
            value.hint = CounterResetHint::Unknown;
            HistogramSample {
                timestamp: Timestamp::from_millis(sample.timestamp.as_millis()),
                value: Arc::new(value),
            }
        })
        .collect()
}
