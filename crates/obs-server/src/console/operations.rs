//! `GET /operations`: the tree of operations in flight.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use obs_tracing::{Operation, Operations};

use super::format;
use super::layout::{self, Pill};
use crate::api::spans;
use crate::params::Params;
use crate::reply;
use crate::router::App;

/// How many operations the page shows.
const MAX_ROWS: usize = 200;

/// The deepest place that is shown as such.
const MAX_DEPTH: usize = 8;

/// How much of a field is shown, in characters.
const MAX_FIELD: usize = 120;

/// The page.
pub(crate) async fn page(State(app): State<Arc<App>>, params: Params) -> Response {
    let frame = app.frame(None);
    let framed = |status, body| reply::page(status, layout::framed("Operations", &frame, body));
    if app.state.tracing().and_then(obs_tracing::TracingHandle::in_flight).is_none() {
        return framed(StatusCode::OK, off());
    }
    let mut filter = match spans::filter(&params) {
        Ok(filter) => filter,
        Err(error) => {
            let body = html! {
                p.crumb { a href="/operations" { "← All operations" } }
                p.problem { (error.message()) }
            };
            return framed(StatusCode::BAD_REQUEST, body);
        }
    };
    filter.limit = filter.limit.min(MAX_ROWS);
    match spans::read(&app, &filter).await {
        Ok(operations) => framed(StatusCode::OK, markup(&operations, &params)),
        Err(error) => error.into_response(),
    }
}

fn off() -> Markup {
    html! {
        p.crumb { a href="/" { "← Overview" } }
        section.card {
            div.card-head { h2 { "Operations in flight" } }
            div.empty {
                p { "Operations are not watched." }
                p { "They are when the service hands what watches its open spans to the admin listener." }
            }
        }
    }
}

fn markup(operations: &Operations, params: &Params) -> Markup {
    html! {
        p.crumb { a href="/" { "← Overview" } }
        section.card {
            div.card-head {
                h2 { "Operations in flight" }
                span.aside { (summary(operations)) }
            }
            (form(params))
            @if operations.operations.is_empty() {
                div.empty {
                    @if operations.open == 0 { p { "Nothing is in flight." } }
                    @else { p { "None of the operations in flight is like this." } }
                    p { "Open spans of the service appear here, each with its parts." }
                }
            } @else {
                div.scroll { table.stack.operations {
                    thead { tr {
                        th { "Operation" } th.num { "Age" } th.num { "Busy" } th.num { "Polls" } th { "Last poll" } th { "Trace" }
                    } }
                    tbody { @for one in &operations.operations { (row(one)) } }
                } }
                @if operations.left_out > 0 {
                    p.note {
                        "The oldest are shown; " (operations.left_out) " more are not. "
                        a href="/api/obskit/v1/spans?limit=10000" { "More as JSON" }
                    }
                }
            }
        }
    }
}

fn summary(operations: &Operations) -> String {
    if operations.matched == operations.open {
        format!("{} open", format::number(operations.open as f64))
    } else {
        let (matched, open) = (operations.matched as f64, operations.open as f64);
        format!("{} of {} open", format::number(matched), format::number(open))
    }
}

fn form(params: &Params) -> Markup {
    let given = |name: &str| params.text(name).unwrap_or_default();
    html! {
        form.filter method="get" action="/operations" {
            label { "Name " input type="text" name="name" value=(given("name")) autocomplete="off"; }
            label { "Older than " input.short type="text" name="min_age" value=(given("min_age")) placeholder="5s" autocomplete="off"; }
            label { input type="checkbox" name="stuck" value="true" checked[given("stuck") == "true"]; "Stuck or blocking only" }
            @if let Some(trace) = params.text("trace").filter(|trace| !trace.is_empty()) {
                label { "Trace " input type="text" name="trace" value=(trace) autocomplete="off"; }
            }
            button type="submit" { "Show" }
        }
    }
}

fn row(one: &Operation) -> Markup {
    let depth = one.depth.min(MAX_DEPTH);
    let nesting = if depth > 0 { format!("deep depth-{depth}") } else { String::new() };
    html! {
        tr {
            td { div class=(format!("operation {nesting}")) {
                span.strong { (one.name) }
                @if let Some(pill) = pill(one) { (pill.render()) }
                @if !one.fields.is_empty() { div.sub-line.clip.mono { (fields(one)) } }
                div.sub-line { (one.target) @if let Some(place) = whereabouts(one) { " · " (place) } }
            } }
            td.num.nowrap data-name="age" { (format::time(one.age)) }
            td.num.nowrap data-name="busy" { (format::time(one.busy)) }
            td.num.nowrap data-name="polls" { (format::number(one.polls as f64)) }
            td.nowrap data-name="last poll" { (last_poll(one)) }
            td.nowrap data-name="trace" {
                @let trace = one.trace.to_string();
                a.mono href=(format!("/traces/{trace}")) title=(trace) { (&trace[..8]) "…" }
            }
        }
    }
}

/// How it is with an operation, where that is worth a word.
fn pill(one: &Operation) -> Option<Pill> {
    match one {
        Operation { blocking: true, .. } => Some(Pill { tone: "bad", text: "Blocks its thread" }),
        Operation { stuck: true, .. } => Some(Pill { tone: "bad", text: "Stuck" }),
        Operation { running: Some(_), .. } => Some(Pill { tone: "ok", text: "Running" }),
        _ => None,
    }
}

fn last_poll(one: &Operation) -> String {
    match &one.running {
        Some(running) => format!("now, for {}", format::time(running.time)),
        None if one.polls == 0 => "never".to_owned(),
        None => format!("{} ago", format::time(one.since_poll)),
    }
}

/// The task, and the thread that is in it.
fn whereabouts(one: &Operation) -> Option<String> {
    let task = one.task.map(|task| format!("task {task}"));
    let thread = one.running.as_ref().and_then(|running| {
        let id = running.os_id.map(|id| id.to_string());
        let parts: Vec<&str> = running.thread.as_deref().into_iter().chain(id.as_deref()).collect();
        (!parts.is_empty()).then(|| format!("thread {}", parts.join(" ")))
    });
    let parts: Vec<String> = task.into_iter().chain(thread).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn fields(one: &Operation) -> String {
    let shown = one.fields.iter().map(|(name, value)| {
        let value = value.to_string();
        let cut: String = value.chars().take(MAX_FIELD).collect();
        let more = if cut.len() < value.len() { "…" } else { "" };
        format!("{name}={cut}{more}")
    });
    shown.collect::<Vec<_>>().join("  ")
}
