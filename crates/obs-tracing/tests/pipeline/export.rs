//! Spans as a collector receives them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{PATIENCE, Pipeline, series};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::routing::{get, post};
use http::{HeaderMap, Request, StatusCode};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::Resource;
use obs_tracing::http::{ObserveLayer, Propagator};
use obs_tracing::{OtlpConfig, Sampler, Sampling, trace_async};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::sync::Mutex;
use tower::ServiceExt;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Default)]
pub(crate) struct Received {
    requests: Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>,
}

impl Received {
    pub(crate) fn spans(&self) -> Vec<Span> {
        let requests = self.requests.lock().unwrap();
        let resources = requests.iter().flat_map(|(_, request)| &request.resource_spans);
        resources.flat_map(|r| &r.scope_spans).flat_map(|s| s.spans.clone()).collect()
    }

    pub(crate) fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        spans
            .iter()
            .find(|span| span.name == name)
            .unwrap_or_else(|| panic!("{name}: {spans:?}"))
            .clone()
    }
}

/// A collector on this test's own single-threaded runtime.
pub(crate) async fn collector(status: StatusCode) -> (SocketAddr, Arc<Received>) {
    let received = Arc::new(Received::default());
    let take = move |State(received): State<Arc<Received>>, headers: HeaderMap, body: Bytes| async move {
        let request = ExportTraceServiceRequest::decode(body).expect("the body is OTLP");
        received.requests.lock().unwrap().push((headers, request));
        status
    };
    let app = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&received));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, received)
}

pub(crate) fn pipeline_to(address: SocketAddr, change: impl FnOnce(&mut OtlpConfig)) -> Pipeline {
    let mut otlp = OtlpConfig::new(&format!("http://{address}")).with_header("x-api-key", "k-1");
    change(&mut otlp);
    Pipeline::new(|config| {
        config.resource = Resource::new("test").with_version("1.2.3");
        config.filter = "trace".into();
        config.otlp = Some(otlp);
    })
}

/// The value of an attribute as text.
pub(crate) fn any(pair: &KeyValue) -> String {
    match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::BoolValue(value)) => value.to_string(),
        Some(Any::IntValue(value)) => value.to_string(),
        Some(Any::DoubleValue(value)) => value.to_string(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn exported_spans_have_the_ids_of_the_log_and_keep_their_parents() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = pipeline_to(address, |_| {});
    let guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let app = Router::new()
        .route(
            "/orders/{id}",
            get(|| async {
                tracing::info!("in the request");
                tokio::task::yield_now().await;
                let spawned = obs_tracing::spawn(trace_async(
                    "load",
                    async {
                        tracing::info!(password = "hunter2", "in the operation");
                        Err::<(), _>(std::io::Error::other("Bearer hunter2hunter2"))
                    },
                    [("table", "orders".into()), ("api_key", "hunter2".into())],
                ));
                assert!(spawned.await.unwrap().is_err());
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .layer(ObserveLayer::new());
    let sent =
        Request::get("/orders/7").header("traceparent", TRACEPARENT).body(Body::empty()).unwrap();
    app.oneshot(sent).await.unwrap();
    drop(guard);
    pipeline.handle.shutdown(PATIENCE).await.unwrap();

    let (request, load) = (received.span("http.request"), received.span("load"));
    assert_eq!(hex(&request.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&request.parent_span_id), "b7ad6b7169203331");
    assert_eq!(load.trace_id, request.trace_id);
    assert_eq!(load.parent_span_id, request.span_id);
    assert_eq!((request.kind, request.status.unwrap().code), (2, 2));
    assert_eq!(received.spans().len(), 2, "the exporter's own requests are not traced");

    let lines = pipeline.lines.json();
    let logged = |message: &str| {
        let line = lines.iter().find(|line| line["message"] == message).unwrap();
        (line["traceId"].as_str().unwrap().to_owned(), line["spanId"].as_str().unwrap().to_owned())
    };
    assert_eq!(logged("in the request"), (hex(&request.trace_id), hex(&request.span_id)));
    assert_eq!(logged("in the operation"), (hex(&load.trace_id), hex(&load.span_id)));
    assert!(lines.iter().all(|line| !line["target"].as_str().unwrap().starts_with("hyper")));

    let requests = received.requests.lock().unwrap();
    let (headers, body) = &requests[0];
    assert_eq!(headers["x-api-key"], "k-1");
    assert!(!format!("{body:?}").contains("hunter2"), "{body:?}");
    let resource = body.resource_spans[0].resource.as_ref().unwrap();
    let version = resource.attributes.iter().find(|a| a.key == "service.version").unwrap();
    let value = version.value.as_ref().unwrap().value.as_ref().unwrap();
    assert_eq!(value, &Any::StringValue("1.2.3".into()));
    assert!(load.attributes.iter().any(|attribute| attribute.key == "table"));
}

#[tokio::test]
async fn traces_that_are_not_sampled_are_logged_but_not_exported() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = pipeline_to(address, |otlp| otlp.sampling = Sampling::new(Sampler::AlwaysOff));
    let guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let app = Router::new()
        .route(
            "/",
            get(|| async { tracing::info_span!("inner").in_scope(|| tracing::info!("in")) }),
        )
        .layer(ObserveLayer::new());
    let unsampled = TRACEPARENT.replace("-01", "-00");
    for traceparent in ["", &unsampled, TRACEPARENT] {
        let sent =
            Request::get("/").header("traceparent", traceparent).body(Body::empty()).unwrap();
        app.clone().oneshot(sent).await.unwrap();
    }
    drop(guard);
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    assert_eq!(received.spans().len(), 2, "only the caller who samples is followed");
    assert_eq!(pipeline.lines.json().len(), 6);
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_exported() {
    let (_, received) = collector(StatusCode::OK).await;
    let pipeline = Pipeline::new(|_| {});
    let lines = pipeline.json_of(|| {
        tracing::info_span!("alone").in_scope(|| {
            tracing::info!("logged");
            let context =
                tracing_opentelemetry::OpenTelemetrySpanExt::context(&tracing::Span::current());
            use opentelemetry::trace::TraceContextExt;
            assert!(!context.span().span_context().is_valid(), "there is no OpenTelemetry layer");
        });
    });
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert!(received.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_collector_that_refuses_is_reported_at_shutdown() {
    let (address, received) = collector(StatusCode::FORBIDDEN).await;
    let pipeline = pipeline_to(address, |_| {});
    tracing::dispatcher::with_default(&pipeline.dispatch, || drop(tracing::info_span!("lost")));
    let error = pipeline.handle.shutdown(PATIENCE).await.unwrap_err();
    assert!(error.is_undelivered());
    assert!(error.to_string().contains("1 spans were not exported"), "{error}");
    assert_eq!(received.spans().len(), 1);
}

#[tokio::test]
async fn a_collector_that_never_answers_does_not_hold_shutdown_beyond_its_deadline() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let pipeline = pipeline_to(listener.local_addr().unwrap(), |_| {});
    tracing::dispatcher::with_default(&pipeline.dispatch, || drop(tracing::info_span!("lost")));
    let shutdown = pipeline.handle.shutdown(Duration::from_millis(50));
    let error = tokio::time::timeout(PATIENCE, shutdown).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("1 spans were not exported"), "{error}");
}

#[tokio::test]
async fn spans_beyond_the_queue_are_dropped_and_counted() {
    // Nobody listens, and the interval is longer than the test, so that nothing leaves the queue.
    let pipeline = pipeline_to(([127, 0, 0, 1], 9).into(), |otlp| {
        otlp.queue_spans = 3;
        otlp.interval = Duration::from_secs(3_600);
    });
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        tracing::dispatcher::with_default(&pipeline.dispatch, || {
            for number in 0..5 {
                tracing::info_span!("many", number).in_scope(|| {});
            }
        });
    });
    let dropped = ("obskit_spans_dropped_total{reason=queue_full}".to_owned(), 2);
    assert_eq!(series(&recorder.snapshotter()), [dropped]);
}

#[tokio::test]
async fn callers_and_callees_are_linked_in_the_forms_that_are_set_and_rules_decide_by_route() {
    let (address, received) = collector(StatusCode::OK).await;
    let mut otlp = OtlpConfig::new(&format!("http://{address}"));
    otlp.sampling = Sampling::new(Sampler::AlwaysOn).with_rule("/health*", Sampler::AlwaysOff);
    let pipeline = Pipeline::new(|config| {
        config.otlp = Some(otlp);
        config.propagators = Propagator::list("jaeger,b3").unwrap();
    });
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let app = Router::new()
        .route(
            "/work",
            get(|| async {
                let mut headers = HeaderMap::new();
                obs_tracing::http::propagate(&mut headers);
                headers
            }),
        )
        .route("/healthz", get(|| async { "ok" }))
        .layer(ObserveLayer::new());
    let send = |path: &'static str, b3: &'static str| {
        let request = Request::get(path).header("b3", b3).body(Body::empty()).unwrap();
        app.clone().oneshot(request)
    };
    let caller = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1";
    let response = send("/work", caller).await.unwrap();
    let sent = response.headers()["uber-trace-id"].to_str().unwrap().to_owned();
    assert!(
        sent.starts_with("80f198ee56343ba864fe8b2a57d3eff7:") && sent.ends_with(":0:1"),
        "{sent}"
    );
    assert!(response.headers()["b3"].to_str().unwrap().ends_with("-1"));
    assert!(!response.headers().contains_key("traceparent"));
    // A rule decides where the caller does not, and a caller that does is followed.
    send("/healthz", caller).await.unwrap();
    send("/work", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0").await.unwrap();
    send("/healthz", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1").await.unwrap();
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    let spans = received.spans();
    assert_eq!(spans.len(), 2, "{spans:?}");
    for span in spans {
        assert_eq!(hex(&span.trace_id), "80f198ee56343ba864fe8b2a57d3eff7");
        assert_eq!(hex(&span.parent_span_id), "e457b5a2e4d86bd1");
    }
}
