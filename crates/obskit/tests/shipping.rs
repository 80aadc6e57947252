//! With endpoints in the settings, log lines are sent to them; what cannot be sent is in the state file at the end.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::routing::any;
use obs_delivery::{Spool, StoreSpool};
use obs_store::{Store, StoreOptions};

/// The path of each request, one of its headers, and its body.
type Requests = Arc<Mutex<Vec<(String, String, Bytes)>>>;

async fn take(
    State(requests): State<Requests>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> &'static str {
    let authorization = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    requests.lock().unwrap().push((uri.path().to_owned(), authorization.to_owned(), body));
    r#"{"errors":false,"items":[]}"#
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_in_the_settings_get_the_lines_and_the_state_file_what_cannot_be_sent() {
    let requests = Requests::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(any(take)).with_state(Arc::clone(&requests));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();

    let variables = [
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{base}/otlp/logs")),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces".to_owned()),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "none".to_owned()),
        ("OTEL_API_KEY", "otlp-key".to_owned()),
        ("OBSKIT_ELASTICSEARCH_ENDPOINT", base.clone()),
        ("OBSKIT_ELASTICSEARCH_LEVEL", "warn".to_owned()),
        ("OBSKIT_ELASTICSEARCH_USER", "user".to_owned()),
        ("OBSKIT_ELASTICSEARCH_PASSWORD", "pass".to_owned()),
        ("OBSKIT_LOKI_ENDPOINT", "http://127.0.0.1:9".to_owned()),
        ("OBSKIT_LOKI_LABEL_FIELDS", "service, level, environment".to_owned()),
        ("OTEL_ENVIRONMENT", "production".to_owned()),
        ("OBSKIT_STATE_DIR", folder.path().to_str().unwrap().to_owned()),
        ("OBSKIT_STATE_MAX_MIB", "16".to_owned()),
    ];
    let obs = obskit::init("shipping")
        .without_environment()
        .settings(move |settings| {
            let variables = variables.map(|(name, value)| (name.to_owned(), value));
            settings.read_environment(variables).unwrap();
            settings.admin.enabled = false;
        })
        .start()
        .await
        .unwrap();
    tracing::info_span!("checkout").in_scope(|| tracing::info!("paid"));
    tracing::warn!("nearly out of stock");
    obs.shutdown().await.unwrap();

    let requests = requests.lock().unwrap();
    let to = |path: &str| {
        let all = requests.iter().filter(|(to, ..)| to == path);
        let parts = all.map(|(_, key, body)| (key.as_str(), body.as_ref()));
        parts.fold((String::new(), Vec::new()), |(_, all), (key, body)| {
            (key.to_owned(), [all.as_slice(), body].concat())
        })
    };
    let has =
        |body: &[u8], text: &str| body.windows(text.len()).any(|part| part == text.as_bytes());
    let (key, body) = to("/otlp/logs");
    assert_eq!(key, "Bearer otlp-key");
    assert!(has(&body, "paid") && has(&body, "nearly out of stock"));
    let (key, _) = to("/_bulk");
    assert_eq!(key, "Basic dXNlcjpwYXNz");

    let (store, _) =
        Store::open(folder.path().join("obskit.redb"), StoreOptions::default()).unwrap();
    let spool = StoreSpool::open(&store, "delivery/loki", 1 << 20).unwrap();
    let kept = spool.peek_from(0, 100, usize::MAX).unwrap();
    let line = kept.iter().find(|record| has(&record.bytes, "paid")).expect("it is kept");
    assert!(has(&line.bytes, r#"{environment="production",level="info",service="shipping"}"#));
    let spool = StoreSpool::open(&store, "delivery/otlp_traces", 1 << 20).unwrap();
    let kept = spool.peek_from(0, 100, usize::MAX).unwrap();
    assert!(kept.iter().any(|span| has(&span.bytes, "checkout") && has(&span.bytes, "shipping")));
    for sent in ["delivery/otlp_logs", "delivery/elasticsearch"] {
        assert_eq!(StoreSpool::open(&store, sent, 1 << 20).unwrap().len(), 0, "{sent}");
    }
}
