//! The main job as a user meets it: the service under load, and what its observability says of it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use interop::{
    Options, Process, Service, Webhook, binary, eventually, free_port, run, run_with_input,
};
use serde_json::{Value, json};

/// The only lint that promtool may have: names in `_ms`, which the requirements fix.
fn lints_that_matter(output: &str) -> Vec<&str> {
    output
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.contains("_ms "))
        .filter(|line| !line.contains("_ms_") && !line.contains("_ms:"))
        .collect()
}

#[test]
fn under_load_the_metrics_equal_the_clients_own_counts() {
    let service = Service::start(Options::default().arguments(&["--load", "100", "--for", "20s"]));
    let summary = eventually("the load's summary", Duration::from_secs(90), || {
        let text = service.stderr();
        text.contains("successful_analyses_total").then_some(text)
    });
    assert!(!summary.contains("DIFFERS"), "{summary}");
    assert!(summary.contains("equal"), "{summary}");
    let answered = summary
        .lines()
        .find(|line| line.contains("well-formed"))
        .and_then(|line| line.split_whitespace().find_map(|word| word.parse::<f64>().ok()));
    assert!(answered.is_some_and(|percent| percent > 99.0), "{summary}");

    let text = service.admin_get("/metrics");
    assert_eq!(text.status, 200);
    let (_, said) = run_with_input(Command::new("promtool").args(["check", "metrics"]), &text.body);
    assert_eq!(lints_that_matter(&said), Vec::<&str>::new(), "{said}");
    for family in [
        "analyst_workflow_executions_total",
        "analyst_workflow_duration_seconds_bucket",
        "analyst_workflow_active_executions",
        "analyst_workflow_step_executions_total",
        "analyst_workflow_step_duration_seconds_bucket",
        "analyst_tool_executions_total",
        "analyst_tool_duration_seconds_bucket",
        "analyst_tool_errors_total",
        "database_connections_active",
        "database_query_duration_seconds_bucket",
        "database_query_result_rows_bucket",
        "database_errors_total",
        "successful_analyses_total",
        "charts_created_total",
        "sql_queries_executed_total",
        "conversation_message_count_bucket",
        "user_sessions_total",
        "memory_usage_bytes",
        "streaming_accumulator_size_bytes_bucket",
        "conversation_history_size_bytes_bucket",
        "api_requests_total",
        "api_errors_total",
        "api_request_duration_ms_bucket",
    ] {
        assert!(text.text().lines().any(|line| line.starts_with(family)), "{family} is missing");
    }
    assert!(
        !text.text().contains("llm_requests_total{"),
        "no model answered, so none may be counted"
    );
    let (status, _, _) = service.interrupt();
    assert!(status.success(), "{status}");
}

#[test]
fn every_log_line_is_json_and_carries_the_correlation_id_that_was_sent() {
    let service = Service::start(Options::default());
    let answer = service.analyse(
        &[("X-Correlation-ID", "test-correlation-1")],
        r#"{"question": "Which airports have the most departures?", "chart": "bar"}"#,
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-correlation-id"), Some("test-correlation-1"));
    let hostile = service
        .analyse(&[("X-Correlation-ID", "evil {\"level\":\"ERROR\"}")], r#"{"sql": "SELECT 1"}"#);
    let replaced = hostile.header("x-correlation-id").unwrap_or_default().to_owned();
    assert_eq!(replaced.len(), 36, "a hostile id is replaced by a UUID: {replaced}");

    let (status, stdout, _) = service.interrupt();
    assert!(status.success(), "{status}");
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let of_request: Vec<&Value> =
        lines.iter().filter(|line| line["correlationId"] == "test-correlation-1").collect();
    assert!(of_request.len() >= 2, "{stdout}");
    let traces: Vec<&Value> = of_request.iter().map(|line| &line["traceId"]).collect();
    assert!(traces.iter().all(|trace| trace.is_string() && *trace == traces[0]), "{traces:?}");
    assert!(!stdout.contains("evil"), "a hostile id must not be logged");
}

#[test]
fn one_error_is_one_group_and_two_errors_are_two() {
    let service = Service::start(Options::default());
    for _ in 0..50 {
        assert_eq!(service.analyse(&[], r#"{"sql": "SELECT nothing FROM flights"}"#).status, 400);
    }
    let groups = |service: &Service| -> BTreeMap<String, u64> {
        let answer = service.admin_get("/api/obskit/v1/errors").json();
        let groups = answer["groups"].as_array().cloned().unwrap_or_default();
        groups
            .iter()
            .map(|group| {
                let name = group["fingerprint"].as_str().unwrap_or_default().to_owned();
                (name, group["count"].as_u64().unwrap_or(0))
            })
            .collect()
    };
    assert_eq!(groups(&service).into_values().collect::<Vec<_>>(), [50]);
    assert_eq!(service.analyse(&[], r#"{"sql": "SELECT * FROM nowhere"}"#).status, 400);
    let mut counts: Vec<u64> = groups(&service).into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 50]);
}

#[test]
fn a_failure_rate_alert_goes_from_pending_to_firing_to_resolved_and_is_sent_once_each_way() {
    let webhook = Webhook::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("obskit.toml");
    let config = format!(
        r#"
        [metrics]
        sample_interval = "1s"
        [alerts]
        check_interval = "1s"
        [[alerts.webhooks]]
        name = "listener"
        url = "{}"
        [[alerts.rules]]
        id = "many-failures"
        signal = "ratio"
        metric = 'analyst_workflow_executions_total{{status="error"}}'
        denominator = "analyst_workflow_executions_total"
        window = "10s"
        operator = ">"
        threshold = 0.5
        duration = "3s"
        severity = "critical"
        channels = ["listener"]
        "#,
        webhook.url()
    );
    std::fs::write(&file, config).unwrap();
    let service =
        Service::start(Options::default().variable("OBSKIT_CONFIG", &file.to_string_lossy()));
    let state = |service: &Service| {
        let alerts = service.admin_get("/api/obskit/v1/alerts").json();
        let alerts = alerts["alerts"].as_array().cloned().unwrap_or_default();
        let alert = alerts.iter().find(|alert| alert["ruleId"] == "many-failures")?;
        Some(alert["state"].as_str().unwrap_or_default().to_owned())
    };
    let mut seen = Vec::new();
    eventually("the alert's firing", Duration::from_secs(60), || {
        let _ = service.analyse(&[], r#"{"sql": "SELECT nothing FROM flights"}"#);
        if let Some(now) = state(&service)
            && seen.last() != Some(&now)
        {
            seen.push(now);
        }
        seen.iter().any(|state| state == "firing").then_some(())
    });
    assert_eq!(seen, ["pending", "firing"]);
    eventually("the alert's end", Duration::from_secs(60), || {
        let _ = service.analyse(&[], r#"{"sql": "SELECT 1"}"#);
        state(&service).is_none().then_some(())
    });
    let statuses = eventually("the second notification", Duration::from_secs(20), || {
        // OK because the service has rules of its own, which tell every channel.
        let of_rule = |body: &&Value| body["commonLabels"]["rule_id"] == "many-failures";
        let bodies = webhook.bodies();
        let statuses: Vec<Value> =
            bodies.iter().filter(of_rule).map(|body| body["status"].clone()).collect();
        (statuses.len() >= 2).then_some(statuses)
    });
    assert_eq!(statuses, [json!("firing"), json!("resolved")]);
}

#[test]
fn a_locked_database_is_named_by_health_while_liveness_stays() {
    let service = Service::start(Options::default());
    assert_eq!(service.admin_get("/api/health").status, 200);
    let mut command = Command::new("sqlite3");
    command.arg(service.database()).stdin(std::process::Stdio::piped());
    let mut lock = Process::start(command.stdout(std::process::Stdio::null()));
    let mut stdin = lock.stdin().unwrap();
    std::io::Write::write_all(&mut stdin, b"BEGIN EXCLUSIVE;\n").unwrap();
    let report = eventually("the health report's 503", Duration::from_secs(20), || {
        let answer = service.admin_get("/api/health");
        (answer.status == 503).then(|| answer.json())
    });
    assert_eq!(report["status"], "unhealthy");
    assert_eq!(report["checks"]["database"]["status"], "unhealthy");
    assert!(
        report["checks"]["database"]["message"].as_str().is_some_and(|text| text.contains("lock")),
        "{report}"
    );
    assert_eq!(service.admin_get("/api/health/ready").status, 503);
    assert_eq!(service.admin_get("/api/health/live").status, 200);
    let refused = service.analyse(&[], r#"{"sql": "SELECT count(*) FROM flights"}"#);
    assert_eq!(refused.status, 503, "{}", refused.text());
    drop(stdin);
    drop(lock);
    eventually("the recovery", Duration::from_secs(20), || {
        (service.admin_get("/api/health").status == 200).then_some(())
    });
}

#[test]
fn a_real_prometheus_scrapes_the_service_and_its_rate_answers() {
    check_scrape(&[]);
}

#[test]
fn a_real_prometheus_that_asks_for_protobuf_gets_the_same_answer() {
    check_scrape(&["--enable-feature=native-histograms"]);
}

fn check_scrape(flags: &[&str]) {
    let service = Service::start(Options::default());
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: analyst, static_configs: [{{targets: ['{}']}}]}}]\n",
        service.admin()
    );
    std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let _prometheus = Process::start(
        Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .args(flags)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null()),
    );
    let value = eventually("an answer from Prometheus", Duration::from_secs(60), || {
        let _ = service.analyse(&[], r#"{"sql": "SELECT 1"}"#);
        let query = "sum(rate(analyst_workflow_executions_total[1m]))";
        let (ok, said) = run(Command::new("promtool").args([
            "query",
            "instant",
            &format!("http://{address}"),
            query,
        ]));
        let value: f64 =
            said.split_whitespace().find(|word| *word != "{}" && *word != "=>")?.parse().ok()?;
        (ok && value > 0.0).then_some(value)
    });
    assert!(value.is_finite());
}

#[test]
fn go_tool_pprof_shows_the_services_functions() {
    let service = Service::start(Options::default().arguments(&["--load", "150", "--for", "12s"]));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}/debug/pprof/profile?seconds=5", service.admin());
    let (ok, said) = run(Command::new("go")
        .args(["tool", "pprof", "-top", &url])
        .env("PPROF_TMPDIR", folder.path())
        .env("HOME", folder.path()));
    assert!(ok, "{said}");
    assert!(said.contains("Type: cpu"), "{said}");
    assert!(said.contains("sqlite3") || said.contains("analyst::"), "{said}");
}

#[test]
fn the_console_shows_the_service_in_a_browser() {
    let service = Service::start(Options::default().arguments(&["--load", "50", "--for", "8s"]));
    eventually("the load's summary", Duration::from_secs(60), || {
        service.stderr().contains("achieved").then_some(())
    });
    let folder = tempfile::tempdir().unwrap();
    let (ok, page) = run(Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", folder.path().display()))
        .args(["--virtual-time-budget=3000", "--dump-dom"])
        .arg(format!("http://{}/", service.admin())));
    assert!(ok, "{page}");
    for part in ["analyst", "database", "healthy", "<svg", "AnalystError"] {
        assert!(page.contains(part), "{part} is missing from the console: {page}");
    }
}

#[test]
fn a_token_guards_everything_but_metrics_and_health() {
    let service = Service::start(Options::default().variable("OBSKIT_ADMIN_TOKEN", "a-long-token"));
    for open in ["/metrics", "/api/health", "/api/health/ready", "/api/health/live"] {
        assert_eq!(service.admin_get(open).status, 200, "{open}");
    }
    for guarded in
        ["/api/obskit/v1/errors", "/api/obskit/v1/alerts", "/debug/pprof/profile?seconds=1"]
    {
        assert_eq!(service.admin_get(guarded).status, 401, "{guarded}");
        let bearer = [("Authorization", "Bearer a-long-token")];
        let answer = interop::request(service.admin(), "GET", guarded, &bearer, b"").unwrap();
        assert_eq!(answer.status, 200, "{guarded}: {}", answer.text());
    }
    assert!(!service.stdout().contains("a-long-token"));
}

#[test]
fn bad_requests_get_clear_errors_and_the_service_keeps_serving() {
    let service = Service::start(Options::default());
    for (body, status) in [
        ("{", 400),
        (r#"{"question": "what is the meaning of life?"}"#, 422),
        (r#"{"sql": "DELETE FROM flights"}"#, 400),
        (r#"{"sql": "SELECT * FROM flights a, flights b LIMIT 100000"}"#, 422),
    ] {
        let answer = service.analyse(&[], body);
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.json()["error"].is_object(), "{}", answer.text());
    }
    let large = format!(r#"{{"sql": "SELECT '{}'"}}"#, "x".repeat(2 << 20));
    let answer = interop::post(service.api(), "/api/v2/analyses", &[], &large);
    assert!(answer.is_none_or(|answer| answer.status == 413));
    assert_eq!(service.analyse(&[], r#"{"sql": "SELECT 1"}"#).status, 200);
}

#[test]
fn a_bad_start_says_everything_that_is_wrong() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let database = tempfile::tempdir().unwrap();
    let start = |variables: &[(&str, &str)]| {
        run(Command::new(binary("analyst"))
            .args(["--listen", "127.0.0.1:0"])
            .args(["--database".as_ref(), database.path().join("a.db").as_os_str()])
            .envs(variables.iter().copied()))
    };
    let (ok, said) = start(&[("METRICS_PORT", &port)]);
    assert!(!ok && said.contains(&port) && said.contains("METRICS_PORT"), "{said}");
    let (ok, said) = start(&[("OBSKIT_CONFIG", "does-not-exist.toml"), ("LOG_FORMAT", "xml")]);
    assert!(!ok && said.contains("does-not-exist.toml") && said.contains("LOG_FORMAT"), "{said}");
}

#[test]
fn a_scraper_gets_the_format_that_it_asks_for_and_each_is_valid() {
    let service = Service::start(Options::default());
    assert_eq!(service.analyse(&[], r#"{"sql": "SELECT 1"}"#).status, 200);
    let scrape = |accept: &str| {
        interop::request(service.admin(), "GET", "/metrics", &[("Accept", accept)], b"").unwrap()
    };
    let check = |arguments: &[&str], document: &[u8]| {
        run_with_input(
            Command::new(binary("obskit")).args(["check", "metrics"]).args(arguments),
            document,
        )
    };
    let text = scrape("text/plain");
    assert!(text.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let (ok, said) = check(&[], &text.body);
    assert!(ok, "{said}");

    let open = scrape("application/openmetrics-text; version=1.0.0");
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let (ok, said) = check(&["--openmetrics"], &open.body);
    assert!(ok, "{said}");
    let (ok, said) = check(&["--openmetrics"], open.text().replace("# EOF\n", "").as_bytes());
    assert!(!ok, "an exposition that is cut off is not valid: {said}");

    let protobuf = scrape(
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    );
    assert!(protobuf.header("content-type").unwrap().contains("protobuf"));
    assert!(protobuf.text().contains("analyst_workflow_executions_total"));
}
