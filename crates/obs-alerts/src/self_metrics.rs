//! What this crate records about itself.

use std::time::Duration;

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

/// Registers the help texts of this crate's metrics with the recorder that is installed.
pub fn describe() {
    describe_gauge!("obskit_alerts", "Alerts that are active now, by state");
    describe_counter!("obskit_rule_evaluations_total", "Evaluations of alert rules");
    describe_histogram!(
        "obskit_rule_evaluation_duration_seconds",
        metrics::Unit::Seconds,
        "How long one evaluation of one alert rule took"
    );
    describe_counter!(
        "obskit_rule_failures_total",
        "Evaluations of alert rules that failed or panicked"
    );
    describe_counter!(
        "obskit_alerts_dropped_total",
        "Alerts that were not created because their rule was at its limit"
    );
    describe_counter!(
        "obskit_alert_history_dropped_total",
        "Resolved alerts that left the history to make room"
    );
    describe_counter!("obskit_alert_action_failures_total", "Actions of alert rules that panicked");
    describe_counter!(
        "obskit_notifications_total",
        "Alert changes offered to a channel, by what became of them"
    );
}

pub(crate) fn alerts(pending: usize, firing: usize) {
    // OK because counts of alerts are far below 2^52.
    gauge!("obskit_alerts", "state" => "pending").set(pending as f64);
    gauge!("obskit_alerts", "state" => "firing").set(firing as f64);
}

pub(crate) fn evaluated(took: Duration) {
    counter!("obskit_rule_evaluations_total").increment(1);
    histogram!("obskit_rule_evaluation_duration_seconds").record(took.as_secs_f64());
}

pub(crate) fn rule_failed(rule: &str) {
    counter!("obskit_rule_failures_total", "rule" => rule.to_owned()).increment(1);
}

pub(crate) fn alerts_dropped(rule: &str, count: usize) {
    counter!("obskit_alerts_dropped_total", "rule" => rule.to_owned()).increment(count as u64);
}

pub(crate) fn history_dropped(count: u64) {
    counter!("obskit_alert_history_dropped_total").increment(count);
}

pub(crate) fn action_failed(rule: &str) {
    counter!("obskit_alert_action_failures_total", "rule" => rule.to_owned()).increment(1);
}

pub(crate) fn notified(channel: &str, outcome: &'static str) {
    counter!("obskit_notifications_total", "channel" => channel.to_owned(), "outcome" => outcome)
        .increment(1);
}
