//! A profile that was taken.

use std::fmt;
use std::time::Duration;

use obs_model::Timestamp;

/// How a profile was taken.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) started_at: Timestamp,
    pub(crate) duration: Duration,
    pub(crate) frequency: u32,
    pub(crate) cpu_time: Option<Duration>,
}

/// A CPU profile.
#[derive(Clone)]
pub struct Profile {
    pub(crate) run: Run,
    pub(crate) samples: u64,
    pub(crate) functions: Vec<FunctionCost>,
    pub(crate) pprof_gz: Vec<u8>,
}

/// What a function used, in samples.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionCost {
    /// The function's path, such as `shop::cart::total`.
    pub name: String,
    /// Samples in which it was running itself.
    pub flat_samples: u64,
    /// Samples in which it, or something that it called, was running.
    pub cumulative_samples: u64,
}

impl Profile {
    /// The gzipped protobuf that `go tool pprof` reads.
    ///
    /// Its sample types are `samples/count` and `cpu/nanoseconds`; each sample has the label `thread`.
    #[must_use]
    pub fn to_pprof_gz(&self) -> Vec<u8> {
        self.pprof_gz.clone()
    }

    /// The same bytes as [`to_pprof_gz`](Self::to_pprof_gz), without a copy.
    #[must_use]
    pub fn as_pprof_gz(&self) -> &[u8] {
        &self.pprof_gz
    }

    /// When sampling began.
    #[must_use]
    pub fn started_at(&self) -> Timestamp {
        self.run.started_at
    }

    /// For how long the process was sampled, in wall-clock time.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.run.duration
    }

    /// How many samples were asked for per second of CPU time.
    #[must_use]
    pub fn frequency(&self) -> u32 {
        self.run.frequency
    }

    /// How much CPU time the process used meanwhile, on all cores; `None` if the system does not tell.
    #[must_use]
    pub fn cpu_time(&self) -> Option<Duration> {
        self.run.cpu_time
    }

    /// How many samples arrived.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// How many samples were due: the CPU time used, times the frequency, rounded.
    ///
    /// Far fewer have arrived if the frequency is above the kernel's tick, or if much of the time was spent in
    /// libraries that are skipped. The shares of functions are still right among what was sampled, but
    /// times in the pprof file are too low by the same factor.
    #[must_use]
    pub fn expected_samples(&self) -> Option<u64> {
        // OK because the product is far below 2^53: ten minutes on 1,000 cores at 1,000 Hz are 6e8.
        self.run
            .cpu_time
            .map(|time| (time.as_secs_f64() * f64::from(self.run.frequency)).round() as u64)
    }

    /// What each function used, most expensive first: by flat samples, then by cumulative ones.
    #[must_use]
    pub fn functions(&self) -> &[FunctionCost] {
        &self.functions
    }

    /// A table of the `limit` most expensive functions, under a line about the whole profile.
    #[must_use]
    pub fn summary(&self, limit: usize) -> String {
        let mut text = self.headline();
        text.push_str("\n    flat  flat%      cum   cum%  function\n");
        for cost in self.functions.iter().take(limit) {
            let (flat, all) = (cost.flat_samples, cost.cumulative_samples);
            text.push_str(&format!(
                "{flat:8} {:5.1}% {all:8} {:5.1}%  {}\n",
                self.percent(flat),
                self.percent(all),
                cost.name
            ));
        }
        let more = self.functions.len().saturating_sub(limit);
        if more > 0 {
            text.push_str(&format!("… and {more} more\n"));
        }
        text
    }

    /// One line about the whole profile, with the share of the samples due that arrived.
    pub(crate) fn headline(&self) -> String {
        let samples = match self.expected_samples() {
            Some(expected) => format!("{} of {expected} expected samples", self.samples),
            None => format!("{} samples", self.samples),
        };
        let cpu = match self.run.cpu_time {
            Some(time) => format!(", {:.2} s of cpu time", time.as_secs_f64()),
            None => String::new(),
        };
        let seconds = self.run.duration.as_secs_f64();
        format!("cpu profile: {samples} at {} Hz in {seconds:.2} s{cpu}", self.run.frequency)
    }

    fn percent(&self, samples: u64) -> f64 {
        samples as f64 * 100.0 / self.samples.max(1) as f64
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("headline", &self.headline())
            .field("functions", &self.functions.len())
            .field("pprof_gz_bytes", &self.pprof_gz.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_shows_the_loss_and_the_most_expensive_functions() {
        let cost = |name: &str, flat_samples, cumulative_samples| FunctionCost {
            name: name.to_owned(),
            flat_samples,
            cumulative_samples,
        };
        let profile = Profile {
            run: Run {
                started_at: Timestamp::EPOCH,
                duration: Duration::from_millis(2_010),
                frequency: 1_000,
                cpu_time: Some(Duration::from_micros(1_000_400)),
            },
            samples: 200,
            functions: vec![cost("app::spin", 150, 150), cost("main", 50, 200), cost("x", 0, 1)],
            pprof_gz: Vec::new(),
        };
        assert_eq!(
            profile.summary(2),
            "cpu profile: 200 of 1000 expected samples at 1000 Hz in 2.01 s, 1.00 s of cpu time\n    \
             flat  flat%      cum   cum%  function\n     \
             150  75.0%      150  75.0%  app::spin\n      \
             50  25.0%      200 100.0%  main\n\
             … and 1 more\n"
        );
    }
}
