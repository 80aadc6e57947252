//! Binary operators.

use std::collections::HashMap;

use obs_model::Labels;

use super::Evaluator;
use super::column::{ABSENT, Column, Grid, Row, Value, is_absent};
use super::identity::{Identity, is_about_metric};
use super::labels::label_set;
use super::matching::Groups;
use crate::Error;
use crate::promql::annotation::Note;
use crate::promql::ast::{BinaryOp, Cardinality, Matching};
use crate::promql::error::execution;
use crate::promql::plan::BinaryPlan;
use crate::promql::span::Span;
use crate::promql::value::SampleValue;

impl Evaluator<'_> {
    pub(super) fn binary(
        &self,
        plan: &BinaryPlan,
        span: Span,
        grid: &Grid,
    ) -> Result<Value, Error> {
        let before = self.budget.held();
        let left = self.eval(&plan.left, grid)?;
        let right = self.eval(&plan.right, grid)?;
        let rows = match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                return Ok(Value::Scalar(scalars(plan.op, left, &right)));
            }
            (Value::Vector(rows), Value::Scalar(numbers)) => {
                self.with_numbers(plan, rows, &numbers, Side::Right, span)?
            }
            (Value::Scalar(numbers), Value::Vector(rows)) => {
                self.with_numbers(plan, rows, &numbers, Side::Left, span)?
            }
            (Value::Vector(left), Value::Vector(right)) if plan.op.is_set() => {
                self.set_operator(plan.op, &plan.matching, left, right)?
            }
            (Value::Vector(left), Value::Vector(right)) => {
                Pairing::new(self, plan, span, &left, &right, grid).rows()?
            }
        };
        self.budget.settle(before, &rows)?;
        Ok(Value::Vector(rows))
    }

    /// An operator between series and a number for each step.
    fn with_numbers(
        &self,
        plan: &BinaryPlan,
        mut rows: Vec<Row>,
        numbers: &[f64],
        side: Side,
        span: Span,
    ) -> Result<Vec<Row>, Error> {
        let operator =
            Operator { evaluator: self, op: plan.op, return_bool: plan.return_bool, span };
        for row in &mut rows {
            self.budget.work(numbers.len())?;
            let column = &mut row.column;
            for (step, number) in numbers.iter().enumerate() {
                let value = column.floats[step];
                if is_absent(value) {
                    continue;
                }
                let (left, right) =
                    if side == Side::Right { (value, *number) } else { (*number, value) };
                // What is compared keeps the series' value, on whichever side that is.
                let kept = if plan.op.is_comparison() { value } else { left };
                column.floats[step] = operator.floats(left, right, kept);
            }
            if column.histograms.is_some() {
                operator.histograms_with_numbers(column, numbers, side);
            }
            if changes_metric(plan.op) || plan.return_bool {
                self.drop_name(row);
            }
        }
        self.merged(rows)
    }

    fn set_operator(
        &self,
        op: BinaryOp,
        matching: &Matching,
        mut left: Vec<Row>,
        mut right: Vec<Row>,
    ) -> Result<Vec<Row>, Error> {
        let mut groups = Groups::new(matching.on, &matching.labels);
        let left_groups = groups.of_rows(&left);
        let right_groups = groups.of_rows(&right);
        if op == BinaryOp::Or {
            let taken = present(&left, &left_groups, groups.count());
            for (row, group) in right.iter_mut().zip(right_groups) {
                self.budget.work(row.column.len())?;
                keep(&mut row.column, &taken[group], Keep::WhereFree);
            }
            left.append(&mut right);
            return self.merged(left);
        }
        let found = present(&right, &right_groups, groups.count());
        let wanted = if op == BinaryOp::And { Keep::WhereTaken } else { Keep::WhereFree };
        for (row, group) in left.iter_mut().zip(left_groups) {
            self.budget.work(row.column.len())?;
            keep(&mut row.column, &found[group], wanted);
        }
        left.retain(|row| !row.column.is_empty());
        Ok(left)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    WhereTaken,
    WhereFree,
}

/// At which steps each group has a value; an empty list is for no step.
fn present(rows: &[Row], groups: &[usize], count: usize) -> Vec<Vec<bool>> {
    let mut found = vec![Vec::new(); count];
    for (row, group) in rows.iter().zip(groups) {
        let steps = &mut found[*group];
        steps.resize(row.column.len(), false);
        for (step, taken) in steps.iter_mut().enumerate() {
            *taken |= row.column.has(step);
        }
    }
    found
}

fn keep(column: &mut Column, taken: &[bool], wanted: Keep) {
    for step in 0..column.len() {
        let taken = taken.get(step).copied().unwrap_or(false);
        if taken != (wanted == Keep::WhereTaken) {
            column.clear(step);
        }
    }
}

/// Whether the result of an operator is another metric.
fn changes_metric(op: BinaryOp) -> bool {
    !op.is_comparison() && !op.is_set()
}

fn arithmetic(op: BinaryOp, left: f64, right: f64) -> f64 {
    match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => f64::NAN,
    }
}

fn compares(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Less => left < right,
        BinaryOp::LessEqual => left <= right,
        BinaryOp::Greater => left > right,
        BinaryOp::GreaterEqual => left >= right,
        _ => false,
    }
}

fn scalars(op: BinaryOp, mut left: Vec<f64>, right: &[f64]) -> Vec<f64> {
    for (left, right) in left.iter_mut().zip(right) {
        *left = if op.is_comparison() {
            f64::from(u8::from(compares(op, *left, *right)))
        } else {
            arithmetic(op, *left, *right)
        };
    }
    left
}

/// An operator as it applies to two values.
#[derive(Clone, Copy)]
pub(super) struct Operator<'e, 'a> {
    evaluator: &'e Evaluator<'a>,
    op: BinaryOp,
    return_bool: bool,
    span: Span,
}

impl Operator<'_, '_> {
    /// Applied to two numbers; [`ABSENT`] where a comparison does not keep `kept`.
    fn floats(&self, left: f64, right: f64, kept: f64) -> f64 {
        if !self.op.is_comparison() {
            return arithmetic(self.op, left, right);
        }
        match (compares(self.op, left, right), self.return_bool) {
            (found, true) => f64::from(u8::from(found)),
            (true, false) => kept,
            (false, false) => ABSENT,
        }
    }

    /// Applied to two values; `None` if the operator has no meaning for them, which is noted.
    ///
    /// The value is [`ABSENT`] where a comparison does not keep it.
    fn values(&self, left: &SampleValue, right: &SampleValue) -> Option<SampleValue> {
        match (left, right) {
            (SampleValue::Float(left), SampleValue::Float(right)) => {
                Some(SampleValue::Float(self.floats(*left, *right, *left)))
            }
            _ => {
                let (left_type, right_type) = (type_name(left), type_name(right));
                let result = self.evaluator.histogram_operator(self.op, left, right, self.span);
                match result {
                    None => {
                        let op = self.op.as_str();
                        let note =
                            Note::IncompatibleTypes { left: left_type, op, right: right_type };
                        self.evaluator.note(note, self.span);
                        None
                    }
                    Some(result) => Some(self.compared(result?, left)),
                }
            }
        }
    }

    /// What becomes of the outcome of an operator on histograms.
    fn compared(&self, outcome: HistogramOutcome, left: &SampleValue) -> SampleValue {
        match outcome {
            HistogramOutcome::Value(value) => value,
            HistogramOutcome::Compared(found) if self.return_bool => {
                SampleValue::Float(f64::from(u8::from(found)))
            }
            HistogramOutcome::Compared(true) => left.clone(),
            HistogramOutcome::Compared(false) => SampleValue::Float(ABSENT),
        }
    }

    /// Applied to the histograms of a column and a number for each step.
    fn histograms_with_numbers(&self, column: &mut Column, numbers: &[f64], side: Side) {
        let Some(histograms) = column.histograms.take() else {
            return;
        };
        for (step, histogram) in histograms.into_iter().enumerate() {
            let Some(histogram) = histogram else {
                continue;
            };
            let series = SampleValue::Histogram(histogram);
            let number = SampleValue::Float(numbers[step]);
            let result = match side {
                Side::Right => self.values(&series, &number),
                Side::Left => self.values(&number, &series),
            };
            if let Some(value) = result {
                column.set(step, value);
            }
        }
    }
}

/// What an operator on histograms comes to.
pub(super) enum HistogramOutcome {
    Value(SampleValue),
    Compared(bool),
}

fn type_name(value: &SampleValue) -> &'static str {
    match value {
        SampleValue::Float(_) => "float",
        SampleValue::Histogram(_) => "histogram",
    }
}

/// The series of two sides put together, one or many of one side with one of the other.
struct Pairing<'p, 'a> {
    operator: Operator<'p, 'a>,
    matching: &'p Matching,
    /// The side of which several series may go with one of the other.
    many: &'p [Row],
    one: &'p [Row],
    /// Whether `many` is the left side.
    many_is_left: bool,
    grid: Grid,
}

impl<'p, 'a> Pairing<'p, 'a> {
    fn new(
        evaluator: &'p Evaluator<'a>,
        plan: &'p BinaryPlan,
        span: Span,
        left: &'p [Row],
        right: &'p [Row],
        grid: &Grid,
    ) -> Self {
        let operator = Operator { evaluator, op: plan.op, return_bool: plan.return_bool, span };
        let many_is_left = plan.matching.cardinality != Cardinality::OneToMany;
        let (many, one) = if many_is_left { (left, right) } else { (right, left) };
        Self { operator, matching: &plan.matching, many, one, many_is_left, grid: *grid }
    }

    fn rows(&self) -> Result<Vec<Row>, Error> {
        if self.many.is_empty() || self.one.is_empty() {
            return Ok(Vec::new());
        }
        let mut groups = Groups::new(self.matching.on, &self.matching.labels);
        let many_groups = groups.of_rows(self.many);
        let one_groups = groups.of_rows(self.one);
        let mut ones: Vec<Vec<usize>> = vec![Vec::new(); groups.count()];
        for (index, group) in one_groups.iter().enumerate() {
            ones[*group].push(index);
        }
        self.check_ones(&ones, &one_groups)?;
        let mut claims = Claims::new(self.matching.cardinality, &many_groups, groups.count());
        let mut rows = Vec::new();
        for (many, group) in self.many.iter().zip(&many_groups) {
            for index in &ones[*group] {
                let one = &self.one[*index];
                self.operator.evaluator.budget.work(self.grid.steps)?;
                let labels = self.labels(&many.labels, &one.labels)?;
                let column = self.column(&many.column, &one.column);
                claims.claim(*group, &labels, &column)?;
                let drop_name = self.operator.return_bool;
                rows.push(Row { labels: labels.into(), drop_name, column });
            }
        }
        self.operator.evaluator.merged(rows)
    }

    /// At no step may two series of the side that has one be in the same group, if there is anything to go with.
    fn check_ones(&self, ones: &[Vec<usize>], groups: &[usize]) -> Result<(), Error> {
        if ones.iter().all(|group| group.len() < 2) {
            return Ok(());
        }
        for step in 0..self.grid.steps {
            if !self.many.iter().any(|row| row.column.has(step)) {
                continue;
            }
            let mut first: Vec<Option<usize>> = vec![None; ones.len()];
            for (index, group) in groups.iter().enumerate() {
                if ones[*group].len() < 2 || !self.one[index].column.has(step) {
                    continue;
                }
                if let Some(first) = first[*group].replace(index) {
                    return Err(self.duplicate(&self.one[first].labels, &self.one[index].labels));
                }
            }
            self.operator.evaluator.budget.work(groups.len())?;
        }
        Ok(())
    }

    fn duplicate(&self, first: &Identity, second: &Identity) -> Error {
        let side = if self.many_is_left { "right" } else { "left" };
        let names = &self.matching.labels;
        let on = self.matching.on;
        let group = second.filter(|name| {
            names.iter().any(|known| known == name) == on && (on || name != "__name__")
        });
        execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            Shown(&group.into()),
            Shown(second),
            Shown(first)
        ))
    }

    fn labels(&self, many: &Identity, one: &Identity) -> Result<Labels, Error> {
        let Matching { on, labels: names, cardinality, include } = self.matching;
        let drops_metric = changes_metric(self.operator.op)
            || (self.operator.return_bool && !self.operator.evaluator.options.delayed_name_removal);
        let one_to_one = *cardinality == Cardinality::OneToOne;
        let stays = |name: &str| {
            let dropped = drops_metric && is_about_metric(name);
            let unmatched = one_to_one && names.iter().any(|known| known == name) != *on;
            !dropped && !unmatched
        };
        if include.is_empty() {
            return Ok(many.filter(stays));
        }
        let kept = many
            .iter()
            .filter(|(name, _)| stays(name) && !include.iter().any(|known| known == name));
        let included = include.iter().filter_map(|name| Some((name.as_str(), one.get(name)?)));
        label_set(kept.chain(included))
    }

    fn column(&self, many: &Column, one: &Column) -> Column {
        let (left, right) = if self.many_is_left { (many, one) } else { (one, many) };
        let mut column = Column::absent(self.grid.steps);
        for (step, out) in column.floats.iter_mut().enumerate() {
            let (left, right) = (left.floats[step], right.floats[step]);
            if !is_absent(left) && !is_absent(right) {
                *out = self.operator.floats(left, right, left);
            }
        }
        if left.histograms.is_some() || right.histograms.is_some() {
            for step in 0..self.grid.steps {
                if left.histogram(step).is_none() && right.histogram(step).is_none() {
                    continue;
                }
                if let (Some(left), Some(right)) = (left.get(step), right.get(step))
                    && let Some(value) = self.operator.values(&left, &right)
                {
                    column.set(step, value);
                }
            }
        }
        column
    }
}

/// A series as upstream's messages show it, which is with its name among the labels.
struct Shown<'a>(&'a Identity);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// At which steps something was matched already, where more than one series could be.
struct Claims {
    one_to_one: bool,
    /// How many series of the many side each group has.
    sizes: Vec<usize>,
    /// The steps that were taken, by group and, if it is not one to one, by the result's labels.
    taken: HashMap<(usize, Option<Labels>), Vec<bool>>,
}

impl Claims {
    fn new(cardinality: Cardinality, groups: &[usize], count: usize) -> Self {
        let mut sizes = vec![0; count];
        for group in groups {
            sizes[*group] += 1;
        }
        let one_to_one = cardinality == Cardinality::OneToOne;
        Self { one_to_one, sizes, taken: HashMap::new() }
    }

    /// Takes the steps at which there is a result.
    fn claim(&mut self, group: usize, labels: &Labels, result: &Column) -> Result<(), Error> {
        if self.sizes[group] < 2 {
            return Ok(());
        }
        let key = (group, (!self.one_to_one).then(|| labels.clone()));
        let taken = self.taken.entry(key).or_insert_with(|| vec![false; result.len()]);
        for (step, taken) in taken.iter_mut().enumerate() {
            if !result.has(step) {
                continue;
            }
            if *taken {
                return Err(execution(if self.one_to_one {
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                } else {
                    "multiple matches for labels: grouping labels must ensure unique matches"
                }));
            }
            *taken = true;
        }
        Ok(())
    }
}
