//! With endpoints in the settings, metrics are pushed to them, and the last values at the shutdown.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use obskit::config::{Compression, Temporality};

/// The path of each request, two of its headers, and its body.
type Requests = Arc<Mutex<Vec<(String, String, String, Bytes)>>>;

async fn take(
    State(requests): State<Requests>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
    let (key, team) = (header("authorization").into(), header("x-team").into());
    let seen = (uri.path().to_owned(), key, team, body);
    requests.lock().unwrap().push(seen);
    if uri.path() == "/broken" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_in_the_settings_get_the_metrics() {
    let requests = Requests::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(any(take)).with_state(Arc::clone(&requests));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let obs = obskit::init("pushing")
        .without_environment()
        .settings(move |settings| {
            settings.admin.enabled = false;
            settings.otlp.traces_endpoint = Some(format!("{base}/v1/traces"));
            settings.otlp.traces = false;
            settings.otlp.metrics_endpoint = Some(format!("{base}/otlp/v1/metrics"));
            settings.otlp.headers = vec![("x-team".to_owned(), "payments".to_owned())];
            settings.otlp.api_key = Some("otlp-key".to_owned());
            settings.otlp.metrics_compression = Compression::None;
            settings.otlp.metrics_temporality = Temporality::Delta;
            settings.remote_write.endpoint = Some(format!("{base}/broken"));
            settings.remote_write.fallback = Some(format!("{base}/api/v1/write"));
            settings.remote_write.user = Some("user".to_owned());
            settings.remote_write.password = Some("pass".to_owned());
        })
        .start()
        .await
        .unwrap();
    metrics::counter!("jobs_total").increment(1);
    obs.telemetry().tracer().start_span("not exported").finish();
    let registry = obs.registry().clone();
    obs.export(Duration::from_secs(10)).await.unwrap();
    obs.shutdown().await.unwrap();

    let requests = requests.lock().unwrap();
    let to = |path: &str| requests.iter().filter(|(to, ..)| to == path).collect::<Vec<_>>();
    assert!(to("/v1/traces").is_empty(), "spans are switched off");
    let otlp = to("/otlp/v1/metrics");
    assert!(!otlp.is_empty());
    assert!(otlp.iter().all(|(_, key, team, _)| key == "Bearer otlp-key" && team == "payments"));
    let with = |name: &str| {
        let has = |body: &Bytes| body.windows(name.len()).any(|part| part == name.as_bytes());
        otlp.iter().filter(|(.., body)| has(body)).count()
    };
    assert!(with("obskit_metrics_series") >= 2, "a gauge is in every round");
    assert_eq!(with("jobs_total"), 1, "nothing was added to it after the first one");
    assert!(!to("/broken").is_empty(), "the endpoint itself is tried first");
    let written = to("/api/v1/write");
    assert!(!written.is_empty(), "the fallback takes over");
    assert!(written.iter().all(|(_, key, ..)| key == "Basic dXNlcjpwYXNz"));
    for destination in ["otlp_metrics", "remote_write"] {
        let labels = [("destination", destination)];
        assert!(registry.value("obskit_push_samples_total", &labels) > Some(10.0), "{destination}");
    }
}
