//! Outputs can be Loki, Elasticsearch and OTLP collectors, each by one URL, with a level, a filter and fields of its own.

use std::io::Read;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::routing::any;
use obs_delivery::{Spool, StoreSpool};
use obs_store::{Store, StoreOptions};

/// The path of each request, its headers, and its body as it was before it was compressed.
type Requests = Arc<Mutex<Vec<(String, HeaderMap, Vec<u8>)>>>;

async fn take(
    State(requests): State<Requests>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> &'static str {
    let is_gzip = headers.get("content-encoding").is_some_and(|value| value == "gzip");
    let mut plain = Vec::new();
    if is_gzip {
        flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut plain).unwrap();
    } else if uri.path().contains("loki") {
        plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
    }
    requests.lock().unwrap().push((uri.path().to_owned(), headers, plain));
    r#"{"errors":false,"items":[]}"#
}

fn has(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|part| part == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_of_every_kind_is_one_url_with_options() {
    let requests = Requests::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let router = Router::new().fallback(any(take)).with_state(Arc::clone(&requests));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("obskit.toml");
    let text = format!(
        r#"
        [service]
        environment = "production"
        [state]
        dir = {folder:?}
        [admin]
        enabled = false
        [log]
        outputs = "otlp://{host},elasticsearch://127.0.0.1:9/away"
        [[log.output]]
        url = "loki://writer:p%40ss@{host}"
        level = "warn"
        fields = "zone=eu-1"
        tenant = "payments"
        labels = "cluster=blue"
        label_fields = "level"
        [[log.output]]
        url = "elasticsearch://{host}/audit-%Y"
        name = "audit"
        only_targets = ["shop::audit"]
        fields = "environment=test"
        api_key = "aWQ6a2V5"
        pipeline = "geoip"
        "#,
        folder = folder.path().to_str().unwrap(),
    );
    std::fs::write(&file, text).unwrap();
    let obs = obskit::init("shop")
        .without_environment()
        .config_file(&file)
        .unwrap()
        .settings(|settings| {
            settings.shutdown_deadline = std::time::Duration::from_secs(2);
        })
        .start()
        .await
        .unwrap();
    tracing::info!(target: "shop::pay", "paid");
    tracing::warn!(target: "shop::audit", "refunded");
    let left = obs.shutdown().await;
    drop(left);

    let requests = requests.lock().unwrap();
    let to = |path: &str| {
        let all = requests.iter().filter(|(to, ..)| to == path);
        all.fold((String::new(), Vec::new()), |(_, bodies), (_, headers, body)| {
            let login = headers.get("authorization").map_or("", |value| value.to_str().unwrap());
            (login.to_owned(), [bodies.as_slice(), body].concat())
        })
    };
    let (_, otlp) = to("/v1/logs");
    assert!(has(&otlp, "paid") && has(&otlp, "refunded"));
    let (login, loki) = to("/loki/api/v1/push");
    assert_eq!(login, "Basic d3JpdGVyOnBAc3M=");
    assert!(has(&loki, r#"{cluster="blue",level="warn"}"#) && has(&loki, "refunded"));
    assert!(has(&loki, r#""zone":"eu-1""#) && has(&loki, r#""environment":"production""#));
    assert!(!has(&loki, "paid"));
    let tenant = requests.iter().find_map(|(_, headers, _)| headers.get("x-scope-orgid"));
    assert_eq!(tenant.unwrap(), "payments");
    let (login, audit) = to("/_bulk");
    assert_eq!(login, "ApiKey aWQ6a2V5");
    assert!(has(&audit, r#""_index":"audit-2"#) && has(&audit, r#""environment":"test""#));
    assert!(has(&audit, "refunded") && !has(&audit, "paid") && !has(&audit, "production"));

    let (store, _) =
        Store::open(folder.path().join("obskit.redb"), StoreOptions::default()).unwrap();
    let kept = StoreSpool::open(&store, "delivery/elasticsearch", 1 << 20).unwrap();
    assert!(kept.peek_from(0, 100, usize::MAX).unwrap().iter().any(|r| has(&r.bytes, "paid")));
    for sent in ["delivery/loki", "delivery/audit", "delivery/otlp"] {
        assert_eq!(StoreSpool::open(&store, sent, 1 << 20).unwrap().len(), 0, "{sent}");
    }
}
