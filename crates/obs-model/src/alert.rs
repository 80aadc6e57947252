//! A change of an alert as a record.

use std::sync::Arc;

use uuid::Uuid;

use crate::{Labels, Severity, Timestamp};

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AlertState {
    /// The condition holds, but not yet for long enough.
    Pending,
    /// The condition has held for long enough; somebody is told.
    Firing,
    /// The condition no longer holds, or its rule was removed.
    Resolved,
}

impl AlertState {
    /// The lower-case name, as it stands in labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert as it was when its state changed.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertEvent {
    /// The alert's own id: the same from pending to resolved, new when the rule becomes active again.
    pub id: Uuid,
    /// The id of the rule that raised it.
    pub rule_id: Arc<str>,
    /// That rule's name, for people.
    pub rule_name: Arc<str>,
    /// The state it changed to.
    pub state: AlertState,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, for people.
    pub message: String,
    /// What tells it from other alerts of the same rule.
    pub labels: Labels,
    /// The value that the condition was decided on, when there was one.
    pub value: Option<f64>,
    /// When the condition began to hold.
    pub active_at: Timestamp,
    /// When it began to fire, if it did.
    pub fired_at: Option<Timestamp>,
    /// When it ended, if it did.
    pub resolved_at: Option<Timestamp>,
}
