//! What the registry records; a file of its own because the recorder belongs to the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use obs_health::{Check, CheckOutcome, HealthConfig, HealthRegistry};
use obs_model::ManualClock;

/// Gauges and the last observation of histograms, by name and label.
#[derive(Clone, Default)]
struct TestRecorder(Arc<Mutex<BTreeMap<String, Arc<AtomicU64>>>>);

struct Last(Arc<AtomicU64>);

impl HistogramFn for Last {
    fn record(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::SeqCst);
    }
}

impl TestRecorder {
    fn cell(&self, key: &Key) -> Arc<AtomicU64> {
        let label = key.labels().next().map_or("", |label| label.value());
        Arc::clone(self.0.lock().unwrap().entry(format!("{} {label}", key.name())).or_default())
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.0.lock().unwrap().get(name).map(|cell| f64::from_bits(cell.load(Ordering::SeqCst)))
    }
}

impl Recorder for TestRecorder {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Last(self.cell(key))))
    }
}

#[tokio::test]
async fn every_run_records_status_and_duration_and_a_removed_check_has_no_number() {
    let recorder = TestRecorder::default();
    metrics::set_global_recorder(recorder.clone()).expect("no other is set");
    let clock = Arc::new(ManualClock::default());
    let registry = HealthRegistry::new(HealthConfig::default(), clock.clone());
    let passing = Arc::clone(&clock);
    let slow = Check::new("degraded", move || {
        passing.advance(Duration::from_millis(250));
        async { CheckOutcome::degraded("slow") }
    });
    registry.add(slow).unwrap();
    registry.add(Check::new("healthy", || async { CheckOutcome::healthy() })).unwrap();
    registry.add(Check::new("unhealthy", || async { Err::<(), _>("gone") })).unwrap();

    let report = registry.report().await;
    assert_eq!(report.checks["degraded"].latency, Duration::from_millis(250));
    for (name, expected) in [("healthy", 1.0), ("degraded", 0.5), ("unhealthy", 0.0)] {
        let value = recorder.value(&format!("obskit_health_status {name}"));
        assert_eq!(value, Some(expected), "{name}");
    }
    let duration = recorder.value("obskit_health_check_duration_seconds degraded");
    assert_eq!(duration, Some(0.25));

    registry.remove("unhealthy");
    assert!(recorder.value("obskit_health_status unhealthy").is_some_and(f64::is_nan));
}
