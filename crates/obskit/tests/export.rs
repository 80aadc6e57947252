//! Telemetry is sent at once: to what the settings name, and to a destination that is named on the spot.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::any;
use obskit::{ExportFormat, Signal};

/// The path of each request, one of its headers, and its body.
type Requests = Arc<Mutex<Vec<(String, String, Bytes)>>>;

async fn take(
    State(requests): State<Requests>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let key = headers.get("x-api-key").map_or("", |value| value.to_str().unwrap());
    requests.lock().unwrap().push((uri.path().to_owned(), key.to_owned(), body));
    let status = if uri.path() == "/refuses" { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    (status, r#"{"errors":false,"items":[{"create":{"status":201}}]}"#)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signal_goes_at_once_in_every_form_that_carries_it() {
    let requests = Requests::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(any(take)).with_state(Arc::clone(&requests));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let taken = || std::mem::take(&mut *requests.lock().unwrap());
    let paths = |requests: &[(String, String, Bytes)]| {
        let mut paths: Vec<String> = requests.iter().map(|(path, ..)| path.clone()).collect();
        paths.sort();
        paths.dedup();
        paths
    };

    let configured = format!("{base}/configured");
    let obs = obskit::init("exporting")
        .without_environment()
        .log_output(obskit::logs::LogOutput::None)
        .settings(move |settings| {
            settings.admin.enabled = false;
            settings.otlp.endpoint = Some(configured);
            settings.otlp.metrics_interval = Duration::from_secs(3_600);
            settings.log.level = "warn".to_owned();
            settings.otlp.traces_batch.items = 2;
            settings.otlp.logs.batch.items = 2;
        })
        .start()
        .await
        .unwrap();
    let telemetry = obs.telemetry();
    telemetry.meter().counter("jobs_total", &[]).increment(1);
    let span = telemetry.tracer().start_span("load_orders");
    span.in_scope(|| tracing::warn!(pieces = 3, password = "hunter2", "nearly out of stock"));
    span.finish();
    for number in 0..4 {
        telemetry.tracer().start_span("more").in_scope(|| tracing::warn!(number, "more"));
    }

    // Everything that the settings name, without waiting for its turn.
    obs.export(Duration::from_secs(10)).await.unwrap();
    let all = ["/configured/v1/logs", "/configured/v1/metrics", "/configured/v1/traces"];
    let sent = taken();
    assert_eq!(paths(&sent), all);
    // Five spans and five lines, two at most in a request.
    for path in [all[0], all[2]] {
        assert!(sent.iter().filter(|(to, ..)| to == path).count() >= 3, "{path}");
    }

    // Every signal by OTLP, uncompressed or not, to somewhere else.
    let export = obs.export_to(Signal::ALL, ExportFormat::Otlp, format!("{base}/support"));
    let report = export.header("x-api-key", "s3cret").export().await.unwrap();
    let sent: Vec<_> =
        taken().into_iter().filter(|(path, ..)| path.starts_with("/support")).collect();
    assert_eq!(paths(&sent), ["/support/v1/logs", "/support/v1/metrics", "/support/v1/traces"]);
    assert!(sent.iter().all(|(_, key, _)| key == "s3cret"));
    let trace = sent.iter().find(|(path, ..)| path.ends_with("traces")).unwrap();
    // Spans are not compressed; what happened in them goes with them, without secrets.
    let trace = String::from_utf8_lossy(&trace.2);
    for part in ["load_orders", "nearly out of stock", "pieces"] {
        assert!(trace.contains(part), "{part} is missing in {trace}");
    }
    assert!(!trace.contains("hunter2"), "{trace}");
    assert_eq!(report.delivered(Signal::Traces), 5);
    assert_eq!(report.delivered(Signal::Logs), 5);
    assert_eq!(report.delivered(Signal::Metrics), 1);

    // One signal in the form of its own kind of back end.
    for (signal, format, destination, path) in [
        (Signal::Metrics, "prometheus", "/api/v1/write", "/api/v1/write"),
        (Signal::Traces, "jaeger", "", "/v1/traces"),
        (Signal::Logs, "loki", "", "/loki/api/v1/push"),
        (Signal::Logs, "elasticsearch", "/logs", "/_bulk"),
    ] {
        let format: ExportFormat = format.parse().unwrap();
        let export = obs.export_to([signal], format, format!("{base}{destination}"));
        let report = export.last(Duration::from_secs(600)).export().await.unwrap();
        assert!(paths(&taken()).contains(&path.to_owned()), "{path}");
        // Remote write sends what the metrics mean in a request of its own.
        let expected = if signal == Signal::Metrics { 2 } else { 5 };
        assert_eq!(report.delivered(signal), expected, "{path}");
    }

    // What does not arrive is said, with how much and why.
    let export =
        obs.export_to([Signal::Metrics], ExportFormat::RemoteWrite, format!("{base}/refuses"));
    let error = export.export().await.unwrap_err();
    assert!(!error.is_config());
    let problem = &error.problems()[0];
    assert!(problem.starts_with("2 of 2 requests with metrics did not arrive ("), "{problem}");
    assert!(problem.contains("400"), "{problem}");
    taken();

    // What cannot be sent is refused whole, with everything that is wrong.
    let export = obs.export_to(Signal::ALL, ExportFormat::RemoteWrite, "mimir/push");
    let error = export.export().await.unwrap_err();
    assert!(error.is_config());
    let text = error.to_string();
    for part in ["no URL", "does not carry traces", "does not carry logs"] {
        assert!(text.contains(part), "{text}");
    }
    assert!("carrier pigeon".parse::<ExportFormat>().unwrap_err().is_config());
    assert_eq!(taken().iter().filter(|(path, ..)| !path.starts_with("/configured")).count(), 0);
    obs.shutdown().await.unwrap();
}
