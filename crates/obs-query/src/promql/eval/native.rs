//! What functions, operators and aggregations make of native histograms.

use std::sync::Arc;

use super::Evaluator;
use super::binary::HistogramOutcome;
use super::column::{Column, Row};
use super::identity::Identity;
use super::range::{Outcome, Window};
use super::rate::factor;
use crate::Error;
use crate::promql::annotation::Note;
use crate::promql::ast::BinaryOp;
use crate::promql::functions::Function;
use crate::promql::native::{
    CounterResetHint, HistogramSample, Mismatch, NativeHistogram, Quantile,
};
use crate::promql::span::Span;
use crate::promql::value::SampleValue;

fn histogram(value: NativeHistogram) -> Outcome {
    Ok(Some(SampleValue::Histogram(Arc::new(value))))
}

impl Evaluator<'_> {
    fn note_mismatch(&self, mismatch: Mismatch, metric: &str, span: Span) {
        self.note(
            match mismatch {
                Mismatch::Schema => Note::MixedExponentialCustom(metric),
                Mismatch::Bounds => Note::IncompatibleCustomBuckets(metric),
            },
            span,
        );
    }

    /// Whether a window has numbers too, which is noted.
    fn is_mixed(&self, window: &Window<'_>) -> bool {
        if window.floats.is_empty() {
            return false;
        }
        self.note(Note::MixedFloatsHistograms(window.metric()), window.span);
        true
    }

    /// `rate`, `increase` and `delta` of a window with histograms.
    pub(super) fn histogram_rate(
        &self,
        window: &Window<'_>,
        counter: bool,
        per_seconds: Option<f64>,
    ) -> Outcome {
        if self.is_mixed(window) || window.histograms.len() < 2 {
            return Ok(None);
        }
        let points = window.histograms;
        let Some(change) = self.histogram_change(points, window, counter) else {
            return Ok(None);
        };
        let times = [&points[0], &points[points.len() - 1]].map(|p| p.timestamp.as_millis());
        // Unlike a number's, a histogram's time of being zero is not looked for in 3.5.
        let factor = factor(window, times, points.len(), None, per_seconds);
        let mut result = change.scaled(factor);
        result.hint = CounterResetHint::Gauge;
        histogram(result)
    }

    /// How much a histogram changed from the first to the last of a window (`histogramRate` in
    /// `promql/functions.go`).
    fn histogram_change(
        &self,
        points: &[HistogramSample],
        window: &Window<'_>,
        counter: bool,
    ) -> Option<NativeHistogram> {
        let metric = window.metric();
        let (first, second) = (&points[0].value, &points[1].value);
        let last = &points[points.len() - 1].value;
        let gauge = |h: &NativeHistogram| h.hint == CounterResetHint::Gauge;
        if counter && points.iter().any(|point| gauge(&point.value)) {
            self.note(Note::NotCounterHistogram(metric), window.span);
        }
        // If there is a reset after the first one, its buckets do not matter.
        let mut before = Arc::clone(first);
        if counter && second.is_reset_after(first) {
            before = Arc::new(NativeHistogram {
                schema: second.schema,
                custom_values: second.custom_values.clone(),
                ..NativeHistogram::default()
            });
        }
        let custom = before.has_custom_buckets();
        let mut schema = before.schema.min(last.schema);
        for point in &points[1..] {
            if point.value.has_custom_buckets() != custom
                && (counter || Arc::ptr_eq(&point.value, last))
            {
                self.note(Note::MixedExponentialCustom(metric), window.span);
                return None;
            }
            if counter {
                schema = schema.min(point.value.schema);
            }
        }
        let mut change = (**last).clone();
        change.reduce(schema);
        let mut subtract = || -> Result<NativeHistogram, Mismatch> {
            let mut change = change.minus(&before)?;
            if counter {
                for point in &points[1..] {
                    if point.value.is_reset_after(&before) {
                        change = change.plus(&before)?;
                    }
                    before = Arc::clone(&point.value);
                }
            }
            Ok(change)
        };
        match subtract() {
            Ok(change) => {
                if !counter && (!gauge(first) || !gauge(last)) {
                    self.note(Note::NotGaugeHistogram(metric), window.span);
                }
                Some(change.compacted())
            }
            Err(mismatch) => {
                self.note_mismatch(mismatch, metric, window.span);
                None
            }
        }
    }

    /// `irate` and `idelta` of a window with histograms.
    pub(super) fn histogram_newest_two(&self, window: &Window<'_>, counter: bool) -> Outcome {
        let float_time = |back: usize| {
            let index = window.floats.len().checked_sub(back)?;
            Some(window.floats[index].timestamp)
        };
        let [.., before, last] = window.histograms else {
            // One histogram at most: with a number it is a mix, alone it is not enough.
            if !window.floats.is_empty() {
                let newest = window.histograms.last().map(|sample| sample.timestamp);
                if float_time(2) > newest {
                    return super::rate::newest_floats(window, counter);
                }
                self.note(Note::MixedFloatsHistograms(window.metric()), window.span);
            }
            return Ok(None);
        };
        if float_time(1).is_some_and(|time| time > before.timestamp) {
            if float_time(2).is_some_and(|time| time > last.timestamp) {
                return super::rate::newest_floats(window, counter);
            }
            self.note(Note::MixedFloatsHistograms(window.metric()), window.span);
            return Ok(None);
        }
        let seconds = last.timestamp.since(before.timestamp).as_secs_f64();
        if seconds == 0.0 {
            return Ok(None);
        }
        let (metric, span) = (window.metric(), window.span);
        let gauges = [&before.value, &last.value].map(|h| h.hint == CounterResetHint::Gauge);
        if counter && gauges.contains(&true) {
            self.note(Note::NotCounterHistogram(metric), span);
        }
        if !counter && gauges.contains(&false) {
            self.note(Note::NotGaugeHistogram(metric), span);
        }
        let mut change = (*last.value).clone();
        if !counter || !last.value.is_reset_after(&before.value) {
            match change.minus(&before.value) {
                Ok(difference) => change = difference,
                Err(mismatch) => {
                    self.note_mismatch(mismatch, metric, span);
                    return Ok(None);
                }
            }
        }
        change = change.compacted();
        if counter {
            change = change.divided(seconds);
        }
        change.hint = CounterResetHint::Gauge;
        histogram(change)
    }

    pub(super) fn histogram_sum_over(&self, window: &Window<'_>) -> Outcome {
        if self.is_mixed(window) {
            return Ok(None);
        }
        self.folded_over(window, |sum, next, _| sum.plus(next))
    }

    pub(super) fn histogram_avg_over(&self, window: &Window<'_>) -> Outcome {
        if self.is_mixed(window) {
            return Ok(None);
        }
        self.folded_over(window, running_mean)
    }

    fn folded_over(
        &self,
        window: &Window<'_>,
        fold: impl Fn(&NativeHistogram, &NativeHistogram, f64) -> Result<NativeHistogram, Mismatch>,
    ) -> Outcome {
        let values = window.histograms.iter().map(|sample| &sample.value);
        match folded(values, fold) {
            Ok(result) => {
                let result = result.map(|result| SampleValue::Histogram(Arc::new(result)));
                Ok(result)
            }
            Err((mismatch, _)) => {
                self.note_mismatch(mismatch, window.metric(), window.span);
                Ok(None)
            }
        }
    }

    /// The sum of the histograms of a group; `None` if there is none.
    pub(super) fn histogram_sum(
        &self,
        group: &[(&Arc<NativeHistogram>, &Identity)],
        span: Span,
    ) -> Option<NativeHistogram> {
        self.folded_group(group, span, |sum, next, _| sum.plus(next))
    }

    /// The mean of the histograms of a group; `None` if there is none.
    pub(super) fn histogram_average(
        &self,
        group: &[(&Arc<NativeHistogram>, &Identity)],
        span: Span,
    ) -> Option<NativeHistogram> {
        self.folded_group(group, span, running_mean)
    }

    fn folded_group(
        &self,
        group: &[(&Arc<NativeHistogram>, &Identity)],
        span: Span,
        fold: impl Fn(&NativeHistogram, &NativeHistogram, f64) -> Result<NativeHistogram, Mismatch>,
    ) -> Option<NativeHistogram> {
        match folded(group.iter().map(|(value, _)| *value), fold) {
            Ok(result) => result.map(NativeHistogram::compacted),
            Err((mismatch, index)) => {
                let metric = group[index].1.metric_name().unwrap_or_default();
                self.note_mismatch(mismatch, metric, span);
                None
            }
        }
    }

    /// An operator of which at least one side is a histogram.
    ///
    /// `None` if it has no meaning for these types; `Some(None)` if it has no result, which was noted.
    pub(super) fn histogram_operator(
        &self,
        op: BinaryOp,
        left: &SampleValue,
        right: &SampleValue,
        span: Span,
    ) -> Option<Option<HistogramOutcome>> {
        let value = |h: NativeHistogram| {
            let value = SampleValue::Histogram(Arc::new(h.compacted()));
            Some(Some(HistogramOutcome::Value(value)))
        };
        match (left, op, right) {
            (SampleValue::Histogram(h), BinaryOp::Mul, SampleValue::Float(number))
            | (SampleValue::Float(number), BinaryOp::Mul, SampleValue::Histogram(h)) => {
                value(h.scaled(*number))
            }
            (SampleValue::Histogram(h), BinaryOp::Div, SampleValue::Float(number)) => {
                value(h.divided(*number))
            }
            (
                SampleValue::Histogram(a),
                BinaryOp::Add | BinaryOp::Sub,
                SampleValue::Histogram(b),
            ) => {
                let result = if op == BinaryOp::Add {
                    a.plus(b)
                } else {
                    a.minus(b).map(|mut difference| {
                        difference.hint = CounterResetHint::Gauge;
                        difference
                    })
                };
                match result {
                    Ok(result) => value(result),
                    Err(_) => {
                        self.note(Note::IncompatibleBuckets(op.as_str()), span);
                        Some(None)
                    }
                }
            }
            (SampleValue::Histogram(a), BinaryOp::Equal, SampleValue::Histogram(b)) => {
                Some(Some(HistogramOutcome::Compared(a.is_same_as(b))))
            }
            (SampleValue::Histogram(a), BinaryOp::NotEqual, SampleValue::Histogram(b)) => {
                Some(Some(HistogramOutcome::Compared(!a.is_same_as(b))))
            }
            _ => None,
        }
    }

    /// `histogram_count` and the like: a number of each histogram.
    pub(super) fn of_histograms(
        &self,
        function: Function,
        rows: Vec<Row>,
    ) -> Result<Vec<Row>, Error> {
        let number = |h: &NativeHistogram| match function {
            Function::HistogramCount => h.count,
            Function::HistogramSum => h.sum,
            Function::HistogramStdvar => h.variance(),
            Function::HistogramStddev => h.variance().sqrt(),
            _ => h.sum / h.count,
        };
        let mut results = Vec::new();
        for row in rows {
            let Some(histograms) = &row.column.histograms else {
                continue;
            };
            self.budget.work(histograms.len() * 8)?;
            let mut column = Column::absent(row.column.len());
            for (step, histogram) in histograms.iter().enumerate() {
                if let Some(histogram) = histogram {
                    column.floats[step] = number(histogram);
                }
            }
            let mut result = Row { column, ..row };
            self.drop_name(&mut result);
            results.push(result);
        }
        self.merged(results)
    }

    pub(super) fn native_quantile(
        &self,
        q: f64,
        histogram: &NativeHistogram,
        metric: &str,
        span: Span,
    ) -> f64 {
        match histogram.quantile(q) {
            Quantile::Value(value) => value,
            Quantile::Nan => {
                self.note(Note::QuantileNan(metric), span);
                f64::NAN
            }
            Quantile::Skewed(value) => {
                self.note(Note::QuantileNanSkew(metric), span);
                value
            }
        }
    }

    pub(super) fn native_fraction(
        &self,
        lower: f64,
        upper: f64,
        histogram: &NativeHistogram,
        metric: &str,
        span: Span,
    ) -> f64 {
        if histogram.sum.is_nan() {
            self.note(Note::FractionNan(metric), span);
        }
        histogram.fraction(lower, upper)
    }
}

/// A mean of `count` histograms out of that of one fewer and the last one.
fn running_mean(
    mean: &NativeHistogram,
    next: &NativeHistogram,
    count: f64,
) -> Result<NativeHistogram, Mismatch> {
    mean.plus(&next.divided(count).minus(&mean.divided(count))?)
}

/// Histograms folded into one; an error says at which one.
fn folded<'h>(
    mut values: impl Iterator<Item = &'h Arc<NativeHistogram>>,
    fold: impl Fn(&NativeHistogram, &NativeHistogram, f64) -> Result<NativeHistogram, Mismatch>,
) -> Result<Option<NativeHistogram>, (Mismatch, usize)> {
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let mut result = (**first).clone();
    for (index, value) in values.enumerate() {
        let count = (index + 2) as f64;
        result = fold(&result, value, count).map_err(|mismatch| (mismatch, index + 1))?;
    }
    Ok(Some(result))
}
