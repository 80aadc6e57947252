//! Aggregations that pick series: `topk`, `bottomk`, `limitk` and `limit_ratio`.

use super::Evaluator;
use super::aggregate::members;
use super::column::{Column, Grid, Row};
use super::fold::Shown;
use super::numbers::Numbers;
use super::range::surely_differs;
use crate::Error;
use crate::promql::annotation::Note;
use crate::promql::ast::AggregateOp;
use crate::promql::error::execution;
use crate::promql::float::{general, nan_first};
use crate::promql::plan::AggregatePlan;
use crate::promql::span::Span;

/// The numbers at which one of 64 bits would overflow, as upstream has them.
const MOST: f64 = 9_223_372_036_854_774_784.0;
const LEAST: f64 = i64::MIN as f64;

impl Evaluator<'_> {
    pub(super) fn pick_series(
        &self,
        plan: &AggregatePlan,
        rows: Vec<Row>,
        (parameter, parameter_span): (&[f64], Span),
        span: Span,
        grid: &Grid,
    ) -> Result<Vec<Row>, Error> {
        if !self.check_parameter(plan.op, parameter, parameter_span)? {
            return Ok(Vec::new());
        }
        let members = members(&plan.grouping, &rows);
        let mut picked: Vec<Column> = rows.iter().map(|_| Column::absent(grid.steps)).collect();
        // The order in which the series of an instant query come out.
        let mut order = Vec::new();
        for (step, parameter) in parameter.iter().enumerate() {
            for group in &members {
                self.budget.work(group.len())?;
                let chosen = self.pick(plan.op, *parameter, group, &rows, step, span);
                for index in chosen {
                    if let Some(value) = rows[index].column.get(step) {
                        picked[index].set(step, value);
                    }
                    if grid.steps == 1 {
                        order.push(index);
                    }
                }
            }
        }
        let mut slots: Vec<Option<Row>> =
            rows.into_iter().zip(picked).map(|(row, column)| Some(Row { column, ..row })).collect();
        if grid.steps == 1 {
            return Ok(order.into_iter().filter_map(|index| slots[index].take()).collect());
        }
        Ok(slots.into_iter().flatten().filter(|row| !row.column.is_empty()).collect())
    }

    /// As [`Evaluator::pick_series`], of series as they are read; `None` where that cannot be done.
    ///
    /// An instant `topk` keeps the series that are among the best so far, and nothing of the others.
    pub(super) fn pick_as_read(
        &self,
        plan: &AggregatePlan,
        (parameter, parameter_span): (&[f64], Span),
        span: Span,
        grid: &Grid,
    ) -> Result<Option<Vec<Row>>, Error> {
        let top = plan.op == AggregateOp::Topk;
        let [count] = *parameter else {
            return Ok(None);
        };
        if !top && plan.op != AggregateOp::Bottomk {
            return Ok(None);
        }
        // What is no number of series is refused below, after everything that the expression itself is refused for.
        let count = if count > 0.0 { count.min(MOST) as usize } else { 0 };
        let mut numbers = Numbers::new(&plan.grouping);
        let mut groups: Vec<Extremes> = Vec::new();
        let (mut kept, mut doubtful) = (Vec::new(), Vec::new());
        let shown = self.each_as_read(&plan.expr, grid, &mut |subject, drop_name, column| {
            if !surely_differs(subject) {
                let column = Column::of_floats(Vec::new());
                doubtful.push(Row { labels: subject.identity(), drop_name, column });
            }
            let number = numbers.of(subject);
            if number == groups.len() {
                groups.push(Extremes { count, top, heap: Vec::new() });
            }
            match column.float(0) {
                Some(value) => {
                    if groups[number].offer(value, kept.len()) {
                        self.budget.hold(1)?;
                        kept.push(Some((subject.identity(), drop_name)));
                    }
                }
                None => self.note(Note::HistogramIgnored(plan.op.as_str()), span),
            }
            Ok(())
        })?;
        if shown == Shown::Nothing {
            return Ok(None);
        }
        self.unique(doubtful)?;
        if !self.check_parameter(plan.op, parameter, parameter_span)? {
            return Ok(Some(Vec::new()));
        }
        let best = groups.into_iter().flat_map(Extremes::into_sorted);
        let rows = best.filter_map(|(value, index)| {
            let (labels, drop_name) = kept[index].take()?;
            Some(Row { labels, drop_name, column: Column::of_floats(vec![value]) })
        });
        Ok(Some(rows.collect()))
    }

    /// Checks a parameter at all steps; `false` if nothing can be picked.
    fn check_parameter(&self, op: AggregateOp, values: &[f64], span: Span) -> Result<bool, Error> {
        let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let any_nan = values.iter().any(|value| value.is_nan());
        if op == AggregateOp::LimitRatio {
            if most == 0.0 && least == 0.0 {
                return Ok(false);
            }
            if any_nan {
                return Err(execution("Ratio value is NaN"));
            }
            if most > 1.0 {
                self.note(Note::InvalidRatio(most, 1.0), span);
            }
            if least < -1.0 {
                self.note(Note::InvalidRatio(least, -1.0), span);
            }
            return Ok(true);
        }
        if any_nan {
            return Err(execution("Parameter value is NaN"));
        }
        if most < 1.0 {
            return Ok(false);
        }
        if least <= LEAST {
            return Err(execution(format!("Scalar value {} underflows int64", general(least))));
        }
        if most >= MOST {
            return Err(execution(format!("Scalar value {} overflows int64", general(most))));
        }
        Ok(true)
    }

    /// Which series of a group are picked at a step, in the order in which they come out.
    fn pick(
        &self,
        op: AggregateOp,
        parameter: f64,
        group: &[usize],
        rows: &[Row],
        step: usize,
        span: Span,
    ) -> Vec<usize> {
        // OK because the parameter was checked to be in range; a negative one picks nothing.
        let count = parameter.max(0.0).min(group.len() as f64) as usize;
        let present = group.iter().copied().filter(|index| rows[*index].column.has(step));
        match op {
            AggregateOp::Limitk => present.take(count).collect(),
            AggregateOp::LimitRatio => {
                let ratio = parameter.clamp(-1.0, 1.0);
                present.filter(|index| in_ratio(&rows[*index], ratio)).collect()
            }
            _ => {
                let mut extremes =
                    Extremes { count, top: op == AggregateOp::Topk, heap: Vec::new() };
                for index in present {
                    match rows[index].column.float(step) {
                        Some(value) => {
                            extremes.offer(value, index);
                        }
                        None => self.note(Note::HistogramIgnored(op.as_str()), span),
                    }
                }
                extremes.sorted()
            }
        }
    }
}

/// Whether a series is in the part `ratio` of all; a negative one picks the series that `1 + ratio` does not.
fn in_ratio(row: &Row, ratio: f64) -> bool {
    let offset = offset(row);
    if ratio >= 0.0 { offset < ratio } else { offset >= 1.0 + ratio }
}

/// A number from 0 to 1 that depends on the labels only, and is the same in every process.
fn offset(row: &Row) -> f64 {
    // FNV-1a over the labels, with a final mix (Murmur3) because its high bits alone vary too little.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (name, value) in row.labels.iter() {
        for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    hash as f64 / u64::MAX as f64
}

/// The `count` largest, or smallest, values: a heap with the one at the top that goes first.
struct Extremes {
    count: usize,
    /// Whether the largest are kept.
    top: bool,
    heap: Vec<(f64, usize)>,
}

impl Extremes {
    /// Whether `a` goes before `b`: NaN does before everything.
    fn goes_first(&self, a: f64, b: f64) -> bool {
        a.is_nan() || if self.top { a < b } else { a > b }
    }

    /// Takes a value in if it is among the best, and says whether it is.
    fn offer(&mut self, value: f64, index: usize) -> bool {
        if self.heap.len() < self.count {
            self.heap.push((value, index));
            self.rise(self.heap.len() - 1);
            return true;
        }
        let Some((worst, _)) = self.heap.first().copied() else {
            return false;
        };
        let better = if self.top { worst < value } else { worst > value };
        let taken = better || (worst.is_nan() && !value.is_nan());
        if taken {
            self.heap[0] = (value, index);
            self.sink();
        }
        taken
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if !self.goes_first(self.heap[place].0, self.heap[parent].0) {
                return;
            }
            self.heap.swap(place, parent);
            place = parent;
        }
    }

    fn sink(&mut self) {
        let mut place = 0;
        loop {
            let mut child = 2 * place + 1;
            if child >= self.heap.len() {
                return;
            }
            let other = child + 1;
            if other < self.heap.len() && self.goes_first(self.heap[other].0, self.heap[child].0) {
                child = other;
            }
            if !self.goes_first(self.heap[child].0, self.heap[place].0) {
                return;
            }
            self.heap.swap(place, child);
            place = child;
        }
    }

    /// The series, the best value first and NaN last.
    fn sorted(self) -> Vec<usize> {
        self.into_sorted().into_iter().map(|(_, index)| index).collect()
    }

    /// The values and series, the best value first and NaN last.
    fn into_sorted(mut self) -> Vec<(f64, usize)> {
        let top = self.top;
        self.heap.sort_by(|(a, _), (b, _)| match (a.is_nan(), b.is_nan()) {
            (false, false) if !top => nan_first(a, b),
            _ => nan_first(b, a),
        });
        self.heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extremes(top: bool, count: usize, values: &[f64]) -> Vec<usize> {
        let mut extremes = Extremes { count, top, heap: Vec::new() };
        for (index, value) in values.iter().enumerate() {
            extremes.offer(*value, index);
        }
        extremes.sorted()
    }

    #[test]
    fn the_best_values_come_first_and_nan_last() {
        let values = [3.0, f64::NAN, 5.0, 1.0, 4.0];
        assert_eq!(extremes(true, 2, &values), [2, 4]);
        assert_eq!(extremes(false, 3, &values), [3, 0, 4]);
        assert_eq!(extremes(true, 9, &values), [2, 4, 0, 3, 1]);
        assert!(extremes(true, 0, &values).is_empty());
    }
}
