//! The most frequent errors on the first page.

use std::cmp::Reverse;

use maud::{Markup, html};
use obs_errors::ErrorGroup;
use obs_model::Timestamp;

use super::{MAX_ROWS, more, off_card, plural};
use crate::console::format;
use crate::console::layout::moment;

pub(super) fn card(groups: Option<&[ErrorGroup]>, now: Timestamp) -> Markup {
    let Some(groups) = groups else { return off_card("Errors", "Error tracking is switched off.") };
    let mut top: Vec<_> = groups.iter().collect();
    top.sort_by_key(|group| Reverse((group.count, group.last_seen)));
    html! {
        section.card {
            div.card-head {
                h2 { "Top errors" }
                span.aside {
                    a href="/api/obskit/v1/errors" { (groups.len()) " " (plural(groups.len(), "group")) }
                }
            }
            @if top.is_empty() {
                div.empty {
                    p { "No error has been captured." }
                    p { "Captured errors, ERROR log lines and panics appear here in groups." }
                }
            } @else {
                div.scroll { table.stack {
                    thead { tr {
                        th { "Error" } th.num { "Count" } th { "First seen" } th { "Last seen" }
                    } }
                    tbody { @for group in top.into_iter().take(MAX_ROWS) { (row(group, now)) } }
                } }
                (more(groups.len(), "/api/obskit/v1/errors"))
            }
        }
    }
}

fn row(group: &ErrorGroup, now: Timestamp) -> Markup {
    html! {
        tr {
            td {
                a.strong href=(format!("/errors/{}", group.fingerprint)) { (group.error_type) }
                div.sub-line.clip { (group.message) }
            }
            td.num data-name="count" { (format::number(group.count as f64)) }
            td.nowrap data-name="first seen" { (moment(group.first_seen, now)) }
            td.nowrap data-name="last seen" { (moment(group.last_seen, now)) }
        }
    }
}
