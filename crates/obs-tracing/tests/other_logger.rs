//! A service that has set a logger keeps it. One test, because there is one logger to a process.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use obs_model::Resource;
use obs_tracing::{LogConfig, LogOutput};

static RECORDS: AtomicUsize = AtomicUsize::new(0);

/// The service's own logger.
struct Counting;

impl log::Log for Counting {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, _: &log::Record<'_>) {
        RECORDS.fetch_add(1, Ordering::Relaxed);
    }

    fn flush(&self) {}
}

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

#[test]
fn a_service_that_has_a_logger_keeps_it_and_is_told() {
    log::set_logger(&Counting).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let lines = Lines::default();
    let mut config = LogConfig::new(Resource::new("test"));
    config.output = LogOutput::Writer(Box::new(lines.clone()));
    let handle = obs_tracing::install(config).unwrap();
    assert!(!handle.takes_log_crate());
    handle.set_filter("trace").unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Info);
    log::info!("said to the service's own");
    handle.shutdown_blocking(Duration::from_secs(10)).unwrap();
    assert_eq!(RECORDS.load(Ordering::Relaxed), 1);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("because it has a logger already"), "{text}");
    assert!(!text.contains("said to the service's own"), "{text}");
}
