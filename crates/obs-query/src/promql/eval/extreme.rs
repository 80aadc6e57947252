//! The largest and smallest number of a window that moves over one series.

use obs_model::Sample;

use super::column::Grid;
use crate::promql::functions::Function;
use crate::promql::plan::When;

/// Which number of a window is looked for; it comes to what `max_over_time` and `min_over_time` do of each window by
/// itself.
#[derive(Clone, Copy)]
pub(super) enum Extreme {
    Largest,
    Smallest,
}

impl Extreme {
    /// The extreme that a function is, if it is one.
    pub(super) fn of(function: Function) -> Option<Self> {
        match function {
            Function::MaxOverTime => Some(Self::Largest),
            Function::MinOverTime => Some(Self::Smallest),
            _ => None,
        }
    }

    /// Writes the extreme of the window that ends at each step to `out`, and says how many there are.
    ///
    /// Kept are only the samples that nothing after them beats, each beaten by the one before it: the first of them is
    /// the extreme, and every sample comes and goes once, however many windows it is in.
    pub(super) fn walk(
        self,
        floats: &[Sample],
        window: i64,
        when: When,
        grid: &Grid,
        out: &mut [f64],
    ) -> usize {
        let mut unbeaten: Vec<Sample> = Vec::new();
        let (mut oldest, mut from, mut to, mut count) = (0, 0, 0, 0);
        for (out, time) in out.iter_mut().zip(grid.times()) {
            let end = when.at_step(time);
            let start = end.saturating_sub(window);
            while let Some(sample) = floats.get(to)
                && sample.timestamp.as_millis() <= end
            {
                to += 1;
                // A window that skips samples has nothing to do with them.
                if sample.timestamp.as_millis() <= start || sample.value.is_nan() {
                    continue;
                }
                while unbeaten.len() > oldest
                    && unbeaten.last().is_some_and(|last| self.beats(sample.value, last.value))
                {
                    unbeaten.pop();
                }
                unbeaten.push(*sample);
            }
            while from < to && floats[from].timestamp.as_millis() <= start {
                from += 1;
            }
            if from == to {
                continue;
            }
            while unbeaten.get(oldest).is_some_and(|one| one.timestamp.as_millis() <= start) {
                oldest += 1;
            }
            // Numbers come before NaN; only where there are none, NaN is what is found.
            *out = unbeaten.get(oldest).map_or(f64::NAN, |one| one.value);
            count += 1;
        }
        count
    }

    fn beats(self, value: f64, other: f64) -> bool {
        match self {
            Self::Largest => value > other,
            Self::Smallest => value < other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::promql::eval::column::{ABSENT, is_absent};
    use obs_model::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_extreme_that_moves_is_that_of_each_window_by_itself(
            samples in proptest::collection::btree_map(
                prop_oneof![(0_i64..60).prop_map(|tick| tick * 15_000), 0_i64..900_000],
                prop_oneof![Just(f64::NAN), Just(0.0), Just(-0.0), Just(f64::INFINITY), -3.0..3.0, (0_i32..4).prop_map(f64::from)],
                0..80,
            ),
            window in prop_oneof![Just(300_000_i64), 1_i64..400_000],
            (start, step) in (0_i64..300_000, prop_oneof![Just(15_000_i64), 1_i64..100_000]),
        ) {
            let samples: BTreeMap<i64, f64> = samples;
            let floats: Vec<Sample> = samples
                .iter()
                .map(|(at, value)| Sample { timestamp: Timestamp::from_millis(*at), value: *value })
                .collect();
            let grid = Grid { start, step, steps: 30 };
            for extreme in [Extreme::Largest, Extreme::Smallest] {
                let mut out = vec![ABSENT; grid.steps];
                let count = extreme.walk(&floats, window, When::default(), &grid, &mut out);
                prop_assert_eq!(count, out.iter().filter(|value| !is_absent(**value)).count());
                for (found, end) in out.iter().zip(grid.times()) {
                    let within = samples.range(end - window + 1..=end).map(|(_, value)| *value);
                    let best = within.reduce(|best, value| {
                        if extreme.beats(value, best) || best.is_nan() { value } else { best }
                    });
                    match best {
                        None => prop_assert!(is_absent(*found)),
                        Some(best) if best.is_nan() => prop_assert!(found.is_nan() && !is_absent(*found)),
                        Some(best) => prop_assert_eq!(found.to_bits(), best.to_bits()),
                    }
                }
            }
        }
    }
}
