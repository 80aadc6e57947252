//! `GET /api/obskit/v1/logs`: the newest log lines that are kept in memory, searched or counted.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use obs_model::{Level, Timestamp};
use obs_tracing::memory::{LineMemory, LineQuery};
use serde_json::json;

use super::searching;
use crate::params::Params;
use crate::reply::ApiError;
use crate::router::App;

/// How many lines, or values, one answer has at most.
const MAX_LIMIT: u32 = 1_000;

/// What was asked for.
#[derive(Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) query: LineQuery,
    /// The field by whose values lines are counted instead of told.
    count_by: Option<String>,
}

/// The answer to a search, or to `count_by`.
pub(crate) async fn search(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let memory = memory(&app)?;
    let Asked { query, count_by } = asked(&params, app.state.clock().now())?;
    let body = searching(move || match count_by {
        Some(field) => {
            let counts = memory.count_by(&field, &query);
            let counts: Vec<_> = counts
                .iter()
                .map(|count| json!({"value": count.value, "lines": count.lines}))
                .collect();
            json!({"field": field, "counts": counts}).to_string()
        }
        None => {
            let found = memory.search(&query);
            let mut body = String::from("{\"lines\":[");
            for (at, line) in found.lines.iter().enumerate() {
                let comma = if at == 0 { "" } else { "," };
                // OK because a line is a JSON object already, and writing to a text does not fail.
                let _ =
                    write!(body, "{comma}{{\"number\":{},\"line\":{}}}", line.number, line.json);
            }
            let _ = write!(body, "],\"more\":{}}}", found.more);
            body
        }
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// The lines that are kept.
pub(crate) fn memory(app: &App) -> Result<LineMemory, ApiError> {
    let lines = app.state.tracing().and_then(obs_tracing::TracingHandle::lines);
    lines.ok_or_else(|| ApiError::not_enabled("the memory of log lines"))
}

/// Reads the parameters; what is empty counts as absent, and all that is wrong is said at once.
pub(crate) fn asked(params: &Params, now: Timestamp) -> Result<Asked, ApiError> {
    let mut reading = Reading { params, problems: Vec::new() };
    let text = |name: &str| params.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut query = LineQuery {
        level: reading.parsed("level", "trace, debug, info, warn or error").unwrap_or(Level::Trace),
        target: text("target"),
        text: text("text"),
        trace: reading.parsed("trace", "32 hexadecimal digits"),
        since: reading.parsed("since", "a time as in RFC 3339, such as 2026-01-05T10:00:00Z"),
        until: reading.parsed("until", "a time as in RFC 3339, such as 2026-01-05T10:00:00Z"),
        after: reading.parsed("after", "the number of a line"),
        before: reading.parsed("before", "the number of a line"),
        limit: reading.number("limit", 100, 1, MAX_LIMIT) as usize,
        ..LineQuery::default()
    };
    if params.text("minutes").is_some_and(|text| !text.is_empty()) {
        let minutes = reading.number("minutes", 15, 1, 10_080);
        let since = now.minus(Duration::from_secs(u64::from(minutes) * 60));
        query.since = Some(query.since.map_or(since, |given| given.max(since)));
    }
    for (name, member) in [("correlation", "correlationId"), ("user", "userId")] {
        query.fields.extend(text(name).map(|value| (member.to_owned(), value)));
    }
    for pair in params.all("field").filter(|text| !text.is_empty()) {
        match pair.split_once(':') {
            Some((name, value)) if !name.is_empty() => {
                query.fields.push((name.to_owned(), value.to_owned()));
            }
            _ => reading.problem("field", pair, "NAME:VALUE"),
        }
    }
    for pair in params.all("min").filter(|text| !text.is_empty()) {
        let parsed = pair.rsplit_once(':').filter(|(name, _)| !name.is_empty());
        match parsed.and_then(|(name, least)| Some((name, least.parse::<f64>().ok()?))) {
            Some((name, least)) if least.is_finite() => {
                query.at_least.push((name.to_owned(), least));
            }
            _ => reading.problem("min", pair, "NAME:NUMBER, such as duration_ms:250"),
        }
    }
    if reading.problems.is_empty() {
        Ok(Asked { query, count_by: text("count_by") })
    } else {
        Err(ApiError::bad_request(reading.problems.join("; ")))
    }
}

struct Reading<'a> {
    params: &'a Params,
    problems: Vec<String>,
}

impl Reading<'_> {
    fn problem(&mut self, name: &str, given: &str, accepted: &str) {
        let shown: String = given.chars().take(64).collect();
        self.problems.push(format!("{name} is {shown:?}: {accepted} is accepted"));
    }

    fn parsed<T: std::str::FromStr>(&mut self, name: &str, accepted: &str) -> Option<T> {
        let given = self.params.text(name).filter(|text| !text.is_empty())?;
        let parsed = given.parse().ok();
        if parsed.is_none() {
            self.problem(name, given, accepted);
        }
        parsed
    }

    fn number(&mut self, name: &str, default: u32, least: u32, most: u32) -> u32 {
        let accepted = format!("a whole number from {least} to {most}");
        match self.parsed::<u32>(name, &accepted) {
            Some(number) if (least..=most).contains(&number) => number,
            Some(number) => {
                self.problem(name, &number.to_string(), &accepted);
                default
            }
            None => default,
        }
    }
}
