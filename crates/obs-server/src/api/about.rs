//! `GET /api/obskit/v1/self`: what this process is, how long it has run, and what obskit holds in it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::router::App;

/// Build, uptime and the state of the store.
pub(crate) async fn about(State(app): State<Arc<App>>) -> Json<Value> {
    let state = &app.state;
    let resource: serde_json::Map<String, Value> = state
        .resource()
        .attributes()
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect();
    let build = json!({
        "obskit": env!("CARGO_PKG_VERSION"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
    });
    Json(json!({
        "resource": resource,
        "build": build,
        "pid": std::process::id(),
        "startedAt": state.started_at().to_string(),
        "uptimeSeconds": state.uptime().as_secs_f64(),
        "enabled": enabled(&app),
        "store": store(&app),
    }))
}

/// Which parts have been handed to the listener.
fn enabled(app: &App) -> Value {
    let state = &app.state;
    #[cfg(feature = "errors")]
    let errors = state.errors().is_some();
    #[cfg(not(feature = "errors"))]
    let errors = false;
    #[cfg(feature = "alerts")]
    let alerts = state.alerts().is_some();
    #[cfg(not(feature = "alerts"))]
    let alerts = false;
    #[cfg(feature = "health")]
    let health = state.health().is_some();
    #[cfg(not(feature = "health"))]
    let health = false;
    #[cfg(feature = "profiling")]
    let profiling = state.profiler().is_some();
    #[cfg(not(feature = "profiling"))]
    let profiling = false;
    json!({
        "metrics": state.registry().is_some(),
        "series": state.store().is_some(),
        "errors": errors,
        "alerts": alerts,
        "health": health,
        "profiling": profiling,
    })
}

fn store(app: &App) -> Value {
    app.state.store().map_or(Value::Null, |store| {
        let (stats, config) = (store.stats(), store.config());
        json!({
            "series": stats.series,
            "samples": stats.samples,
            "bytes": stats.bytes,
            "maxSeries": config.max_series,
            "sampleIntervalSeconds": config.sample_interval.as_secs_f64(),
            "retentionSeconds": config.retention.as_secs_f64(),
        })
    })
}
