//! Rates, increases and differences of numbers over a window that moves over one series.

use obs_model::Sample;

use super::column::Grid;
use super::rate::{Kind, Resets};
use crate::promql::functions::Function;
use crate::promql::plan::When;

/// A change over a window of numbers, for a window that moves over one series.
///
/// It comes to exactly what [`super::rate::rate`] and its like do of each window by itself. What depends on the distances
/// in time only is worked out again when they change, which on a grid they do not.
#[derive(Clone, Copy)]
pub(super) struct Change {
    kind: Kind,
    per_second: bool,
}

impl Change {
    /// The change that a function is, if it is one.
    pub(super) fn of(function: Function) -> Option<Self> {
        Some(match function {
            Function::Rate => Self { kind: Kind::Counter, per_second: true },
            Function::Increase => Self { kind: Kind::Counter, per_second: false },
            Function::Delta => Self { kind: Kind::Gauge, per_second: false },
            _ => return None,
        })
    }

    /// Writes the change of the window that ends at each step to `out`, and says how many there are.
    pub(super) fn walk(
        self,
        floats: &[Sample],
        window: i64,
        when: When,
        grid: &Grid,
        out: &mut [f64],
    ) -> usize {
        let mut resets = Resets::of(if self.kind == Kind::Counter { floats } else { &[] });
        let mut factor = Factor::default();
        let (mut from, mut to, mut count) = (0, 0, 0);
        for (out, time) in out.iter_mut().zip(grid.times()) {
            let end = when.at_step(time);
            let start = end.saturating_sub(window);
            while floats.get(to).is_some_and(|sample| sample.timestamp.as_millis() <= end) {
                to += 1;
            }
            while from < to && floats[from].timestamp.as_millis() <= start {
                from += 1;
            }
            let [first, .., last] = &floats[from..to] else {
                continue;
            };
            let mut change = last.value - first.value;
            for before in resets.between(from, to) {
                change += before;
            }
            let place = Place {
                to_start: first.timestamp.as_millis().wrapping_sub(start),
                to_end: end.wrapping_sub(last.timestamp.as_millis()),
                sampled: last.timestamp.as_millis().wrapping_sub(first.timestamp.as_millis()),
                count: to - from,
                seconds: self.per_second.then(|| end.wrapping_sub(start)),
            };
            if factor.place != place {
                factor = Factor::of(place);
            }
            let rises = self.kind == Kind::Counter && change > 0.0 && first.value >= 0.0;
            // A counter that was at least as high as what it rose by was zero before the window, or was never.
            let value = if rises && !(first.value >= change && factor.within_sampled) {
                change * factor.since_zero(first.value / change)
            } else {
                change * factor.plain
            };
            *out = value;
            count += 1;
        }
        count
    }
}

/// Where the samples of a window are in it; times in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    to_start: i64,
    to_end: i64,
    sampled: i64,
    count: usize,
    /// The length of the window, if the change is one per second.
    seconds: Option<i64>,
}

/// By how much the change between two samples is multiplied: see [`super::rate::factor`].
#[derive(Clone, Copy, Debug, Default)]
struct Factor {
    place: Place,
    to_start: f64,
    to_end: f64,
    sampled: f64,
    /// What it is for a change that does not begin at zero.
    plain: f64,
    /// Whether the way to the start of the window is no longer than the sampled time.
    within_sampled: bool,
}

impl Factor {
    fn of(place: Place) -> Self {
        let mut to_start = place.to_start as f64 / 1e3;
        let mut to_end = place.to_end as f64 / 1e3;
        let sampled = place.sampled as f64 / 1e3;
        let average = sampled / (place.count - 1) as f64;
        let threshold = average * 1.1;
        if to_start >= threshold {
            to_start = average / 2.0;
        }
        if to_end >= threshold {
            to_end = average / 2.0;
        }
        let within_sampled = to_start <= sampled;
        let mut factor = Self { place, to_start, to_end, sampled, plain: 0.0, within_sampled };
        factor.plain = factor.with_start(to_start);
        factor
    }

    /// What it is for a counter that was zero so long before its first sample, as a part of the sampled time.
    fn since_zero(&self, zero: f64) -> f64 {
        let to_zero = self.sampled * zero;
        if to_zero < self.to_start { self.with_start(to_zero) } else { self.plain }
    }

    fn with_start(&self, to_start: f64) -> f64 {
        let factor = (self.sampled + to_start + self.to_end) / self.sampled;
        self.place.seconds.map_or(factor, |millis| factor / (millis as f64 / 1e3))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::promql::eval::Evaluator;
    use crate::promql::eval::column::ABSENT;
    use crate::promql::eval::range::{Outcome, Window};
    use crate::promql::eval::rate;
    use crate::promql::span::Span;
    use crate::promql::{EngineOptions, SampleValue};
    use crate::{SeriesStore, StoreConfig};
    use obs_model::{Labels, Timestamp};
    use proptest::prelude::*;

    type WindowFn = fn(&Evaluator<'_>, &Window<'_>) -> Outcome;

    /// What the function makes of each window by itself.
    fn one_by_one(compute: WindowFn, floats: &[Sample], window: i64, grid: &Grid) -> Vec<f64> {
        let (store, options) = (SeriesStore::new(StoreConfig::default()), EngineOptions::default());
        let evaluator = Evaluator::new(&store, &options, &|| false);
        let value = |end: i64| {
            let start = end - window;
            let within =
                |sample: &&Sample| (start + 1..=end).contains(&sample.timestamp.as_millis());
            let floats: Vec<Sample> = floats.iter().filter(within).copied().collect();
            let falls = floats.windows(2).filter(|pair| pair[1].value < pair[0].value);
            let before_falls: Vec<f64> = falls.map(|pair| pair[0].value).collect();
            let window = Window {
                floats: &floats,
                histograms: &[],
                before_falls: &before_falls,
                start,
                end,
                time: end,
                arguments: [0.0; 2],
                labels: &Labels::empty(),
                span: Span::default(),
            };
            match compute(&evaluator, &window) {
                Ok(Some(SampleValue::Float(value))) => value,
                _ => ABSENT,
            }
        };
        grid.times().map(value).collect()
    }

    proptest! {
        #[test]
        fn a_window_that_moves_gives_the_same_bits_as_each_by_itself(
            samples in proptest::collection::btree_map(
                prop_oneof![(0_i64..60).prop_map(|tick| tick * 15_000), 0_i64..900_000],
                prop_oneof![8 => (0_i32..500).prop_map(f64::from), 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 2 => -10.0..10.0_f64],
                0..80,
            ),
            rising in any::<bool>(),
            window in prop_oneof![Just(300_000_i64), 1_i64..400_000],
            (start, step) in (0_i64..300_000, prop_oneof![Just(15_000_i64), 1_i64..100_000]),
        ) {
            let samples: BTreeMap<i64, f64> = samples;
            let mut total = 0.0;
            let floats: Vec<Sample> = samples.iter().map(|(at, value)| {
                total = if rising { total + value } else { *value };
                Sample { timestamp: Timestamp::from_millis(*at), value: total }
            }).collect();
            let grid = Grid { start, step, steps: 30 };
            for (function, compute) in [
                (Function::Rate, rate::rate as WindowFn),
                (Function::Increase, rate::increase),
                (Function::Delta, rate::delta),
            ] {
                let mut out = vec![ABSENT; grid.steps];
                let count = Change::of(function).unwrap().walk(&floats, window, When::default(), &grid, &mut out);
                let expected = one_by_one(compute, &floats, window, &grid);
                prop_assert_eq!(count, expected.iter().filter(|value| value.to_bits() != ABSENT.to_bits()).count());
                prop_assert!(out.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())), "{:?} {:?}", out, expected);
            }
        }
    }
}
