//! Error groups over HTTP.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use obs_errors::{ErrorGroup, ErrorTracker};
use obs_model::{Context, ErrorEvent, Fingerprint};
use serde_json::{Map, Value, json};

use super::Answer;
use crate::params::PathText;
use crate::reply::ApiError;
use crate::router::App;

/// `GET /api/obskit/v1/errors`: every group, the last seen first.
pub(crate) async fn groups(State(app): State<Arc<App>>) -> Answer {
    let mut groups = tracker(&app)?.groups();
    groups.sort_by_key(|group| std::cmp::Reverse(group.last_seen));
    let groups: Vec<Value> = groups.iter().map(group_json).collect();
    Ok(Json(json!({"groups": groups})))
}

/// `GET /api/obskit/v1/errors/{fingerprint}`: one group and the events kept of it, the newest first.
pub(crate) async fn group(State(app): State<Arc<App>>, PathText(fingerprint): PathText) -> Answer {
    let (group, events) = find(&app, &fingerprint)?;
    let events: Vec<Value> = events.iter().map(|event| event_json(event)).collect();
    Ok(Json(json!({"group": group_json(&group), "events": events})))
}

/// The group that a path names, with its events, the newest first.
pub(crate) fn find(
    app: &App,
    fingerprint: &str,
) -> Result<(ErrorGroup, Vec<Arc<ErrorEvent>>), ApiError> {
    let tracker = tracker(app)?;
    let fingerprint: Fingerprint = fingerprint
        .parse()
        .map_err(|error: obs_model::InvalidId| ApiError::bad_request(error.to_string()))?;
    let group = tracker
        .group(fingerprint)
        .ok_or_else(|| ApiError::not_found(format!("there is no error group {fingerprint}")))?;
    let mut events = tracker.events(fingerprint);
    events.sort_by_key(|event| std::cmp::Reverse(event.timestamp));
    Ok((group, events))
}

/// `GET /api/obskit/v1/errors/statistics`: how many errors there were, and the ten largest groups.
pub(crate) async fn statistics(State(app): State<Arc<App>>) -> Answer {
    let statistics = tracker(&app)?.statistics();
    let top: Vec<Value> = statistics.top.iter().map(group_json).collect();
    Ok(Json(json!({
        "total": statistics.total,
        "uniqueFingerprints": statistics.unique_fingerprints,
        "lastHour": statistics.last_hour,
        "evictedGroups": statistics.evicted_groups,
        "top": top,
    })))
}

fn tracker(app: &App) -> Result<&ErrorTracker, ApiError> {
    app.state.errors().ok_or_else(|| ApiError::not_enabled("error tracking"))
}

fn group_json(group: &ErrorGroup) -> Value {
    json!({
        "fingerprint": group.fingerprint.to_string(),
        "type": &*group.error_type,
        "message": &*group.message,
        "mechanism": group.mechanism.as_str(),
        "count": group.count,
        "keptEvents": group.kept_events,
        "firstSeen": group.first_seen.to_string(),
        "lastSeen": group.last_seen.to_string(),
    })
}

fn event_json(event: &ErrorEvent) -> Value {
    let stack: Vec<Value> = event
        .stack
        .iter()
        .map(|frame| json!({"function": frame.function, "file": frame.file, "line": frame.line}))
        .collect();
    json!({
        "id": event.id.to_string(),
        "timestamp": event.timestamp.to_string(),
        "mechanism": event.mechanism.as_str(),
        "type": event.error_type,
        "message": event.message,
        "chain": event.chain,
        "stack": stack,
        "context": context_json(&event.context),
        "input": event.input,
        "environment": event.environment.as_deref(),
        "version": event.version.as_deref(),
    })
}

fn context_json(context: &Context) -> Value {
    let mut members = Map::new();
    let ids = [
        ("correlationId", context.correlation().map(ToString::to_string)),
        ("traceId", context.trace().map(|id| id.to_string())),
        ("spanId", context.span().map(|id| id.to_string())),
    ];
    for (name, id) in ids {
        members.extend(id.map(|id| (name.to_owned(), Value::from(id))));
    }
    members.extend(context.texts().map(|(name, value)| (name.to_owned(), Value::from(value))));
    Value::Object(members)
}
