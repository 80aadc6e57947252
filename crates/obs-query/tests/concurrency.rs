//! Reading while others write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use obs_model::{Labels, Sample, Timestamp};
use obs_query::{Selector, SeriesStore, StoreConfig, TimeRange, window};

#[test]
fn readers_see_whole_samples_in_order_while_writers_append() {
    let store = SeriesStore::new(StoreConfig {
        retention: Duration::from_secs(5_000),
        ..StoreConfig::default()
    });
    let done = AtomicBool::new(false);
    let series = |writer: i64| {
        Labels::new([("__name__", "ticks_total"), ("writer", &*writer.to_string())]).unwrap()
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let (store, labels) = (&store, series(writer));
                scope.spawn(move || {
                    for tick in 1..=5_000_i64 {
                        let at = Timestamp::from_millis(tick * 1_000);
                        store
                            .append(&labels, Sample { timestamp: at, value: tick as f64 })
                            .unwrap();
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            scope.spawn(|| {
                let selector = Selector::metric("ticks_total");
                while !done.load(Ordering::Acquire) {
                    for series in store.select(&selector, TimeRange::all()) {
                        let samples = &series.samples;
                        // Every value says its own time, so a torn or misplaced sample would show.
                        assert!(samples.iter().all(|s| s.value == s.timestamp.as_secs_f64()));
                        assert!(samples.windows(2).all(|w| w[0].timestamp < w[1].timestamp));
                        let last = samples[samples.len() - 1];
                        let snapshot =
                            store.latest(&selector, Timestamp::from_millis(i64::MAX / 2));
                        assert!(snapshot.is_empty(), "nothing is that new");
                        let now = store.latest(&selector, last.timestamp);
                        assert_eq!(now.value_of(&series.labels), Some(last.value));
                    }
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    for series in store.select(&Selector::metric("ticks_total"), TimeRange::all()) {
        let whole = TimeRange::last(Timestamp::from_millis(5_000_000), Duration::from_secs(5_000));
        assert_eq!(series.samples.len(), 5_000);
        assert_eq!(window::increase(&series.samples, &whole), Some(5_000.0));
    }
}
