//! What the store says of itself through the `metrics` crate.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use obs_model::{Exemplar, Gather, Labels, ManualClock, MetricFamily, Sample, Timestamp};
use obs_query::{SeriesStore, StoreConfig, sample_on_grid};

#[derive(Default)]
struct Cell(AtomicU64);

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.0.store(value, Ordering::SeqCst);
    }
}

impl GaugeFn for Cell {
    fn increment(&self, value: f64) {
        self.0.fetch_add(value as u64, Ordering::SeqCst);
    }

    fn decrement(&self, value: f64) {
        self.0.fetch_sub(value as u64, Ordering::SeqCst);
    }

    fn set(&self, value: f64) {
        self.0.store(value as u64, Ordering::SeqCst);
    }
}

/// Counts observations.
impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct Recorded(Mutex<BTreeMap<String, Arc<Cell>>>);

impl Recorded {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        let labels: Vec<_> = key.labels().map(|l| format!("{}={}", l.key(), l.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    fn value(&self, name: &str) -> Option<u64> {
        Some(self.0.lock().unwrap().get(name)?.0.load(Ordering::SeqCst))
    }
}

impl Recorder for Recorded {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.cell(key))
    }
}

struct Nothing;

impl Gather for Nothing {
    fn gather(&self, _: &mut dyn FnMut(&MetricFamily)) {}
}

#[test]
fn whatever_is_refused_or_removed_is_counted_by_reason() {
    let recorded = Recorded::default();
    metrics::with_local_recorder(&recorded, || {
        let store = SeriesStore::new(StoreConfig {
            max_series: 1,
            max_samples: 2,
            retention: std::time::Duration::from_secs(100),
            ..StoreConfig::default()
        });
        let named = |name: &str| Labels::new([("__name__", name)]).unwrap();
        let at = |seconds: i64| Sample {
            timestamp: Timestamp::from_millis(seconds * 1_000),
            value: 1.0,
        };
        store.append(&named("a"), at(1_000)).unwrap();
        store.append(&named("a"), at(1_000)).expect("the same sample again is no error");
        assert!(store.append(&named("a"), Sample { value: 2.0, ..at(1_000) }).is_err());
        assert!(store.append(&named("a"), at(999)).is_err());
        assert!(store.append(&named("b"), at(1_000)).is_err());
        assert!(store.append(&named("b"), at(900)).is_err());
        assert!(store.append(&Labels::empty(), at(1_000)).is_err());
        store.append(&named("a"), at(1_001)).unwrap();
        store.append(&named("a"), at(1_002)).unwrap();
        assert_eq!(store.stats().samples, 0, "the only block is over the limit");
        store.append(&named("b"), at(1_003)).unwrap();
        store.ingest(Timestamp::from_millis(1_103_000), &Nothing);
        store.append(&named("a"), at(1_104)).unwrap();
        let exemplar = |seconds: i64, id: &str| Exemplar {
            labels: Labels::new([("trace_id", id)]).unwrap(),
            value: 1.0,
            timestamp: at(seconds).timestamp,
        };
        store.append_exemplar(&named("a"), exemplar(1_104, "x")).unwrap();
        for (series, seconds, id) in [
            ("a", 1_103, "x"),
            ("a", 1_000, "x"),
            ("a", 1_104, &*"x".repeat(121)),
            ("none", 1_104, "x"),
        ] {
            assert!(store.append_exemplar(&named(series), exemplar(seconds, id)).is_err());
        }
        store.ingest(Timestamp::from_millis(1_105_000), &Nothing);
    });
    for (name, expected) in [
        ("obskit_store_dropped_total{reason=duplicate}", 1),
        ("obskit_store_dropped_total{reason=out_of_order}", 1),
        ("obskit_store_dropped_total{reason=series_limit}", 1),
        ("obskit_store_dropped_total{reason=too_old}", 1),
        ("obskit_store_dropped_total{reason=unnamed}", 1),
        ("obskit_store_evicted_total{reason=sample_limit}", 3),
        ("obskit_store_evicted_total{reason=retention}", 1),
        ("obskit_store_exemplars_dropped_total{reason=out_of_order}", 1),
        ("obskit_store_exemplars_dropped_total{reason=too_old}", 1),
        ("obskit_store_exemplars_dropped_total{reason=labels_too_long}", 1),
        ("obskit_store_exemplars_dropped_total{reason=unknown_series}", 1),
        ("obskit_store_exemplars{}", 1),
        ("obskit_store_series{}", 1),
        ("obskit_store_samples{}", 1),
        ("obskit_store_ingest_duration_seconds{}", 2),
    ] {
        assert_eq!(recorded.value(name), Some(expected), "{name}");
    }
    assert_eq!(recorded.0.lock().unwrap().len(), 16, "and obskit_store_bytes");
}

#[test]
fn grid_times_that_passed_unseen_are_counted() {
    let recorded = Recorded::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_234)));
    let store = Arc::new(SeriesStore::new(StoreConfig::default()));
    metrics::with_local_recorder(&recorded, || {
        runtime.block_on(async {
            let sampling = tokio::spawn(sample_on_grid(store, Arc::new(Nothing), clock.clone()));
            tokio::task::yield_now().await;
            // From before the first tick, at 5 s, to after the fourth: three passed unseen.
            let by = std::time::Duration::from_secs(20);
            clock.advance(by);
            tokio::time::advance(by).await;
            tokio::task::yield_now().await;
            sampling.abort();
        });
    });
    assert_eq!(recorded.value("obskit_store_missed_ticks_total{}"), Some(3));
}
