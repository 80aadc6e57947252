//! Aggregations: the series of a group put together at each step.

use std::sync::Arc;

use obs_model::{Labels, METRIC_NAME_LABEL};

use super::Evaluator;
use super::column::{Column, Grid, Row, is_absent};
use super::identity::Identity;
use super::labels::{label_name, label_set};
use super::matching::Groups;
use crate::Error;
use crate::promql::annotation::Note;
use crate::promql::ast::{AggregateOp, Grouping};
use crate::promql::error::execution;
use crate::promql::float::{self, Mean, Sum};
use crate::promql::native::NativeHistogram;
use crate::promql::plan::AggregatePlan;
use crate::promql::span::Span;
use crate::promql::value::SampleValue;

impl Evaluator<'_> {
    pub(super) fn aggregate(
        &self,
        plan: &AggregatePlan,
        span: Span,
        grid: &Grid,
    ) -> Result<Vec<Row>, Error> {
        let before = self.budget.held();
        let rows = if plan.op == AggregateOp::CountValues {
            self.count_values(plan, grid)?
        } else {
            let parameter = match &plan.parameter {
                Some(parameter) => Some((self.eval_scalar(parameter, grid)?, parameter.span)),
                None => None,
            };
            if let Some(rows) = self.fold_as_read(plan, grid)? {
                self.budget.settle(before, &rows)?;
                return Ok(rows);
            }
            if let Some((values, parameter_span)) = &parameter
                && let Some(rows) =
                    self.pick_as_read(plan, (values, *parameter_span), span, grid)?
            {
                self.budget.settle(before, &rows)?;
                return Ok(rows);
            }
            let rows = self.eval_vector(&plan.expr, grid)?;
            let parameter = parameter.as_ref().map(|(values, span)| (&values[..], *span));
            if plan.op.keeps_series() {
                self.pick_series(plan, rows, parameter.unwrap_or((&[], span)), span, grid)?
            } else {
                self.fold(plan, &rows, parameter, grid)?
            }
        };
        self.budget.settle(before, &rows)?;
        Ok(rows)
    }

    /// Folds the series of each group into one.
    fn fold(
        &self,
        plan: &AggregatePlan,
        rows: &[Row],
        parameter: Option<(&[f64], Span)>,
        grid: &Grid,
    ) -> Result<Vec<Row>, Error> {
        if let (AggregateOp::Quantile, Some((quantiles, span))) = (plan.op, parameter) {
            self.note_quantiles(quantiles, span);
        }
        let members = members(&plan.grouping, rows);
        self.budget.room_for(members.len(), grid.steps)?;
        let mut folded = Vec::with_capacity(members.len());
        for members in members {
            self.budget.work(members.len() * grid.steps)?;
            let group: Vec<&Row> = members.iter().map(|index| &rows[*index]).collect();
            let column = match plan.op {
                AggregateOp::Quantile => {
                    self.quantiles(&group, parameter.map_or(&[], |(q, _)| q), plan.expr.span, grid)
                }
                op => self.fold_group(op, &group, plan.expr.span, grid),
            };
            if !column.is_empty() {
                let labels = group_labels(&plan.grouping, &group[0].labels);
                let drop_name = group.iter().any(|row| row.drop_name);
                folded.push(Row { labels: labels.into(), drop_name, column });
            }
        }
        Ok(folded)
    }

    fn note_quantiles(&self, quantiles: &[f64], span: Span) {
        if quantiles.iter().any(|q| q.is_nan()) {
            self.note(Note::InvalidQuantile(f64::NAN), span);
        }
        let most = quantiles.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = quantiles.iter().copied().fold(f64::INFINITY, f64::min);
        if most > 1.0 {
            self.note(Note::InvalidQuantile(most), span);
        }
        if least < 0.0 {
            self.note(Note::InvalidQuantile(least), span);
        }
    }

    fn fold_group(&self, op: AggregateOp, group: &[&Row], span: Span, grid: &Grid) -> Column {
        match op {
            AggregateOp::Sum => self.sums(group, span, grid),
            AggregateOp::Avg => self.averages(group, span, grid),
            AggregateOp::Count | AggregateOp::Group => counts(op, group, grid),
            AggregateOp::Min => {
                self.note_histograms(group, "min", span);
                extremes(group, grid, |value, best| value < best)
            }
            AggregateOp::Max => {
                self.note_histograms(group, "max", span);
                extremes(group, grid, |value, best| value > best)
            }
            AggregateOp::Stddev => {
                self.note_histograms(group, "stddev", span);
                variances(group, grid, f64::sqrt)
            }
            AggregateOp::Stdvar => {
                self.note_histograms(group, "stdvar", span);
                variances(group, grid, |variance| variance)
            }
            // These do not fold series.
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio
            | AggregateOp::CountValues
            | AggregateOp::Quantile => Column::absent(grid.steps),
        }
    }

    fn note_histograms(&self, group: &[&Row], aggregation: &str, span: Span) {
        let any = group.iter().any(|row| {
            row.column.histograms.as_ref().is_some_and(|h| h.iter().any(Option::is_some))
        });
        if any {
            self.note(Note::HistogramIgnored(aggregation), span);
        }
    }

    fn sums(&self, group: &[&Row], span: Span, grid: &Grid) -> Column {
        if group.iter().any(|row| row.column.histograms.is_some()) {
            return self.histogram_fold(group, span, grid, Fold::Sum);
        }
        let mut sums: Vec<Option<Sum>> = vec![None; grid.steps];
        for row in group {
            for (sum, value) in sums.iter_mut().zip(&row.column.floats) {
                if !is_absent(*value) {
                    *sum = Some(sum.map_or(Sum::of(*value), |sum| sum.plus(*value)));
                }
            }
        }
        column_of(sums, Sum::total)
    }

    fn averages(&self, group: &[&Row], span: Span, grid: &Grid) -> Column {
        if group.iter().any(|row| row.column.histograms.is_some()) {
            return self.histogram_fold(group, span, grid, Fold::Average);
        }
        let mut means: Vec<Option<Mean>> = vec![None; grid.steps];
        for row in group {
            for (mean, value) in means.iter_mut().zip(&row.column.floats) {
                if is_absent(*value) {
                    continue;
                }
                match mean {
                    Some(mean) => mean.add(*value),
                    None => *mean = Some(Mean::of(*value)),
                }
            }
        }
        column_of(means, Mean::value)
    }

    /// Folds a group in which there are histograms, step by step.
    fn histogram_fold(&self, group: &[&Row], span: Span, grid: &Grid, fold: Fold) -> Column {
        let mut column = Column::absent(grid.steps);
        for step in 0..grid.steps {
            let floats: Vec<f64> = group.iter().filter_map(|row| row.column.float(step)).collect();
            let histograms: Vec<(&Arc<NativeHistogram>, &Identity)> = group
                .iter()
                .filter_map(|row| Some((row.column.histogram(step)?, &row.labels)))
                .collect();
            if histograms.is_empty() {
                if let [first, rest @ ..] = &floats[..] {
                    column.floats[step] = fold.floats(*first, rest);
                }
                continue;
            }
            if !floats.is_empty() {
                self.note(Note::MixedFloatsHistogramsAggregation, span);
                continue;
            }
            let folded = match fold {
                Fold::Sum => self.histogram_sum(&histograms, span),
                Fold::Average => self.histogram_average(&histograms, span),
            };
            if let Some(histogram) = folded {
                column.set(step, SampleValue::Histogram(Arc::new(histogram)));
            }
        }
        column
    }

    fn quantiles(&self, group: &[&Row], quantiles: &[f64], span: Span, grid: &Grid) -> Column {
        self.note_histograms(group, "quantile", span);
        let mut column = Column::absent(grid.steps);
        let mut values = Vec::with_capacity(group.len());
        for (step, out) in column.floats.iter_mut().enumerate() {
            values.clear();
            values.extend(group.iter().filter_map(|row| row.column.float(step)));
            if !values.is_empty() {
                *out = float::quantile(quantiles[step], &mut values);
            }
        }
        column
    }

    /// `count_values`: a series for each value that there is.
    fn count_values(&self, plan: &AggregatePlan, grid: &Grid) -> Result<Vec<Row>, Error> {
        let text = match &plan.parameter {
            Some(parameter) => self.text(parameter)?,
            None => return Err(execution("count_values needs a label name")),
        };
        let label = label_name(text, "invalid label name")
            .map_err(|_| execution(format!("invalid label name {text}")))?;
        let rows = self.eval_vector(&plan.expr, grid)?;
        let mut counted: Vec<Row> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for row in &rows {
            let base = group_labels(&plan.grouping, &row.labels);
            for step in 0..grid.steps {
                let Some(value) = row.column.get(step) else {
                    continue;
                };
                let shown = match value {
                    SampleValue::Float(value) => float::full(value),
                    SampleValue::Histogram(histogram) => histogram.to_string(),
                };
                let pairs = base.iter().filter(|(name, _)| *name != label);
                let labels = label_set(pairs.chain([(label, shown.as_str())]))?;
                let place = *places.entry(labels.clone()).or_insert_with(|| {
                    let column = Column::absent(grid.steps);
                    counted.push(Row { labels: labels.into(), drop_name: false, column });
                    counted.len() - 1
                });
                self.budget.room_for(counted.len(), grid.steps)?;
                let floats = &mut counted[place].column.floats;
                let before = if is_absent(floats[step]) { 0.0 } else { floats[step] };
                floats[step] = before + 1.0;
            }
        }
        Ok(counted)
    }
}

/// Which fold a group with histograms gets.
#[derive(Clone, Copy)]
enum Fold {
    Sum,
    Average,
}

impl Fold {
    fn floats(self, first: f64, rest: &[f64]) -> f64 {
        match self {
            Self::Sum => rest.iter().fold(Sum::of(first), |sum, value| sum.plus(*value)).total(),
            Self::Average => {
                let mut mean = Mean::of(first);
                rest.iter().for_each(|value| mean.add(*value));
                mean.value()
            }
        }
    }
}

/// The rows of each group, by index, in order of their first row.
pub(super) fn members(grouping: &Grouping, rows: &[Row]) -> Vec<Vec<usize>> {
    let mut groups = Groups::new(!grouping.without, &grouping.labels);
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let group = groups.of(&row.labels);
        members.resize(groups.count(), Vec::new());
        members[group].push(index);
    }
    members
}

/// The labels of a group, out of those of any of its series.
pub(super) fn group_labels(grouping: &Grouping, labels: &Identity) -> Labels {
    let listed = |name: &str| grouping.labels.iter().any(|known| known == name);
    if grouping.without {
        labels.filter(|name| name != METRIC_NAME_LABEL && !listed(name))
    } else if grouping.labels.is_empty() {
        Labels::empty()
    } else {
        labels.filter(listed)
    }
}

fn column_of<S: Copy>(states: Vec<Option<S>>, value: impl Fn(S) -> f64) -> Column {
    let floats =
        states.into_iter().map(|state| state.map_or(super::column::ABSENT, &value)).collect();
    Column::of_floats(floats)
}

fn counts(op: AggregateOp, group: &[&Row], grid: &Grid) -> Column {
    let mut column = Column::absent(grid.steps);
    for row in group {
        for (step, count) in column.floats.iter_mut().enumerate() {
            if row.column.has(step) {
                let before = if is_absent(*count) { 0.0 } else { *count };
                *count = if op == AggregateOp::Group { 1.0 } else { before + 1.0 };
            }
        }
    }
    column
}

fn extremes(group: &[&Row], grid: &Grid, better: impl Fn(f64, f64) -> bool) -> Column {
    let mut column = Column::absent(grid.steps);
    for row in group {
        for (best, value) in column.floats.iter_mut().zip(&row.column.floats) {
            // NaN, which the mark of an absent value is too, gives way to any number.
            if !is_absent(*value) && (best.is_nan() || better(*value, *best)) {
                *best = *value;
            }
        }
    }
    column
}

/// Welford's variance of each step.
fn variances(group: &[&Row], grid: &Grid, finish: impl Fn(f64) -> f64) -> Column {
    #[derive(Clone, Copy)]
    struct State {
        count: f64,
        mean: f64,
        squares: f64,
    }
    let mut states: Vec<Option<State>> = vec![None; grid.steps];
    for row in group {
        for (state, value) in states.iter_mut().zip(&row.column.floats) {
            if is_absent(*value) {
                continue;
            }
            let Some(state) = state else {
                let squares = if value.is_finite() { 0.0 } else { f64::NAN };
                *state = Some(State { count: 1.0, mean: *value, squares });
                continue;
            };
            state.count += 1.0;
            let difference = *value - state.mean;
            state.mean += difference / state.count;
            state.squares += difference * (*value - state.mean);
        }
    }
    column_of(states, |state| finish(state.squares / state.count))
}
