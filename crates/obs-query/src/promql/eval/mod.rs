//! The evaluation of a plan: every node over all steps at once, one series after the other.

mod absent;
mod aggregate;
mod binary;
mod budget;
mod call;
mod change;
mod classic;
mod column;
mod date;
mod extreme;
mod fold;
mod identity;
mod info;
mod labels;
mod matching;
mod math;
mod native;
mod numbers;
mod over_time;
mod range;
mod rate;
mod regression;
mod rows;
mod select;
mod sort;
mod subquery;
mod topk;

use std::cell::RefCell;

use obs_model::Timestamp;

use super::annotation::{Annotations, Note};
use super::engine::EngineOptions;
use super::error::execution;
use super::plan::{Plan, PlanKind};
use super::span::Span;
use super::text::Text;
use super::value::{QueryStats, QueryValue};
use crate::{Error, Queryable};

use budget::Budget;
use column::{Grid, Row, Value};

pub(crate) use labels::label_set;

/// One evaluation.
pub(super) struct Evaluator<'a> {
    source: &'a dyn Queryable,
    options: &'a EngineOptions,
    budget: Budget<'a>,
    annotations: RefCell<Annotations>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(
        source: &'a dyn Queryable,
        options: &'a EngineOptions,
        canceled: &'a dyn Fn() -> bool,
    ) -> Self {
        let budget = Budget::new(options, canceled);
        Self { source, options, budget, annotations: RefCell::default() }
    }

    /// Evaluates at one time.
    pub(super) fn instant(&self, plan: &Plan, at: i64) -> Result<QueryValue, Error> {
        let timestamp = Timestamp::from_millis(at);
        match &plan.kind {
            PlanKind::Text(text) => return Ok(QueryValue::String(timestamp, text.clone())),
            PlanKind::Range(range) => return self.whole_range(range, at),
            PlanKind::Invariant(inner) => return self.instant(inner, at),
            _ => {}
        }
        let grid = Grid::instant(at);
        let value = self.eval(plan, &grid)?;
        self.finished(value).map(|value| rows::vector(value, at))
    }

    /// Evaluates at `steps` times.
    pub(super) fn range(
        &self,
        plan: &Plan,
        start: i64,
        step: i64,
        steps: usize,
    ) -> Result<QueryValue, Error> {
        let grid = Grid { start, step, steps };
        let value = self.eval(plan, &grid)?;
        self.finished(value).map(|value| rows::matrix(value, &grid))
    }

    pub(super) fn stats(&self) -> QueryStats {
        self.budget.stats()
    }

    pub(super) fn into_annotations(self) -> Annotations {
        self.annotations.into_inner()
    }

    fn eval(&self, plan: &Plan, grid: &Grid) -> Result<Value, Error> {
        self.budget.check()?;
        match &plan.kind {
            PlanKind::Number(number) => {
                self.budget.room_for(1, grid.steps)?;
                Ok(Value::Scalar(vec![*number; grid.steps]))
            }
            PlanKind::Instant(instant) => self.select(instant, grid).map(Value::Vector),
            PlanKind::Negate(inner) => self.negate(inner, grid),
            PlanKind::Binary(binary) => self.binary(binary, plan.span, grid),
            PlanKind::Call(call) => self.call(call, plan.span, grid),
            PlanKind::Aggregate(aggregate) => {
                self.aggregate(aggregate, plan.span, grid).map(Value::Vector)
            }
            PlanKind::Invariant(inner) => self.invariant(inner, grid),
            PlanKind::Text(_) | PlanKind::Matchers(_) => {
                Err(execution("a string is not a value at every step"))
            }
            PlanKind::Range(_) => Err(execution(
                "invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
            )),
        }
    }

    fn eval_vector(&self, plan: &Plan, grid: &Grid) -> Result<Vec<Row>, Error> {
        match self.eval(plan, grid)? {
            Value::Vector(rows) => Ok(rows),
            Value::Scalar(_) => Err(execution("expected an instant vector, got a scalar")),
        }
    }

    fn eval_scalar(&self, plan: &Plan, grid: &Grid) -> Result<Vec<f64>, Error> {
        match self.eval(plan, grid)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) => Err(execution("expected a scalar, got an instant vector")),
        }
    }

    /// Evaluates once what is the same at every step.
    fn invariant(&self, inner: &Plan, grid: &Grid) -> Result<Value, Error> {
        if grid.steps <= 1 {
            return self.eval(inner, grid);
        }
        let before = self.budget.held();
        let once = Grid { steps: 1, ..*grid };
        match self.eval(inner, &once)? {
            Value::Scalar(values) => {
                self.budget.room_for(1, grid.steps)?;
                Ok(Value::Scalar(vec![values[0]; grid.steps]))
            }
            Value::Vector(mut rows) => {
                self.budget.room_for(rows.len(), grid.steps)?;
                for row in &mut rows {
                    row.column = row.column.repeated(grid.steps);
                }
                self.budget.settle(before, &rows)?;
                Ok(Value::Vector(rows))
            }
        }
    }

    fn negate(&self, inner: &Plan, grid: &Grid) -> Result<Value, Error> {
        match self.eval(inner, grid)? {
            Value::Scalar(mut values) => {
                values.iter_mut().for_each(|value| *value = -*value);
                Ok(Value::Scalar(values))
            }
            Value::Vector(mut rows) => {
                for row in &mut rows {
                    rows::negate(&mut row.column);
                    self.drop_name(row);
                }
                self.unique(rows).map(Value::Vector)
            }
        }
    }

    fn note(&self, note: Note<'_>, span: Span) {
        self.annotations.borrow_mut().add(note, span);
    }

    /// The text that an argument is.
    fn text<'p>(&self, plan: &'p Plan) -> Result<&'p Text, Error> {
        match &plan.kind {
            PlanKind::Text(text) => Ok(text),
            _ => Err(execution("expected a string literal")),
        }
    }
}
