//! Going through the commands of a file.

use std::time::Duration;

use obs_model::Timestamp;

use super::command::{Command, Eval, Expected, Kind, Load, When, commands};
use super::convert;
use super::series::SequenceValue;
use super::storage::{Samples, Storage};
use super::{Failure, Report, compare};
use crate::Error;
use crate::promql::{
    At, CounterResetHint, Engine, EngineOptions, Expr, ExprKind, HistogramSample, ParseOptions,
    QueryResult, QueryValue, SampleValue, Steps, VectorPoint,
};

/// How far before and after an instant the range query reaches that has to agree with it, in milliseconds.
const MINUTE: i64 = 60_000;

/// An evaluation that is about to be run, for those who want to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation<'f> {
    /// The line of the command, the first being 1.
    pub line: usize,
    /// The expression.
    pub expr: &'f str,
}

/// Runs a file with the settings of upstream's tests: at most 10,000 samples, everything experimental enabled.
#[must_use]
pub fn run(text: &str) -> Report {
    run_with(text, &Engine::new(options()), |_| true)
}

fn options() -> EngineOptions {
    EngineOptions {
        max_samples: 10_000,
        parse: ParseOptions::all(),
        delayed_name_removal: true,
        ..EngineOptions::default()
    }
}

/// Runs those evaluations of a file that `wanted` accepts.
#[must_use]
pub fn run_with(
    text: &str,
    engine: &Engine,
    mut wanted: impl FnMut(Evaluation<'_>) -> bool,
) -> Report {
    let mut report = Report::default();
    let mut storage = Storage::default();
    for Command { line, kind } in commands(text) {
        let (expr, outcome) = match kind {
            Kind::Clear => {
                storage = Storage::default();
                continue;
            }
            Kind::Load(load) => match self::load(&mut storage, &load) {
                Ok(()) => continue,
                Err(reason) => ("load".to_owned(), Err(reason)),
            },
            Kind::Eval(eval) => {
                if !wanted(Evaluation { line, expr: &eval.expr }) {
                    continue;
                }
                report.total += 1;
                let outcome = Runner { engine, storage: &storage, eval: &eval }.run();
                report.passed += usize::from(outcome.is_ok());
                (eval.expr, outcome)
            }
            Kind::Bad { text, reason } => {
                report.total += usize::from(text.starts_with("eval"));
                (text, Err(reason))
            }
        };
        if let Err(reason) = outcome {
            report.failures.push(Failure { line, expr, reason });
        }
    }
    report
}

fn load(storage: &mut Storage, load: &Load) -> Result<(), String> {
    for (labels, values) in &load.series {
        let floats = convert::floats(values, load.step_millis).collect();
        let histograms = values
            .iter()
            .enumerate()
            .filter_map(|(index, value)| match value {
                SequenceValue::Histogram(value, _) => {
                    let timestamp = Timestamp::from_millis(index as i64 * load.step_millis);
                    let mut value = value.clone();
                    // A store finds out for itself whether a histogram follows the one before it.
                    if value.hint == CounterResetHint::NotReset {
                        std::sync::Arc::make_mut(&mut value).hint = CounterResetHint::Unknown;
                    }
                    Some(HistogramSample { timestamp, value })
                }
                _ => None,
            })
            .collect();
        storage.load(labels, Samples { floats, histograms });
    }
    if load.with_native {
        for (labels, histograms) in convert::native(&load.series, load.step_millis)? {
            storage.load(&labels, Samples { floats: Vec::new(), histograms });
        }
    }
    Ok(())
}

/// One evaluation on its way.
struct Runner<'r> {
    engine: &'r Engine,
    storage: &'r Storage,
    eval: &'r Eval,
}

impl Runner<'_> {
    fn run(&self) -> Result<(), String> {
        let expr = match self.engine.parse(&self.eval.expr) {
            Ok(expr) => expr,
            Err(error) => return self.failed(&error),
        };
        let at = match (self.eval.when, self.eval.range_vector) {
            (When::Range { start, end, step }, _) => {
                let answer = self.range(&expr, start, end, step);
                return self.checked(answer, &self.eval.expr).map(|_| ());
            }
            (When::Instant(_), Some((_, end, _))) => end,
            (When::Instant(at), None) => at,
        };
        self.instant(&expr, at)?;
        for (expr, at) in self.pinned(&expr, at)? {
            self.instant(&expr, at)?;
        }
        Ok(())
    }

    /// Runs an instant query, and the range query that has to agree with it.
    fn instant(&self, expr: &Expr, at: i64) -> Result<(), String> {
        let text = format!("{expr} at {at}");
        let answer = self.engine.instant(self.storage, expr, Timestamp::from_millis(at), &|| false);
        let Some(answer) = self.checked(answer, &text)? else {
            return Ok(());
        };
        let whole_range = self.eval.range_vector.is_some()
            || matches!(self.eval.expected, Expected::String(_))
            || matches!(answer.value, QueryValue::Matrix(_) | QueryValue::String(..))
            || ["start()", "end()"].iter().any(|context| text.contains(context));
        if whole_range {
            return Ok(());
        }
        let in_range = |reason: String| format!("{reason} (range query of {text})");
        let answer = self
            .range(expr, at - MINUTE, at + MINUTE, MINUTE)
            .map_err(|error| in_range(error.to_string()))?;
        if self.eval.ordered {
            return Ok(());
        }
        let QueryValue::Matrix(series) = answer.value else {
            return Err(in_range("expected a matrix".to_owned()));
        };
        compare::sorted(&series).map_err(in_range)?;
        let timestamp = Timestamp::from_millis(at);
        let points: Vec<VectorPoint> = series
            .into_iter()
            .filter_map(|series| {
                let float = series.floats.iter().find(|sample| sample.timestamp == timestamp);
                let native = series.histograms.iter().find(|sample| sample.timestamp == timestamp);
                let value = match (float, native) {
                    (Some(sample), _) => SampleValue::Float(sample.value),
                    (None, Some(sample)) => SampleValue::Histogram(sample.value.clone()),
                    (None, None) => return None,
                };
                Some(VectorPoint { labels: series.labels, timestamp, value })
            })
            .collect();
        match &self.eval.expected {
            Expected::Scalar(expected) => match points.first().map(|point| &point.value) {
                Some(SampleValue::Float(found)) => compare::scalar(*expected, *found),
                _ => Err("expected a number".to_owned()),
            },
            Expected::Series(expected) => compare::vector(false, &points, expected),
            Expected::String(_) => Ok(()),
        }
        .map_err(in_range)
    }

    fn range(&self, expr: &Expr, start: i64, end: i64, step: i64) -> Result<QueryResult, Error> {
        let steps = Steps {
            start: Timestamp::from_millis(start),
            end: Timestamp::from_millis(end),
            step: Duration::from_millis(step.unsigned_abs()),
        };
        self.engine.range(self.storage, expr, steps, &|| false)
    }

    /// The answer, if one was expected and it is the one that was expected; `None` if a failure was.
    fn checked(
        &self,
        answer: Result<QueryResult, Error>,
        text: &str,
    ) -> Result<Option<QueryResult>, String> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.failed(&error).map(|()| None),
        };
        if self.eval.fail.is_some() {
            return Err(format!("expected an error but got none ({text})"));
        }
        compare::annotations(self.eval, &answer.annotations)
            .and_then(|()| compare::value(self.eval, &answer.value))
            .map_err(|reason| format!("{reason} ({text})"))?;
        Ok(Some(answer))
    }

    fn failed(&self, error: &Error) -> Result<(), String> {
        let message = error.to_string();
        match &self.eval.fail {
            Some(pattern) if pattern.matches(&message) => Ok(()),
            Some(pattern) => Err(format!("expected the error {pattern:?}, but got: {message}")),
            None => Err(format!("error: {message}")),
        }
    }

    /// The expression with `@ at` on all of its selectors, and times at which it has to come to the same.
    fn pinned(&self, expr: &Expr, at: i64) -> Result<Vec<(Expr, i64)>, String> {
        let mut pinned = expr.clone();
        if !pin(&mut pinned, at) {
            return Ok(Vec::new());
        }
        let text = pinned.to_string();
        let again = self
            .engine
            .parse(&text)
            .map_err(|error| format!("{text} does not read back: {error}"))?;
        let times =
            if at == 0 { vec![-1_000, 0, 1_000] } else { vec![-10 * at, 0, at / 5, at, 10 * at] };
        Ok(times.into_iter().map(|time| (again.clone(), time)).collect())
    }
}

/// Sets `@` on selectors and sub-queries that have none, but for those within a sub-query.
///
/// `false` if a function depends on the step itself.
fn pin(expr: &mut Expr, at: i64) -> bool {
    let at_or = |known: Option<At>| match known {
        Some(At::Millis(_)) => known,
        _ => Some(At::Millis(at)),
    };
    match &mut expr.kind {
        ExprKind::Vector(selector) => {
            selector.modifiers.at = at_or(selector.modifiers.at);
            true
        }
        ExprKind::Matrix(matrix) => {
            matrix.selector.modifiers.at = at_or(matrix.selector.modifiers.at);
            true
        }
        ExprKind::Subquery(subquery) => {
            subquery.modifiers.at = at_or(subquery.modifiers.at);
            true
        }
        ExprKind::Number(_) | ExprKind::String(_) => true,
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => pin(inner, at),
        ExprKind::Binary(binary) => {
            let left = pin(&mut binary.left, at);
            pin(&mut binary.right, at) && left
        }
        ExprKind::Call(call) => {
            let fixed = !call.function.depends_on_step();
            call.arguments.iter_mut().fold(fixed, |fixed, argument| pin(argument, at) && fixed)
        }
        ExprKind::Aggregate(aggregate) => {
            let parameter = aggregate.parameter.as_mut().is_none_or(|p| pin(p, at));
            pin(&mut aggregate.expr, at) && parameter
        }
    }
}
