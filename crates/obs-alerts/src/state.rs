//! The life of one rule's alerts: inactive, pending, firing, resolved. Pure: the time, the findings and
//! the new ids all come from the caller.
//!
//! The transitions are those of Prometheus' alerting rules (`AlertingRule.Eval`), so that an alert here
//! begins and ends when it would there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use obs_model::{AlertEvent, AlertState, Labels, Severity, Timestamp};
use uuid::Uuid;

/// What does not change between the evaluations of one rule.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) rule_id: Arc<str>,
    pub(crate) rule_name: Arc<str>,
    pub(crate) severity: Severity,
    /// How long a condition must hold before its alert fires.
    pub(crate) hold: Duration,
    /// How long an alert goes on firing after its condition was last seen to hold.
    pub(crate) keep_firing: Duration,
    /// How many alerts there may be at once.
    pub(crate) limit: usize,
}

/// One thing for which the condition holds, with its final labels and message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Observation {
    pub(crate) labels: Labels,
    pub(crate) value: Option<f64>,
    pub(crate) message: String,
}

/// What an evaluation changed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change {
    /// One event per alert whose state changed, in order of labels.
    pub(crate) events: Vec<AlertEvent>,
    /// How many new alerts were not created because the rule is at its limit.
    pub(crate) refused: usize,
}

/// The pending and firing alerts of one rule.
#[derive(Debug, Default)]
pub(crate) struct RuleAlerts {
    active: BTreeMap<Labels, Active>,
}

#[derive(Debug)]
struct Active {
    /// The alert as it is now; its state is pending or firing.
    alert: AlertEvent,
    /// When the condition was first seen not to hold while the alert is kept firing.
    absent_since: Option<Timestamp>,
}

impl RuleAlerts {
    /// Takes in that the condition holds for exactly `observations` at `now`.
    ///
    /// The observations must differ in their labels. An alert that ends without ever having fired yields
    /// an event too, resolved and without `fired_at`.
    pub(crate) fn apply(
        &mut self,
        now: Timestamp,
        observations: Vec<Observation>,
        policy: &Policy,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Change {
        let mut change = Change::default();
        let mut created = BTreeSet::new();
        let present: BTreeSet<Labels> =
            observations.iter().map(|observation| observation.labels.clone()).collect();
        // First out, then in: the room that ended alerts leave is free for new ones.
        self.end_absent(now, &present, policy, &mut change.events);
        for observation in observations {
            if let Some(active) = self.active.get_mut(&observation.labels) {
                active.alert.value = observation.value;
                active.alert.message = observation.message;
                active.absent_since = None;
            } else if self.active.len() < policy.limit {
                created.insert(observation.labels.clone());
                let alert = pending(now, observation, policy, new_id());
                self.active.insert(alert.labels.clone(), Active { alert, absent_since: None });
            } else {
                change.refused += 1;
            }
        }
        for (labels, active) in &mut self.active {
            let alert = &mut active.alert;
            let due = now.since(alert.active_at) >= policy.hold;
            if alert.state == AlertState::Pending && due {
                alert.state = AlertState::Firing;
                alert.fired_at = Some(now);
                change.events.push(alert.clone());
            } else if created.contains(labels) {
                change.events.push(alert.clone());
            }
        }
        change.events.sort_by(|a, b| a.labels.cmp(&b.labels));
        change
    }

    /// Ends every alert, because the rule is removed or switched off.
    pub(crate) fn end_all(&mut self, now: Timestamp) -> Vec<AlertEvent> {
        std::mem::take(&mut self.active)
            .into_values()
            .map(|active| resolved(active.alert, now))
            .collect()
    }

    /// The alerts as they are now, in order of labels.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &AlertEvent> {
        self.active.values().map(|active| &active.alert)
    }

    /// How many alerts are in `state`.
    pub(crate) fn count(&self, state: AlertState) -> usize {
        self.iter().filter(|alert| alert.state == state).count()
    }

    fn end_absent(
        &mut self,
        now: Timestamp,
        present: &BTreeSet<Labels>,
        policy: &Policy,
        events: &mut Vec<AlertEvent>,
    ) {
        let ended = self.active.extract_if(.., |labels, active| {
            if present.contains(labels) {
                return false;
            }
            if active.alert.state == AlertState::Firing && !policy.keep_firing.is_zero() {
                let since = *active.absent_since.get_or_insert(now);
                return now.since(since) >= policy.keep_firing;
            }
            true
        });
        events.extend(ended.map(|(_, active)| resolved(active.alert, now)));
    }
}

fn pending(now: Timestamp, observation: Observation, policy: &Policy, id: Uuid) -> AlertEvent {
    AlertEvent {
        id,
        rule_id: Arc::clone(&policy.rule_id),
        rule_name: Arc::clone(&policy.rule_name),
        state: AlertState::Pending,
        severity: policy.severity,
        message: observation.message,
        labels: observation.labels,
        value: observation.value,
        active_at: now,
        fired_at: None,
        resolved_at: None,
    }
}

fn resolved(alert: AlertEvent, now: Timestamp) -> AlertEvent {
    AlertEvent { state: AlertState::Resolved, resolved_at: Some(now), ..alert }
}

#[cfg(test)]
mod tests;
