//! With endpoints in the settings, metrics are pushed to them, and the last values at the shutdown.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;

/// The path of each request and two of its headers.
type Requests = Arc<Mutex<Vec<(String, String, String)>>>;

async fn take(State(requests): State<Requests>, uri: Uri, headers: HeaderMap) -> StatusCode {
    let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
    let seen = (uri.path().to_owned(), header("authorization").into(), header("x-team").into());
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
    obs.shutdown().await.unwrap();

    let requests = requests.lock().unwrap();
    let to = |path: &str| requests.iter().filter(|(to, ..)| to == path).collect::<Vec<_>>();
    assert!(to("/v1/traces").is_empty(), "spans are switched off");
    let otlp = to("/otlp/v1/metrics");
    assert!(!otlp.is_empty());
    assert!(otlp.iter().all(|(_, key, team)| key == "Bearer otlp-key" && team == "payments"));
    assert!(!to("/broken").is_empty(), "the endpoint itself is tried first");
    let written = to("/api/v1/write");
    assert!(!written.is_empty(), "the fallback takes over");
    assert!(written.iter().all(|(_, key, _)| key == "Basic dXNlcjpwYXNz"));
    for destination in ["otlp_metrics", "remote_write"] {
        let labels = [("destination", destination)];
        assert!(registry.value("obskit_push_samples_total", &labels) > Some(10.0), "{destination}");
    }
}
