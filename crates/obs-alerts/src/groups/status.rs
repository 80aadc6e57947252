//! How rule groups stand: what an API shows of them.

use std::collections::BTreeMap;
use std::time::Duration;

use obs_model::{AlertState, Labels, Timestamp};

/// How a group stood after its last evaluation.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Its name.
    pub name: String,
    /// The file that it is from.
    pub file: String,
    /// How often it is evaluated.
    pub interval: Duration,
    /// How many series or alerts each rule may give; 0 is any number.
    pub limit: u64,
    /// When it was evaluated last; `None` before the first time.
    pub last_evaluation: Option<Timestamp>,
    /// How long that took.
    pub last_duration: Duration,
    /// Its rules, in order.
    pub rules: Vec<GroupRuleStatus>,
}

/// How one rule stands.
#[derive(Clone, Debug)]
pub enum GroupRuleStatus {
    /// A recording rule.
    Recording(RecordingStatus),
    /// An alerting rule.
    Alerting(AlertingStatus),
}

/// How the last evaluation of a rule went.
#[derive(Clone, Debug, Default)]
pub struct RuleOutcome {
    /// When it was; `None` before the first time.
    pub last_evaluation: Option<Timestamp>,
    /// How long it took.
    pub last_duration: Duration,
    /// Why it failed, if it did.
    pub last_error: Option<String>,
}

impl RuleOutcome {
    /// Prometheus' word for it: `unknown`, `ok` or `err`.
    #[must_use]
    pub fn health(&self) -> &'static str {
        match (&self.last_evaluation, &self.last_error) {
            (None, _) => "unknown",
            (Some(_), None) => "ok",
            (Some(_), Some(_)) => "err",
        }
    }
}

/// A recording rule.
#[derive(Clone, Debug)]
pub struct RecordingStatus {
    /// The name of the series that it writes.
    pub name: String,
    /// Its expression.
    pub query: String,
    /// The labels that it adds.
    pub labels: BTreeMap<String, String>,
    /// How its last evaluation went.
    pub outcome: RuleOutcome,
}

/// An alerting rule.
#[derive(Clone, Debug)]
pub struct AlertingStatus {
    /// The name of its alerts.
    pub name: String,
    /// Its expression.
    pub query: String,
    /// How long a condition must hold before its alert fires.
    pub hold: Duration,
    /// How long an alert goes on firing after its condition.
    pub keep_firing: Duration,
    /// The labels that its alerts get.
    pub labels: BTreeMap<String, String>,
    /// The texts that its alerts get.
    pub annotations: BTreeMap<String, String>,
    /// Its alerts, in order of labels.
    pub alerts: Vec<GroupAlert>,
    /// How its last evaluation went.
    pub outcome: RuleOutcome,
}

impl AlertingStatus {
    /// The state of the alert that is furthest; `None` when there is none.
    #[must_use]
    pub fn state(&self) -> Option<AlertState> {
        let has = |state| self.alerts.iter().any(|alert| alert.state == state);
        [AlertState::Firing, AlertState::Pending].into_iter().find(|state| has(*state))
    }
}

/// A pending or firing alert.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupAlert {
    /// What it is about, its name as `alertname` included.
    pub labels: Labels,
    /// Texts about it.
    pub annotations: BTreeMap<String, String>,
    /// Whether it is pending or firing.
    pub state: AlertState,
    /// Since when its condition holds.
    pub active_at: Timestamp,
    /// The value of its expression.
    pub value: f64,
}
