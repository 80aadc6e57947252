//! A service that calls `obskit::init(…).start()` and nothing else is observed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use obskit::health::Check;
use obskit::http::ObserveLayer;
use obskit::logs::LogOutput;
use obskit::metrics::LabelRules;

/// What the service logs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn ask(address: SocketAddr, path: &str, header: &str) -> (u16, String) {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}\r\n");
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    (status, answer)
}

/// What is shown once a metric is there that a collector has yet to read.
async fn eventually_shown(admin: SocketAddr, metric: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, text) = ask(admin, "/metrics", "").await;
        if text.contains(&format!("\n{metric} ")) {
            return text;
        }
        assert!(Instant::now() < deadline, "no {metric} in {text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn fails() -> &'static str {
    tracing::info!("about to fail");
    if let Err(error) = "x".parse::<u32>() {
        obskit::errors::capture(&error);
    }
    let _ = tokio::spawn(async { panic!("on purpose") }).await;
    "failed"
}

async fn serve() -> SocketAddr {
    let router = Router::new()
        .route("/ok/{name}", get(|| async { "ok" }))
        .route("/fails", get(fails))
        .layer(ObserveLayer::new().with_http_metrics());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_observed_after_one_call() {
    let lines = Lines::default();
    let obs = obskit::init("one-call")
        .version("1.2.3")
        .without_environment()
        .settings(|settings| settings.admin.port = 0)
        .label_rules(LabelRules::new().pseudonyms(b"key", &["organization_id"]))
        .log_output(LogOutput::Writer(Box::new(lines.clone())))
        .health_check(Check::new("always", || async { Ok::<(), std::io::Error>(()) }))
        .start()
        .await
        .unwrap();
    let admin = obs.admin_address().unwrap();
    let service = serve().await;

    let (status, answer) = ask(service, "/ok/7", "X-Correlation-ID: one-call-1\r\n").await;
    assert_eq!(status, 200);
    assert!(answer.to_lowercase().contains("x-correlation-id: one-call-1"), "{answer}");
    assert_eq!(ask(service, "/fails", "X-Correlation-ID: one-call-2\r\n").await.0, 200);
    metrics::counter!("one_call_total", "kind" => "test").increment(3);
    obs.business().record_session("acme", "u-1");
    let rows = |rows: &u64| *rows;
    let query = obskit::db::Query::new("select").rows(rows).run(async { Ok::<_, String>(7_u64) });
    assert_eq!(query.await, Ok(7));
    obskit::tools::serve("search", None, async { Ok::<_, String>(()) }).await.unwrap();
    assert_eq!(obs.business().summary_of_last(Duration::from_secs(60)).sessions, 1);

    let text = eventually_shown(admin, "process_cpu_seconds_total").await;
    assert!(text.contains("user_sessions_total{") && !text.contains("acme"), "{text}");
    for line in [
        r#"api_requests_total{endpoint="/ok/{name}",method="GET",status="200"} 1"#,
        r#"one_call_total{kind="test"} 3"#,
        r#"obskit_errors_total{error_type="panic",mechanism="panic"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    // What is recorded by wrappers alone has the buckets of the catalogs.
    for (series, bounds) in [
        (
            r#"database_query_duration_seconds_bucket{operation="select","#,
            "0.001 0.01 0.1 0.5 1 2 5 +Inf",
        ),
        ("database_query_result_rows_bucket{", "1 10 100 1000 5000 10000 50000 +Inf"),
        (r#"tool_duration_seconds_bucket{tool_name="search","#, "0.01 0.1 0.5 1 2 5 10 30 +Inf"),
        (
            r#"http_request_duration_seconds_bucket{method="GET",route="/ok/{name}","#,
            "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf",
        ),
    ] {
        let shown = text.lines().filter_map(|line| line.strip_prefix(series)?.split('"').nth(1));
        assert_eq!(shown.collect::<Vec<_>>().join(" "), bounds, "{series}");
    }
    let (status, report) = ask(admin, "/api/health", "").await;
    assert!(status == 200 && report.contains(r#""version":"1.2.3""#), "{report}");
    let export = tracing::info_span!("export", rows = 7);
    let (_, spans) = ask(admin, "/api/obskit/v1/spans", "").await;
    assert!(spans.contains(r#""name":"export""#) && spans.contains(r#""rows":7"#), "{spans}");
    drop(export);
    let (_, level) = ask(admin, "/api/obskit/v1/loglevel", "").await;
    assert!(level.contains(r#""filter":"info""#), "{level}");
    let (_, groups) = ask(admin, "/api/obskit/v1/errors", "").await;
    assert!(groups.contains("ParseIntError") && groups.contains("on purpose"), "{groups}");
    assert_eq!(ask(admin, "/api/obskit/v1/alerts/rules", "").await.0, 200);
    assert!(ask(admin, "/", "").await.1.contains("one-call"));

    let second = obskit::init("second").without_environment().start().await.unwrap_err();
    assert!(second.is_already_set(), "{second}");

    obs.shutdown().await.unwrap();
    let text = lines.text();
    let of_second: Vec<&str> = text.lines().filter(|line| line.contains("one-call-2")).collect();
    assert!(of_second.iter().any(|line| line.contains("about to fail")), "{text}");
    assert!(TcpStream::connect(admin).is_err(), "the admin listener still listens");
}
