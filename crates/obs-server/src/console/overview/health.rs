//! Health checks on the first page.

use std::cmp::Reverse;

use maud::{Markup, html};
use obs_model::{CheckReport, HealthReport, HealthStatus};

use super::{off_card, plural};
use crate::console::format;
use crate::console::layout::Pill;

pub(super) fn card(report: Option<&HealthReport>) -> Markup {
    let Some(report) = report else { return off_card("Health", "Health checks are switched off.") };
    // What needs attention stands first; a stable sort leaves the rest in order of name.
    let mut checks: Vec<_> = report.checks.iter().collect();
    checks.sort_by_key(|(_, check)| Reverse(check.status));
    html! {
        section.card {
            div.card-head {
                h2 { "Health checks" }
                span.aside { a href="/api/health" { (checks.len()) " " (plural(checks.len(), "check")) } }
            }
            @if checks.is_empty() {
                div.empty {
                    p { "There are no checks yet." }
                    p { "Add one for each thing the service depends on." }
                }
            } @else {
                div.scroll { table.stack {
                    thead { tr { th { "Status" } th { "Check" } th.num { "Took" } } }
                    tbody { @for (name, check) in checks { (row(name, check)) } }
                } }
            }
        }
    }
}

fn row(name: &str, check: &CheckReport) -> Markup {
    let tone = match check.status {
        HealthStatus::Healthy => "ok",
        HealthStatus::Degraded => "warn",
        // Red is kept for what keeps the service from working.
        HealthStatus::Unhealthy if !check.critical => "warn",
        HealthStatus::Unhealthy => "bad",
    };
    html! {
        tr {
            td.nowrap { (Pill { tone, text: check.status.as_str() }.render()) }
            td {
                span.strong { (name) }
                @if check.critical { " " span.tag { "critical" } }
                @if !check.message.is_empty() { div.sub-line.clip { (check.message) } }
                @if !check.details.is_empty() {
                    div.sub-line {
                        @for (index, (name, value)) in check.details.iter().enumerate() {
                            @if index > 0 { " · " }
                            (name) " " (value)
                        }
                    }
                }
            }
            td.num data-name="took" { (format::latency(check.latency)) }
        }
    }
}
