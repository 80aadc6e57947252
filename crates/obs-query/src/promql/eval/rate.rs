//! How much a value changed over a window: rates, differences, resets and changes.

use obs_model::Sample;

use super::Evaluator;
use super::range::{Outcome, Window};
use crate::promql::value::SampleValue;

/// Where a counter falls, for windows that move over it.
pub(super) struct Resets {
    /// The index of each sample that is below the one before it.
    places: Vec<usize>,
    /// The value before each of them.
    before: Vec<f64>,
    from: usize,
    to: usize,
}

impl Resets {
    pub(super) fn of(floats: &[Sample]) -> Self {
        let (mut places, mut before) = (Vec::new(), Vec::new());
        for (index, pair) in floats.windows(2).enumerate() {
            if pair[1].value < pair[0].value {
                places.push(index + 1);
                before.push(pair[0].value);
            }
        }
        Self { places, before, from: 0, to: 0 }
    }

    /// The values before each fall within `first..end`; neither may be less than in the call before.
    pub(super) fn between(&mut self, first: usize, end: usize) -> &[f64] {
        while self.places.get(self.to).is_some_and(|place| *place < end) {
            self.to += 1;
        }
        // A fall at the first sample is one from a sample outside.
        while self.from < self.to && self.places[self.from] <= first {
            self.from += 1;
        }
        &self.before[self.from..self.to]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

pub(super) fn rate(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    let seconds = (window.end - window.start) as f64 / 1e3;
    extrapolated(evaluator, window, Kind::Counter, Some(seconds))
}

pub(super) fn increase(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    extrapolated(evaluator, window, Kind::Counter, None)
}

pub(super) fn delta(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    extrapolated(evaluator, window, Kind::Gauge, None)
}

/// The change over the window, extrapolated to its ends (`extrapolatedRate` in `promql/functions.go`).
fn extrapolated(
    evaluator: &Evaluator<'_>,
    window: &Window<'_>,
    kind: Kind,
    per_seconds: Option<f64>,
) -> Outcome {
    if !window.histograms.is_empty() {
        let counter = kind == Kind::Counter;
        return evaluator.histogram_rate(window, counter, per_seconds);
    }
    let (Some(first), Some(last)) = (window.floats.first(), window.floats.last()) else {
        return Ok(None);
    };
    if window.floats.len() < 2 {
        return Ok(None);
    }
    let mut change = last.value - first.value;
    if kind == Kind::Counter {
        for before in window.before_falls {
            change += before;
        }
    }
    let zero =
        (kind == Kind::Counter && change > 0.0 && first.value >= 0.0).then(|| first.value / change);
    let times = [first, last].map(|sample| sample.timestamp.as_millis());
    let factor = factor(window, times, window.floats.len(), zero, per_seconds);
    Ok(Some(SampleValue::Float(change * factor)))
}

/// By how much a change between two samples is multiplied to be one of the whole window.
///
/// `zero` is how long before the first sample a counter would have been zero, as a part of the sampled time.
pub(super) fn factor(
    window: &Window<'_>,
    [first, last]: [i64; 2],
    count: usize,
    zero: Option<f64>,
    per_seconds: Option<f64>,
) -> f64 {
    let mut to_start = (first - window.start) as f64 / 1e3;
    let mut to_end = (window.end - last) as f64 / 1e3;
    let sampled = (last - first) as f64 / 1e3;
    let average = sampled / (count - 1) as f64;
    // Samples nearer to an end than this are taken to go on to it.
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if let Some(zero) = zero {
        let to_zero = sampled * zero;
        if to_zero < to_start {
            to_start = to_zero;
        }
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    per_seconds.map_or(factor, |seconds| factor / seconds)
}

pub(super) fn irate(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    newest_two(evaluator, window, Kind::Counter)
}

pub(super) fn idelta(evaluator: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    newest_two(evaluator, window, Kind::Gauge)
}

/// The change between the newest two samples; per second for a counter.
fn newest_two(evaluator: &Evaluator<'_>, window: &Window<'_>, kind: Kind) -> Outcome {
    if !window.histograms.is_empty() {
        return evaluator.histogram_newest_two(window, kind == Kind::Counter);
    }
    newest_floats(window, kind == Kind::Counter)
}

/// The change between the newest two numbers; per second for a counter.
pub(super) fn newest_floats(window: &Window<'_>, counter: bool) -> Outcome {
    let [.., before, last] = window.floats else {
        return Ok(None);
    };
    let millis = last.timestamp.as_millis() - before.timestamp.as_millis();
    if millis == 0 {
        return Ok(None);
    }
    let fell = counter && last.value < before.value;
    let change = if fell { last.value } else { last.value - before.value };
    Ok(Some(SampleValue::Float(if counter { change / (millis as f64 / 1e3) } else { change })))
}

pub(super) fn resets(_: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    Ok(Some(SampleValue::Float(count_pairs(window, |before, after| match (before, after) {
        (SampleValue::Float(before), SampleValue::Float(after)) => after < before,
        (SampleValue::Histogram(before), SampleValue::Histogram(after)) => {
            after.is_reset_after(before)
        }
        _ => true,
    }))))
}

pub(super) fn changes(_: &Evaluator<'_>, window: &Window<'_>) -> Outcome {
    Ok(Some(SampleValue::Float(count_pairs(window, |before, after| match (before, after) {
        (SampleValue::Float(before), SampleValue::Float(after)) => {
            after != before && !(after.is_nan() && before.is_nan())
        }
        (SampleValue::Histogram(before), SampleValue::Histogram(after)) => {
            !after.is_same_as(before)
        }
        _ => true,
    }))))
}

/// How many pairs of neighbours `counts` accepts.
fn count_pairs(window: &Window<'_>, counts: impl Fn(&SampleValue, &SampleValue) -> bool) -> f64 {
    let mut floats = window.floats.iter().peekable();
    let mut histograms = window.histograms.iter().peekable();
    let mut before: Option<SampleValue> = None;
    let mut found = 0.0;
    loop {
        let float_first = match (floats.peek(), histograms.peek()) {
            (Some(float), Some(histogram)) => float.timestamp < histogram.timestamp,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return found,
        };
        let next = if float_first {
            floats.next().map(|sample| SampleValue::Float(sample.value))
        } else {
            histograms.next().map(|sample| SampleValue::Histogram(sample.value.clone()))
        };
        if let (Some(before), Some(next)) = (&before, &next)
            && counts(before, next)
        {
            found += 1.0;
        }
        before = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use obs_model::Timestamp;

    #[test]
    fn falls_are_those_between_two_samples_of_the_window() {
        let floats: Vec<Sample> = [1.0, 5.0, 2.0, 3.0, 0.0, 1.0]
            .iter()
            .enumerate()
            .map(|(index, value)| Sample {
                timestamp: Timestamp::from_millis(index as i64),
                value: *value,
            })
            .collect();
        let mut resets = Resets::of(&floats);
        for (first, end, expected) in [
            (0, 2, vec![]),
            (0, 3, vec![5.0]),
            (1, 5, vec![5.0, 3.0]),
            (2, 5, vec![3.0]),
            (4, 6, vec![]),
        ] {
            assert_eq!(resets.between(first, end), expected, "{first}..{end}");
        }
    }
}
