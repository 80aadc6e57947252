//! The engine: queries in, answers out.

use std::time::Duration;

use obs_model::Timestamp;

use super::ast::{Expr, ExprKind, ValueType};
use super::error::QueryError;
use super::eval::Evaluator;
use super::parse::{ParseOptions, parse};
use super::plan::PlanContext;
use super::value::QueryResult;
use crate::{Error, LOOK_BACK, Queryable};

/// How queries are evaluated, and how much they may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// How old a sample an instant selector takes; 5 minutes.
    pub look_back: Duration,
    /// The distance of a sub-query's steps where it does not say; 1 minute.
    pub default_step: Duration,
    /// How many samples a query may have in memory at once; 50,000,000.
    pub max_samples: usize,
    /// How many samples a query may read in all; 2,000,000,000.
    pub max_samples_read: usize,
    /// How many steps a range query may have; 11,000.
    pub max_steps: usize,
    /// How long a query may take; 2 minutes.
    pub timeout: Duration,
    /// What the parser accepts beyond the stable language; nothing.
    pub parse: ParseOptions,
    /// Whether metric names are dropped in the end instead of by each function
    /// (`promql-delayed-name-removal`); off.
    pub delayed_name_removal: bool,
    /// Whether `__type__` says what a counter is, instead of the metric's name; off.
    pub type_and_unit_labels: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            look_back: LOOK_BACK,
            default_step: Duration::from_secs(60),
            max_samples: 50_000_000,
            max_samples_read: 2_000_000_000,
            max_steps: 11_000,
            timeout: Duration::from_secs(120),
            parse: ParseOptions::default(),
            delayed_name_removal: false,
            type_and_unit_labels: false,
        }
    }
}

impl EngineOptions {
    pub(super) fn look_back_millis(&self) -> i64 {
        millis(self.look_back)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// When a range query is evaluated: at `start`, and every `step` after it up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The first time.
    pub start: Timestamp,
    /// The time that no step is after.
    pub end: Timestamp,
    /// The distance of two steps; at least a millisecond.
    pub step: Duration,
}

/// Evaluates queries over anything that series can be read from.
///
/// ```
/// use obs_model::{Labels, Sample, Timestamp};
/// use obs_query::promql::{Engine, QueryValue};
/// use obs_query::{SeriesStore, StoreConfig};
///
/// let store = SeriesStore::new(StoreConfig::default());
/// for (code, rate) in [("200", 10.0), ("500", 1.0)] {
///     let series = Labels::new([("__name__", "requests_total"), ("code", code)])?;
///     for tick in 0..=12 {
///         let sample = Sample { timestamp: Timestamp::from_millis(tick * 5_000), value: tick as f64 * 5.0 * rate };
///         store.append(&series, sample)?;
///     }
/// }
///
/// let engine = Engine::default();
/// let query = engine.parse("sum(rate(requests_total[1m]))")?;
/// let answer = engine.instant(&store, &query, Timestamp::from_millis(60_000), &|| false)?;
/// let QueryValue::Vector(points) = answer.value else { panic!("expected a vector") };
/// assert_eq!(points[0].value.as_float(), Some(11.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Engine {
    options: EngineOptions,
}

impl Engine {
    /// An engine with these options.
    #[must_use]
    pub fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// How it evaluates.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Reads a query.
    ///
    /// # Errors
    ///
    /// The text is not a query: see [`parse`].
    pub fn parse(&self, query: &str) -> Result<Expr, Error> {
        parse(query, self.options.parse)
    }

    /// Evaluates at one time.
    ///
    /// `canceled` is asked from time to time whether the answer is still wanted; it should be cheap.
    ///
    /// # Errors
    ///
    /// The query needs more samples or time than it may, was called off, or cannot be evaluated, such as for two
    /// series of the result that have the same labels.
    pub fn instant(
        &self,
        source: &dyn Queryable,
        query: &Expr,
        at: Timestamp,
        canceled: &dyn Fn() -> bool,
    ) -> Result<QueryResult, Error> {
        let at = at.as_millis();
        let plan = self.context(at, at).plan(query)?;
        let evaluator = Evaluator::new(source, &self.options, canceled);
        let value = evaluator.instant(&plan, at)?;
        let stats = evaluator.stats();
        Ok(QueryResult { value, stats, annotations: evaluator.into_annotations() })
    }

    /// Evaluates at several times.
    ///
    /// # Errors
    ///
    /// As [`Engine::instant`]; also if the query is not a scalar or an instant vector, if the end is before the start,
    /// the step is shorter than a millisecond, or there are too many steps.
    pub fn range(
        &self,
        source: &dyn Queryable,
        query: &Expr,
        steps: Steps,
        canceled: &dyn Fn() -> bool,
    ) -> Result<QueryResult, Error> {
        let (start, end) = (steps.start.as_millis(), steps.end.as_millis());
        let step = millis(steps.step);
        let found = query.value_type();
        if !matches!(found, ValueType::Scalar | ValueType::InstantVector) {
            let message = format!(
                "invalid expression type {:?} for range query, must be Scalar or instant Vector",
                found.as_str()
            );
            return Err(QueryError::Invalid(message).into());
        }
        if end < start {
            let message = "end timestamp must not be before start time".to_owned();
            return Err(QueryError::Invalid(message).into());
        }
        if step < 1 {
            let message = "zero or negative query resolution step widths are not accepted: expected at least 1 ms";
            return Err(QueryError::Invalid(message.to_owned()).into());
        }
        let count = end.abs_diff(start) / step.unsigned_abs() + 1;
        let limit = self.options.max_steps;
        let count = match usize::try_from(count) {
            Ok(count) if count <= limit => count,
            _ => return Err(QueryError::TooManySteps { steps: count, limit }.into()),
        };
        let plan = self.context(start, end).plan(query)?;
        let evaluator = Evaluator::new(source, &self.options, canceled);
        let value = evaluator.range(&plan, start, step, count)?;
        let stats = evaluator.stats();
        Ok(QueryResult { value, stats, annotations: evaluator.into_annotations() })
    }

    fn context(&self, start: i64, end: i64) -> PlanContext {
        PlanContext { start, end, default_step: millis(self.options.default_step) }
    }
}

/// Whether evaluating an expression reads any series.
#[must_use]
pub fn reads_series(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Vector(_) | ExprKind::Matrix(_))
        || expr.children().into_iter().any(reads_series)
}
