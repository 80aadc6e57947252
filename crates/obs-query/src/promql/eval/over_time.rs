//! Aggregations of a window: `sum_over_time` and the like.

use obs_model::Sample;

use super::Evaluator;
use super::range::{Outcome, Window};
use crate::promql::annotation::Note;
use crate::promql::float::{self, Mean, Sum};
use crate::promql::value::SampleValue;

fn float(value: f64) -> Outcome {
    Ok(Some(SampleValue::Float(value)))
}

pub(super) fn present(_: &Evaluator<'_>, _: &Window<'_>) -> Outcome {
    float(1.0)
}

pub(super) fn count(_: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    float((window.floats.len() + window.histograms.len()) as f64)
}

pub(super) fn sum(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    if !window.histograms.is_empty() {
        return evaluator.histogram_sum_over(window);
    }
    let mut sum = Sum::default();
    for sample in window.floats {
        sum.add(sample.value);
    }
    float(if sum.value.is_infinite() { sum.value } else { sum.total() })
}

pub(super) fn avg(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    if !window.histograms.is_empty() {
        return evaluator.histogram_avg_over(window);
    }
    let [first, rest @ ..] = window.floats else {
        return Ok(None);
    };
    let mut mean = Mean::of(first.value);
    for sample in rest {
        mean.add(sample.value);
    }
    float(mean.value())
}

pub(super) fn max(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    extreme(evaluator, window, |value, best| value > best).map(value_of)
}

pub(super) fn min(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    extreme(evaluator, window, |value, best| value < best).map(value_of)
}

pub(super) fn time_of_max(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    extreme(evaluator, window, |value, best| value >= best).map(time_of)
}

pub(super) fn time_of_min(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    extreme(evaluator, window, |value, best| value <= best).map(time_of)
}

fn value_of(sample: Option<Sample>) -> Option<SampleValue> {
    sample.map(|sample| SampleValue::Float(sample.value))
}

fn time_of(sample: Option<Sample>) -> Option<SampleValue> {
    sample.map(|sample| SampleValue::Float(sample.timestamp.as_secs_f64()))
}

/// The last sample that is `better` than the best before it, or that follows NaN.
fn extreme(
    evaluator: &Evaluator<'_>,
    window: &Window<'_>,
    better: impl Fn(f64, f64) -> bool,
) -> Result<Option<Sample>, crate::Error> {
    if !window.floats.is_empty() {
        note_ignored(evaluator, window);
    }
    Ok(best_of(window.floats, better))
}

/// As a comparison with the best so far, one sample after the other, comes to.
///
/// Each such comparison waits for the one before, so four parts of the samples are gone through at once; the best of the
/// parts, compared in their order, is the best of all.
fn best_of(samples: &[Sample], better: impl Fn(f64, f64) -> bool) -> Option<Sample> {
    let first = *samples.first()?;
    let pick = |best: Sample, sample: Sample| {
        if better(sample.value, best.value) || best.value.is_nan() { sample } else { best }
    };
    let part = samples.len() / 4;
    let (one, rest) = samples.split_at(part);
    let (two, rest) = rest.split_at(part);
    let (three, rest) = rest.split_at(part);
    let (four, rest) = rest.split_at(part);
    let ([a, ..], [b, ..], [c, ..], [d, ..]) = (one, two, three, four) else {
        return Some(rest.iter().copied().fold(first, pick));
    };
    let mut best = [*a, *b, *c, *d];
    for (((a, b), c), d) in one.iter().zip(two).zip(three).zip(four) {
        best = [pick(best[0], *a), pick(best[1], *b), pick(best[2], *c), pick(best[3], *d)];
    }
    Some(best.into_iter().chain(rest.iter().copied()).fold(best[0], pick))
}

/// Says that histograms in the window are passed over.
pub(super) fn note_ignored(evaluator: &Evaluator<'_>, window: &Window<'_>) {
    if !window.histograms.is_empty() {
        evaluator.note(Note::HistogramIgnoredInRange(window.metric()), window.span);
    }
}

pub(super) fn last(_: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    Ok(match (window.floats.last(), window.histograms.last()) {
        (Some(float), Some(histogram)) if float.timestamp > histogram.timestamp => {
            Some(SampleValue::Float(float.value))
        }
        (_, Some(histogram)) => Some(SampleValue::Histogram(histogram.value.clone())),
        (Some(float), None) => Some(SampleValue::Float(float.value)),
        (None, None) => None,
    })
}

pub(super) fn time_of_last(_: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    let float = window.floats.last().map(|sample| sample.timestamp);
    let histogram = window.histograms.last().map(|sample| sample.timestamp);
    Ok(float.max(histogram).map(|time| SampleValue::Float(time.as_secs_f64())))
}

/// The numbers of a window, apart from their times; `None` if there is none.
fn values(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Option<Vec<f64>> {
    if window.floats.is_empty() {
        return None;
    }
    note_ignored(evaluator, window);
    Some(window.floats.iter().map(|sample| sample.value).collect())
}

pub(super) fn quantile(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    let q = window.arguments[0];
    let Some(mut values) = values(evaluator, window) else {
        return Ok(None);
    };
    // A comparison the other way round would let NaN through.
    if !(0.0..=1.0).contains(&q) {
        evaluator.note(Note::InvalidQuantile(q), window.span);
    }
    float(float::quantile(q, &mut values))
}

pub(super) fn mad(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    let Some(mut values) = values(evaluator, window) else {
        return Ok(None);
    };
    let median = float::quantile(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    float(float::quantile(0.5, &mut values))
}

pub(super) fn stdvar(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    variance(evaluator, window).map_or(Ok(None), float)
}

pub(super) fn stddev(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    variance(evaluator, window).map_or(Ok(None), |variance| float(variance.sqrt()))
}

/// Welford's variance with compensated sums.
fn variance(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Option<f64> {
    if window.floats.is_empty() {
        return None;
    }
    note_ignored(evaluator, window);
    let (mut count, mut mean, mut squares) = (0.0, Sum::default(), Sum::default());
    for sample in window.floats {
        count += 1.0;
        let difference = sample.value - mean.total();
        mean.add(difference / count);
        squares.add(difference * (sample.value - mean.total()));
    }
    Some(squares.total() / count)
}

#[cfg(test)]
mod tests {
    use obs_model::Timestamp;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_of_four_parts_is_the_best_of_all(
            values in prop::collection::vec(prop_oneof![Just(f64::NAN), Just(0.0), Just(-0.0), Just(f64::INFINITY), -3.0..3.0], 0..40),
        ) {
            let samples: Vec<Sample> = (0..)
                .zip(&values)
                .map(|(at, value)| Sample { timestamp: Timestamp::from_millis(at), value: *value })
                .collect();
            for better in [|a: f64, b: f64| a > b, |a, b| a < b, |a, b| a >= b, |a, b| a <= b] {
                let one_by_one = samples.iter().copied().reduce(|best, sample| {
                    if better(sample.value, best.value) || best.value.is_nan() { sample } else { best }
                });
                let found = best_of(&samples, better);
                prop_assert_eq!(found.map(|one| one.timestamp), one_by_one.map(|one| one.timestamp));
            }
        }
    }
}
