//! The envelope of every answer: `status`, `data`, warnings and infos, or the type and text of an error.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::json;

/// What kind of error it is, in Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorType {
    BadData,
    Execution,
    Timeout,
    Canceled,
    Internal,
    NotFound,
}

impl ErrorType {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
            Self::NotFound => "not_found",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Timeout => StatusCode::SERVICE_UNAVAILABLE,
            // nginx' "client closed request", which Prometheus uses too.
            Self::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// A request that is not answered: `{"status":"error","errorType":…,"error":…}`.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) kind: ErrorType,
    pub(super) message: String,
    status: StatusCode,
}

impl Refusal {
    pub(super) fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: kind.status() }
    }

    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        Self::new(ErrorType::BadData, message)
    }

    /// A parameter that cannot be read.
    pub(super) fn parameter(name: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter {name:?}: {reason}"))
    }

    /// The part of the service that would answer was not handed to the listener.
    pub(super) fn not_enabled(what: &str) -> Self {
        Self::new(ErrorType::NotFound, format!("{what} is switched off in this service"))
    }

    pub(super) fn internal() -> Self {
        let message = "the request failed inside the server; the service's log says why";
        Self::new(ErrorType::Internal, message)
    }

    /// This refusal with a more telling status than that of its kind.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl From<obs_query::Error> for Refusal {
    fn from(error: obs_query::Error) -> Self {
        let kind = if error.is_parse() || error.is_invalid_query() || error.is_invalid_selector() {
            ErrorType::BadData
        } else if error.is_timeout() {
            ErrorType::Timeout
        } else if error.is_canceled() {
            ErrorType::Canceled
        } else {
            ErrorType::Execution
        };
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = Vec::with_capacity(128 + self.message.len());
        body.extend_from_slice(b"{\"status\":\"error\",\"errorType\":");
        json::string(&mut body, self.kind.as_str());
        body.extend_from_slice(b",\"error\":");
        json::string(&mut body, &self.message);
        body.push(b'}');
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// What comes before the data of an answer.
pub(super) const OPENING: &[u8] = b"{\"status\":\"success\",\"data\":";

/// Writes what comes after the data: warnings and infos, if there are any, and the end.
pub(super) fn close(out: &mut Vec<u8>, warnings: &[String], infos: &[String]) {
    for (name, texts) in [("warnings", warnings), ("infos", infos)] {
        if !texts.is_empty() {
            out.push(b',');
            json::string(out, name);
            out.push(b':');
            json::strings(out, texts.iter().map(String::as_str));
        }
    }
    out.push(b'}');
}

/// An answer whose data `write` writes.
pub(super) fn success(warnings: &[String], write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = OPENING.to_vec();
    write(&mut out);
    close(&mut out, warnings, &[]);
    out
}

/// An answer whose data has a shape of its own.
pub(super) fn serialized(data: &impl serde::Serialize) -> Result<Response, Refusal> {
    let mut out = OPENING.to_vec();
    serde_json::to_writer(&mut out, data).map_err(|error| {
        tracing::error!(%error, "an answer could not be written as JSON");
        Refusal::internal()
    })?;
    close(&mut out, &[], &[]);
    Ok(json_response(out))
}

/// A body of JSON.
pub(super) fn json_response(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What Prometheus says about a result that was cut.
pub(super) fn truncated() -> Vec<String> {
    vec![String::from("results truncated due to limit")]
}
