//! `GET /metrics`: the exposition, in the format that the scraper asks for.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::mpsc;

use crate::reply::ApiError;
use crate::router::App;

/// How many pieces of the exposition, of 64 KiB at most, are in memory at once for one scraper.
const PIECES: usize = 2;

/// A piece of the exposition, or why there is no further one.
type Piece = io::Result<Bytes>;

/// Every metric of the registry, written as it is sent: a large registry is never in memory as a whole.
pub(crate) async fn scrape(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let registry =
        app.state.registry().ok_or_else(|| ApiError::not_enabled("the metrics registry"))?;
    let exposition = registry
        .negotiate(text(&headers, header::ACCEPT), text(&headers, header::ACCEPT_ENCODING))
        .with_created(app.created);
    let content_type = exposition.content_type();
    let encoding = exposition.encoding().as_header();
    let mut response = streamed(move |writer| exposition.write(writer)).await?;
    let answer_headers = response.headers_mut();
    if let Ok(value) = content_type.parse() {
        answer_headers.insert(header::CONTENT_TYPE, value);
    }
    if let Some(encoding) = encoding.and_then(|name| name.parse().ok()) {
        answer_headers.insert(header::CONTENT_ENCODING, encoding);
    }
    Ok(response)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Sends what `write` writes. An error before the first piece becomes an answer of its own; a later one ends the
/// connection, so that nobody takes a part for the whole.
async fn streamed(
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()> + Send + 'static,
) -> Result<Response, ApiError> {
    let (pieces, mut receiver) = mpsc::channel::<Piece>(PIECES);
    // Writing a large registry takes milliseconds, which belong on a thread that may block.
    tokio::task::spawn_blocking(move || {
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut Pieces(&pieces))))
            .unwrap_or_else(|_| Err(io::Error::other("the encoder panicked")));
        if let Err(error) = written {
            // OK because a scraper that is gone does not want to know.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let first = match receiver.recv().await {
        Some(Ok(first)) => first,
        Some(Err(error)) => return Err(refused(&error.to_string())),
        None => Bytes::new(),
    };
    let rest =
        stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    let all = stream::StreamExt::chain(stream::iter([Piece::Ok(first)]), rest);
    Ok(Body::from_stream(all).into_response())
}

/// Hands each write over as a piece, and waits while the scraper is slower.
struct Pieces<'a>(&'a mpsc::Sender<Piece>);

impl io::Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the scraper is gone"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn refused(reason: &str) -> ApiError {
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
        let answer = streamed(|_| Err(io::Error::other("family x has no kind"))).await;
        let response = answer.unwrap_err().into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("family x has no kind"), "{text}");
    }

    #[tokio::test]
    async fn a_panic_in_the_encoder_becomes_a_500_too() {
        let answer = streamed(|_| panic!("on purpose")).await;
        assert_eq!(answer.unwrap_err().into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test]
    async fn a_late_encoding_error_breaks_the_answer_off() {
        let answer = streamed(|writer| {
            writer.write_all(b"a_whole_line 1\n")?;
            Err(io::Error::other("family x has no kind"))
        });
        let body = answer.await.unwrap().into_body();
        assert!(axum::body::to_bytes(body, 10_000).await.is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_scraper_that_goes_away_ends_the_writing() {
        let (ended, end) = std::sync::mpsc::channel();
        let answer = streamed(move |writer| {
            let outcome = (0..1_000).try_for_each(|_| writer.write_all(b"a_line 1\n"));
            let _ = ended.send(outcome.is_err());
            outcome
        });
        drop(answer.await.unwrap());
        assert!(end.recv().unwrap(), "the writer was not told");
    }
}
