//! What to profile, for how long and how closely.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::Error;
use crate::error::Kind;

/// How a CPU profile is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuProfileConfig {
    /// For how long, from 10 ms to 10 min of wall-clock time. Default 30 s.
    pub duration: Duration,
    /// How many samples to take per second of CPU time, from 1 to 1,000. Default 100.
    pub frequency: u32,
    /// Samples whose innermost frame is in a shared library whose path contains one of these are skipped,
    /// because unwinding from there is not safe in a signal handler. An empty text, which every path
    /// contains, is not accepted. Default [`DEFAULT_BLOCKLIST`](Self::DEFAULT_BLOCKLIST).
    pub blocklist: Vec<String>,
}

impl CpuProfileConfig {
    /// The durations that are accepted.
    pub const DURATIONS: RangeInclusive<Duration> =
        Duration::from_millis(10)..=Duration::from_secs(600);

    /// The frequencies that are accepted, in Hz.
    pub const FREQUENCIES: RangeInclusive<u32> = 1..=1_000;

    /// The C library (glibc and musl), its loader and threads, the unwinder and the vDSO.
    ///
    /// `pprof-rs` advises `libc`, `libgcc`, `pthread` and `vdso`. These are narrower, because `libc` is also in the
    /// paths of `libcrypto` and `libcurl`, and a service may be installed under a path with such a name.
    pub const DEFAULT_BLOCKLIST: [&str; 8] = [
        "/libc.so",
        "/libc-",
        "/libc.musl",
        "/ld-linux",
        "/ld-musl",
        "/libpthread",
        "/libgcc_s",
        "linux-vdso",
    ];

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// One error with all problems, of which `is_config` is true.
    pub fn validate(&self) -> Result<(), Error> {
        let mut problems = Vec::new();
        let (durations, frequencies) = (Self::DURATIONS, Self::FREQUENCIES);
        if !durations.contains(&self.duration) {
            let (least, most) = durations.into_inner();
            problems.push(format!("duration is {:?}: from {least:?} to {most:?}", self.duration));
        }
        if !frequencies.contains(&self.frequency) {
            let (least, most) = frequencies.into_inner();
            problems.push(format!("frequency is {} Hz: from {least} to {most} Hz", self.frequency));
        }
        if self.blocklist.iter().any(String::is_empty) {
            problems.push("blocklist has an empty entry: a part of a library's path".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(Kind::Config { problems }.into()) }
    }
}

impl Default for CpuProfileConfig {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(30),
            frequency: 100,
            blocklist: Self::DEFAULT_BLOCKLIST.map(str::to_owned).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_accepted_up_to_their_bounds_and_no_further() {
        for (duration_ms, frequency, accepted) in [
            (10, 1, true),
            (600_000, 1_000, true),
            (9, 100, false),
            (600_001, 100, false),
            (1_000, 0, false),
            (1_000, 1_001, false),
        ] {
            let config = CpuProfileConfig {
                duration: Duration::from_millis(duration_ms),
                frequency,
                ..CpuProfileConfig::default()
            };
            assert_eq!(config.validate().is_ok(), accepted, "{config:?}");
        }
    }

    #[test]
    fn every_problem_is_named_with_what_would_be_accepted() {
        let config = CpuProfileConfig {
            duration: Duration::ZERO,
            frequency: 5_000,
            blocklist: vec![String::new()],
        };
        let error = config.validate().expect_err("not valid");
        assert!(error.is_config() && !error.is_busy());
        assert_eq!(
            error.to_string(),
            "cpu profile config is not valid: duration is 0ns: from 10ms to 600s; \
             frequency is 5000 Hz: from 1 to 1000 Hz; \
             blocklist has an empty entry: a part of a library's path"
        );
    }
}
