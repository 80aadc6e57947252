//! Answers for programs: JSON, the exposition and profiles.
//!
//! Names in JSON are camelCase, times are RFC 3339 in UTC, durations are seconds unless their name says
//! otherwise, and samples have the shape of the Prometheus HTTP API.

pub(crate) mod about;
#[cfg(feature = "alerts")]
pub(crate) mod alerts;
#[cfg(feature = "errors")]
pub(crate) mod errors;
#[cfg(feature = "health")]
pub(crate) mod health;
#[cfg(feature = "tracing")]
pub(crate) mod loglevel;
#[cfg(feature = "tracing")]
pub(crate) mod logs;
pub(crate) mod metrics;
#[cfg(feature = "profiling")]
pub(crate) mod pprof;
pub(crate) mod prometheus;
pub(crate) mod series;
#[cfg(feature = "tracing")]
pub(crate) mod spans;
#[cfg(feature = "tracing")]
pub(crate) mod traces;

use obs_model::Timestamp;

/// What a JSON handler answers with.
#[cfg(any(feature = "errors", feature = "alerts", feature = "tracing"))]
pub(crate) type Answer = Result<axum::Json<serde_json::Value>, crate::reply::ApiError>;

/// A time, or null.
#[cfg(feature = "alerts")]
pub(crate) fn time_or_null(at: Option<Timestamp>) -> serde_json::Value {
    at.map_or(serde_json::Value::Null, |at| at.to_string().into())
}

/// Seconds with the fraction, as Prometheus writes times.
pub(crate) fn seconds(at: Timestamp) -> f64 {
    at.as_secs_f64()
}

/// Runs a search, which reads up to megabytes and would hold up the service's own tasks.
#[cfg(feature = "tracing")]
pub(crate) async fn searching<R: Send + 'static>(
    search: impl FnOnce() -> R + Send + 'static,
) -> Result<R, crate::reply::ApiError> {
    tokio::task::spawn_blocking(search).await.map_err(|_| {
        crate::reply::ApiError::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the search failed inside the server; the service's log says why",
        )
    })
}
