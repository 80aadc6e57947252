//! What profiling records about itself.

use metrics::{Unit, counter, describe_counter};

const RUNS: &str = "obskit_profile_runs_total";

/// Registers the help text of `obskit_profile_runs_total` with the installed recorder.
pub fn describe() {
    describe_counter!(
        RUNS,
        Unit::Count,
        "Profiles asked for, by kind and outcome: ok, busy, invalid, cancelled or failed."
    );
}

/// Counts a run when it ends, also if its future is dropped before that.
pub(crate) struct Run {
    outcome: &'static str,
}

impl Run {
    pub(crate) fn begin() -> Self {
        Self { outcome: "cancelled" }
    }

    pub(crate) fn end<T>(mut self, result: &Result<T, crate::Error>) {
        self.outcome = match result {
            Ok(_) => "ok",
            Err(error) if error.is_busy() => "busy",
            Err(error) if error.is_config() => "invalid",
            Err(_) => "failed",
        };
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        counter!(RUNS, "kind" => "cpu", "outcome" => self.outcome).increment(1);
    }
}
