//! The health endpoints: 200 when it is well enough, 503 when it is not, with the report as JSON.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use obs_health::{HealthRegistry, json};
use obs_model::HealthReport;

use crate::reply::ApiError;
use crate::router::App;

/// `GET /api/health`: what all checks find.
pub(crate) async fn full(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    Ok(answer(&registry(&app)?.report().await))
}

/// `GET /api/health/ready`: may it be sent work?
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    Ok(answer(&registry(&app)?.ready().await))
}

/// `GET /api/health/live`: must it be restarted?
pub(crate) async fn live(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    Ok(answer(&registry(&app)?.live().await))
}

/// `GET /api/health/startup`: has it started?
pub(crate) async fn startup(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    Ok(answer(&registry(&app)?.startup().await))
}

fn registry(app: &App) -> Result<&HealthRegistry, ApiError> {
    app.state.health().ok_or_else(|| ApiError::not_enabled("health checking"))
}

fn answer(report: &HealthReport) -> Response {
    // OK because both statuses that it gives are valid.
    let status = StatusCode::from_u16(json::http_status(report.status))
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [(header::CONTENT_TYPE, json::CONTENT_TYPE)];
    (status, headers, json::to_string(report)).into_response()
}
