//! What a service exports by OTLP is read by the official definitions in Python, with nothing lost on the way.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::python;
use obskit::config::{OtlpProtocol, Temporality};
use obskit::logs::LogOutput;
use obskit::model::Context;
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("otlp_receiver.py");
const IMPORT: &str = "import grpc; import opentelemetry.proto.collector.logs.v1.logs_service_pb2";
const PACKAGES: [&str; 2] = ["opentelemetry-proto>=1.27,<2", "grpcio>=1.60,<2"];

/// A receiver in Python.
struct Receiver {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
    /// Where it takes OTLP over HTTP, and by gRPC.
    http: String,
    grpc: String,
}

impl Receiver {
    fn start(python: &Path) -> Self {
        let mut process = Command::new(python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        let mut first = String::new();
        said.read_line(&mut first).unwrap();
        let ports: Value = serde_json::from_str(&first).unwrap();
        let url = |kind: &str| format!("http://127.0.0.1:{}", ports[kind]);
        Self { process, said, http: url("http"), grpc: url("grpc") }
    }

    /// Ends it, and tells what it received.
    fn end(mut self) -> Vec<Value> {
        drop(self.process.stdin.take());
        let lines = self.said.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap());
        let received = lines.collect();
        assert!(self.process.wait().unwrap().success());
        received
    }
}

/// The lines that were logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The line that says this.
    fn saying(&self, message: &str) -> Value {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["message"] == message).unwrap()
    }
}

/// An order with a charge in it that fails.
fn work() {
    let context = Context::new().with_correlation("c-1".parse().unwrap()).with_user("u-1");
    let _entered = context.enter();
    tracing::info_span!("order", total = 9.5, "otel.kind" = "server").in_scope(|| {
        tracing::info!(target: "shop", cents = 950_i64, express = true, "ordered");
        tracing::warn_span!("charge", attempt = 2).in_scope(|| {
            let refused = std::io::Error::other("no such card");
            let error: &(dyn std::error::Error + 'static) = &refused;
            tracing::error!(target: "shop::pay", error, "not charged");
        });
    });
    metrics::counter!("orders_total", "kind" => "express").increment(3);
    metrics::gauge!("stock").set(2.5);
    for seconds in [0.25, 0.5] {
        metrics::histogram!("charge_seconds").record(seconds);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_reads_spans_logs_and_metrics_with_their_ids_parents_and_values() {
    check(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_reads_the_same_by_grpc_and_metrics_as_differences() {
    check(true).await;
}

#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
async fn check(is_grpc: bool) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let python = match python(folder, "opentelemetry-proto", IMPORT, &PACKAGES) {
        Ok(python) => python,
        Err(reason) => {
            eprintln!("SKIPPED: opentelemetry-proto cannot be installed: {reason}");
            return;
        }
    };
    let (receiver, lines) = (Receiver::start(&python), Lines::default());
    let endpoint = if is_grpc { receiver.grpc.clone() } else { receiver.http.clone() };
    let output = lines.clone();
    let obs = obskit::init("checkout")
        .without_environment()
        .log_output(LogOutput::Writer(Box::new(output)))
        .settings(move |settings| {
            settings.admin.enabled = false;
            settings.otlp.endpoint = Some(endpoint);
            let protocol = is_grpc.then_some(OtlpProtocol::Grpc);
            settings.otlp.traces_protocol = protocol;
            settings.otlp.metrics_protocol = protocol;
            settings.otlp.metrics_temporality =
                if is_grpc { Temporality::Delta } else { Temporality::Cumulative };
            settings.otlp.logs.protocol = protocol;
            settings.service.version = Some(String::from("1.4.2"));
            settings.shutdown_deadline = Duration::from_secs(30);
        })
        .start()
        .await
        .unwrap();
    work();
    let stopped = obs.shutdown().await;
    let received = receiver.end();
    let complaints: Vec<_> = received.iter().filter(|one| !one["complaint"].is_null()).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    stopped.unwrap();
    for one in &received {
        let resource = (&one["resource"]["service.name"], &one["resource"]["service.version"]);
        assert_eq!(resource, (&json!("checkout"), &json!("1.4.2")), "{one}");
    }
    spans_have_their_parents(&received, &lines);
    logs_have_the_ids_of_their_spans(&received, &lines);
    metrics_have_their_values(&received, if is_grpc { "DELTA" } else { "CUMULATIVE" });
}

/// The one that has these members.
#[track_caller]
fn the<'a>(received: &'a [Value], members: &[(&str, &str)]) -> &'a Value {
    let mut found =
        received.iter().filter(|one| members.iter().all(|(name, value)| one[*name] == **value));
    let one = found.next().unwrap_or_else(|| panic!("{members:?} is not among {received:#?}"));
    assert_eq!(found.next(), None, "{members:?} came twice");
    one
}

fn spans_have_their_parents(received: &[Value], lines: &Lines) {
    let order = the(received, &[("signal", "span"), ("name", "order")]);
    let charge = the(received, &[("signal", "span"), ("name", "charge")]);
    assert_eq!(order["parent"], "");
    assert_eq!(charge["parent"], order["span"]);
    assert_eq!(charge["trace"], order["trace"]);
    assert_eq!(
        (&order["kind"], &order["attributes"]["total"]),
        (&json!("SPAN_KIND_SERVER"), &json!(9.5))
    );
    assert_eq!(charge["attributes"]["attempt"], 2);
    for (span, message) in [(order, "ordered"), (charge, "not charged")] {
        let line = lines.saying(message);
        assert_eq!((&line["traceId"], &line["spanId"]), (&span["trace"], &span["span"]));
        assert!(span["nanos"].as_u64() > Some(0), "{span}");
    }
}

fn logs_have_the_ids_of_their_spans(received: &[Value], lines: &Lines) {
    for (message, scope, severity, text) in [
        ("ordered", "shop", "SEVERITY_NUMBER_INFO", "INFO"),
        ("not charged", "shop::pay", "SEVERITY_NUMBER_ERROR", "ERROR"),
    ] {
        let record = the(received, &[("signal", "log"), ("body", message)]);
        let line = lines.saying(message);
        assert_eq!((&record["trace"], &record["span"]), (&line["traceId"], &line["spanId"]));
        assert_eq!((&record["severity"], &record["text"]), (&json!(severity), &json!(text)));
        assert_eq!((&record["scope"], &record["flags"]), (&json!(scope), &json!(1)));
        let attributes = &record["attributes"];
        assert_eq!(
            (&attributes["correlation_id"], &attributes["user.id"]),
            (&json!("c-1"), &json!("u-1"))
        );
        assert_eq!(attributes["total"], 9.5);
        let millis = record["nanos"].as_i64().unwrap() / 1_000_000;
        let written: obskit::model::Timestamp =
            line["timestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(millis, written.as_millis());
    }
    let ordered = the(received, &[("body", "ordered")]);
    assert_eq!(
        (&ordered["attributes"]["cents"], &ordered["attributes"]["express"]),
        (&json!(950), &json!(true))
    );
    let failed = the(received, &[("body", "not charged")]);
    assert_eq!(failed["attributes"]["exception.message"], "no such card");
    assert!(failed["attributes"]["exception.type"].as_str().is_some_and(|name| !name.is_empty()));
}

fn metrics_have_their_values(received: &[Value], temporality: &str) {
    // Each is pushed at its interval and at the end: what counts is the last that came. A difference comes once.
    let last: BTreeMap<&str, &Value> = received
        .iter()
        .filter(|one| one["signal"] == "metric")
        .map(|one| (one["name"].as_str().unwrap(), one))
        .collect();
    let orders = last["orders_total"];
    assert_eq!(orders["type"], "sum");
    assert_eq!((orders["value"].as_f64(), &orders["monotonic"]), (Some(3.0), &json!(true)));
    assert_eq!(orders["temporality"], format!("AGGREGATION_TEMPORALITY_{temporality}"));
    assert_eq!(orders["attributes"], json!({"kind": "express"}));
    assert_eq!((&last["stock"]["type"], &last["stock"]["value"]), (&json!("gauge"), &json!(2.5)));
    let charges = last["charge_seconds"];
    assert_eq!(charges["value"], json!({"count": 2, "sum": 0.75}), "{charges}");
}
