//! Spans that wait on the disk outlive their process, whatever ends it.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use obs_delivery::{Spool, StoreSpool};
use obs_model::Resource;
use obs_store::{Store, StoreOptions};
use obs_tracing::{LogConfig, LogOutput, OtlpConfig, TracingHandle};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message;
use tracing::Dispatch;

const FOLDER: &str = "OBSKIT_TEST_SPAN_SPOOL";
const PATIENCE: Duration = Duration::from_secs(20);

/// Nobody listens there.
const AWAY: &str = "http://127.0.0.1:9/v1/traces";

fn pipeline(folder: &Path, version: &str, endpoint: &str) -> (Dispatch, TracingHandle, Store) {
    let (store, _) =
        Store::open(folder.join("state.redb"), StoreOptions::default()).expect("a file");
    let spool = StoreSpool::open(&store, "delivery/otlp_traces", 64 << 20).expect("a spool");
    let mut otlp = OtlpConfig::traces(endpoint).with_spool(Arc::new(spool));
    otlp.interval = Duration::from_millis(5);
    let mut config = LogConfig::new(Resource::new("worker").with_version(version));
    config.output = LogOutput::Writer(Box::new(std::io::sink()));
    config.otlp = Some(otlp);
    let (dispatch, handle) = obs_tracing::build(config).expect("the configuration is right");
    (dispatch, handle, store)
}

fn work(dispatch: &Dispatch, number: u64) {
    tracing::dispatcher::with_default(dispatch, || drop(tracing::info_span!("work", number)));
}

/// Closes spans and prints the number of each up to which they are in the spool, until it is killed.
#[test]
#[ignore = "is the process that is killed, and ends only so"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (dispatch, handle, _store) = pipeline(Path::new(&folder), "1.0", AWAY);
    for number in 0.. {
        work(&dispatch, number);
        if number % 100 == 99 && handle.flush_blocking(Duration::from_millis(20)).is_ok() {
            let promised = format!("spooled {number}\n");
            std::io::stderr().write_all(promised.as_bytes()).unwrap();
        }
    }
}

/// Lets the child run until it has promised something, and for a while more, and kills it. The answer is the last number that it
/// promised.
fn run_and_kill(folder: &Path, run_for: Duration) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("spooled ") && lines.read_line(&mut text).unwrap() > 0 {}
    std::thread::sleep(run_for);
    // On Unix this is `kill -9`.
    child.kill().unwrap();
    let _ = child.wait().unwrap();
    lines.read_to_string(&mut text).unwrap();
    let promised = text.lines().filter_map(|line| line.strip_prefix("spooled ")?.parse().ok());
    promised.max().unwrap_or_else(|| panic!("nothing was promised: {text}"))
}

/// How often each number came, with the version of the service that it came from.
type Received = Arc<Mutex<BTreeMap<(String, i64), u64>>>;

fn take(received: &Received, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).expect("the body is OTLP");
    let mut received = received.lock().unwrap();
    for of in &request.resource_spans {
        let attributes = &of.resource.as_ref().unwrap().attributes;
        let version = attributes.iter().find(|pair| pair.key == "service.version").unwrap();
        let Some(Any::StringValue(version)) = &version.value.as_ref().unwrap().value else {
            panic!("{version:?}")
        };
        for span in of.scope_spans.iter().flat_map(|scope| &scope.spans) {
            assert_eq!((span.name.as_str(), span.trace_id.len()), ("work", 16));
            let number = span.attributes.iter().find(|pair| pair.key == "number").unwrap();
            let Some(Any::IntValue(number)) = number.value.as_ref().unwrap().value else {
                panic!("{number:?}")
            };
            *received.entry((version.clone(), number)).or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_that_were_not_delivered_survive_kill_9_and_are_sent_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let promised = tokio::task::spawn_blocking(move || {
        [0, 40, 90].map(|millis| run_and_kill(&path, Duration::from_millis(millis)))
    });
    let promised = promised.await.unwrap();

    let received = Received::default();
    let taking = Arc::clone(&received);
    let app = Router::new()
        .route("/v1/traces", post(move |body: Bytes| async move { take(&taking, body) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let (dispatch, handle, store) = pipeline(folder.path(), "2.0", &endpoint);
    work(&dispatch, 7);
    let flushed = handle.clone();
    tokio::task::spawn_blocking(move || flushed.flush_blocking(PATIENCE)).await.unwrap().unwrap();
    let deadline = Instant::now() + PATIENCE;
    let rounds_with = |number: u64| promised.iter().filter(|last| **last >= number).count() as u64;
    let most = promised.iter().copied().max().unwrap();
    loop {
        let missing = {
            let received = received.lock().unwrap();
            (0..=most).find(|number| {
                let key = ("1.0".to_owned(), i64::try_from(*number).unwrap());
                received.get(&key).copied().unwrap_or(0) < rounds_with(*number)
            })
        };
        match missing {
            None => break,
            Some(number) => assert!(Instant::now() < deadline, "{number} of {promised:?} is lost"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(received.lock().unwrap().get(&("2.0".to_owned(), 7)), Some(&1));
    handle.shutdown(PATIENCE).await.unwrap();
    assert_eq!(StoreSpool::open(&store, "delivery/otlp_traces", 64 << 20).unwrap().len(), 0);
}

#[tokio::test]
async fn a_spool_with_no_room_for_a_span_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path().join("s"), StoreOptions::default()).unwrap();
    let spool = StoreSpool::open(&store, "delivery/otlp_traces", 64).unwrap();
    for (bytes, part) in [(1, "max_message_bytes is 0"), (100, "spool.max_bytes is 100")] {
        let mut otlp = OtlpConfig::traces(AWAY).with_spool(Arc::new(spool.clone()));
        otlp.spool_limits.max_bytes = bytes;
        let mut config = LogConfig::new(Resource::new("worker"));
        config.output = LogOutput::Writer(Box::new(std::io::sink()));
        config.otlp = Some(otlp);
        let error = obs_tracing::build(config).unwrap_err();
        assert!(error.is_config() && error.to_string().contains(part), "{error}");
    }
}

#[test]
fn what_a_collector_does_not_take_until_the_shutdown_is_on_the_disk_and_no_loss() {
    let folder = tempfile::tempdir().unwrap();
    let (dispatch, handle, store) = pipeline(folder.path(), "1.0", AWAY);
    (0..1_000).for_each(|number| work(&dispatch, number));
    handle.shutdown_blocking(Duration::from_millis(300)).unwrap();
    drop((dispatch, handle));
    assert_eq!(StoreSpool::open(&store, "delivery/otlp_traces", 64 << 20).unwrap().len(), 1_000);
}
