//! The pipeline as the subscriber of a whole process with several threads. One test, because there is one
//! process-wide subscriber.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use obs_model::{Context, Resource, WithContext};
use obs_tracing::{LogConfig, LogOutput};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn installed_for_the_process_it_keeps_tasks_apart_on_every_thread() {
    let lines = Lines::default();
    let mut config = LogConfig::new(Resource::new("test"));
    config.output = LogOutput::Writer(Box::new(lines.clone()));
    let handle = obs_tracing::install(config).unwrap();
    let mut second = LogConfig::new(Resource::new("second"));
    second.output = LogOutput::Writer(Box::new(std::io::sink()));
    assert!(obs_tracing::install(second).unwrap_err().is_already_installed());

    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let context =
                Context::new().with_correlation(format!("task-{number}").parse().unwrap());
            tokio::spawn(
                async move {
                    for _ in 0..10 {
                        tracing::info!(number, "outer");
                        tokio::task::yield_now().await;
                        let inner =
                            obs_tracing::spawn(async move { tracing::info!(number, "inner") });
                        inner.await.unwrap();
                    }
                }
                .in_context(context),
            )
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    handle.shutdown(Duration::from_secs(10)).await.unwrap();

    let mut seen = BTreeMap::new();
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let expected = format!("task-{}", line["metadata"]["number"]);
        assert_eq!(line["correlationId"], *expected);
        *seen.entry(expected).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 50);
    assert!(seen.values().all(|count| *count == 20));
}
