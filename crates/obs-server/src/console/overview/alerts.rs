//! Alerts on the first page: what is active, and what has ended lately.

use std::cmp::Reverse;
use std::time::Duration;

use maud::{Markup, html};
use obs_alerts::AlertEngine;
use obs_model::{AlertEvent, AlertState, Severity, Timestamp};

use super::{MAX_ROWS, more, off_card, plural, tile_off};
use crate::console::format;
use crate::console::layout::{Pill, moment};

/// How many ended alerts the page lists.
const MAX_RESOLVED: usize = 3;
/// How far back it looks for them.
const RESOLVED_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

/// What the page shows of an engine, read once.
pub(super) struct Alerts {
    active: Vec<AlertEvent>,
    resolved: Vec<AlertEvent>,
    rules: usize,
}

impl Alerts {
    pub(super) fn read(engine: &AlertEngine) -> Self {
        let mut resolved = engine.history(RESOLVED_WITHIN);
        resolved.retain(|alert| alert.state == AlertState::Resolved);
        resolved.sort_by_key(|alert| Reverse(alert.resolved_at));
        resolved.truncate(MAX_RESOLVED);
        Self { active: engine.active(), resolved, rules: engine.rules().len() }
    }

    /// The worst severity that is firing.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.firing().map(|alert| alert.severity).max()
    }

    fn firing(&self) -> impl Iterator<Item = &AlertEvent> {
        self.active.iter().filter(|alert| alert.state == AlertState::Firing)
    }
}

/// The colour that goes with a severity.
pub(super) fn tone(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "bad",
        Severity::Medium => "warn",
        Severity::Low | Severity::Info => "",
    }
}

pub(super) fn tile(alerts: Option<&Alerts>) -> Markup {
    let Some(alerts) = alerts else { return tile_off("Alerts firing") };
    let firing = alerts.firing().count();
    let pending = alerts.active.len() - firing;
    html! {
        div.tile {
            dt { "Alerts firing" }
            dd { span class=(alerts.worst().map_or("", tone)) { (firing) } }
            p {
                @if pending > 0 { (pending) " pending" }
                @else { "of " (alerts.rules) " " (plural(alerts.rules, "rule")) }
            }
        }
    }
}

pub(super) fn card(alerts: Option<&Alerts>, now: Timestamp) -> Markup {
    let Some(alerts) = alerts else { return off_card("Alerts", "Alerting is switched off.") };
    html! {
        section.card {
            div.card-head {
                h2 { "Alerts" }
                span.aside {
                    a href="/api/obskit/v1/alerts/rules" { (alerts.rules) " " (plural(alerts.rules, "rule")) }
                }
            }
            @if alerts.active.is_empty() {
                div.empty {
                    p { "Nothing is firing." }
                    @if alerts.rules == 0 { p { "There are no rules yet; an alert needs one." } }
                }
            } @else {
                div.scroll { table.stack {
                    thead { tr {
                        th { "Severity" } th { "Alert" } th { "State" } th.num { "Value" } th { "Since" }
                    } }
                    tbody { @for alert in alerts.active.iter().take(MAX_ROWS) { (active_row(alert, now)) } }
                } }
                (more(alerts.active.len(), "/api/obskit/v1/alerts"))
            }
            @if !alerts.resolved.is_empty() {
                h3.sub { "Resolved in the last 24 hours" }
                div.scroll { table.stack { tbody {
                    @for alert in &alerts.resolved { (resolved_row(alert, now)) }
                } } }
            }
        }
    }
}

fn active_row(alert: &AlertEvent, now: Timestamp) -> Markup {
    let since = alert.fired_at.unwrap_or(alert.active_at);
    let pill = Pill { tone: tone(alert.severity), text: alert.severity.as_str() };
    html! {
        tr {
            td.nowrap { (pill.render()) }
            td {
                div.strong { (alert.rule_name) }
                @if !alert.message.is_empty() { div.sub-line.clip { (alert.message) } }
                @if !alert.labels.is_empty() { div.sub-line.mono { (alert.labels) } }
            }
            td.nowrap data-name="state" { (alert.state.as_str()) }
            td.num data-name="value" { (alert.value.map_or_else(|| String::from("–"), format::number)) }
            td.nowrap data-name="since" { (moment(since, now)) (around(alert)) }
        }
    }
}

/// The ways to what happened from shortly before the alert's condition held: lines at WARN and above, spans that failed, and
/// those that took longest.
fn around(alert: &AlertEvent) -> Markup {
    #[cfg(feature = "tracing")]
    {
        let since = alert.active_at.minus(Duration::from_secs(300)).to_string();
        let href = crate::console::logs::link(&[("level", "warn"), ("since", &since)]);
        let failed = crate::console::traces::link(&[("status", "error"), ("from", &since)]);
        let slow = crate::console::traces::link(&[("sort", "duration"), ("from", &since)]);
        html! {
            div.sub-line { a href=(href) { "Log lines" } }
            div.sub-line { a href=(failed) { "Failing traces" } }
            div.sub-line { a href=(slow) { "Slowest traces" } }
        }
    }
    #[cfg(not(feature = "tracing"))]
    {
        let _ = alert;
        html! {}
    }
}

fn resolved_row(alert: &AlertEvent, now: Timestamp) -> Markup {
    let ended = alert.resolved_at.unwrap_or(now);
    let lasted = alert.fired_at.map(|fired| format::duration(ended.since(fired)));
    html! {
        tr {
            td {
                (alert.rule_name)
                @if !alert.labels.is_empty() { " " span.sub-line.mono { (alert.labels) } }
            }
            td.nowrap.muted { @if let Some(lasted) = lasted { "fired for " (lasted) } }
            td.nowrap.muted.num { "ended " (moment(ended, now)) }
        }
    }
}
