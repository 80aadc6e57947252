//! What the HTTP layer does for each request.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::task::Poll;

use crate::support::{Pipeline, series};
use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::Context;
use obs_tracing::http::{ObserveLayer, propagate};
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn request(path: &str) -> http::request::Builder {
    Request::get(path)
}

async fn answer(app: Router, request: Request<Body>) -> Response<Body> {
    app.oneshot(request).await.expect("a router does not fail")
}

/// Logs before and after an await, in a spawned task and in an inner span.
async fn work() -> &'static str {
    tracing::info!("start");
    tokio::task::yield_now().await;
    let _ = obs_tracing::spawn(async {
        tokio::task::yield_now().await;
        tracing::info!("spawned");
    })
    .await;
    let _inner = tracing::info_span!("inner").entered();
    tracing::info!("in an inner span");
    "done"
}

fn app() -> Router {
    Router::new()
        .route("/orders/{id}", get(work))
        .route("/fails", post(|| async { StatusCode::BAD_GATEWAY }))
        .route("/panics", get(panics))
        .route("/hangs", get(|| async { std::future::pending::<()>().await }))
        .layer(ObserveLayer::new())
}

async fn panics() {
    tokio::task::yield_now().await;
    panic!("on purpose");
}

#[tokio::test]
async fn every_line_of_a_request_has_its_ids_and_the_header_comes_back() {
    let pipeline = Pipeline::new(|config| config.filter = "warn,pipeline=info,obskit=info".into());
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let sent = request("/orders/7")
        .header("X-Correlation-ID", "req-42")
        .header("traceparent", TRACEPARENT)
        .body(Body::empty())
        .unwrap();
    let response = answer(app(), sent).await;
    assert_eq!(response.headers()["x-correlation-id"], "req-42");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"done");

    let lines = pipeline.written();
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["start", "spawned", "in an inner span", "request finished"]);
    for line in &lines {
        assert_eq!(line["correlationId"], "req-42", "{line}");
        assert_eq!(line["traceId"], "0af7651916cd43dd8448eb211c80319c", "{line}");
        assert_ne!(line["spanId"], "b7ad6b7169203331", "{line}");
        assert_eq!(line["metadata"]["path"], "/orders/{id}", "{line}");
        assert_eq!(line["metadata"]["method"], "GET", "{line}");
    }
    assert_eq!(lines[0]["spanId"], lines[1]["spanId"]);
    assert_ne!(lines[0]["spanId"], lines[2]["spanId"]);
    assert_eq!(lines[3]["metadata"]["status"], 200);
    assert!(lines[3]["metadata"]["duration_ms"].as_f64().unwrap() >= 0.0);
}

#[tokio::test]
async fn a_hostile_header_is_replaced_counted_and_never_logged() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let too_long = "x".repeat(129);
    let secret = "AKIAIOSFODNN7EXAMPLE";
    for hostile in ["hostile {\"a\":1}", "hostile%0d%0a", "", &too_long, secret] {
        let sent = request("/orders/7")
            .header("X-Correlation-ID", hostile)
            .header("traceparent", "00-hostile-b7ad6b7169203331-01")
            .body(Body::empty())
            .unwrap();
        let response = answer(app(), sent).await;
        assert_eq!(response.headers()["x-correlation-id"].len(), 36);
    }
    let twice = request("/orders/7")
        .header("X-Correlation-ID", "hostile-1")
        .header("X-Correlation-ID", "hostile-2")
        .body(Body::empty())
        .unwrap();
    answer(app(), twice).await;
    let without = request("/orders/7").body(Body::empty()).unwrap();
    assert_eq!(answer(app(), without).await.headers()["x-correlation-id"].len(), 36);

    pipeline.written();
    let text = pipeline.lines.text();
    for kept_out in ["hostile", &too_long, secret] {
        assert!(!text.contains(kept_out), "{text}");
    }
    let replaced = ("obskit_correlation_replaced_total{}".to_owned(), 6);
    assert!(series(&recorder.snapshotter()).contains(&replaced));
}

#[tokio::test]
async fn each_request_is_counted_once_also_when_it_panics_or_is_given_up() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let app = app();
    let send =
        |builder: http::request::Builder| answer(app.clone(), builder.body(Body::empty()).unwrap());

    send(request("/orders/1")).await;
    send(request("/orders/2")).await;
    send(Request::post("/fails")).await;
    send(request("/no/such/path")).await;
    send(Request::builder().method("BREW").uri("/orders/1")).await;
    let caught = futures_catch(send(request("/panics"))).await;
    assert!(caught.is_err(), "the panic goes on");
    let mut given_up = Box::pin(send(request("/hangs")));
    poll_fn(|cx| {
        assert!(given_up.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(given_up);

    let seen: Vec<_> = series(&recorder.snapshotter())
        .into_iter()
        .filter(|(name, count)| name.starts_with("api_") && *count > 0)
        .collect();
    let expected = [
        ("api_errors_total{endpoint=/fails,method=POST}", 1),
        ("api_errors_total{endpoint=/panics,method=GET}", 1),
        ("api_request_duration_ms{endpoint=/fails,method=POST}", 1),
        ("api_request_duration_ms{endpoint=/hangs,method=GET}", 1),
        ("api_request_duration_ms{endpoint=/orders/{id},method=GET}", 2),
        ("api_request_duration_ms{endpoint=/orders/{id},method=OTHER}", 1),
        ("api_request_duration_ms{endpoint=/panics,method=GET}", 1),
        ("api_request_duration_ms{endpoint=unmatched,method=GET}", 1),
        ("api_requests_total{endpoint=/fails,method=POST,status=502}", 1),
        ("api_requests_total{endpoint=/hangs,method=GET,status=499}", 1),
        ("api_requests_total{endpoint=/orders/{id},method=GET,status=200}", 2),
        ("api_requests_total{endpoint=/orders/{id},method=OTHER,status=405}", 1),
        ("api_requests_total{endpoint=/panics,method=GET,status=500}", 1),
        ("api_requests_total{endpoint=unmatched,method=GET,status=404}", 1),
    ];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));

    let finished = pipeline.written().into_iter().filter(|l| l["message"] == "request finished");
    let statuses: Vec<_> =
        finished.map(|line| line["metadata"]["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [200, 200, 502, 404, 405, 500, 499]);
}

/// Runs a future and catches its panic.
async fn futures_catch<F: Future>(future: F) -> std::thread::Result<F::Output> {
    let mut future = Box::pin(future);
    poll_fn(move |cx| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
}

#[tokio::test]
async fn outgoing_requests_carry_the_ids_of_the_innermost_span() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let app = Router::new()
        .route(
            "/",
            get(|| async {
                let _calling = tracing::info_span!("calling").entered();
                tracing::info!("calling");
                let mut headers = HeaderMap::new();
                headers.insert("x-correlation-id", HeaderValue::from_static("stale"));
                propagate(&mut headers);
                headers
            }),
        )
        .layer(ObserveLayer::without_access_log());
    let sent = request("/")
        .header("X-Correlation-ID", "req-42")
        .header("traceparent", TRACEPARENT)
        .body(Body::empty())
        .unwrap();
    let response = answer(app, sent).await;
    let lines = pipeline.written();
    assert_eq!(lines.len(), 1);
    let expected =
        format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", lines[0]["spanId"].as_str().unwrap());
    assert_eq!(response.headers()["traceparent"], expected);
    assert_eq!(response.headers()["x-correlation-id"], "req-42");
}

#[tokio::test]
async fn without_a_subscriber_the_context_still_has_every_id() {
    let inner = service_fn(|_: Request<Body>| async {
        let context = Context::current();
        assert!(context.correlation().is_some() && context.trace().is_some());
        assert!(context.span().is_some());
        let mut response = Response::new(Body::empty());
        propagate(response.headers_mut());
        Ok::<_, Infallible>(response)
    });
    let sent = request("/").header("traceparent", TRACEPARENT).body(Body::empty()).unwrap();
    let response = ObserveLayer::new().layer(inner).oneshot(sent).await.unwrap();
    let traceparent = response.headers()["traceparent"].to_str().unwrap();
    assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{traceparent}");
}

#[tokio::test]
async fn requests_are_counted_under_the_names_of_http_where_that_is_asked_for() {
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let routes = || Router::new().route("/orders/{id}", get(|| async { "ok" }));
    let asked = routes().layer(ObserveLayer::without_access_log().with_http_metrics());
    let not_asked = routes().layer(ObserveLayer::without_access_log());
    for app in [asked, not_asked] {
        for (method, path) in [("GET", "/orders/1"), ("GET", "/orders/2"), ("BREW", "/nowhere")] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            answer(app.clone(), request).await;
        }
    }
    let seen: Vec<_> = series(&recorder.snapshotter())
        .into_iter()
        .filter(|(name, _)| name.starts_with("http_") || name.starts_with("api_requests_total"))
        .collect();
    let expected = [
        ("api_requests_total{endpoint=/orders/{id},method=GET,status=200}", 4),
        ("api_requests_total{endpoint=unmatched,method=OTHER,status=404}", 2),
        ("http_request_duration_seconds{method=GET,route=/orders/{id}}", 2),
        ("http_request_duration_seconds{method=_OTHER,route=unmatched}", 1),
        ("http_requests_total{method=GET,route=/orders/{id},status=200}", 2),
        ("http_requests_total{method=_OTHER,route=unmatched,status=404}", 1),
    ];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
}

/// The access line of one request, without what differs from request to request.
async fn access_line(app: &Router, pipeline: &Pipeline, sent: Request<Body>) -> String {
    let before = pipeline.written().len();
    let _ = answer(app.clone(), sent).await;
    pipeline.written();
    let text = pipeline.lines.text();
    let line = text.lines().skip(before).find(|line| line.contains("request finished"));
    let line = line.expect("the request has an access line").to_owned();
    let part = |name: &str| {
        let value = &line[line.find(name).expect(name) + name.len()..];
        value[..value.find([',', '}']).unwrap()].to_owned()
    };
    let (span, duration) = (part("\"spanId\":"), part("\"duration_ms\":"));
    line.replace(&span, "S").replace(&format!("\"duration_ms\":{duration}"), "\"duration_ms\":D")
}

#[tokio::test]
async fn an_access_line_is_the_same_whether_its_request_is_ordinary_or_not() {
    async fn touched() {
        tracing::Span::current().record("otel.kind", "server");
    }
    let paths = ["/plain", "/o\"d\\d/{id}", "/accounts/DE89370400440532013000"];
    for secret in [None, Some("path"), Some("duration_ms")] {
        let pipeline = Pipeline::new(|config| {
            config.line_memory = Some(1 << 20);
            if let Some(name) = secret {
                config.redactor = obs_model::Redactor::new().with_key(name);
            }
        });
        let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
        let app = |changes: bool| {
            let app = paths.iter().fold(Router::new(), |app, path| match changes {
                true => app.route(path, get(touched)),
                false => app.route(path, get(|| async {})),
            });
            app.layer(ObserveLayer::new())
        };
        let (ordinary, changed) = (app(false), app(true));
        for uri in ["/plain", "/o%22d%5Cd/7", "/accounts/DE89370400440532013000", "/nowhere"] {
            let sent = || {
                let head = request(uri).header("X-Correlation-ID", "req-42");
                head.header("traceparent", TRACEPARENT).body(Body::empty()).unwrap()
            };
            let line = access_line(&ordinary, &pipeline, sent()).await;
            assert_eq!(line, access_line(&changed, &pipeline, sent()).await);
            // The second one of a kind is put together from what the first one left.
            assert_eq!(line, access_line(&ordinary, &pipeline, sent()).await);
        }
        let lines = pipeline.handle.lines().expect("lines are kept");
        assert_eq!(lines.search(&Default::default()).lines.len(), 12);
    }
}

#[tokio::test]
async fn a_request_has_the_same_lines_and_span_whether_the_filter_goes_by_spans_or_not() {
    let mut seen = Vec::new();
    // Where it does, the span is opened as any other is.
    for filter in ["info", "info,[no_such_span]=debug"] {
        let pipeline = Pipeline::new(|config| {
            config.filter = filter.into();
            config.span_memory = Some(1 << 20);
        });
        let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
        for (method, path) in [("GET", "/orders/7"), ("POST", "/fails"), ("GET", "/nowhere")] {
            let head = Request::builder().method(method).uri(path);
            let head = head.header("X-Correlation-ID", "req-42").header("traceparent", TRACEPARENT);
            answer(app(), head.body(Body::empty()).unwrap()).await;
        }
        let mut lines = pipeline.written();
        for line in &mut lines {
            let line = line.as_object_mut().unwrap();
            assert!(line.remove("timestamp").is_some() && line.remove("spanId").is_some());
            if let Some(metadata) = line["metadata"].as_object_mut() {
                metadata.remove("duration_ms");
            }
        }
        let spans = pipeline.handle.finished_spans().expect("spans are kept");
        let spans = spans.find(&Default::default()).into_iter();
        let spans: Vec<_> = spans
            .map(|span| {
                (span.name, span.trace, span.parent, span.sampled, span.failed, span.fields)
            })
            .filter(|(name, ..)| *name == "http.request")
            .collect();
        assert_eq!(spans.len(), 3);
        seen.push((lines, spans));
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test]
async fn a_service_that_panics_before_its_future_is_made_counts_as_failed_and_leaves_nothing_entered()
 {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let mut service = ObserveLayer::new().layer(service_fn(panics_at_once));
    let request = request("/").body(Body::empty()).unwrap();
    let called = std::panic::catch_unwind(AssertUnwindSafe(|| service.call(request)));
    assert!(called.is_err(), "the panic goes on");
    assert!(Context::current().is_empty() && tracing::Span::current().is_none());
    let lines = pipeline.written();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["metadata"]["status"], 500);
}

fn panics_at_once(_: Request<Body>) -> std::future::Ready<Result<Response<Body>, Infallible>> {
    panic!("on purpose");
}

#[tokio::test]
async fn a_recorder_that_panics_about_a_handler_that_panicked_does_not_end_the_process() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let mut service = ObserveLayer::new().layer(service_fn(|_: Request<Body>| async {
        tokio::task::yield_now().await;
        panic!("in the handler") as Result<Response<Body>, Infallible>
    }));
    let mut future = Box::pin(service.call(request("/").body(Body::empty()).unwrap()));
    assert!(poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await);
    let poll = || {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        future.as_mut().poll(&mut cx).is_ready()
    };
    let panicked = metrics::with_local_recorder(&PanickingRecorder, || {
        std::panic::catch_unwind(AssertUnwindSafe(poll))
    });
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"in the handler"));
    assert!(Context::current().is_empty() && tracing::Span::current().is_none());
}

struct PanickingRecorder;

impl metrics::Recorder for PanickingRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        panic!("in the recorder");
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
