//! What the client layer does for each call.

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;

use crate::support::{Pipeline, series};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, Request, Response, StatusCode};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::{Context, Redactor};
use obs_tracing::client::ClientLayer;
use obs_tracing::http::ObserveLayer;
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A service that answers with the status that the path names and the headers that it was sent.
async fn echo(request: Request<()>) -> Result<Response<()>, Infallible> {
    tracing::info!("sending");
    tokio::task::yield_now().await;
    let status = request.uri().path().trim_start_matches('/').parse().unwrap_or(200);
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    *response.headers_mut() = request.headers().clone();
    Ok(response)
}

fn request(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

#[tokio::test]
async fn a_call_has_a_span_of_its_own_that_the_callee_gets_as_parent() {
    let pipeline = Pipeline::new(|config| config.filter = "debug".into());
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let client = ClientLayer::new().layer(service_fn(echo));
    let uri = "https://ada:hunter2@stock.example:8443/404?page=2&api_key=12345";
    let app = Router::new()
        .route(
            "/",
            get(move || async move {
                tracing::info!("handling");
                client.oneshot(request(uri)).await.unwrap().headers().clone()
            }),
        )
        .layer(ObserveLayer::without_access_log());
    let sent = Request::get("/")
        .header("X-Correlation-ID", "req-42")
        .header("traceparent", TRACEPARENT)
        .body(Body::empty())
        .unwrap();
    let sent: HeaderMap = app.oneshot(sent).await.unwrap().headers().clone();

    let lines = pipeline.written();
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["handling", "sending", "call finished"]);
    for line in &lines {
        assert_eq!(line["correlationId"], "req-42", "{line}");
        assert_eq!(line["traceId"], "0af7651916cd43dd8448eb211c80319c", "{line}");
    }
    assert_ne!(lines[0]["spanId"], lines[1]["spanId"]);
    assert_eq!(lines[1]["spanId"], lines[2]["spanId"]);
    let parent =
        format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", lines[1]["spanId"].as_str().unwrap());
    assert_eq!(sent["traceparent"], parent);
    assert_eq!(sent["x-correlation-id"], "req-42");
    let metadata = &lines[2]["metadata"];
    let expected = "https://stock.example:8443/404?page=2&api_key=[redacted]";
    assert_eq!(metadata["url.full"], expected);
    for (name, value) in
        [("http.request.method", "GET"), ("server.address", "stock.example"), ("error.type", "404")]
    {
        assert_eq!(metadata[name], value, "{metadata}");
    }
    assert_eq!(metadata["server.port"], 8443);
    assert_eq!(metadata["http.response.status_code"], 404);
}

#[tokio::test]
async fn each_call_is_counted_once_however_it_ends_and_hosts_are_capped() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);

    let layer = ClientLayer::new();
    for uri in ["http://a.example/200", "http://a.example/503", "/200"] {
        layer.layer(service_fn(echo)).oneshot(request(uri)).await.unwrap();
    }
    let refuses = service_fn(|_: Request<()>| async {
        Err::<Response<()>, _>(std::io::Error::other("token=hunter2 was refused"))
    });
    layer.layer(refuses).oneshot(request("http://b.example/")).await.unwrap_err();
    let hangs =
        service_fn(|_: Request<()>| std::future::pending::<Result<Response<()>, Infallible>>());
    let mut given_up = Box::pin(layer.layer(hangs).oneshot(request("http://b.example/")));
    poll_fn(|cx| {
        assert!(given_up.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(given_up);
    let seen: Vec<_> = series(&recorder.snapshotter())
        .into_iter()
        .filter(|(name, _)| name.starts_with("http_client_requests_total"))
        .map(|(name, count)| (name.replace("http_client_requests_total", ""), count))
        .collect();
    let expected = [
        ("{host=a.example,method=GET,status=200}", 1),
        ("{host=a.example,method=GET,status=503}", 1),
        ("{host=b.example,method=GET,status=cancelled}", 1),
        ("{host=b.example,method=GET,status=error}", 1),
        ("{host=unknown,method=GET,status=200}", 1),
    ];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));

    let failed: Vec<_> =
        pipeline.written().into_iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["error"]["name"], "io::Error");
    assert_eq!(failed[0]["error"]["message"], "token=[redacted] was refused");

    for host in 0..200 {
        let uri = format!("http://{host}.example/");
        layer.layer(service_fn(echo)).oneshot(request(&uri)).await.unwrap();
    }
    let all = series(&recorder.snapshotter());
    let durations = all.iter().filter(|(name, _)| name.starts_with("http_client_request_duration"));
    assert_eq!(durations.count(), 101, "a, b, unknown and 97 more have a label, and the rest one");
}

#[tokio::test]
async fn a_call_outside_of_any_request_starts_a_correlation_id_and_keeps_its_peers_name() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let layer = ClientLayer::to("stock").with_redactor(Redactor::new().with_key("page"));
    let response =
        layer.layer(service_fn(echo)).oneshot(request("http://10.0.0.7/?page=2")).await.unwrap();
    let lines = pipeline.written();
    assert_eq!(lines[0]["correlationId"], response.headers()["x-correlation-id"].to_str().unwrap());
    assert_eq!(lines[0]["metadata"]["url.full"], "http://10.0.0.7/?page=[redacted]");
    assert!(Context::current().is_empty());
    let counted = "http_client_requests_total{host=stock,method=GET,status=200}".to_owned();
    assert!(series(&recorder.snapshotter()).contains(&(counted, 1)));
}

#[cfg(all(feature = "reqwest", feature = "otlp"))]
#[tokio::test]
async fn a_request_of_reqwest_carries_the_ids_and_is_counted() {
    use obs_tracing::client::SendObserved;

    let pipeline =
        Pipeline::new(|config| config.filter = "debug,hyper_util=off,reqwest=off".into());
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(|headers: HeaderMap| async { headers }));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client =
        reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls()).build().unwrap();
    let send = |uri: String| client.get(format!("{uri}?token=hunter2&sig=hunter2")).send_observed();
    let response = send(format!("http://{address}/")).await.unwrap();
    let lines = pipeline.written();
    let line = lines.iter().find(|line| line["message"] == "call finished").unwrap();
    assert_eq!(line["correlationId"], response.headers()["x-correlation-id"].to_str().unwrap());
    let traceparent = response.headers()["traceparent"].to_str().unwrap();
    assert!(traceparent.contains(line["spanId"].as_str().unwrap()), "{traceparent}");
    assert_eq!(
        line["metadata"]["url.full"],
        format!("http://{address}/?token=[redacted]&sig=[redacted]")
    );

    // A port that was just given back: nobody listens there.
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(send(format!("http://{closed}/")).await.unwrap_err().is_connect());
    let all = series(&recorder.snapshotter());
    for status in ["200", "error"] {
        let name =
            format!("http_client_requests_total{{host=127.0.0.1,method=GET,status={status}}}");
        assert!(all.contains(&(name, 1)), "{all:?}");
    }
    pipeline.written();
    assert!(!pipeline.lines.text().contains("hunter2"), "{}", pipeline.lines.text());
}

/// What reqwest wants even where nothing is encrypted, without a provider for the whole process.
#[cfg(all(feature = "reqwest", feature = "otlp"))]
fn tls() -> rustls::ClientConfig {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}
