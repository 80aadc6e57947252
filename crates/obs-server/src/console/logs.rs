//! `GET /logs`: a search through the log lines that are kept in memory.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use form_urlencoded::Serializer;
use maud::{Markup, html};
use obs_model::{Level, Timestamp};
use obs_tracing::memory::{KeptLine, LineSearch};
use serde_json::{Map, Value};

use super::layout::{self, moment};
use crate::api::logs::{asked, memory};
use crate::api::searching;
use crate::params::Params;
use crate::reply;
use crate::router::App;

/// The members of a line that lead to other lines, with the parameter that asks for them.
const LINKED: [(&str, &str); 2] = [("correlationId", "correlation"), ("userId", "user")];

/// The members that have a place of their own in a row.
const SHOWN: [&str; 5] = ["timestamp", "level", "message", "target", "metadata"];

/// The page.
pub(crate) async fn page(State(app): State<Arc<App>>, params: Params) -> Response {
    let frame = app.frame(None);
    let body = match found(&app, &params).await {
        Ok(found) => results(&found, &params, frame.now),
        Err(error) if error.is_not_enabled() => html! {
            div.empty {
                p { "No lines are kept." }
                p { "They are kept when the service gives its log a memory." }
            }
        },
        Err(error) if error.is_bad_request() => html! { p.problem { (error.message()) } },
        Err(error) => return error.into_response(),
    };
    let body = html! {
        p.crumb { a href="/" { "← Overview" } }
        section.card {
            div.card-head { h2 { "Log lines" } span.aside { "the newest, kept in memory" } }
            (form(&params))
            (body)
        }
    };
    reply::page(StatusCode::OK, layout::framed("Logs", &frame, body))
}

async fn found(app: &App, params: &Params) -> Result<LineSearch, reply::ApiError> {
    let memory = memory(app)?;
    let query = asked(params, app.state.clock().now())?.query;
    searching(move || memory.search(&query)).await
}

fn form(params: &Params) -> Markup {
    let value = |name: &str| params.text(name).unwrap_or_default().to_owned();
    let chosen = value("level").to_ascii_lowercase();
    html! {
        form.search method="get" action="/logs" role="search" {
            label { "Text" input type="search" name="text" value=(value("text")); }
            label { "Level"
                select name="level" {
                    @for level in Level::ALL {
                        @let name = level.as_str().to_ascii_lowercase();
                        option value=(name) selected[name == chosen] { (level) " and above" }
                    }
                }
            }
            label { "Target" input name="target" value=(value("target")); }
            label { "Field" input name="field" placeholder="name:value" value=(value("field")); }
            label { "At least" input name="min" placeholder="duration_ms:250" value=(value("min")); }
            label { "Trace" input name="trace" value=(value("trace")); }
            label { "Correlation" input name="correlation" value=(value("correlation")); }
            label { "User" input name="user" value=(value("user")); }
            button.primary type="submit" { "Search" }
        }
    }
}

fn results(found: &LineSearch, params: &Params, now: Timestamp) -> Markup {
    if found.lines.is_empty() {
        return html! { div.empty { p { "No line that is kept matches." } } };
    }
    let older = found.lines.last().filter(|_| found.more).map(|line| line.number);
    html! {
        div.lines {
            @for line in &found.lines { (row(line, now)) }
        }
        @if let Some(number) = older {
            p.note { a href=(with(params, "before", &number.to_string())) { "Older lines" } }
        }
    }
}

pub(super) fn row(line: &KeptLine, now: Timestamp) -> Markup {
    let members: Map<String, Value> = serde_json::from_str(&line.json).unwrap_or_default();
    let message = members.get("message").and_then(Value::as_str).unwrap_or_default();
    let metadata = members.get("metadata").and_then(Value::as_object);
    html! {
        details.log id=(format!("line-{}", line.number)) {
            summary {
                span.level.(tone(line.level)) { (line.level) }
                span.muted { (moment(line.at, now)) }
                span.log-message { (message) }
                span.muted.log-target { (line.target) }
            }
            dl.context {
                div { dt { "time " } dd { (line.at) } }
                @for (name, value) in members.iter().filter(|(name, _)| !SHOWN.contains(&name.as_str())) {
                    (member(name, value))
                }
                @for (name, value) in metadata.into_iter().flatten() { (member(name, value)) }
            }
        }
    }
}

/// A name and its value, which leads to other lines where it can.
fn member(name: &str, value: &Value) -> Markup {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let linked = LINKED.iter().find(|(linked, _)| *linked == name);
    html! {
        div {
            dt { (name) " " }
            dd {
                @if name == "traceId" { a href=(format!("/traces/{text}")) { (text) } }
                @else if let Some((_, parameter)) = linked { a href=(link(&[(parameter, &text)])) { (text) } }
                @else { (text) }
            }
        }
    }
}

/// The page with a search.
pub(super) fn link(search: &[(&str, &str)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(search).finish();
    format!("/logs?{query}")
}

/// This search with another value of one parameter.
fn with(params: &Params, name: &str, value: &str) -> String {
    let kept = params.pairs().filter(|(given, text)| *given != name && !text.is_empty());
    let pairs: Vec<(&str, &str)> = kept.chain([(name, value)]).collect();
    link(&pairs)
}

pub(super) fn tone(level: Level) -> &'static str {
    match level {
        Level::Error => "bad",
        Level::Warn => "warn",
        Level::Info => "ok",
        Level::Debug | Level::Trace => "calm",
    }
}
