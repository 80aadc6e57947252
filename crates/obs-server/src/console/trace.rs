//! `GET /traces/{id}`: what is known of one trace: its finished spans on one line of time, its errors, its log lines.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use obs_model::{FieldValue, Timestamp, TraceId};
use obs_tracing::memory::LineQuery;
use obs_tracing::{EventInSpan, FinishedSpan, LinkedSpan, SpanInTrace, Trace, TracingHandle};

use super::format;
use super::layout::{self, Pill};
use super::{logs, traces};
use crate::api::searching;
use crate::params::PathText;
use crate::reply::{self, ApiError};
use crate::router::App;

/// How many spans and lines the page shows.
const MAX_ROWS: usize = 200;

/// How many events and how many links of a span it shows.
const MAX_TOLD: usize = 50;

/// How deep spans are shown below each other; deeper ones stand at this depth.
const MAX_DEPTH: usize = 8;

/// The page.
pub(crate) async fn page(State(app): State<Arc<App>>, PathText(id): PathText) -> Response {
    let Ok(id) = id.parse::<TraceId>() else {
        let shown: String = id.chars().take(64).collect();
        return ApiError::bad_request(format!(
            "{shown:?} is not a trace id: 32 hexadecimal digits are accepted"
        ))
        .into_response();
    };
    let frame = app.frame(None);
    let tracing = app.state.tracing();
    let (finished, lines) =
        (tracing.and_then(TracingHandle::finished_spans), tracing.and_then(TracingHandle::lines));
    let query = LineQuery { trace: Some(id), limit: MAX_ROWS, ..LineQuery::default() };
    let errors = errors_of(&app, id);
    let read = searching(move || {
        let lines = lines.map(|lines| lines.search(&query));
        let mut trace = finished.map(|spans| spans.trace(id));
        if let (Some(trace), Some(found)) = (&mut trace, &lines) {
            trace.add_lines(&found.lines);
        }
        (trace, lines, errors())
    });
    let (trace, lines, errors) = match read.await {
        Ok(read) => read,
        Err(error) => return error.into_response(),
    };
    let id = id.to_string();
    let body = html! {
        p.crumb { a href="/" { "← Overview" } }
        section.card {
            div.card-head {
                h2 { "Trace " span.mono { (id) } }
                span.aside { a href=(format!("/operations?trace={id}")) { "Its operations in flight" } }
            }
            @match trace.filter(|trace| !trace.spans.is_empty()) {
                Some(trace) => (spans(&trace)),
                None => div.empty { p { "None of its spans is among those that finished last." } },
            }
        }
        @if !errors.is_empty() {
            section.card {
                div.card-head { h2 { "Errors" } }
                ul { @for error in &errors { li {
                    a.strong href=(format!("/errors/{}", error.fingerprint)) { (error.error_type) }
                    " " span.muted { (error.message) }
                } } }
            }
        }
        section.card {
            div.card-head {
                h2 { "Log lines" }
                span.aside { a href=(logs::link(&[("trace", &id)])) { "Search" } }
            }
            @match lines.filter(|found| !found.lines.is_empty()) {
                Some(found) => div.lines { @for line in &found.lines { (logs::row(line, frame.now)) } },
                None => div.empty { p { "None of its lines is among those that are kept." } },
            }
        }
    };
    reply::page(StatusCode::OK, layout::framed("Trace", &frame, body))
}

/// An error that belongs to a trace.
struct TraceError {
    fingerprint: String,
    error_type: String,
    message: String,
}

/// What looks for the errors of a trace among the events that are kept.
fn errors_of(app: &App, id: TraceId) -> impl FnOnce() -> Vec<TraceError> + Send + use<> {
    #[cfg(feature = "errors")]
    let tracker = app.state.errors().cloned();
    #[cfg(not(feature = "errors"))]
    let _ = (app, id);
    move || {
        #[cfg(feature = "errors")]
        {
            let groups = tracker.iter().flat_map(|tracker| {
                tracker.groups().into_iter().map(move |group| (tracker, group))
            });
            groups
                .filter_map(|(tracker, group)| {
                    let events = tracker.events(group.fingerprint);
                    let event = events.iter().find(|event| event.context.trace() == Some(id))?;
                    Some(TraceError {
                        fingerprint: group.fingerprint.to_string(),
                        error_type: event.error_type.to_string(),
                        message: event.message.to_string(),
                    })
                })
                .take(MAX_ROWS)
                .collect()
        }
        #[cfg(not(feature = "errors"))]
        Vec::new()
    }
}

fn spans(trace: &Trace) -> Markup {
    let start = trace.spans.iter().map(|one| one.span.start).min();
    let start = start.unwrap_or(Timestamp::EPOCH);
    let ends = trace.spans.iter().map(|one| one.span.start.since(start) + one.span.duration);
    let whole = ends.max().unwrap_or_default();
    html! {
        div.scroll { table.stack.operations {
            thead { tr { th { "Span" } th.num { "After" } th.num { "Took" } th.timeline { "When" } } }
            tbody { @for one in trace.spans.iter().take(MAX_ROWS) { (row(one, start, whole)) } }
        } }
        @if trace.spans.len() > MAX_ROWS {
            p.note {
                (trace.spans.len() - MAX_ROWS) " more are not shown. "
                a href=(format!("/api/obskit/v1/traces/{}", trace.trace)) { "All as JSON" }
            }
        }
    }
}

fn row(one: &SpanInTrace, start: Timestamp, whole: Duration) -> Markup {
    let span = &one.span;
    let depth = one.depth.min(MAX_DEPTH);
    let nesting = if depth > 0 { format!("deep depth-{depth}") } else { String::new() };
    let after = span.start.since(start);
    let percent = |part: Duration| part.as_secs_f64() / whole.as_secs_f64().max(1e-9) * 100.0;
    // A span that took next to no time is still to be seen.
    let (left, width) = (percent(after).min(99.5), percent(span.duration).clamp(0.5, 100.0));
    let failed = Pill { tone: "bad", text: "Failed" };
    html! {
        tr id=(format!("span-{}", span.span)) {
            td { div class=(format!("operation {nesting}")) {
                span.strong { (span.name) }
                @if let Some(request) = traces::request_of(span) { " " span.mono { (request) } }
                @if span.failed { (failed.render()) }
                div.sub-line { (span.target) }
                (told(span))
            } }
            td.num.nowrap data-name="after" { (format::time(after)) }
            td.num.nowrap data-name="took" { (format::time(span.duration)) }
            td.timeline data-name="when" {
                svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=(format!("{left:.0} % to {:.0} %", left + width)) {
                    rect.bar.bad[span.failed] x=(format!("{left:.2}")) y="2" width=(format!("{:.2}", width.min(100.0 - left))) height="6" {}
                }
            }
        }
    }
}

/// What happened in a span, if anything did.
fn told(span: &FinishedSpan) -> Markup {
    let dropped = u64::from(span.dropped_events) + u64::from(span.dropped_links);
    let counts = [(span.events.len() as u64, "event"), (span.links.len() as u64, "link")];
    let mut parts: Vec<String> = (counts.into_iter())
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if dropped > 0 {
        parts.push(format!("{dropped} not kept"));
    }
    if parts.is_empty() {
        return html! {};
    }
    let hidden = [span.events.len(), span.links.len()].map(|count| count.saturating_sub(MAX_TOLD));
    let hidden: usize = hidden.into_iter().sum();
    html! {
        details.told id=(format!("told-{}", span.span)) {
            summary { (parts.join(", ")) }
            ul {
                @for event in span.events.iter().take(MAX_TOLD) { (event_row(event, span)) }
                @for link in span.links.iter().take(MAX_TOLD) { (link_row(link)) }
            }
            @if hidden > 0 {
                p.note {
                    (hidden) " more are not shown. "
                    a href=(format!("/api/obskit/v1/traces/{}", span.trace)) { "All as JSON" }
                }
            }
        }
    }
}

fn event_row(event: &EventInSpan, span: &FinishedSpan) -> Markup {
    let level = event.attributes.iter().find(|(name, _)| name == "level");
    let level = level.map(|(_, level)| level.to_string());
    let tone = level.as_deref().and_then(|level| level.parse().ok()).map_or("calm", logs::tone);
    html! {
        li {
            span.muted.nowrap title=(event.at) { "+" (format::time(event.at.since(span.start))) }
            @if let Some(level) = level { " " span.level.(tone) { (level) } }
            " " span.log-message { (event.name) }
            (attributes(&event.attributes, Some(span.target)))
        }
    }
}

fn link_row(link: &LinkedSpan) -> Markup {
    let trace = link.trace.to_string();
    html! {
        li {
            "Linked to " a.mono href=(format!("/traces/{trace}#span-{}", link.span)) title=(trace) {
                (&trace[..8]) "… " (link.span)
            }
            (attributes(&link.attributes, None))
        }
    }
}

/// The attributes, but for the level, which stands before the name, and for a target that is known.
fn attributes(given: &[(Cow<'static, str>, FieldValue)], target: Option<&str>) -> Markup {
    let mut shown = (given.iter())
        .filter(|(name, _)| name != "level")
        .filter(|(name, value)| {
            name != "target" || target.is_none_or(|known| value.to_string() != known)
        })
        .peekable();
    html! {
        @if shown.peek().is_some() {
            dl.context { @for (name, value) in shown {
                div { dt { (name) " " } dd { (value) } }
            } }
        }
    }
}
