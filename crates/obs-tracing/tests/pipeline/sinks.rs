//! Sinks beside the output: who gets which lines, and in what form.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use obs_delivery::{Delivery, Message, SendError, SendFuture, Transport};
use obs_model::Level;
use obs_tracing::sink::{
    IntoSink, Line, LineSink, LogSink, SinkFilter, SinkStart, StartedSink, priority_of,
};
use obs_tracing::{LogConfig, LogFormat, LogOutput};
use serde_json::Value;

use crate::support::{PATIENCE, Pipeline};

/// Keeps every line it gets.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Value>>>);

impl LineSink for Kept {
    fn write(&mut self, line: &Line<'_>) {
        let value: Value = serde_json::from_slice(line.json()).expect("a line is JSON");
        assert_eq!(value["level"], line.level().as_str());
        assert_eq!(value["message"], line.message());
        self.0.lock().unwrap().push(value);
    }
}

impl Kept {
    fn messages(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
    }
}

fn with_sinks(sinks: Vec<LogSink>, change: impl FnOnce(&mut LogConfig)) -> Pipeline {
    Pipeline::new(|config| {
        config.filter = "debug".into();
        config.sinks = sinks;
        change(config);
    })
}

fn log_some(pipeline: &Pipeline) -> String {
    pipeline.text_of(|| {
        tracing::debug!("detail");
        tracing::info!(target: "shop::audit", kind = "payment", cents = 950, "paid");
        tracing::info!(target: "shop::auditor", kind = "payment", "reviewed");
        let span = tracing::info_span!("request", kind = "probe");
        span.in_scope(|| tracing::warn!(target: "shop::audit::probe", "probed"));
        tracing::error!(error = "lost", "failed");
    })
}

#[test]
fn each_sink_gets_what_passes_its_filter_in_order() {
    let all = [
        (SinkFilter::default(), vec!["detail", "paid", "reviewed", "probed", "failed"]),
        (SinkFilter::at(Level::Warn), vec!["probed", "failed"]),
        (SinkFilter::default().only_target("shop::audit"), vec!["paid", "probed"]),
        (
            SinkFilter::default().without_target("shop::audit").without_target("shop::auditor"),
            vec!["detail", "failed"],
        ),
        (SinkFilter::default().only_field("kind", "payment"), vec!["paid", "reviewed"]),
        (SinkFilter::default().only_field("cents", "950"), vec!["paid"]),
        (
            SinkFilter::at(Level::Info)
                .without_field("kind", "probe")
                .only_field("service", "test"),
            vec!["paid", "reviewed", "failed"],
        ),
    ];
    let kept: Vec<Kept> = all.iter().map(|_| Kept::default()).collect();
    let sinks = all.iter().zip(&kept).enumerate().map(|(at, ((filter, _), kept))| {
        LogSink::local(format!("sink-{at}"), kept.clone()).filtered(filter.clone())
    });
    let pipeline = with_sinks(sinks.collect(), |_| {});
    log_some(&pipeline);
    for ((filter, expected), kept) in all.iter().zip(&kept) {
        assert_eq!(kept.messages(), *expected, "{filter:?}");
    }
}

#[test]
fn sinks_get_json_with_their_own_fields_whatever_the_output_is() {
    for (format, output) in [
        (LogFormat::Json, true),
        (LogFormat::Text, true),
        (LogFormat::Logfmt, true),
        (LogFormat::Json, false),
    ] {
        let kept = Kept::default();
        let sink = LogSink::local("kept", kept.clone())
            .with_field("zone", "eu-1")
            .with_field("kind", "never");
        let pipeline = with_sinks(vec![sink], |config| {
            config.format = format;
            if !output {
                config.output = LogOutput::None;
            }
        });
        let text = log_some(&pipeline);
        assert_eq!(text.lines().count(), if output { 5 } else { 0 });
        assert!(!text.contains("eu-1"));
        let lines = kept.0.lock().unwrap().clone();
        assert_eq!(lines.len(), 5);
        assert_eq!(
            lines[1]["metadata"],
            serde_json::json!({"kind": "payment", "cents": 950, "zone": "eu-1"})
        );
        assert_eq!(lines[4]["metadata"], serde_json::json!({"zone": "eu-1", "kind": "never"}));
        assert_eq!(lines[4]["error"]["message"], "lost");
    }
}

/// Panics at every line.
struct Broken;

impl LineSink for Broken {
    fn write(&mut self, _: &Line<'_>) {
        panic!("this sink is broken");
    }
}

#[test]
fn a_sink_that_panics_takes_nothing_from_the_others() {
    let kept = Kept::default();
    let sinks = vec![LogSink::local("broken", Broken), LogSink::local("kept", kept.clone())];
    let pipeline = with_sinks(sinks, |_| {});
    assert_eq!(log_some(&pipeline).lines().count(), 5);
    assert_eq!(kept.messages().len(), 5);
}

/// A destination whose other side takes messages, or never does.
struct Remote {
    takes: bool,
    got: Arc<Mutex<Vec<String>>>,
}

struct Sender(Delivery);

impl LineSink for Sender {
    fn write(&mut self, line: &Line<'_>) {
        let message = Message::new(line.json().to_vec()).with_priority(priority_of(line.level()));
        // OK because the destination counts what it drops.
        let _ = self.0.offer(message);
    }
}

impl Transport for Remote {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        Box::pin(async move {
            tracing::error!("what the transport says must not come back to it");
            if !self.takes {
                return Err(SendError::passing("away"));
            }
            self.got.lock().unwrap().push(String::from_utf8_lossy(message.body()).into_owned());
            Ok(())
        })
    }
}

impl IntoSink for Remote {
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    fn start(self: Box<Self>, start: SinkStart) -> Result<StartedSink, String> {
        let delivery = start.destination().endpoint("only", *self).start();
        let delivery = delivery.map_err(|error| error.to_string())?;
        Ok(StartedSink::delivered(Sender(delivery.clone()), delivery))
    }
}

#[test]
fn a_destination_is_flushed_and_what_it_could_not_send_is_said_at_the_end() {
    let got = Arc::new(Mutex::new(Vec::new()));
    let remote = |takes| Remote { takes, got: Arc::clone(&got) };
    let pipeline = with_sinks(vec![LogSink::new("near", remote(true))], |_| {});
    log_some(&pipeline);
    assert_eq!(got.lock().unwrap().len(), 5);
    pipeline.handle.shutdown_blocking(PATIENCE).expect("everything is sent");

    let pipeline = with_sinks(vec![LogSink::new("far", remote(false))], |_| {});
    tracing::dispatcher::with_default(&pipeline.dispatch, || tracing::info!("never sent"));
    let error = pipeline.handle.shutdown_blocking(Duration::from_millis(200)).unwrap_err();
    assert!(error.is_undelivered());
    assert!(error.to_string().contains("1 log lines were not sent to far"), "{error}");
}

#[test]
fn all_that_is_wrong_with_the_sinks_is_said_at_once() {
    let mut config = LogConfig::new(obs_model::Resource::new("test"));
    let bad = obs_delivery::DeliveryConfig { capacity: 0, ..Default::default() };
    config.sinks = vec![
        LogSink::local("", Kept::default()),
        LogSink::local("twice", Kept::default()),
        LogSink::local("twice", Kept::default()).with_delivery(bad),
    ];
    let error = obs_tracing::build(config).map(|_| ()).unwrap_err();
    assert!(error.is_config());
    for part in ["an empty name", "two sinks are named \"twice\"", "capacity is 0"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}
