//! `GET /api/obskit/v1/spans`: the operations that are in flight.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use obs_model::{FieldValue, TraceId};
use obs_query::promql::parse_duration;
use obs_tracing::{Operation, OperationFilter, Operations};
use serde_json::{Map, Value, json};

use super::{Answer, searching};
use crate::params::Params;
use crate::reply::ApiError;
use crate::router::App;

/// How many operations are shown when nobody says how many, and how many at most.
const DEFAULT_LIMIT: u32 = 1_000;
const MAX_LIMIT: u32 = OperationFilter::MAX_LIMIT as u32;

/// `?name=TEXT&min_age=5s&trace=ID&stuck=true&limit=N`
pub(crate) async fn in_flight(State(app): State<Arc<App>>, params: Params) -> Answer {
    let operations = read(&app, &filter(&params)?).await?;
    let shown: Vec<Value> = operations.operations.iter().map(operation).collect();
    Ok(Json(json!({
        "open": operations.open,
        "matched": operations.matched,
        "leftOut": operations.left_out,
        "operations": shown,
    })))
}

/// The operations as a tree, read on a thread that may take its time.
pub(crate) async fn read(app: &App, filter: &OperationFilter) -> Result<Operations, ApiError> {
    let in_flight = app.state.tracing().and_then(obs_tracing::TracingHandle::in_flight);
    let in_flight =
        in_flight.ok_or_else(|| ApiError::not_enabled("watching operations in flight"))?;
    let filter = filter.clone();
    searching(move || in_flight.tree(&filter)).await
}

/// What the parameters ask for, or everything that is wrong with them.
pub(crate) fn filter(params: &Params) -> Result<OperationFilter, ApiError> {
    let given = |name: &str| params.text(name).filter(|text| !text.is_empty());
    let mut filter = OperationFilter::default();
    let mut problems = Vec::new();
    filter.name = given("name").map(str::to_owned);
    if let Some(text) = given("min_age") {
        match parse_duration(text) {
            Ok(age) => filter.min_age = age,
            Err(_) => problems.push(format!(
                "min_age is {:?}: a duration such as 500ms, 5s or 1m30s is accepted",
                cut(text)
            )),
        }
    }
    if let Some(text) = given("trace") {
        match text.parse::<TraceId>() {
            Ok(trace) => filter.trace = Some(trace),
            Err(error) => problems.push(format!("trace: {error}")),
        }
    }
    match given("stuck") {
        None | Some("false") => {}
        Some("true") => filter.only_stuck = true,
        Some(text) => {
            problems.push(format!("stuck is {:?}: true or false is accepted", cut(text)));
        }
    }
    match params.number("limit", DEFAULT_LIMIT, 1..=MAX_LIMIT) {
        Ok(limit) => filter.limit = limit as usize,
        Err(error) => problems.push(error.message().to_owned()),
    }
    if problems.is_empty() { Ok(filter) } else { Err(ApiError::bad_request(problems.join("; "))) }
}

fn cut(text: &str) -> String {
    text.chars().take(32).collect()
}

fn operation(one: &Operation) -> Value {
    let seconds = |time: Duration| Value::from(time.as_secs_f64());
    let fields: Map<String, Value> =
        one.fields.iter().map(|(name, value)| (name.clone(), field(value))).collect();
    let running = one.running.as_ref().map(|running| {
        json!({
            "thread": running.thread.as_deref(),
            "threadId": running.os_id,
            "seconds": seconds(running.time),
        })
    });
    json!({
        "depth": one.depth,
        "name": one.name,
        "target": one.target,
        "location": one.location.map(|(file, line)| format!("{file}:{line}")),
        "fields": fields,
        "traceId": one.trace.to_string(),
        "spanId": one.span.to_string(),
        "parentSpanId": one.parent.map(|span| span.to_string()),
        "correlationId": one.correlation,
        "task": one.task,
        "ageSeconds": seconds(one.age),
        "busySeconds": seconds(one.busy),
        "idleSeconds": seconds(one.idle),
        "sincePollSeconds": seconds(one.since_poll),
        "polls": one.polls,
        "running": running,
        "stuck": one.stuck,
        "blocking": one.blocking,
    })
}

fn field(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(value) => Value::from(*value),
        FieldValue::I64(value) => Value::from(*value),
        FieldValue::U64(value) => Value::from(*value),
        FieldValue::F64(value) => Value::from(*value),
        FieldValue::Text(text) => Value::from(&**text),
    }
}
