//! Trends of a window: linear regression and double exponential smoothing.

use obs_model::Sample;

use super::Evaluator;
use super::over_time::note_ignored;
use super::range::{Outcome, Window};
use crate::promql::error::execution;
use crate::promql::float::Sum;
use crate::promql::value::SampleValue;

pub(super) fn deriv(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    let Some(first) = enough(evaluator, window) else {
        return Ok(None);
    };
    // A time near the samples' keeps the arithmetic exact.
    let (slope, _) = regression(window.floats, first.timestamp.as_millis());
    Ok(Some(SampleValue::Float(slope)))
}

pub(super) fn predict_linear(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    if enough(evaluator, window).is_none() {
        return Ok(None);
    }
    let (slope, intercept) = regression(window.floats, window.time);
    Ok(Some(SampleValue::Float(slope * window.arguments[0] + intercept)))
}

/// The first number, if there are two; histograms are passed over.
fn enough(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Option<Sample> {
    let first = window.floats.first()?;
    note_ignored(evaluator, window);
    (window.floats.len() >= 2).then_some(*first)
}

/// The least-squares line through the samples: its slope and its value at `origin`.
fn regression(samples: &[Sample], origin: i64) -> (f64, f64) {
    let (mut xs, mut ys) = (Sum::default(), Sum::default());
    let (mut xys, mut xxs) = (Sum::default(), Sum::default());
    let first = samples[0].value;
    for sample in samples {
        let x = (sample.timestamp.as_millis() - origin) as f64 / 1e3;
        xs.add(x);
        ys.add(sample.value);
        xys.add(x * sample.value);
        xxs.add(x * x);
    }
    if samples[1..].iter().all(|sample| sample.value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = samples.len() as f64;
    let (xs, ys, xys, xxs) = (xs.total(), ys.total(), xys.total(), xxs.total());
    let covariance = xys - xs * ys / n;
    let variance = xxs - xs * xs / n;
    let slope = covariance / variance;
    (slope, ys / n - slope * xs / n)
}

/// Holt's linear method: the level after the last sample.
pub(super) fn double_exponential_smoothing(
    evaluator: &Evaluator<'_>,
    window: &Window<'_>,
) -> Outcome {
    let [smoothing, trending] = window.arguments;
    for (name, factor) in [("smoothing", smoothing), ("trend", trending)] {
        if factor <= 0.0 || factor >= 1.0 {
            let letter = if name == "smoothing" { "sf" } else { "tf" };
            return Err(execution(format!(
                "invalid {name} factor. Expected: 0 < {letter} < 1, got: {factor:.6}"
            )));
        }
    }
    let Some(first) = enough(evaluator, window) else {
        return Ok(None);
    };
    let (mut before, mut level) = (0.0, first.value);
    let mut trend = window.floats[1].value - first.value;
    for (index, sample) in window.floats[1..].iter().enumerate() {
        if index > 0 {
            trend = trending * (level - before) + (1.0 - trending) * trend;
        }
        let next = smoothing * sample.value + (1.0 - smoothing) * (level + trend);
        (before, level) = (level, next);
    }
    Ok(Some(SampleValue::Float(level)))
}
