//! What the tests of this crate share: an engine on a clock, a channel that remembers, a recorder that counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use obs_alerts::{AlertConfig, AlertEngine};
use obs_model::{Accepted, AlertEvent, Clock, Labels, ManualClock, Sample, Sink, Timestamp};
use obs_query::{SeriesStore, StoreConfig};

/// When the tests begin.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// An engine with its store and its clock.
pub(crate) struct Bench {
    pub(crate) engine: Arc<AlertEngine>,
    pub(crate) store: Arc<SeriesStore>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(AlertConfig::default())
    }

    pub(crate) fn with(config: AlertConfig) -> Self {
        let store = Arc::new(SeriesStore::new(StoreConfig::default()));
        let clock = Arc::new(ManualClock::at(START));
        let engine =
            AlertEngine::new(config, Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>)
                .expect("a valid configuration");
        Self { engine: Arc::new(engine), store, clock }
    }

    /// An engine that tells one channel, which remembers.
    pub(crate) fn with_channel() -> (Self, Arc<Memory>) {
        let bench = Self::new();
        let memory = Arc::new(Memory::default());
        bench.engine.add_channel("memory", Arc::clone(&memory) as _).expect("a new name");
        (bench, memory)
    }

    /// Evaluates at the clock's time.
    pub(crate) fn evaluate(&self) -> Vec<AlertEvent> {
        self.engine.evaluate(self.clock.now())
    }

    pub(crate) fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Appends a sample at the clock's time.
    pub(crate) fn sample(&self, series: &str, value: f64) {
        let sample = Sample { timestamp: self.clock.now(), value };
        self.store.append(&labels(series), sample).expect("the store has room");
    }
}

/// Labels written as `name a=1 b=2`.
pub(crate) fn labels(text: &str) -> Labels {
    Labels::new(
        text.split_whitespace().map(|word| word.split_once('=').unwrap_or(("__name__", word))),
    )
    .expect("valid labels")
}

/// What changed, as `rule:state`.
pub(crate) fn names(events: &[AlertEvent]) -> Vec<String> {
    events.iter().map(|event| format!("{}:{}", event.rule_id, event.state.as_str())).collect()
}

/// A channel that remembers what it was told.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<AlertEvent>>);

impl Memory {
    pub(crate) fn events(&self) -> Vec<AlertEvent> {
        self.0.lock().expect("no test panics here").clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.events())
    }
}

impl Sink<AlertEvent> for Memory {
    fn accept(&self, event: AlertEvent) -> Accepted {
        self.0.lock().expect("no test panics here").push(event);
        Accepted::Taken
    }
}

/// A recorder whose counters and gauges can be read, by `name{label="value"}`.
#[derive(Default)]
pub(crate) struct Counts(Mutex<BTreeMap<String, Arc<AtomicU64>>>);

impl Counts {
    pub(crate) fn counter(&self, series: &str) -> u64 {
        self.cell(series.to_owned()).load(Ordering::SeqCst)
    }

    pub(crate) fn gauge(&self, series: &str) -> f64 {
        f64::from_bits(self.counter(series))
    }

    fn cell(&self, series: String) -> Arc<AtomicU64> {
        Arc::clone(self.0.lock().expect("no test panics here").entry(series).or_default())
    }

    fn cell_of(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<String> =
            key.labels().map(|label| format!("{}={:?}", label.key(), label.value())).collect();
        self.cell(format!("{}{{{}}}", key.name(), labels.join(",")))
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.cell_of(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.cell_of(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Observations(self.cell_of(key))))
    }
}

/// Counts a histogram's observations.
struct Observations(Arc<AtomicU64>);

impl metrics::HistogramFn for Observations {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
