//! Samples over a restart: what was saved or logged is there again, whatever the end was like.
#![cfg(feature = "persist")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Labels, Sample, Timestamp};
use obs_query::persist::{PersistConfig, Persistence, Recovery, Written};
use obs_query::promql::{HistogramSample, NativeHistogram};
use obs_query::{Selector, SeriesStore, StoreConfig, TimeRange};
use obs_store::{QueueOptions, Store, StoreOptions};
use proptest::prelude::*;

const INTERVAL: i64 = 5_000;

fn labels(series: usize) -> Labels {
    Labels::new([("__name__", "requests_total".to_owned()), ("route", format!("/r{series}"))])
        .expect("valid")
}

fn sample(millis: i64, value: f64) -> Sample {
    Sample { timestamp: Timestamp::from_millis(millis), value }
}

struct Open {
    series: Arc<SeriesStore>,
    persistence: Persistence,
    recovery: Recovery,
    file: Store,
}

fn open_with(path: &Path, store: StoreConfig, config: PersistConfig) -> Open {
    let (file, opening) = Store::open(path, StoreOptions::default()).expect("opened");
    assert!(!opening.is_loss(), "{opening}");
    let series = Arc::new(SeriesStore::new(store));
    let (persistence, recovery) =
        Persistence::open(Arc::clone(&series), &file, config).expect("loaded");
    Open { series, persistence, recovery, file }
}

fn open(path: &Path) -> Open {
    open_with(path, StoreConfig::default(), PersistConfig::default())
}

/// The file as a crash at this moment would leave it.
fn crash(path: &Path) -> std::path::PathBuf {
    let copy = path.with_added_extension("crashed");
    std::fs::copy(path, &copy).expect("copied");
    copy
}

/// Every sample, by series and time, values by their bits.
fn everything(series: &SeriesStore) -> Vec<(String, Vec<(i64, u64)>)> {
    let selector: Selector = r#"{__name__=~".+"}"#.parse().expect("valid");
    let range = TimeRange {
        start: Timestamp::from_millis(i64::MIN),
        end: Timestamp::from_millis(i64::MAX),
    };
    let mut found: Vec<_> = series
        .select(&selector, range)
        .into_iter()
        .map(|series| {
            let samples = series.samples.iter();
            let samples =
                samples.map(|sample| (sample.timestamp.as_millis(), sample.value.to_bits()));
            (series.labels.to_string(), samples.collect())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn what_was_saved_is_there_after_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let first = open(&path);
    // Long enough for three sealed chunks of each series and a part of a fourth.
    for tick in 0..400 {
        for series in 0..20 {
            let value = (tick * (series + 1)) as f64;
            first
                .series
                .append(&labels(series), sample(tick as i64 * INTERVAL, value))
                .expect("appended");
        }
        first.persistence.save().expect("saved");
    }
    let second = open(&crash(&path));
    assert_eq!(everything(&second.series), everything(&first.series));
    assert_eq!(
        (second.recovery.series, second.recovery.samples, second.recovery.skipped),
        (20, 8_000, 0)
    );
    // It goes on from there, and a third start has both.
    for series in 0..20 {
        second.series.append(&labels(series), sample(400 * INTERVAL, 1.5)).expect("appended");
    }
    second.persistence.save().expect("saved");
    let third = open(&crash(second.file.path()));
    assert_eq!(everything(&third.series), everything(&second.series));
}

#[test]
fn a_checkpoint_leaves_a_log_of_what_is_not_sealed_and_nothing_is_lost_by_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let first = open(&path);
    for tick in 0..200 {
        first.series.append(&labels(0), sample(tick * INTERVAL, tick as f64)).expect("appended");
        first.persistence.save().expect("saved");
    }
    let log = first.file.queue(
        "samples/log",
        QueueOptions { max_bytes: u64::MAX, overflow: obs_store::Overflow::Refuse },
    );
    let log = log.expect("the log");
    assert_eq!(log.len(), 200, "one record for each saving");
    first.persistence.checkpoint().expect("saved");
    assert_eq!(log.len(), 1);
    let second = open(&crash(&path));
    assert_eq!(everything(&second.series), everything(&first.series));
}

#[test]
fn a_log_that_has_grown_is_written_anew_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let config = PersistConfig { checkpoint_bytes: 10_000, ..PersistConfig::default() };
    let first = open_with(&path, StoreConfig::default(), config);
    let mut largest = 0;
    for tick in 0..500 {
        for series in 0..10 {
            first
                .series
                .append(&labels(series), sample(tick * INTERVAL, 0.1 * tick as f64))
                .expect("appended");
        }
        first.persistence.save().expect("saved");
        let stats = first.file.stats();
        largest = largest.max(
            stats.tables.iter().find(|table| table.name == "samples/log").expect("open").bytes,
        );
    }
    assert!(largest < 60_000, "{largest}");
    let second = open(&crash(&path));
    assert_eq!(everything(&second.series), everything(&first.series));
}

#[test]
fn native_histograms_are_kept_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let first = open(&path);
    let histogram = |millis: i64| HistogramSample {
        timestamp: Timestamp::from_millis(millis),
        value: Arc::new(NativeHistogram {
            count: millis as f64,
            sum: 2.0 * millis as f64,
            ..NativeHistogram::default()
        }),
    };
    let logged = [histogram(1_000), histogram(2_000)];
    for sample in &logged {
        first.series.append_histogram(&labels(1), sample.clone()).expect("appended");
    }
    first
        .persistence
        .log(&[Written { labels: &labels(1), samples: &[], histograms: &logged }])
        .expect("logged");
    first.series.append_histogram(&labels(2), histogram(3_000)).expect("appended");
    first.persistence.save().expect("saved");
    let second = open(&crash(&path));
    assert_eq!((second.recovery.samples, second.recovery.skipped), (3, 0));
    let again = second.series.open_chunks(Timestamp::from_millis(i64::MIN));
    let histograms: Vec<_> =
        again.iter().flat_map(|chunk| chunk.histograms().expect("readable")).collect();
    assert!(
        histograms.contains(&logged[1]) && histograms.contains(&histogram(3_000)),
        "{histograms:?}"
    );
}

#[test]
fn what_is_past_the_retention_goes_from_the_disk_with_its_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let config = StoreConfig { retention: Duration::from_secs(3_600), ..StoreConfig::default() };
    let first = open_with(&path, config.clone(), PersistConfig::default());
    for tick in 0..240 {
        first.series.append(&labels(0), sample(tick * INTERVAL, 1.0)).expect("appended");
    }
    first.persistence.save().expect("saved");
    let segments = |open: &Open| {
        let stats = open.file.stats();
        stats.tables.iter().find(|table| table.name == "samples/segments").expect("open").entries
    };
    assert_eq!(segments(&first), 1);
    let later = 240 * INTERVAL + 2 * 3_600_000;
    first.series.append(&labels(1), sample(later, 1.0)).expect("appended");
    first.persistence.save().expect("saved");
    first.persistence.checkpoint().expect("saved");
    assert_eq!(segments(&first), 0);
    assert_eq!(
        first.file.table("samples/names").expect("a table").len(),
        1,
        "the other series is forgotten"
    );
    let second = open_with(&crash(&path), config, PersistConfig::default());
    assert_eq!(everything(&second.series), everything(&first.series));
}

#[test]
fn a_disk_that_fails_for_a_while_costs_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let elsewhere = folder.path().join("elsewhere");
    let first = open(&path);
    for tick in 0..300 {
        match tick {
            100 => std::fs::rename(&path, &elsewhere).expect("moved"),
            250 => std::fs::rename(&elsewhere, &path).expect("moved back"),
            _ => {}
        }
        first
            .series
            .append(&labels(tick as usize % 3), sample(tick * INTERVAL, tick as f64))
            .expect("appended");
        first.series.append(&labels(7), sample(tick * INTERVAL, tick as f64)).expect("appended");
        let saved = first.persistence.save();
        let fails = (100..250).contains(&tick);
        assert_eq!(saved.is_err(), fails, "tick {tick}");
        if let Err(error) = saved {
            assert!(error.as_state().is_some_and(obs_store::Error::is_vanished), "{error}");
        }
    }
    let second = open(&crash(&path));
    assert_eq!(everything(&second.series), everything(&first.series));
}

#[test]
fn records_that_cannot_be_read_are_counted_and_the_rest_is_loaded() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let first = open(&path);
    first.series.append(&labels(0), sample(0, 1.0)).expect("appended");
    first.persistence.save().expect("saved");
    let log = first
        .file
        .queue(
            "samples/log",
            QueueOptions { max_bytes: u64::MAX, overflow: obs_store::Overflow::Refuse },
        )
        .expect("the log");
    // A version that is not known, a record cut short, and a series that nobody named.
    log.push(
        &[&b"\x09"[..], b"\x01\x02", b"\x01\x7e\x02\x00\x04"],
        obs_store::Durability::Immediate,
    )
    .expect("pushed");
    first
        .file
        .table("samples/names")
        .expect("a table")
        .put(b"x", b"y", obs_store::Durability::Immediate)
        .expect("put");
    let second = open(&crash(&path));
    assert_eq!((second.recovery.samples, second.recovery.skipped), (1, 4));
    assert_eq!(everything(&second.series), everything(&first.series));
}

#[derive(Clone, Debug)]
enum Step {
    /// Some series get a sample each, by append and the next saving.
    Tick(Vec<u8>),
    /// One series gets several samples, appended and logged at once.
    Write(u8, u8),
    Save,
    Checkpoint,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(0_u8..6, 1..6).prop_map(Step::Tick),
        3 => (0_u8..6, 1_u8..200).prop_map(|(series, count)| Step::Write(series + 10, count)),
        8 => Just(Step::Save),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn after_any_history_a_crash_leaves_what_was_saved_or_logged(steps in prop::collection::vec(step(), 1..120)) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("samples.redb");
        let config = PersistConfig { checkpoint_bytes: 3_000, ..PersistConfig::default() };
        let mut now = open_with(&path, StoreConfig::default(), config.clone());
        let mut time = 0;
        let mut crashes = 0;
        for step in steps {
            time += INTERVAL;
            match step {
                Step::Tick(mut series) => {
                    series.sort_unstable();
                    series.dedup();
                    for series in series {
                        now.series.append(&labels(series.into()), sample(time, f64::from(series))).expect("appended");
                    }
                }
                Step::Write(series, count) => {
                    let labels = labels(series.into());
                    let samples: Vec<_> = (0..count).map(|index| sample(time + i64::from(index), 0.5)).collect();
                    for sample in &samples {
                        now.series.append(&labels, *sample).expect("appended");
                    }
                    now.persistence.log(&[Written { labels: &labels, samples: &samples, histograms: &[] }]).expect("logged");
                }
                Step::Save => now.persistence.save().expect("saved"),
                Step::Checkpoint => now.persistence.checkpoint().expect("saved"),
                Step::Restart => {
                    now.persistence.save().expect("saved");
                    let before = everything(&now.series);
                    crashes += 1;
                    let copy = folder.path().join(format!("{crashes}.redb"));
                    std::fs::copy(now.file.path(), &copy).expect("copied");
                    now = open_with(&copy, StoreConfig::default(), config.clone());
                    prop_assert_eq!(now.recovery.skipped, 0);
                    let after = everything(&now.series);
                    let counts = |all: &[(String, Vec<(i64, u64)>)]| {
                        all.iter().map(|(name, samples)| (name.clone(), samples.len())).collect::<Vec<_>>()
                    };
                    prop_assert_eq!(counts(&after), counts(&before));
                    prop_assert_eq!(after, before);
                }
            }
        }
    }
}

#[test]
fn in_a_file_that_is_too_small_the_oldest_chunks_go_and_saving_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let options = StoreOptions { max_bytes: obs_store::MIN_MAX_BYTES, ..StoreOptions::default() };
    let (file, _) = Store::open(&path, options).expect("opened");
    let series = Arc::new(SeriesStore::new(StoreConfig::default()));
    let config = PersistConfig { checkpoint_bytes: 200_000, ..PersistConfig::default() };
    let (persistence, _) = Persistence::open(Arc::clone(&series), &file, config).expect("loaded");
    let ids: Vec<_> =
        (0..200).map(|number| series.resolve(&labels(number)).expect("room")).collect();
    let mut random = fastrand::Rng::with_seed(5);
    for tick in 0..3_000 {
        let samples: Vec<_> = ids.iter().map(|id| (*id, random.f64())).collect();
        let at = Timestamp::from_millis(tick * INTERVAL);
        series.append_batch(at, &samples);
        if tick % 10 == 9 {
            persistence.save().expect("saved");
            assert!(file.stats().disk_bytes <= obs_store::MIN_MAX_BYTES);
        }
    }
    let evicted = file.stats().tables.iter().map(|table| table.evicted).sum::<u64>();
    assert!(evicted > 0, "it is too small");
    let second = open(&crash(&path));
    let (before, after) = (everything(&series), everything(&second.series));
    assert_eq!(after.len(), 200);
    for ((name, all), (again, kept)) in before.iter().zip(&after) {
        assert_eq!(name, again);
        assert!(kept.len() > 120 && all.ends_with(kept), "{name}: {} of {}", kept.len(), all.len());
    }
}
