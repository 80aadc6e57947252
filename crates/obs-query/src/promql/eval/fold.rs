//! Aggregations of what is read: each series is folded into its group while it is gone through, so that no more than the
//! groups is ever in memory.

use super::Evaluator;
use super::aggregate::group_labels;
use super::column::{ABSENT, Column, Grid, Row, is_absent};
use super::identity::{Identity, Subject};
use super::numbers::Numbers;
use super::range::{RowSink, surely_differs};
use super::select::Reading;
use crate::Error;
use crate::promql::ast::{AggregateOp, Grouping};
use crate::promql::error::execution;
use crate::promql::float::{Mean, Sum};
use crate::promql::functions::Function;
use crate::promql::plan::{AggregatePlan, Plan, PlanKind};

impl Evaluator<'_> {
    /// Folds series as they are read; `None` where that cannot be done.
    pub(super) fn fold_as_read(
        &self,
        plan: &AggregatePlan,
        grid: &Grid,
    ) -> Result<Option<Vec<Row>>, Error> {
        let foldable = matches!(
            plan.op,
            AggregateOp::Sum
                | AggregateOp::Avg
                | AggregateOp::Count
                | AggregateOp::Group
                | AggregateOp::Min
                | AggregateOp::Max
        );
        if !foldable {
            return Ok(None);
        }
        let before = self.budget.held();
        let mut folder = Folder::new(self, plan.op, &plan.grouping, grid);
        let sink: RowSink<'_> =
            &mut |subject, drop_name, column| folder.add(subject, drop_name, column);
        let outcome = self.each_as_read(&plan.expr, grid, sink);
        if matches!(outcome, Ok(Shown::Nothing)) {
            return Ok(None);
        }
        if folder.saw_histogram {
            self.budget.release(self.budget.held().saturating_sub(before));
            return Ok(None);
        }
        outcome.and_then(|_| folder.finish()).map(Some)
    }

    /// Shows the rows of an expression one after the other as they are read, if it is one that reads them so.
    pub(super) fn each_as_read(
        &self,
        plan: &Plan,
        grid: &Grid,
        sink: RowSink<'_>,
    ) -> Result<Shown, Error> {
        match &plan.kind {
            PlanKind::Instant(instant) => {
                self.each_selected(instant, grid, Reading::Value, &mut |subject, column| {
                    sink(subject, false, column)
                })?;
            }
            PlanKind::Call(call) if call.function != Function::AbsentOverTime => {
                let Some(call) = self.as_range_call(call, grid)? else {
                    return Ok(Shown::Nothing);
                };
                self.each_row(&call, grid, sink)?;
            }
            _ => return Ok(Shown::Nothing),
        }
        Ok(Shown::Everything)
    }
}

/// Whether the rows of an expression were shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Everything,
    /// The expression does not read series itself.
    Nothing,
}

/// A group while series are folded into it: a state for each step.
enum State {
    Sums(Vec<Option<Sum>>),
    Means(Vec<Option<Mean>>),
    /// [`ABSENT`] where there is nothing yet.
    Numbers(Vec<f64>),
}

struct Group {
    labels: Identity,
    drop_name: bool,
    state: State,
}

/// Folds series into groups.
struct Folder<'f, 'a> {
    evaluator: &'f Evaluator<'a>,
    op: AggregateOp,
    grouping: &'f Grouping,
    numbers: Numbers<'f>,
    groups: Vec<Group>,
    /// What was folded and may not differ from the others, to find out whether it does.
    doubtful: Vec<Row>,
    steps: usize,
    /// Whether a series turned out to have histograms, which are not folded here.
    saw_histogram: bool,
}

impl<'f, 'a> Folder<'f, 'a> {
    fn new(
        evaluator: &'f Evaluator<'a>,
        op: AggregateOp,
        grouping: &'f Grouping,
        grid: &Grid,
    ) -> Self {
        Self {
            evaluator,
            op,
            grouping,
            numbers: Numbers::new(grouping),
            groups: Vec::new(),
            doubtful: Vec::new(),
            steps: grid.steps,
            saw_histogram: false,
        }
    }

    fn add(&mut self, subject: Subject<'_>, drop_name: bool, column: &Column) -> Result<(), Error> {
        if column.histograms.is_some() {
            self.saw_histogram = true;
            return Err(execution("a histogram cannot be folded as it is read"));
        }
        let number = self.numbers.of(subject);
        if number == self.groups.len() {
            self.evaluator.budget.room_for(number + 1, self.steps)?;
            self.evaluator.budget.hold(self.steps)?;
            let state = match self.op {
                AggregateOp::Sum => State::Sums(vec![None; self.steps]),
                AggregateOp::Avg => State::Means(vec![None; self.steps]),
                _ => State::Numbers(vec![ABSENT; self.steps]),
            };
            let labels = group_labels(self.grouping, &subject.identity()).into();
            self.groups.push(Group { labels, drop_name, state });
        }
        let group = &mut self.groups[number];
        group.drop_name |= drop_name;
        match &mut group.state {
            State::Sums(sums) => add_to(sums, column, Sum::of, Sum::add),
            State::Means(means) => add_to(means, column, Mean::of, Mean::add),
            State::Numbers(numbers) => fold_numbers(self.op, numbers, column),
        }
        if !surely_differs(subject) {
            let column = Column::of_floats(Vec::new());
            self.doubtful.push(Row { labels: subject.identity(), drop_name, column });
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<Row>, Error> {
        self.evaluator.unique(self.doubtful)?;
        let rows = self.groups.into_iter().map(|Group { labels, drop_name, state }| {
            let floats = match state {
                State::Sums(sums) => values(sums, Sum::total),
                State::Means(means) => values(means, Mean::value),
                State::Numbers(numbers) => numbers,
            };
            Row { labels, drop_name, column: Column::of_floats(floats) }
        });
        Ok(rows.filter(|row| !row.column.is_empty()).collect())
    }
}

fn add_to<S: Copy>(
    states: &mut [Option<S>],
    column: &Column,
    begin: impl Fn(f64) -> S,
    add: impl Fn(&mut S, f64),
) {
    for (state, value) in states.iter_mut().zip(&column.floats) {
        if is_absent(*value) {
            continue;
        }
        match state {
            Some(state) => add(state, *value),
            None => *state = Some(begin(*value)),
        }
    }
}

fn fold_numbers(op: AggregateOp, numbers: &mut [f64], column: &Column) {
    for (number, value) in numbers.iter_mut().zip(&column.floats) {
        if is_absent(*value) {
            continue;
        }
        // NaN, which the mark of an absent value is too, gives way to any number.
        *number = match op {
            AggregateOp::Group => 1.0,
            AggregateOp::Count if is_absent(*number) => 1.0,
            AggregateOp::Count => *number + 1.0,
            AggregateOp::Min if number.is_nan() || *value < *number => *value,
            AggregateOp::Max if number.is_nan() || *value > *number => *value,
            _ => *number,
        };
    }
}

fn values<S>(states: Vec<Option<S>>, value: impl Fn(S) -> f64) -> Vec<f64> {
    states.into_iter().map(|state| state.map_or(ABSENT, &value)).collect()
}
