//! `GET /traces`: a search through the spans that finished last.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
#[cfg(feature = "alerts")]
use form_urlencoded::Serializer;
use maud::{Markup, html};
use obs_model::{FieldValue, Timestamp};
use obs_tracing::FinishedSpan;

use super::layout::{self, Pill, moment};
use super::{format, logs};
use crate::api::searching;
use crate::api::traces::{memory, query_of};
use crate::params::Params;
use crate::reply::{self, ApiError};
use crate::router::App;

/// How many spans the page shows.
const MAX_ROWS: usize = 100;

/// Among how many of the latest the ones are found that took longest.
const SORTED: usize = 10_000;

/// The fields that say a request's method and its route, or else its path: those of `ObserveLayer` and of OpenTelemetry's
/// semantic conventions.
const METHOD: [&str; 2] = ["method", "http.request.method"];
const ROUTE: [&str; 3] = ["http.route", "path", "url.path"];

/// The page.
pub(crate) async fn page(State(app): State<Arc<App>>, params: Params) -> Response {
    let frame = app.frame(None);
    let body = match found(&app, &params).await {
        Ok(spans) => results(&spans, frame.now),
        Err(error) if error.is_not_enabled() => html! {
            div.empty {
                p { "No finished spans are kept." }
                p { "They are kept when the service gives its traces a memory." }
            }
        },
        Err(error) if error.is_bad_request() => html! { p.problem { (error.message()) } },
        Err(error) => return error.into_response(),
    };
    let body = html! {
        p.crumb { a href="/" { "← Overview" } }
        section.card {
            div.card-head { h2 { "Traces" } span.aside { "spans that finished last, kept in memory" } }
            (form(&params))
            (body)
        }
    };
    reply::page(StatusCode::OK, layout::framed("Traces", &frame, body))
}

async fn found(app: &App, params: &Params) -> Result<Vec<FinishedSpan>, ApiError> {
    let finished = memory(app)?;
    let mut query = query_of(params)?;
    let by_duration = match params.text("sort").unwrap_or_default() {
        "" | "end" => false,
        "duration" => true,
        _ => return Err(ApiError::bad_request("sort: end or duration is accepted".to_owned())),
    };
    query.limit = if by_duration { SORTED } else { MAX_ROWS };
    searching(move || {
        let mut spans = finished.find(&query);
        if by_duration {
            spans.sort_by_key(|span| Reverse(span.duration));
            spans.truncate(MAX_ROWS);
        }
        spans
    })
    .await
}

fn form(params: &Params) -> Markup {
    let value = |name: &str| params.text(name).unwrap_or_default().to_owned();
    let options = |name: &str, options: &[(&str, &str)]| {
        let chosen = value(name);
        html! {
            select name=(name) {
                @for (value, shown) in options {
                    option value=(value) selected[*value == chosen] { (shown) }
                }
            }
        }
    };
    html! {
        form.search method="get" action="/traces" role="search" {
            label { "Text" input type="search" name="text" value=(value("text")); }
            label { "Name" input name="name" value=(value("name")); }
            label { "Status" (options("status", &[("", "any"), ("error", "failed"), ("ok", "not failed")])) }
            label { "At least, ms" input name="min_duration_ms" inputmode="numeric" value=(value("min_duration_ms")); }
            label { "User" input name="user" value=(value("user")); }
            label { "Correlation" input name="correlation" value=(value("correlation")); }
            label { "Not before" input name="from" value=(value("from")); }
            label { "First" (options("sort", &[("end", "the latest"), ("duration", "the slowest")])) }
            button.primary type="submit" { "Search" }
        }
    }
}

fn results(spans: &[FinishedSpan], now: Timestamp) -> Markup {
    if spans.is_empty() {
        return html! { div.empty { p { "No span that is kept matches." } } };
    }
    html! {
        div.scroll { table.stack.operations {
            thead { tr { th { "Span" } th { "Trace" } th { "User" } th.num { "Took" } th { "Began" } } }
            tbody { @for span in spans { (row(span, now)) } }
        } }
    }
}

fn row(span: &FinishedSpan, now: Timestamp) -> Markup {
    let trace = span.trace.to_string();
    let user = text_field(span, &["userId"]);
    let failed = Pill { tone: "bad", text: "Failed" };
    html! {
        tr {
            td {
                span.strong { (span.name) }
                @if let Some(request) = request_of(span) { " " span.mono { (request) } }
                @if span.failed { " " (failed.render()) }
                div.sub-line { (span.target) }
            }
            td data-name="trace" { a.mono href=(format!("/traces/{trace}")) title=(trace) { (&trace[..8]) "…" } }
            td data-name="user" {
                @if let Some(user) = user { a href=(logs::link(&[("user", user)])) { (user) } }
            }
            td.num.nowrap data-name="took" { (format::time(span.duration)) }
            td.nowrap data-name="began" { (moment(span.start, now)) }
        }
    }
}

/// The method and the route, or the path, of a span that began its trace here: `GET /orders/{id}`.
pub(super) fn request_of(span: &FinishedSpan) -> Option<String> {
    if span.parent.is_some() && !span.has_remote_parent {
        return None;
    }
    let method = text_field(span, &METHOD);
    let parts: Vec<&str> = method.into_iter().chain(text_field(span, &ROUTE)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The first of these fields that the span has as text.
fn text_field<'a>(span: &'a FinishedSpan, names: &[&str]) -> Option<&'a str> {
    names.iter().find_map(|wanted| {
        span.fields.iter().find_map(|(name, value)| match value {
            FieldValue::Text(text) if name == wanted => Some(&**text),
            _ => None,
        })
    })
}

/// The page with a search.
#[cfg(feature = "alerts")]
pub(super) fn link(search: &[(&str, &str)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(search).finish();
    format!("/traces?{query}")
}
