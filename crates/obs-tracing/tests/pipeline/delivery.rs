//! How exported spans get to collectors: by gRPC, compressed, to another endpoint, and again.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io::Read as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::Resource;
use obs_tracing::{OtlpCompression, OtlpConfig};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;

use crate::export::{collector, pipeline_to};
use crate::support::{PATIENCE, Pipeline, series};

/// A body that ends with the status of a call.
struct Answer(Full<Bytes>, Option<HeaderMap>);

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match std::pin::Pin::new(&mut self.0).poll_frame(cx) {
            std::task::Poll::Ready(None) => {
                std::task::Poll::Ready(self.1.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
            other => other,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

type Calls = Arc<Mutex<Vec<(String, HeaderMap, ExportTraceServiceRequest)>>>;

/// A collector that takes calls by gRPC, gzipped or not, and says of each that one span was not stored.
async fn grpc_collector() -> (String, Calls) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Calls::default();
    let kept = Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let calls = Arc::clone(&kept);
            let service = service_fn(move |request| take(request, Arc::clone(&calls)));
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    (url, calls)
}

async fn take(request: Request<Incoming>, calls: Calls) -> Result<Response<Answer>, Infallible> {
    let (parts, body) = request.into_parts();
    let framed = body.collect().await.unwrap().to_bytes();
    assert_eq!(u32::from_be_bytes(framed[1..5].try_into().unwrap()) as usize, framed.len() - 5);
    let mut message = Vec::new();
    match framed[0] {
        0 => message.extend_from_slice(&framed[5..]),
        _ => {
            flate2::read::GzDecoder::new(&framed[5..]).read_to_end(&mut message).unwrap();
        }
    }
    let decoded = ExportTraceServiceRequest::decode(&message[..]).unwrap();
    calls.lock().unwrap().push((parts.uri.path().to_owned(), parts.headers, decoded));
    let partial = ExportTracePartialSuccess { rejected_spans: 1, ..Default::default() };
    let answer = ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let mut framed = vec![0, 0, 0, 0, answer.len() as u8];
    framed.extend_from_slice(&answer);
    let trailers = [("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect();
    Ok(Response::new(Answer(Full::from(framed), Some(trailers))))
}

fn pipeline(otlp: OtlpConfig) -> Pipeline {
    Pipeline::new(|config| {
        config.resource = Resource::new("test").with_version("1.2.3");
        config.otlp = Some(otlp);
    })
}

fn outer_and_inner() {
    tracing::info_span!("outer").in_scope(|| drop(tracing::info_span!("inner")));
}

#[tokio::test]
async fn spans_go_by_grpc_gzipped_to_the_endpoint_that_takes_them() {
    let (url, calls) = grpc_collector().await;
    // Nobody listens at the first.
    let mut otlp =
        OtlpConfig::grpc("http://127.0.0.1:9").with_fallback(url).with_header("x-api-key", "k-1");
    otlp.compression = OtlpCompression::Gzip;
    let pipeline = pipeline(otlp);
    tracing::dispatcher::with_default(&pipeline.dispatch, outer_and_inner);
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    let calls = calls.lock().unwrap();
    let (path, headers, request) = &calls[0];
    assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(headers["x-api-key"], "k-1");
    assert_eq!(headers["grpc-encoding"], "gzip");
    let of = &request.resource_spans[0];
    assert!(of.resource.as_ref().unwrap().attributes.iter().any(|a| a.key == "service.version"));
    let spans = &of.scope_spans[0].spans;
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(find("inner").parent_span_id, find("outer").span_id);
    assert_eq!((calls.len(), spans.len()), (1, 2));
}

#[tokio::test]
async fn spans_that_a_busy_collector_does_not_take_are_sent_again() {
    let requests = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&requests);
    let answer = move |headers: HeaderMap| async move {
        assert_eq!(headers["content-encoding"], "gzip");
        match seen.fetch_add(1, Ordering::Relaxed) {
            0 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        }
    };
    let app = Router::new().route("/v1/traces", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut otlp = OtlpConfig::new(&format!("http://{}", listener.local_addr().unwrap()));
    otlp.compression = OtlpCompression::Gzip;
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let pipeline = pipeline(otlp);
    tracing::dispatcher::with_default(&pipeline.dispatch, outer_and_inner);
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    assert_eq!(requests.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn spans_that_nobody_takes_are_given_up_in_the_end_and_reported() {
    let mut otlp = OtlpConfig::new("http://127.0.0.1:9").with_fallback("http://127.0.0.1:9");
    otlp.give_up_after = Duration::from_millis(1);
    let pipeline = pipeline(otlp);
    tracing::dispatcher::with_default(&pipeline.dispatch, outer_and_inner);
    let handle = pipeline.handle.clone();
    let flushed = tokio::task::spawn_blocking(move || handle.flush_blocking(PATIENCE)).await;
    let error = flushed.unwrap().unwrap_err().to_string();
    assert!(error.contains("2 spans were not exported"), "{error}");
}

#[tokio::test]
async fn of_more_spans_than_the_queue_takes_each_is_exported_or_counted() {
    const SPANS: u64 = 2_000;
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = pipeline_to(address, |otlp| {
        otlp.queue_spans = 64;
        otlp.batch_spans = 16;
    });
    let recorder = Arc::new(DebuggingRecorder::new());
    let threads = (0..4).map(|_| {
        let (dispatch, recorder) = (pipeline.dispatch.clone(), Arc::clone(&recorder));
        tokio::task::spawn_blocking(move || {
            metrics::with_local_recorder(&*recorder, || {
                tracing::dispatcher::with_default(&dispatch, || {
                    for number in 0..SPANS {
                        tracing::info_span!("one", number).in_scope(|| tracing::info!("of many"));
                    }
                });
            });
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.await.unwrap();
    }
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    let dropped = series(&recorder.snapshotter())
        .into_iter()
        .find(|(name, _)| name == "obskit_spans_dropped_total{reason=queue_full}")
        .map_or(0, |(_, count)| count);
    let spans = received.spans();
    let different: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(different.len(), spans.len(), "no span is exported twice");
    assert_eq!(spans.len() as u64 + dropped, 4 * SPANS);
    assert!(dropped > 0 && spans.iter().all(|span| span.events.len() == 1));
}
