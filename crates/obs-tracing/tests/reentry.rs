//! Logging that is called by logging. One test with a file of its own, because `tracing` lets only the
//! process-wide subscriber be entered again.

use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use obs_model::{Accepted, LogRecord, Resource, Sink};
use obs_tracing::{LogConfig, LogOutput};

/// What was written so far; it logs whenever it is written to.
#[derive(Clone, Default)]
struct ChattyOutput(Arc<Mutex<Vec<u8>>>);

impl Write for ChattyOutput {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        tracing::error!("the output itself logs");
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A sink that logs an error for each error.
#[derive(Default)]
struct ChattySink(AtomicUsize);

impl Sink<LogRecord> for ChattySink {
    fn accept(&self, _: LogRecord) -> Accepted {
        self.0.fetch_add(1, Ordering::SeqCst);
        tracing::error!("the sink itself logs");
        Accepted::Taken
    }
}

/// A `Debug` form that logs itself.
struct Chatty;

impl fmt::Debug for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!(again = ?Chatty, "while formatting");
        f.write_str("chatty")
    }
}

#[test]
fn logging_that_logs_comes_to_an_end() {
    let output = ChattyOutput::default();
    let sink = Arc::new(ChattySink::default());
    let mut config = LogConfig::new(Resource::new("test"));
    config.output = LogOutput::Writer(Box::new(output.clone()));
    config.error_sink = Some(Arc::clone(&sink) as Arc<dyn Sink<LogRecord>>);
    let handle = obs_tracing::install(config).unwrap();

    tracing::error!("an error");
    tracing::info_span!("chatty", value = ?Chatty).in_scope(|| {
        tracing::info!(value = ?Chatty, "outermost");
    });
    handle.shutdown_blocking(Duration::from_secs(10)).unwrap();

    assert_eq!(sink.0.load(Ordering::SeqCst), 1);
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    let messages: Vec<String> = text
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["message"].as_str().unwrap().to_owned()
        })
        .collect();
    let inner = "while formatting";
    assert_eq!(
        messages,
        ["an error", "the sink itself logs", inner, inner, inner, inner, "outermost"]
            .map(str::to_owned)
            .to_vec()
    );
}
