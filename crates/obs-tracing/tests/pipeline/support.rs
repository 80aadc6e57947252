//! A pipeline that writes into memory, for the integration tests.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics_util::debugging::{DebugValue, Snapshotter};
use obs_model::{ManualClock, Resource, Timestamp};
use obs_tracing::{LogConfig, LogOutput, TracingHandle};
use serde_json::Value;
use tracing::Dispatch;

/// The longest that a test waits for another thread.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What was written so far.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("lines are UTF-8")
    }

    /// Every line, each of which must be one JSON object.
    pub(crate) fn json(&self) -> Vec<Value> {
        let text = self.text();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is not ended");
        text.lines()
            .map(|line| {
                let value: Value = serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("{error} in {line:?}"));
                assert!(value.is_object(), "{line}");
                value
            })
            .collect()
    }
}

pub(crate) struct Pipeline {
    pub(crate) dispatch: Dispatch,
    pub(crate) handle: TracingHandle,
    pub(crate) lines: Lines,
}

impl Pipeline {
    /// A pipeline for the service `test` whose clock stands at 2023-11-14T22:13:20.123Z.
    pub(crate) fn new(change: impl FnOnce(&mut LogConfig)) -> Self {
        let lines = Lines::default();
        let mut config = LogConfig::new(Resource::new("test"));
        config.output = LogOutput::Writer(Box::new(lines.clone()));
        config.clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_123)));
        change(&mut config);
        let (dispatch, handle) = obs_tracing::build(config).expect("the configuration is right");
        Self { dispatch, handle, lines }
    }

    /// What `work` logs, as text.
    pub(crate) fn text_of(&self, work: impl FnOnce()) -> String {
        tracing::dispatcher::with_default(&self.dispatch, work);
        self.handle.flush_blocking(PATIENCE).expect("memory takes every line");
        self.lines.text()
    }

    /// What `work` logs, read as JSON.
    pub(crate) fn json_of(&self, work: impl FnOnce()) -> Vec<Value> {
        self.text_of(work);
        self.lines.json()
    }

    pub(crate) fn written(&self) -> Vec<Value> {
        self.handle.flush_blocking(PATIENCE).expect("memory takes every line");
        self.lines.json()
    }
}

/// The series of a snapshot as `name{label=value,…}` in label order, with counts: a counter's value, or a
/// histogram's number of samples.
pub(crate) fn series(snapshotter: &Snapshotter) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let key = key.key();
            let mut labels: Vec<String> =
                key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
            labels.sort();
            let count = match value {
                DebugValue::Counter(count) => count,
                DebugValue::Histogram(samples) => samples.len() as u64,
                DebugValue::Gauge(value) => value.0 as u64,
            };
            (format!("{}{{{}}}", key.name(), labels.join(",")), count)
        })
        .collect();
    all.sort();
    all
}
