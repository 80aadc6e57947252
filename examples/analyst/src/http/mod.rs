//! The service's HTTP interface.

mod failure;

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use crate::error::AnalystError;
use crate::questions::Rules;
use crate::workflow::{Analyst, Request};

/// The largest body that is taken.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// The largest body that is read to its end before it is refused. A client that is still sending when the
/// connection closes may never see the answer.
const MAX_DRAINED_BYTES: usize = 1 << 20;

/// The service's routes.
pub fn router(analyst: Arc<Analyst>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/api/v2/analyses", post(analyse))
        .route("/api/v2/analyses/{id}", get(recall))
        .route("/api/v2/questions", get(questions))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(analyst)
}

async fn index() -> Json<serde_json::Value> {
    Json(json!({
        "service": "analyst",
        "try": "curl -d '{\"question\": \"What are the 5 busiest airports?\"}' http://127.0.0.1:8080/api/v2/analyses",
        "questions": "/api/v2/questions",
    }))
}

async fn questions() -> Json<serde_json::Value> {
    Json(json!({ "questions": Rules::descriptions().collect::<Vec<_>>() }))
}

async fn analyse(
    State(analyst): State<Arc<Analyst>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, AnalystError> {
    let body = read(&headers, body).await?;
    let request: Request = serde_json::from_slice(&body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        // The place stands in a field of its own.
        let message =
            text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        AnalystError::InvalidJson { message: message.to_owned(), line, column }
    })?;
    Ok(as_json(analyst.answer(request).await?))
}

async fn recall(
    State(analyst): State<Arc<Analyst>>,
    Path(id): Path<String>,
) -> Result<Response, AnalystError> {
    let body = analyst.recent(&id);
    body.map(as_json).ok_or(AnalystError::NotFound { what: "recent analysis", name: id })
}

async fn not_found(OriginalUri(uri): OriginalUri) -> AnalystError {
    AnalystError::NotFound { what: "path", name: uri.path().to_owned() }
}

async fn method_not_allowed(method: Method, OriginalUri(uri): OriginalUri) -> AnalystError {
    AnalystError::MethodNotAllowed { method: method.to_string(), path: uri.path().to_owned() }
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, AnalystError> {
    let too_large = || AnalystError::BodyTooLarge { limit_bytes: MAX_BODY_BYTES };
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: usize| length > MAX_DRAINED_BYTES) {
        return Err(too_large());
    }
    let bytes = to_bytes(body, MAX_DRAINED_BYTES).await.map_err(|error| {
        use std::error::Error;
        match error.source() {
            Some(cause) if cause.to_string().contains("length limit") => too_large(),
            _ => AnalystError::BodyUnreadable(error.to_string()),
        }
    })?;
    if bytes.len() > MAX_BODY_BYTES { Err(too_large()) } else { Ok(bytes) }
}

fn as_json(body: Bytes) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
