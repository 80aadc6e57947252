//! How an engine evaluates and how much it keeps.

use std::time::Duration;

/// How an [`AlertEngine`](crate::AlertEngine) evaluates and how much it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertConfig {
    /// How far apart two evaluations of the loop are; at least 1 ms. Default 60 s.
    pub check_interval: Duration,
    /// How many resolved alerts [`AlertEngine::history`](crate::AlertEngine::history) can show; the
    /// oldest go first. Default 1,000.
    pub history_capacity: usize,
    /// How many rules there may be; at least 1. Default 1,000.
    pub max_rules: usize,
    /// How many alerts one rule may have at once; further ones are not created and are counted in
    /// `obskit_alerts_dropped_total`. At least 1. Default 1,000.
    pub max_alerts_per_rule: usize,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self {
            check_interval: Duration::from_secs(60),
            history_capacity: 1_000,
            max_rules: 1_000,
            max_alerts_per_rule: 1_000,
        }
    }
}

impl AlertConfig {
    pub(crate) fn check(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.check_interval < Duration::from_millis(1) {
            problems.push(format!(
                "check_interval is {:?}: expected at least 1ms",
                self.check_interval
            ));
        }
        for (name, value) in
            [("max_rules", self.max_rules), ("max_alerts_per_rule", self.max_alerts_per_rule)]
        {
            if value == 0 {
                problems.push(format!("{name} is 0: expected at least 1"));
            }
        }
        problems
    }
}
