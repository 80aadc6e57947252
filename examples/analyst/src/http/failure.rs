//! How a failure is told to the client.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::AnalystError;

#[derive(Serialize)]
struct Envelope<'a> {
    error: Failure<'a>,
}

#[derive(Serialize)]
struct Failure<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    suggestions: &'a [String],
}

impl IntoResponse for AnalystError {
    fn into_response(self) -> Response {
        let (line, column) = match &self {
            Self::InvalidJson { line, column, .. } => (Some(*line), Some(*column)),
            _ => (None, None),
        };
        let failure = Failure {
            kind: self.error_type(),
            message: self.to_string(),
            line,
            column,
            offset: if let Self::BadSql { offset, .. } = &self { *offset } else { None },
            suggestions: match &self {
                Self::UnknownQuestion { suggestions, .. } => suggestions,
                _ => &[],
            },
        };
        // OK because every status is one of a fixed list.
        let status =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(Envelope { error: failure })).into_response();
        if let Some(seconds) = self.retry_after_seconds() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
