//! Which events become lines: a limit for each place in the code, and a share of the less important levels.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use obs_model::Level;
use parking_lot::RwLock;
use tracing_core::Metadata;

use crate::config::CallsiteLimit;
use crate::spans::ids::random;

/// The rules, with what was counted so far.
pub(crate) struct Admission {
    limit: Option<CallsiteLimit>,
    /// For each level, one of how many events is kept.
    one_in: [u32; Level::ALL.len()],
    started: Instant,
    /// By where the place's description is; there are no more of them than places in the code.
    places: RwLock<HashMap<usize, Arc<Place>>>,
}

/// One place in the code.
#[derive(Default)]
struct Place {
    /// The number of the period in the upper half, and how many lines it had in the lower.
    period: AtomicU64,
    withheld: AtomicU64,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is written, and stands for so many others that were not.
    Write { withheld: u64 },
    /// It is not, for this reason.
    Drop(&'static str),
}

impl Admission {
    pub(crate) fn new(limit: Option<CallsiteLimit>, one_in: &[(Level, u32)]) -> Self {
        let mut shares = [1; Level::ALL.len()];
        for (level, one_of) in one_in {
            shares[*level as usize] = *one_of;
        }
        Self { limit, one_in: shares, started: Instant::now(), places: RwLock::default() }
    }

    /// Whether every event of a level is written.
    #[cfg(feature = "http")]
    pub(crate) fn takes_all(&self, level: Level) -> bool {
        self.limit.is_none() && self.one_in[level as usize] <= 1
    }

    /// Decides about an event of `place`.
    pub(crate) fn judge(&self, place: &'static Metadata<'static>, level: Level) -> Verdict {
        let one_in = self.one_in[level as usize];
        if one_in > 1 && !random().is_multiple_of(u64::from(one_in)) {
            return Verdict::Drop("sampled");
        }
        match self.limit {
            None => Verdict::Write { withheld: 0 },
            Some(limit) => {
                let period = self.started.elapsed().as_nanos() / limit.period.as_nanos().max(1);
                self.place(place).judge(period as u32, limit.lines)
            }
        }
    }

    fn place(&self, place: &'static Metadata<'static>) -> Arc<Place> {
        let address = std::ptr::from_ref(place).addr();
        if let Some(found) = self.places.read().get(&address) {
            return Arc::clone(found);
        }
        Arc::clone(self.places.write().entry(address).or_default())
    }
}

impl Place {
    /// Counts a line in a period, and says whether it is within the limit.
    fn judge(&self, period: u32, most: u32) -> Verdict {
        let count = |kept: u64| {
            let lines = if (kept >> 32) as u32 == period { kept as u32 } else { 0 };
            (lines < most).then_some(u64::from(period) << 32 | u64::from(lines + 1))
        };
        match self.period.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count) {
            Ok(_) => Verdict::Write { withheld: self.withheld.swap(0, Ordering::Relaxed) },
            Err(_) => {
                self.withheld.fetch_add(1, Ordering::Relaxed);
                Verdict::Drop("rate_limited")
            }
        }
    }
}

/// What is wrong with the rules.
pub(crate) fn problems(limit: Option<CallsiteLimit>, one_in: &[(Level, u32)]) -> Vec<String> {
    let mut problems = Vec::new();
    if limit.is_some_and(|limit| limit.lines == 0 || limit.period < Duration::from_millis(1)) {
        problems.push("callsite_limit: expected 1 line or more in 1 ms or more".to_owned());
    }
    for (level, one_of) in one_in {
        if *one_of == 0 || *level >= Level::Warn {
            problems.push(format!(
                "keep_one_in: one of {one_of} lines at {level}: expected 1 or more, and a level below WARN"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_writes_so_many_lines_a_period_and_says_how_many_it_withheld() {
        let place = Place::default();
        let verdicts: Vec<_> = (0..5).map(|_| place.judge(7, 2)).collect();
        assert_eq!(verdicts[..2], [Verdict::Write { withheld: 0 }; 2]);
        assert_eq!(verdicts[2..], [Verdict::Drop("rate_limited"); 3]);
        assert_eq!(place.judge(8, 2), Verdict::Write { withheld: 3 });
        assert_eq!(place.judge(8, 2), Verdict::Write { withheld: 0 });
    }
}
