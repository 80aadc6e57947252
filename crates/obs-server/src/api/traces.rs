//! The spans that finished last over HTTP.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use obs_model::{FieldValue, Timestamp, TraceId};
use obs_tracing::memory::LineQuery;
use obs_tracing::{FinishedSpan, FinishedSpans, SpanQuery, Trace, TracingHandle};
use serde_json::{Map, Value, json};

use super::{Answer, searching};
use crate::params::{Params, PathText};
use crate::reply::ApiError;
use crate::router::App;

const DEFAULT_LIMIT: u32 = 100;
const LIMITS: RangeInclusive<u32> = 1..=1_000;
/// A day: the longest duration that a query may ask for.
const MILLISECONDS: RangeInclusive<u32> = 0..=86_400_000;
/// How many lines of a trace are looked at, the newest.
const MAX_LINES: usize = 10_000;

/// `GET /api/obskit/v1/spans/finished`: the spans that meet all the parameters, those that ended last first.
///
/// The parameters are `name`, `min_duration_ms`, `status` (`error` or `ok`), `trace`, `correlation`, `user`, `text`,
/// `from` and `to` (RFC 3339 or seconds after the epoch) and `limit`.
pub(crate) async fn finished(State(app): State<Arc<App>>, params: Params) -> Answer {
    let finished = memory(&app)?;
    let query = query_of(&params)?;
    let found = searching(move || finished.find(&query)).await?;
    let spans: Vec<Value> = found.iter().map(|span| Value::Object(span_json(span))).collect();
    Ok(Json(json!({"spans": spans})))
}

/// `GET /api/obskit/v1/traces/{id}`: the finished spans of one trace, each after its parent. The lines that were written in
/// a span without events of its own are its events.
pub(crate) async fn trace(State(app): State<Arc<App>>, PathText(id): PathText) -> Answer {
    let finished = memory(&app)?;
    let id = trace_id(&id)?;
    let lines = app.state.tracing().and_then(TracingHandle::lines);
    let told = move || -> Trace {
        let mut trace = finished.trace(id);
        if let Some(lines) = lines.filter(|_| !trace.spans.is_empty()) {
            let query = LineQuery { trace: Some(id), limit: MAX_LINES, ..LineQuery::default() };
            trace.add_lines(&lines.search(&query).lines);
        }
        trace
    };
    let trace = searching(told).await?;
    if trace.spans.is_empty() {
        return Err(ApiError::not_found(format!("no finished span of the trace {id} is kept")));
    }
    let spans: Vec<Value> = trace
        .spans
        .iter()
        .map(|one| {
            let mut span = span_json(&one.span);
            span.insert("depth".to_owned(), one.depth.into());
            span.insert("parentIndex".to_owned(), one.parent.into());
            Value::Object(span)
        })
        .collect();
    Ok(Json(json!({"traceId": id.to_string(), "spans": spans})))
}

/// The spans that are kept.
pub(crate) fn memory(app: &App) -> Result<FinishedSpans, ApiError> {
    let finished = app.state.tracing().and_then(TracingHandle::finished_spans);
    finished.ok_or_else(|| ApiError::not_enabled("span memory"))
}

/// Reads the parameters of a search for finished spans.
pub(crate) fn query_of(params: &Params) -> Result<SpanQuery, ApiError> {
    let text = |name: &str| params.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let mut query = SpanQuery::default();
    query.name = text("name");
    query.correlation = text("correlation");
    query.user = text("user");
    query.text = text("text");
    query.trace = text("trace").map(|id| trace_id(&id)).transpose()?;
    query.failed = match text("status").as_deref() {
        None => None,
        Some("error") => Some(true),
        Some("ok") => Some(false),
        Some(other) => {
            let shown: String = other.chars().take(32).collect();
            return Err(ApiError::bad_request(format!(
                "status is {shown:?}: error or ok is accepted"
            )));
        }
    };
    let milliseconds = params.number("min_duration_ms", 0, MILLISECONDS)?;
    query.min_duration = Duration::from_millis(milliseconds.into());
    query.from = text("from").map(|at| time("from", &at)).transpose()?;
    query.to = text("to").map(|at| time("to", &at)).transpose()?;
    query.limit = params.number("limit", DEFAULT_LIMIT, LIMITS)? as usize;
    Ok(query)
}

fn trace_id(text: &str) -> Result<TraceId, ApiError> {
    text.parse().map_err(|error: obs_model::InvalidId| ApiError::bad_request(error.to_string()))
}

/// Reads seconds after the epoch with a fraction, or a time as in RFC 3339.
fn time(name: &str, text: &str) -> Result<Timestamp, ApiError> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
    // OK because a conversion to an integer saturates.
    let at = seconds.map(|seconds| Timestamp::from_millis((seconds * 1e3).round() as i64));
    at.or_else(|| text.parse().ok()).ok_or_else(|| {
        let shown: String = text.chars().take(32).collect();
        ApiError::bad_request(format!(
            "{name} is {shown:?}: seconds after 1970 or a time as in RFC 3339 is accepted"
        ))
    })
}

fn span_json(span: &FinishedSpan) -> Map<String, Value> {
    let events = span.events.iter().map(|event| {
        json!({
            "time": event.at.to_string(),
            "name": event.name,
            "attributes": fields_json(&event.attributes),
        })
    });
    let links = span.links.iter().map(|link| {
        json!({
            "traceId": link.trace.to_string(),
            "spanId": link.span.to_string(),
            "attributes": fields_json(&link.attributes),
        })
    });
    let members = [
        ("name", Value::from(span.name)),
        ("target", Value::from(span.target)),
        ("traceId", span.trace.to_string().into()),
        ("spanId", span.span.to_string().into()),
        ("parentSpanId", span.parent.map(|id| id.to_string()).into()),
        ("remoteParent", span.has_remote_parent.into()),
        ("sampled", span.sampled.into()),
        ("start", span.start.to_string().into()),
        ("durationMs", (span.duration.as_secs_f64() * 1_000.0).into()),
        ("status", if span.failed { "error" } else { "ok" }.into()),
        ("fields", fields_json(&span.fields)),
        ("events", events.collect()),
        ("links", links.collect()),
        ("droppedEventsCount", span.dropped_events.into()),
        ("droppedLinksCount", span.dropped_links.into()),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn fields_json(fields: &[(Cow<'static, str>, FieldValue)]) -> Value {
    let members = fields.iter().map(|(name, value)| (name.to_string(), field_json(value)));
    Value::Object(members.collect())
}

fn field_json(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(value) => (*value).into(),
        FieldValue::I64(value) => (*value).into(),
        FieldValue::U64(value) => (*value).into(),
        FieldValue::F64(value) => (*value).into(),
        FieldValue::Text(value) => (**value).into(),
    }
}
