//! Sampling on the grid, with tokio's time paused and a manual clock that is moved along with it.

use std::sync::Arc;
use std::time::Duration;

use obs_model::{
    Clock, Gather, Labels, ManualClock, MetricFamily, MetricKind, MetricPoint, MetricValue,
    Timestamp,
};
use obs_query::{Selector, SeriesStore, StoreConfig, TimeRange, sample_on_grid};

const START_MS: i64 = 1_700_000_001_234;

/// A gauge whose value is the time at which it is read.
struct Reading(Arc<ManualClock>);

impl Gather for Reading {
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
        let value = MetricValue::Gauge(self.0.now().as_millis() as f64);
        visit(&MetricFamily {
            name: "reading".into(),
            help: "".into(),
            kind: MetricKind::Gauge,
            points: vec![MetricPoint { labels: Labels::empty(), value }],
        });
    }
}

struct Rig {
    clock: Arc<ManualClock>,
    store: Arc<SeriesStore>,
    sampling: tokio::task::JoinHandle<()>,
}

impl Rig {
    async fn start(source: impl FnOnce(Arc<ManualClock>) -> Arc<dyn Gather>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START_MS)));
        let store = Arc::new(SeriesStore::new(StoreConfig::default()));
        let source = source(Arc::clone(&clock));
        let sampling = tokio::spawn(sample_on_grid(store.clone(), source, clock.clone()));
        let rig = Self { clock, store, sampling };
        rig.settle().await;
        rig
    }

    /// Lets the wall clock and tokio's clock move on together.
    async fn advance(&self, millis: u64) {
        let by = Duration::from_millis(millis);
        self.clock.advance(by);
        tokio::time::advance(by).await;
        self.settle().await;
    }

    /// Lets the sampling run until it waits for time. There is one thread for blocking work, so the empty piece of it
    /// ends after the gathering, and the yields before and after let the sampling start it and see its end.
    async fn settle(&self) {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    fn samples(&self) -> Vec<(i64, i64)> {
        self.store
            .select(&Selector::metric("reading"), TimeRange::all())
            .into_iter()
            .flat_map(|series| series.samples)
            .map(|sample| (sample.timestamp.as_millis(), sample.value as i64))
            .collect()
    }
}

/// Runs a test with tokio's time paused and one thread for blocking work.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1)
        .build()
        .unwrap()
        .block_on(test);
}

fn reading(clock: Arc<ManualClock>) -> Arc<dyn Gather> {
    Arc::new(Reading(clock))
}

#[test]
fn samples_are_at_exact_multiples_of_the_interval_and_never_drift() {
    run(async {
        let rig = Rig::start(reading).await;
        for _ in 0..200 {
            rig.advance(997).await;
        }
        let samples = rig.samples();
        let first = 1_700_000_005_000;
        let last = START_MS + 200 * 997;
        let expected: Vec<_> = (first..=last).step_by(5_000).collect();
        assert_eq!(samples.iter().map(|(at, _)| *at).collect::<Vec<_>>(), expected);
        // Time moves in steps of 997 ms here, so a tick is read less than that after its time, however late it gets.
        assert!(samples.iter().all(|(at, read)| (0..997).contains(&(read - at))), "{samples:?}");
    });
}

#[test]
fn ticks_that_passed_unseen_are_skipped() {
    run(async {
        let rig = Rig::start(reading).await;
        rig.advance(3_766).await;
        rig.advance(27_500).await;
        rig.advance(2_500).await;
        let ticks: Vec<_> = rig.samples().iter().map(|(at, _)| at - 1_700_000_000_000).collect();
        assert_eq!(ticks, [5_000, 30_000, 35_000]);
    });
}

#[test]
fn a_clock_that_is_set_back_is_followed_once_it_catches_up() {
    run(async {
        let rig = Rig::start(reading).await;
        rig.advance(13_766).await;
        rig.clock.set(Timestamp::from_millis(1_700_000_006_000));
        for _ in 0..3 {
            rig.advance(4_500).await;
            rig.advance(500).await;
        }
        let ticks: Vec<_> = rig.samples().iter().map(|(at, _)| at - 1_700_000_000_000).collect();
        assert_eq!(ticks, [15_000, 20_000]);
    });
}

#[test]
fn a_source_that_panics_costs_its_tick_only() {
    run(async {
        struct Fragile(Arc<ManualClock>, Reading);
        impl Gather for Fragile {
            fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
                assert!(
                    self.0.now().as_millis() != 1_700_000_010_000,
                    "this tick fails on purpose"
                );
                self.1.gather(visit);
            }
        }
        let rig = Rig::start(|clock| Arc::new(Fragile(clock.clone(), Reading(clock)))).await;
        rig.advance(3_766).await;
        rig.advance(5_000).await;
        rig.advance(5_000).await;
        let ticks: Vec<_> = rig.samples().iter().map(|(at, _)| at - 1_700_000_000_000).collect();
        assert_eq!(ticks, [5_000, 15_000]);
        assert!(!rig.sampling.is_finished());
        rig.sampling.abort();
    });
}
