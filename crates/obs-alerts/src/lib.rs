//! Alert rules, the alerts they raise, and the channels that tell people.
//!
//! # Concepts
//!
//! - A [`Rule`] is a condition with a severity: a [`ThresholdRule`] compares a [`Signal`] with a number and
//!   compiles to one PromQL expression; [`Rule::closure`] is code.
//! - An *alert* is one thing for which a rule's condition holds, told apart from the rule's other alerts by
//!   its labels. It is pending until the condition has held for as long as the rule says, then firing, then
//!   resolved. While it is active it keeps one id; the next time it gets a new one.
//! - An [`AlertEngine`] evaluates rules over a [`SeriesStore`](obs_query::SeriesStore) on an interval.
//! - A *channel* is a [`Sink<AlertEvent>`](obs_model::Sink) under a name: [`LogChannel`],
//!   [`WebhookChannel`], or one of your own. It is told when an alert fires and when it is resolved, once
//!   each.
//! - [`RuleGroups`] evaluates the rule files of Prometheus over the store: recording rules and alerting rules.
//! - [`defaults`] has rules for the error rate, memory and failing workflows.
//!
//! ```
//! use obs_alerts::{AlertConfig, AlertEngine, LogChannel, Operator, Signal, ThresholdRule};
//! use obs_model::{AlertState, Labels, ManualClock, Sample, Timestamp};
//! use obs_query::{Selector, SeriesStore, StoreConfig};
//! use std::sync::Arc;
//!
//! let store = Arc::new(SeriesStore::new(StoreConfig::default()));
//! let clock = Arc::new(ManualClock::at(Timestamp::from_millis(10_000)));
//! let engine = AlertEngine::new(AlertConfig::default(), Arc::clone(&store), clock)?;
//! engine.add_channel("log", Arc::new(LogChannel))?;
//! engine.add_rule(ThresholdRule::new(
//!     "deep-queue",
//!     "Queue is deep",
//!     Signal::Last(Selector::metric("queue_depth")),
//!     Operator::Greater,
//!     100.0,
//! ))?;
//!
//! let depth = Labels::new([("__name__", "queue_depth"), ("queue", "mail")])?;
//! store.append(&depth, Sample { timestamp: Timestamp::from_millis(10_000), value: 250.0 })?;
//!
//! let changes = engine.evaluate(Timestamp::from_millis(10_000));
//! assert_eq!(changes[0].state, AlertState::Firing);
//! assert_eq!(changes[0].labels.get("queue"), Some("mail"));
//! assert_eq!(changes[0].message, "queue_depth is 250, > 100");
//!
//! store.append(&depth, Sample { timestamp: Timestamp::from_millis(15_000), value: 3.0 })?;
//! let changes = engine.evaluate(Timestamp::from_millis(15_000));
//! assert_eq!(changes[0].state, AlertState::Resolved);
//! assert!(engine.active().is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Failing rules
//!
//! A rule whose closure fails or panics, or whose signal cannot be computed, leaves its alerts as they were,
//! and no other rule notices. [`RuleHealth::last_error`] says what happened, `obskit_rule_failures_total`
//! counts it, and the log has one line when the error changes.
//!
//! # Its own metrics
//!
//! `obskit_alerts{state}`, `obskit_rule_evaluations_total`, `obskit_rule_evaluation_duration_seconds`,
//! `obskit_rule_failures_total{rule}`, `obskit_alerts_dropped_total{rule}`,
//! `obskit_alert_history_dropped_total`, `obskit_alert_action_failures_total{rule}` and
//! `obskit_notifications_total{channel,outcome}`, where the outcome is `taken`, a drop reason or `panicked`.
//! [`describe`] registers their help texts.
//!
//! # Limits
//!
//! Alerts and history are in memory: a restart begins with none, and an alert that was firing fires, and is
//! notified, again with a new id. Rules are evaluated one after the other, so a closure that never returns
//! stops the evaluation. Panics are contained only where they unwind, not with `panic = "abort"`. A dead
//! process raises no alerts.

mod channels;
mod config;
pub mod defaults;
mod engine;
mod error;
mod groups;
mod history;
mod notice;
mod rule;
mod self_metrics;
mod signal;
mod state;
mod threshold;
mod verdict;

pub use channels::{LogChannel, WebhookChannel, WebhookConfig};
pub use config::AlertConfig;
pub use engine::{AlertEngine, RuleHealth, RuleStatus};
pub use error::Error;
pub use groups::{
    AlertingStatus, GroupAlert, GroupRuleStatus, GroupStatus, RecordingStatus, RuleGroups,
    RuleGroupsConfig, RuleOutcome,
};
pub use rule::{Rule, RuleContext};
pub use self_metrics::describe;
pub use signal::Signal;
pub use threshold::{Operator, ThresholdRule, UnknownOperator};
pub use verdict::{Finding, Verdict};
