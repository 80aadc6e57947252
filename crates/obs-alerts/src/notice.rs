//! Telling the channels: what is sent, to whom, and that no channel can stop another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use obs_model::{Accepted, AlertEvent, AlertState, Labels, Severity, Sink, Timestamp};
use uuid::Uuid;

use crate::rule::{Action, panic_text};
use crate::self_metrics;

/// A channel and the name under which rules know it.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) name: Arc<str>,
    pub(crate) sink: Arc<dyn Sink<AlertEvent>>,
}

impl Channel {
    /// Offers the event; `None` if the channel panicked. Counts what became of it.
    pub(crate) fn offer(&self, event: AlertEvent) -> Option<Accepted> {
        // OK to assert unwind safety because a sink is shared between threads anyway, and is not
        // touched here after a panic.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.sink.accept(event)));
        let (accepted, label) = match outcome {
            Ok(Accepted::Taken) => (Some(Accepted::Taken), "taken"),
            Ok(Accepted::Dropped(reason)) => (Some(Accepted::Dropped(reason)), reason.as_str()),
            Err(payload) => {
                tracing::warn!(
                    target: "obskit::alerts",
                    channel = &*self.name,
                    panic = panic_text(&*payload),
                    "a notification channel panicked"
                );
                (None, "panicked")
            }
        };
        self_metrics::notified(&self.name, label);
        accepted
    }
}

/// One change of one alert and everybody who is to hear of it.
pub(crate) struct Notice {
    pub(crate) event: AlertEvent,
    pub(crate) action: Option<Action>,
    pub(crate) channels: Vec<Channel>,
}

impl Notice {
    /// Runs the action and tells each channel; nothing that panics keeps the rest from being told.
    pub(crate) fn send(self) {
        if let Some(action) = &self.action
            && self.event.state == AlertState::Firing
        {
            // OK to assert unwind safety for the same reason as for a sink.
            let outcome = catch_unwind(AssertUnwindSafe(|| action(&self.event)));
            if let Err(payload) = outcome {
                tracing::warn!(
                    target: "obskit::alerts",
                    rule = &*self.event.rule_id,
                    panic = panic_text(&*payload),
                    "the action of an alert rule panicked"
                );
                self_metrics::action_failed(&self.event.rule_id);
            }
        }
        for channel in &self.channels {
            // OK to ignore because what became of the event is counted, and there is nobody to tell.
            let _ = channel.offer(self.event.clone());
        }
    }
}

/// The two halves of a test alert, so that a receiver that opens incidents closes this one again.
pub(crate) fn test_events(channel: &str, now: Timestamp) -> [AlertEvent; 2] {
    let firing = AlertEvent {
        id: Uuid::new_v4(),
        rule_id: Arc::from("obskit-test"),
        rule_name: Arc::from("Test alert"),
        state: AlertState::Firing,
        severity: Severity::Info,
        message: format!("this is a test of the channel {channel}; nothing is wrong"),
        labels: Labels::empty(),
        value: None,
        active_at: now,
        fired_at: Some(now),
        resolved_at: None,
    };
    let resolved =
        AlertEvent { state: AlertState::Resolved, resolved_at: Some(now), ..firing.clone() };
    [firing, resolved]
}
