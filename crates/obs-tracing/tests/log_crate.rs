//! Records of the `log` crate become lines. One test, because there is one logger to a process.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use obs_model::{Level, Resource};
use obs_tracing::http::ObserveLayer;
use obs_tracing::{CallsiteLimit, LogConfig, LogOutput};
use serde_json::{Value, json};
use tower::ServiceExt;

/// What was written so far.
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
    /// What was written since the last time.
    fn take(&self) -> Vec<Value> {
        log::logger().flush();
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn pay() -> &'static str {
    let error = std::io::Error::other("connection reset");
    log::warn!(target: "bank::client", user_id = "u-17", rows = 3, share = 0.5, ok = true,
        password = "hunter2", message = "mine", kind:? = Some(1), err:err = error;
        "paid with {}", "Bearer abcdefghijklmnopqrstuvwxyz012345");
    "ok"
}

#[tokio::test]
async fn a_record_of_the_log_crate_in_a_request_is_one_line_with_its_correlation_id() {
    let lines = Lines::default();
    let mut config = LogConfig::new(Resource::new("test"));
    config.output = LogOutput::Writer(Box::new(lines.clone()));
    config.filter = "warn,quiet=error".into();
    config.callsite_limit = Some(CallsiteLimit { lines: 2, period: Duration::from_secs(3_600) });
    let handle = obs_tracing::install(config).unwrap();
    assert!(handle.takes_log_crate());

    let router = axum::Router::new().route("/pay", get(pay)).layer(ObserveLayer::new());
    let request = Request::get("/pay").header("x-correlation-id", "c-1").body(Body::empty());
    router.oneshot(request.unwrap()).await.unwrap();
    let written = lines.take();
    let [line] = &written[..] else { panic!("expected one line: {written:?}") };
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["target"], "bank::client");
    assert_eq!(line["correlationId"], "c-1");
    assert_eq!(line["traceId"].as_str().unwrap().len(), 32);
    assert_eq!(line["userId"], "u-17");
    assert_eq!(line["error"]["message"], "connection reset");
    let metadata = &line["metadata"];
    assert_eq!((&metadata["rows"], &metadata["share"]), (&json!(3), &json!(0.5)));
    assert_eq!((&metadata["ok"], &metadata["kind"]), (&json!(true), &json!("Some(1)")));
    assert_eq!(metadata["log.message"], "mine");
    let text = line.to_string();
    assert!(line["message"].as_str().unwrap().starts_with("paid with Bearer "), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("abcdefghijklmnop"), "{text}");

    // The level follows the filter, so that what no target wants is not even put together.
    assert_eq!(log::max_level(), log::LevelFilter::Warn);
    log::info!("{}", panic_if_shown());
    log::warn!(target: "quiet", "not wanted");
    assert!(!log::log_enabled!(target: "quiet", log::Level::Warn));
    assert!(lines.take().is_empty());
    handle.control().set_level(Some("noisy"), Level::Debug, None).unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Debug);
    let debug = |target: &str| log::debug!(target: target, "detail");
    debug("other");
    debug("noisy");
    assert!(log::log_enabled!(target: "noisy", log::Level::Debug));
    let written = lines.take();
    assert_eq!((written.len(), &written[0]["target"]), (1, &json!("noisy")));
    handle.control().reset_level(Some("noisy"));
    debug("noisy");
    handle.set_filter("off").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    log::error!("not wanted");
    assert!(lines.take().is_empty());
    handle.set_filter("[pay]=trace,info").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Trace);

    // Places are limited one by one.
    (0..5).for_each(|number| log::info!("said {number} times"));
    log::info!("said once");
    let messages: Vec<Value> = lines.take().iter().map(|line| line["message"].clone()).collect();
    assert_eq!(messages, ["said 0 times", "said 1 times", "said once"]);

    // What has no place of its own is written all the same.
    let target = "t".repeat(300);
    log::info!(target: &target, rows = 7, token = "s3cr3t-value"; "far off");
    let written = lines.take();
    assert_eq!((&written[0]["target"], &written[0]["message"]), (&json!("log"), &json!("far off")));
    assert_eq!(written[0]["metadata"]["log.target"], target);
    assert_eq!(written[0]["metadata"]["rows"], 7);
    assert!(!written[0].to_string().contains("s3cr3t-value"));
    handle.shutdown(Duration::from_secs(10)).await.unwrap();
}

fn panic_if_shown() -> String {
    panic!("a record that nobody wants is put together")
}
