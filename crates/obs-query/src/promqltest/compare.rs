//! Whether an answer is what was expected.

use obs_model::{Labels, Sample};

use super::command::{Annotations, Eval, Expected, When};
use super::series::{HintGiven, SequenceValue};
use crate::promql::{
    self, BucketSpan, HistogramSample, MatrixSeries, NativeHistogram, QueryValue, SampleValue,
    VectorPoint, almost_equal,
};

/// By which part of their sum two numbers may differ.
const EPSILON: f64 = 1e-6;

/// Compares the value of an answer.
pub(super) fn value(eval: &Eval, value: &QueryValue) -> Result<(), String> {
    match (value, &eval.expected) {
        (QueryValue::Scalar(found), Expected::Scalar(expected)) => scalar(*expected, found.value),
        (QueryValue::Scalar(found), _) => {
            Err(format!("expected vector or matrix result, but got scalar {}", found.value))
        }
        (QueryValue::String(_, found), Expected::String(expected)) => {
            let found = found.to_lossy();
            if found == *expected {
                Ok(())
            } else {
                Err(format!("expected string {expected:?} but got {found:?}"))
            }
        }
        (QueryValue::String(_, found), _) => Err(format!("unexpected string {found}")),
        (QueryValue::Vector(points), Expected::Series(expected)) => {
            vector(eval.ordered, points, expected)
        }
        (QueryValue::Matrix(series), Expected::Series(expected)) => matrix(eval, series, expected),
        (_, Expected::Scalar(_)) => Err("expected scalar result, but got series".to_owned()),
        (_, Expected::String(_)) => Err("expected a string, but got series".to_owned()),
    }
}

pub(super) fn scalar(expected: f64, found: f64) -> Result<(), String> {
    if almost_equal(expected, found, EPSILON) {
        Ok(())
    } else {
        Err(format!("expected scalar {expected} but got {found}"))
    }
}

type ExpectedSeries = (Labels, usize, Vec<SequenceValue>);

pub(super) fn vector(
    ordered: bool,
    points: &[VectorPoint],
    expected: &[ExpectedSeries],
) -> Result<(), String> {
    for (index, point) in points.iter().enumerate() {
        let Some((labels, place, values)) =
            expected.iter().find(|(labels, ..)| *labels == point.labels)
        else {
            let shown = shown(&point.value);
            return Err(format!("unexpected metric {} in result, has value {shown}", point.labels));
        };
        if ordered && *place != index + 1 {
            let found = index + 1;
            return Err(format!("expected {labels} at position {place} but was at {found}"));
        }
        let fits = match (values.first(), &point.value) {
            (Some(SequenceValue::Float(expected)), SampleValue::Float(found)) => {
                almost_equal(*expected, *found, EPSILON)
            }
            (Some(SequenceValue::Histogram(expected, hint)), SampleValue::Histogram(found)) => {
                histograms(expected, found, *hint)
            }
            _ => false,
        };
        if !fits {
            let (expected, found) = (expected_text(values.first()), shown(&point.value));
            return Err(format!("expected {expected} for {labels} but got {found}"));
        }
    }
    for (labels, _, values) in expected {
        if !points.iter().any(|point| point.labels == *labels) {
            let value = expected_text(values.first());
            return Err(format!("expected metric {labels} with {value} not found"));
        }
    }
    Ok(())
}

fn matrix(eval: &Eval, series: &[MatrixSeries], expected: &[ExpectedSeries]) -> Result<(), String> {
    if eval.ordered {
        return Err("expected ordered result, but query returned a matrix".to_owned());
    }
    sorted(series)?;
    let (start, end, step) = match (eval.range_vector, eval.when) {
        (Some(times), _) => times,
        (None, When::Range { start, end, step }) => (start, end, step),
        (None, When::Instant(at)) => (at, at, 1),
    };
    for found in series {
        let Some((labels, _, values)) =
            expected.iter().find(|(labels, ..)| *labels == found.labels)
        else {
            return Err(format!("unexpected metric {} in result, has {found:?}", found.labels));
        };
        let (mut floats, mut natives) = (Vec::new(), Vec::new());
        for (index, value) in values.iter().enumerate() {
            let time = start + index as i64 * step;
            if time > end {
                let points = values.len();
                return Err(format!(
                    "expected {points} points for {labels}, but the query's range cannot have so many"
                ));
            }
            match value {
                SequenceValue::Gap => {}
                SequenceValue::Float(value) => floats.push((time, *value)),
                SequenceValue::Histogram(value, hint) => natives.push((time, value, *hint)),
            }
        }
        if floats.len() != found.floats.len() || natives.len() != found.histograms.len() {
            return Err(format!(
                "expected {} float points and {} histogram points for {labels}, but got {} and {}: {:?}",
                floats.len(),
                natives.len(),
                found.floats.len(),
                found.histograms.len(),
                found.floats
            ));
        }
        for ((time, expected), Sample { timestamp, value }) in floats.iter().zip(&found.floats) {
            if *time != timestamp.as_millis() || !almost_equal(*value, *expected, EPSILON) {
                return Err(format!(
                    "expected {expected} at {time} for {labels}, but got {value} at {timestamp}"
                ));
            }
        }
        for ((time, expected, hint), HistogramSample { timestamp, value }) in
            natives.iter().zip(&found.histograms)
        {
            if *time != timestamp.as_millis() || !histograms(expected, value, *hint) {
                return Err(format!(
                    "expected {expected} at {time} for {labels}, but got {value} at {timestamp}"
                ));
            }
        }
    }
    match expected.iter().find(|(labels, ..)| !series.iter().any(|s| s.labels == *labels)) {
        Some((labels, ..)) => Err(format!("expected metric {labels} not found")),
        None => Ok(()),
    }
}

/// Checks that a matrix is in order of labels.
pub(super) fn sorted(series: &[MatrixSeries]) -> Result<(), String> {
    match series.windows(2).find(|pair| pair[0].labels > pair[1].labels) {
        Some(pair) => Err(format!(
            "matrix results should always be sorted by labels, but {} is before {}",
            pair[0].labels, pair[1].labels
        )),
        None => Ok(()),
    }
}

fn histograms(expected: &NativeHistogram, found: &NativeHistogram, hint: HintGiven) -> bool {
    let (expected, found) = (expected.clone().compacted(), found.clone().compacted());
    let close = |a: f64, b: f64| almost_equal(a, b, EPSILON);
    let all_close =
        |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(*a, *b));
    let spans = |h: &NativeHistogram| -> [Vec<BucketSpan>; 2] {
        [h.positive_spans.clone(), h.negative_spans.clone()]
    };
    expected.schema == found.schema
        && close(expected.count, found.count)
        && close(expected.sum, found.sum)
        && (!expected.has_custom_buckets() || expected.custom_values == found.custom_values)
        && expected.zero_threshold == found.zero_threshold
        && close(expected.zero_count, found.zero_count)
        && spans(&expected) == spans(&found)
        && all_close(&expected.positive_buckets, &found.positive_buckets)
        && all_close(&expected.negative_buckets, &found.negative_buckets)
        && (hint == HintGiven::No || expected.hint == found.hint)
}

fn shown(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => promql::full(*value),
        SampleValue::Histogram(histogram) => format!("{histogram} {:?}", histogram.hint),
    }
}

fn expected_text(value: Option<&SequenceValue>) -> String {
    match value {
        Some(SequenceValue::Float(value)) => promql::full(*value),
        Some(SequenceValue::Histogram(histogram, _)) => format!("{histogram} {:?}", histogram.hint),
        Some(SequenceValue::Gap) | None => "nothing".to_owned(),
    }
}

/// Compares the annotations of an answer.
pub(super) fn annotations(eval: &Eval, found: &promql::Annotations) -> Result<(), String> {
    for (what, expected, found) in
        [("warn", &eval.warn, found.warnings()), ("info", &eval.info, found.infos())]
    {
        let messages: Vec<&str> =
            found.iter().map(|annotation| annotation.message.as_str()).collect();
        of_one_kind(what, expected, &messages)?;
    }
    Ok(())
}

fn of_one_kind(what: &str, expected: &Annotations, found: &[&str]) -> Result<(), String> {
    if (expected.some || !expected.patterns.is_empty()) && found.is_empty() {
        return Err(format!("expected {what} annotations but got none"));
    }
    if expected.none && !found.is_empty() {
        return Err(format!("unexpected {what} annotations: {found:?}"));
    }
    if expected.patterns.is_empty() {
        return Ok(());
    }
    for pattern in &expected.patterns {
        if !found.iter().any(|message| pattern.matches(message)) {
            return Err(format!("expected {what} annotation {pattern:?}, found {found:?}"));
        }
    }
    match found.iter().find(|m| !expected.patterns.iter().any(|pattern| pattern.matches(m))) {
        Some(message) => Err(format!("unexpected {what} annotation {message:?}")),
        None => Ok(()),
    }
}
