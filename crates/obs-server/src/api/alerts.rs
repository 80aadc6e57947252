//! Alerts over HTTP: what is active, what was, the rules, and a test of a channel.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use obs_alerts::{AlertEngine, RuleStatus};
use obs_model::{Accepted, AlertEvent, Labels};
use serde_json::{Value, json};

use super::{Answer, time_or_null};
use crate::params::Params;
use crate::reply::ApiError;
use crate::router::App;

/// `GET /api/obskit/v1/alerts`: pending and firing alerts, the worst first.
pub(crate) async fn active(State(app): State<Arc<App>>) -> Answer {
    let alerts: Vec<Value> = engine(&app)?.active().iter().map(alert).collect();
    Ok(Json(json!({"alerts": alerts})))
}

/// `GET /api/obskit/v1/alerts/history?hours=N`: what fired within the last hours, the newest first.
pub(crate) async fn history(State(app): State<Arc<App>>, params: Params) -> Answer {
    let engine = engine(&app)?;
    let hours = params.number("hours", 24, 1..=8_760)?;
    let alerts = engine.history(Duration::from_secs(u64::from(hours) * 3_600));
    let alerts: Vec<Value> = alerts.iter().map(alert).collect();
    Ok(Json(json!({"hours": hours, "alerts": alerts})))
}

/// `GET /api/obskit/v1/alerts/rules`: every rule and how its evaluations go.
pub(crate) async fn rules(State(app): State<Arc<App>>) -> Answer {
    let rules: Vec<Value> = engine(&app)?.rules().iter().map(rule).collect();
    Ok(Json(json!({"rules": rules})))
}

/// `POST /api/obskit/v1/alerts/test?channel=NAME`: sends a test alert, firing and at once resolved.
pub(crate) async fn send_test(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let engine = engine(&app)?;
    let known = engine.channels();
    let listed = || if known.is_empty() { String::from("none") } else { known.join(", ") };
    let Some(channel) = params.text("channel").filter(|name| !name.is_empty()) else {
        return Err(ApiError::bad_request(format!(
            "channel is missing; the channels are: {}",
            listed()
        )));
    };
    if !known.iter().any(|name| **name == *channel) {
        let shown: String = channel.chars().take(64).collect();
        return Err(ApiError::not_found(format!(
            "there is no channel {shown:?}; the channels are: {}",
            listed()
        )));
    }
    let sent = engine.send_test(channel).map_err(|error| ApiError::not_found(error.to_string()))?;
    match sent {
        // Accepted rather than OK: the channel has the alert, and delivers it in its own time.
        Accepted::Taken => {
            Ok((StatusCode::ACCEPTED, Json(json!({"channel": channel, "result": "accepted"}))))
        }
        Accepted::Dropped(reason) => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_taken",
            format!("channel {channel} did not take the alert: {}", reason.as_str()),
        )),
    }
}

fn engine(app: &App) -> Result<&Arc<AlertEngine>, ApiError> {
    app.state.alerts().ok_or_else(|| ApiError::not_enabled("alerting"))
}

fn alert(alert: &AlertEvent) -> Value {
    json!({
        "id": alert.id.to_string(),
        "ruleId": &*alert.rule_id,
        "name": &*alert.rule_name,
        "state": alert.state.as_str(),
        "severity": alert.severity.as_str(),
        "message": alert.message,
        "labels": labels(&alert.labels),
        "value": alert.value,
        "activeAt": alert.active_at.to_string(),
        "firedAt": time_or_null(alert.fired_at),
        "resolvedAt": time_or_null(alert.resolved_at),
    })
}

fn rule(status: &RuleStatus) -> Value {
    let (rule, health) = (&status.rule, &status.health);
    let word = match (health.last_evaluation, &health.last_error) {
        _ if !status.enabled => "disabled",
        (None, _) => "unknown",
        (Some(_), None) => "ok",
        (Some(_), Some(_)) => "failing",
    };
    json!({
        "id": rule.id(),
        "name": rule.name(),
        "severity": rule.severity().as_str(),
        "description": rule.description(),
        "labels": labels(rule.labels()),
        "channels": rule.channels().collect::<Vec<_>>(),
        "promql": rule.promql(),
        "holdSeconds": rule.hold().as_secs_f64(),
        "enabled": status.enabled,
        "health": word,
        "lastEvaluation": time_or_null(health.last_evaluation),
        "lastDurationSeconds": health.last_duration.as_secs_f64(),
        "lastError": health.last_error,
        "evaluations": health.evaluations,
        "failures": health.failures,
        "pending": status.pending,
        "firing": status.firing,
    })
}

fn labels(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
