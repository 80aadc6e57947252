//! Calls of functions: which function is evaluated where.

use obs_model::Labels;

use super::column::{Column, Grid, Row, Value};
use super::range::unwrapped;
use super::sort::Direction;
use super::{Evaluator, date, math};
use crate::Error;
use crate::promql::error::execution;
use crate::promql::functions::Function;
use crate::promql::plan::{CallPlan, Plan, PlanKind};
use crate::promql::span::Span;

impl Evaluator<'_> {
    pub(super) fn call(&self, call: &CallPlan, span: Span, grid: &Grid) -> Result<Value, Error> {
        if let Some(rows) = self.range_call(call, grid)? {
            return Ok(Value::Vector(rows));
        }
        let plans = &call.arguments[..];
        if let Some(change) = math::of_number(call.function) {
            let rows = self.eval_vector(argument(plans, 0)?, grid)?;
            return self.map(rows, change).map(Value::Vector);
        }
        if let Some(part) = date::of_time(call.function) {
            return self.date(plans, part, grid).map(Value::Vector);
        }
        Ok(Value::Vector(match call.function {
            Function::Time => return Ok(Value::Scalar(self.times(grid)?)),
            Function::Pi => return Ok(Value::Scalar(vec![std::f64::consts::PI; grid.steps])),
            Function::ScalarOf => {
                let rows = self.eval_vector(argument(plans, 0)?, grid)?;
                return Ok(Value::Scalar(scalar(&rows, grid)));
            }
            Function::VectorOf => {
                vec![unlabelled(self.eval_scalar(argument(plans, 0)?, grid)?)]
            }
            Function::Absent => {
                let rows = self.eval_vector(argument(plans, 0)?, grid)?;
                self.absent_steps(rows, &call.absent, grid)?
            }
            Function::Timestamp => self.timestamp(argument(plans, 0)?, grid)?,
            Function::Clamp | Function::ClampMin | Function::ClampMax => {
                self.clamp(call.function, plans, grid)?
            }
            Function::Round => self.round(plans, grid)?,
            Function::Sort | Function::SortDesc => {
                let rows = self.eval_vector(argument(plans, 0)?, grid)?;
                self.sort(rows, direction(call.function))
            }
            Function::SortByLabel | Function::SortByLabelDesc => {
                self.sort_by_label(plans, direction(call.function), grid)?
            }
            Function::LabelReplace => self.label_replace(plans, grid)?,
            Function::LabelJoin => self.label_join(plans, grid)?,
            Function::Info => self.info(plans, grid)?,
            Function::HistogramQuantile => self.histogram_quantile(plans, grid)?,
            Function::HistogramFraction => self.histogram_fraction(plans, grid)?,
            Function::HistogramAvg
            | Function::HistogramCount
            | Function::HistogramSum
            | Function::HistogramStddev
            | Function::HistogramStdvar => {
                let rows = self.eval_vector(argument(plans, 0)?, grid)?;
                self.of_histograms(call.function, rows)?
            }
            other => {
                let (name, at) = (other.signature().name, span.start);
                return Err(execution(format!(
                    "function {name} at byte {at} is not evaluated here"
                )));
            }
        }))
    }

    fn times(&self, grid: &Grid) -> Result<Vec<f64>, Error> {
        self.budget.room_for(1, grid.steps)?;
        Ok(grid.times().map(|time| time as f64 / 1e3).collect())
    }

    fn date(&self, plans: &[Plan], part: fn(f64) -> f64, grid: &Grid) -> Result<Vec<Row>, Error> {
        if let Some(vector) = plans.first() {
            let rows = self.eval_vector(vector, grid)?;
            return self.map(rows, part);
        }
        // Upstream divides the milliseconds as integers.
        Ok(vec![unlabelled(grid.times().map(|time| part((time / 1_000) as f64)).collect())])
    }

    /// `timestamp`: of a selector the time of each sample, of anything else that of the step.
    fn timestamp(&self, plan: &Plan, grid: &Grid) -> Result<Vec<Row>, Error> {
        let mut rows = match &unwrapped(plan).kind {
            PlanKind::Instant(instant) => self.select_times(instant, grid)?,
            _ => {
                let mut rows = self.eval_vector(plan, grid)?;
                for row in &mut rows {
                    let mut times = Column::absent(grid.steps);
                    for (step, time) in grid.times().enumerate() {
                        if row.column.has(step) {
                            times.floats[step] = time as f64 / 1e3;
                        }
                    }
                    row.column = times;
                }
                rows
            }
        };
        for row in &mut rows {
            self.drop_name(row);
        }
        self.merged(rows)
    }

    fn clamp(&self, function: Function, plans: &[Plan], grid: &Grid) -> Result<Vec<Row>, Error> {
        let rows = self.eval_vector(argument(plans, 0)?, grid)?;
        let first = self.eval_scalar(argument(plans, 1)?, grid)?;
        let second = match function {
            Function::Clamp => Some(self.eval_scalar(argument(plans, 2)?, grid)?),
            _ => None,
        };
        self.map_steps(rows, |step, value| {
            let (least, most) = match (&second, function) {
                (Some(most), _) => (first[step], most[step]),
                (None, Function::ClampMin) => (first[step], f64::INFINITY),
                (None, _) => (f64::NEG_INFINITY, first[step]),
            };
            if most < least {
                return None;
            }
            Some(maximum(least, minimum(most, value)))
        })
    }

    fn round(&self, plans: &[Plan], grid: &Grid) -> Result<Vec<Row>, Error> {
        let rows = self.eval_vector(argument(plans, 0)?, grid)?;
        let nearest = match plans.get(1) {
            Some(plan) => self.eval_scalar(plan, grid)?,
            None => vec![1.0; grid.steps],
        };
        self.map_steps(rows, |step, value| {
            // Multiplying by the inverse is more exact for the usual 0.1 and 0.01.
            let inverse = 1.0 / nearest[step];
            Some((value * inverse + 0.5).floor() / inverse)
        })
    }
}

/// Go's `math.Max`: NaN if either is.
fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Go's `math.Min`: NaN if either is.
fn minimum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.min(b) }
}

fn direction(function: Function) -> Direction {
    match function {
        Function::SortDesc | Function::SortByLabelDesc => Direction::Falling,
        _ => Direction::Rising,
    }
}

/// The argument at `index`, which the parser has seen to be there.
pub(super) fn argument(plans: &[Plan], index: usize) -> Result<&Plan, Error> {
    plans.get(index).ok_or_else(|| execution(format!("argument {} is missing", index + 1)))
}

fn unlabelled(floats: Vec<f64>) -> Row {
    Row { labels: Labels::empty().into(), drop_name: false, column: Column::of_floats(floats) }
}

/// The one number at each step; NaN where there is not exactly one.
fn scalar(rows: &[Row], grid: &Grid) -> Vec<f64> {
    (0..grid.steps)
        .map(|step| {
            let mut found = rows.iter().filter_map(|row| row.column.float(step));
            match (found.next(), found.next()) {
                (Some(value), None) => value,
                _ => f64::NAN,
            }
        })
        .collect()
}
