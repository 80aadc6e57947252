//! What the engine keeps under its lock: rules, their alerts and health, channels, history, and the
//! notices that wait to be sent.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use obs_model::{AlertEvent, AlertState, Timestamp};
use uuid::Uuid;

use crate::history::{Evicted, History, newest_first};
use crate::notice::{Channel, Notice};
use crate::state::{Observation, RuleAlerts};
use crate::{AlertConfig, Error, Rule};

/// A rule and how it is doing.
#[derive(Clone, Debug)]
pub struct RuleStatus {
    /// The rule.
    pub rule: Arc<Rule>,
    /// Whether it is evaluated.
    pub enabled: bool,
    /// How its evaluations went.
    pub health: RuleHealth,
    /// How many of its alerts are pending.
    pub pending: usize,
    /// How many of its alerts are firing.
    pub firing: usize,
}

/// How a rule's evaluations went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleHealth {
    /// The time that it was last evaluated for, if it was.
    pub last_evaluation: Option<Timestamp>,
    /// How long that took.
    pub last_duration: Duration,
    /// What the last evaluation failed with, if it failed; at most a few kilobytes.
    pub last_error: Option<String>,
    /// How many evaluations there were.
    pub evaluations: u64,
    /// How many of them failed.
    pub failures: u64,
}

/// A rule that is to be evaluated now.
pub(super) struct Due {
    pub(super) rule: Arc<Rule>,
    /// Which addition of the rule this is, because an id may be used again after a removal.
    addition: u64,
    /// Which evaluation this is, so that a slow one cannot undo a later one.
    ticket: u64,
}

/// What settling an evaluation led to.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) events: Vec<AlertEvent>,
    pub(super) refused: usize,
    pub(super) log: Option<HealthChange>,
}

/// A change of a rule's health that is worth one log line.
pub(super) enum HealthChange {
    Failing(String),
    Recovered,
}

impl HealthChange {
    pub(super) fn write(&self, rule: &str) {
        match self {
            Self::Failing(error) => {
                tracing::warn!(target: "obskit::alerts", rule, error, "an alert rule fails");
            }
            Self::Recovered => {
                tracing::info!(target: "obskit::alerts", rule, "an alert rule works again");
            }
        }
    }
}

/// How many alerts are active.
pub(super) struct Counts {
    pub(super) pending: usize,
    pub(super) firing: usize,
}

struct Slot {
    rule: Arc<Rule>,
    enabled: bool,
    alerts: RuleAlerts,
    health: RuleHealth,
    addition: u64,
    /// The ticket of the last evaluation that was settled.
    settled: u64,
}

pub(super) struct Book {
    slots: Vec<Slot>,
    channels: BTreeMap<Arc<str>, Channel>,
    history: History,
    history_dropped: u64,
    outbox: VecDeque<Notice>,
    /// Whether a thread is sending a notice.
    sending: bool,
    max_alerts_per_rule: usize,
    additions: u64,
    tickets: u64,
}

impl Book {
    pub(super) fn new(config: &AlertConfig) -> Self {
        Self {
            slots: Vec::new(),
            channels: BTreeMap::new(),
            history: History::new(config.history_capacity),
            history_dropped: 0,
            outbox: VecDeque::new(),
            sending: false,
            max_alerts_per_rule: config.max_alerts_per_rule,
            additions: 0,
            tickets: 0,
        }
    }

    pub(super) fn add_channel(&mut self, channel: Channel) -> Result<(), Error> {
        let name = Arc::clone(&channel.name);
        if name.trim().is_empty() {
            return Err(Error::invalid(vec![
                "the name of a channel is empty: expected a text".to_owned(),
            ]));
        }
        if self.channels.contains_key(&name) {
            return Err(Error::invalid(vec![format!(
                "the channel name {name:?} is taken: expected a new one"
            )]));
        }
        self.channels.insert(name, channel);
        Ok(())
    }

    pub(super) fn channel(&self, name: &str) -> Option<Channel> {
        self.channels.get(name).cloned()
    }

    pub(super) fn channel_names(&self) -> Vec<Arc<str>> {
        self.channels.keys().cloned().collect()
    }

    pub(super) fn has_rule(&self, id: &str) -> bool {
        self.slots.iter().any(|slot| slot.rule.id() == id)
    }

    pub(super) fn rule_count(&self) -> usize {
        self.slots.len()
    }

    /// Adds a rule that was checked.
    pub(super) fn add_rule(&mut self, rule: Rule) {
        self.additions += 1;
        self.slots.push(Slot {
            enabled: rule.starts_enabled(),
            rule: Arc::new(rule),
            alerts: RuleAlerts::default(),
            health: RuleHealth::default(),
            addition: self.additions,
            settled: 0,
        });
    }

    pub(super) fn remove_rule(
        &mut self,
        id: &str,
        now: Timestamp,
    ) -> Option<(Arc<Rule>, Vec<AlertEvent>)> {
        let ended = self.disable_rule(id, now)?;
        let at = self.slots.iter().position(|slot| slot.rule.id() == id)?;
        Some((self.slots.remove(at).rule, ended))
    }

    pub(super) fn disable_rule(&mut self, id: &str, now: Timestamp) -> Option<Vec<AlertEvent>> {
        let slot = self.slots.iter_mut().find(|slot| slot.rule.id() == id)?;
        slot.enabled = false;
        let ended = slot.alerts.end_all(now);
        let rule = Arc::clone(&slot.rule);
        self.record(&rule, &ended);
        Some(ended)
    }

    pub(super) fn enable_rule(&mut self, id: &str) -> Option<()> {
        let slot = self.slots.iter_mut().find(|slot| slot.rule.id() == id)?;
        slot.enabled = true;
        Some(())
    }

    pub(super) fn statuses(&self) -> Vec<RuleStatus> {
        self.slots
            .iter()
            .map(|slot| RuleStatus {
                rule: Arc::clone(&slot.rule),
                enabled: slot.enabled,
                health: slot.health.clone(),
                pending: slot.alerts.count(AlertState::Pending),
                firing: slot.alerts.count(AlertState::Firing),
            })
            .collect()
    }

    pub(super) fn active(&self) -> Vec<AlertEvent> {
        let mut active: Vec<AlertEvent> =
            self.slots.iter().flat_map(|slot| slot.alerts.iter()).cloned().collect();
        active.sort_by_key(|alert| (Reverse(alert.severity), alert.active_at));
        active
    }

    pub(super) fn history(&self, start: Timestamp) -> Vec<AlertEvent> {
        let firing = self
            .slots
            .iter()
            .flat_map(|slot| slot.alerts.iter())
            .filter(|alert| alert.state == AlertState::Firing);
        let mut alerts: Vec<AlertEvent> =
            self.history.since(start).chain(firing).cloned().collect();
        newest_first(&mut alerts);
        alerts
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |state| self.slots.iter().map(|slot| slot.alerts.count(state)).sum();
        Counts { pending: count(AlertState::Pending), firing: count(AlertState::Firing) }
    }

    /// How many alerts left the history since this was last asked.
    pub(super) fn take_history_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.history_dropped)
    }

    /// Begins an evaluation of every enabled rule.
    pub(super) fn begin(&mut self) -> Vec<Due> {
        self.tickets += 1;
        self.slots
            .iter()
            .filter(|slot| slot.enabled)
            .map(|slot| Due {
                rule: Arc::clone(&slot.rule),
                addition: slot.addition,
                ticket: self.tickets,
            })
            .collect()
    }

    /// Takes in how the evaluation of one rule went.
    ///
    /// It counts for nothing if the rule was removed or disabled meanwhile, or if an evaluation that
    /// began later was quicker.
    pub(super) fn settle(
        &mut self,
        due: &Due,
        now: Timestamp,
        took: Duration,
        result: Result<Vec<Observation>, String>,
    ) -> Outcome {
        let limit = self.max_alerts_per_rule;
        let Some(slot) = self.slots.iter_mut().find(|slot| {
            slot.addition == due.addition && slot.enabled && slot.settled < due.ticket
        }) else {
            return Outcome::default();
        };
        slot.settled = due.ticket;
        slot.health.last_evaluation = Some(now);
        slot.health.last_duration = took;
        slot.health.evaluations += 1;
        match result {
            Err(error) => {
                slot.health.failures += 1;
                let changed = slot.health.last_error.as_ref() != Some(&error);
                slot.health.last_error = Some(error.clone());
                let log = changed.then_some(HealthChange::Failing(error));
                Outcome { log, ..Outcome::default() }
            }
            Ok(observations) => {
                let log = slot.health.last_error.take().map(|_| HealthChange::Recovered);
                let policy = due.rule.policy(limit);
                let change = slot.alerts.apply(now, observations, &policy, &mut Uuid::new_v4);
                self.record(&due.rule, &change.events);
                Outcome { events: change.events, refused: change.refused, log }
            }
        }
    }

    /// Puts what fired or resolved into the outbox, and what resolved into the history.
    fn record(&mut self, rule: &Arc<Rule>, events: &[AlertEvent]) {
        for event in events.iter().filter(|event| event.fired_at.is_some()) {
            if event.state == AlertState::Resolved
                && self.history.push(event.clone()) == Evicted::One
            {
                self.history_dropped += 1;
            }
            self.outbox.push_back(Notice {
                event: event.clone(),
                action: rule.action().cloned(),
                channels: self.channels_of(rule),
            });
        }
    }

    fn channels_of(&self, rule: &Rule) -> Vec<Channel> {
        if rule.channels().len() == 0 {
            return self.channels.values().cloned().collect();
        }
        rule.channels().filter_map(|name| self.channel(name)).collect()
    }

    /// The notice to send next, unless a thread is sending one already; to be followed by
    /// [`Book::notice_sent`].
    pub(super) fn next_notice(&mut self) -> Option<Notice> {
        if self.sending {
            return None;
        }
        let notice = self.outbox.pop_front();
        self.sending = notice.is_some();
        notice
    }

    pub(super) fn notice_sent(&mut self) {
        self.sending = false;
    }
}
