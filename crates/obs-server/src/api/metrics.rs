//! `GET /metrics`: the exposition, in the Prometheus text format 0.0.4.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use obs_metrics::TEXT_CONTENT_TYPE;

use crate::reply::ApiError;
use crate::router::App;

/// Every metric of the registry.
pub(crate) async fn scrape(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let registry = app
        .state
        .registry()
        .cloned()
        .ok_or_else(|| ApiError::not_enabled("the metrics registry"))?;
    // A large registry takes milliseconds to write, which belongs on a thread that may block.
    tokio::task::spawn_blocking(move || encoded(|text| registry.write_text(text)))
        .await
        .unwrap_or_else(|failed| Err(refused(&failed)))
}

fn encoded(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<Response, ApiError> {
    let mut text = Vec::new();
    write(&mut text).map_err(|error| refused(&error))?;
    Ok(([(header::CONTENT_TYPE, TEXT_CONTENT_TYPE)], text).into_response())
}

fn refused(reason: &dyn std::error::Error) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "encoding_failed",
        format!("the metrics could not be written: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_encoding_error_becomes_a_500_with_its_reason_and_nothing_half_written() {
        let answer = encoded(|text| {
            text.extend_from_slice(b"half_a_line");
            Err(io::Error::other("family x has no kind"))
        });
        let response = answer.unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("family x has no kind") && !text.contains("half_a_line"), "{text}");
    }
}
