//! What the store promises beside what the model test shows: batches, caps, kinds of samples, and being kept elsewhere.

use std::sync::Arc;
use std::time::Duration;

use obs_model::{Labels, Sample, Timestamp};
use obs_query::promql::{
    BucketSpan, Engine, HistogramSample, NativeHistogram, QueryValue, SampleValue,
};
use obs_query::{
    Queryable, STALE, SealedChunk, Selector, SeriesId, SeriesStore, StoreConfig, TimeRange,
};

fn named(name: &str, instance: usize) -> Labels {
    Labels::new([("__name__", name), ("instance", &format!("i{instance}"))]).unwrap()
}

fn sample(millis: i64, value: f64) -> Sample {
    Sample { timestamp: Timestamp::from_millis(millis), value }
}

fn histogram(millis: i64, counts: [f64; 3]) -> HistogramSample {
    let value = NativeHistogram {
        count: counts.iter().sum(),
        sum: counts.iter().sum::<f64>() * 1.5,
        positive_spans: vec![BucketSpan { offset: 0, length: 3 }],
        positive_buckets: counts.to_vec(),
        ..NativeHistogram::default()
    };
    HistogramSample { timestamp: Timestamp::from_millis(millis), value: Arc::new(value) }
}

fn all() -> Selector {
    r#"{__name__=~".+"}"#.parse().unwrap()
}

/// Everything that a store has, as text.
fn contents(store: &SeriesStore) -> Vec<String> {
    let floats = store.read(&all(), TimeRange::all()).into_iter().flat_map(|series| {
        let text = move |sample: &Sample| {
            format!("{} {} {:x}", series.labels, sample.timestamp, sample.value.to_bits())
        };
        series.samples.iter().map(text).collect::<Vec<_>>()
    });
    let natives = store.read_histograms(&all(), TimeRange::all()).into_iter().flat_map(|series| {
        let text = move |sample: &HistogramSample| {
            format!("{} {} {}", series.labels, sample.timestamp, sample.value)
        };
        series.samples.iter().map(text).collect::<Vec<_>>()
    });
    floats.chain(natives).collect()
}

fn value_at(store: &SeriesStore, query: &str, millis: i64) -> Vec<(String, SampleValue)> {
    let engine = Engine::default();
    let expr = engine.parse(query).unwrap();
    let answer = engine.instant(store, &expr, Timestamp::from_millis(millis), &|| false).unwrap();
    let QueryValue::Vector(points) = answer.value else { panic!("expected a vector") };
    points.into_iter().map(|point| (point.labels.to_string(), point.value)).collect()
}

#[test]
fn a_batch_stores_what_it_can_and_says_what_it_cannot() {
    let store = SeriesStore::new(StoreConfig::default());
    let ids: Vec<SeriesId> =
        (0..600).map(|instance| store.resolve(&named("up", instance)).unwrap()).collect();
    let at = Timestamp::from_millis;
    let ones: Vec<_> = ids.iter().map(|id| (*id, 1.0)).collect();
    assert_eq!(store.append_batch(at(1_000), &ones).appended, 600);
    let mut mixed = ones.clone();
    mixed[7].1 = 2.0;
    let report = store.append_batch(at(1_000), &mixed);
    assert_eq!((report.appended, report.repeated, report.refused.len()), (0, 599, 1));
    assert!(report.refused[0].0 == 7 && report.refused[0].1.is_duplicate());
    let report = store.append_batch(at(500), &ones[..2]);
    assert!(report.refused.iter().all(|(_, error)| error.is_out_of_order()));
    assert_eq!(store.stats().samples, 600);
}

#[test]
fn an_id_of_a_series_that_is_gone_is_told_and_never_reaches_another_series() {
    let store = SeriesStore::new(StoreConfig {
        retention: Duration::from_secs(60),
        max_series: 1,
        ..StoreConfig::default()
    });
    let gone = store.resolve(&named("a", 0)).unwrap();
    store.append_samples(gone, &[sample(0, 1.0)]);
    assert!(store.resolve(&named("b", 0)).unwrap_err().is_series_limit());
    store.append_samples(gone, &[sample(61_000, 1.0)]);
    store.ingest(Timestamp::from_millis(200_000), &Nothing);
    let other = store.resolve(&named("b", 0)).unwrap();
    let report = store.append_batch(Timestamp::from_millis(200_000), &[(gone, 5.0), (other, 6.0)]);
    assert_eq!(report.appended, 1);
    assert!(report.refused[0].1.is_unknown_series());
    assert_eq!(contents(&store).len(), 1);
    assert!(contents(&store)[0].starts_with("b{"));
}

struct Nothing;

impl obs_model::Gather for Nothing {
    fn gather(&self, _: &mut dyn FnMut(&obs_model::MetricFamily)) {}
}

#[test]
fn a_series_without_samples_goes_with_the_retention() {
    let store = SeriesStore::new(StoreConfig {
        retention: Duration::from_secs(60),
        ..StoreConfig::default()
    });
    store.resolve(&named("early", 0)).unwrap();
    store.append(&named("up", 0), sample(0, 1.0)).unwrap();
    store.resolve(&named("late", 0)).unwrap();
    assert_eq!(store.stats().series, 3);
    assert_eq!(store.series(&all(), TimeRange::all()).len(), 1);
    for tick in 1..=100 {
        store.append(&named("up", 0), sample(tick * 1_000, 1.0)).unwrap();
    }
    assert_eq!(store.label_values("__name__"), ["up"]);
}

#[test]
fn samples_of_any_time_are_taken_in_order_of_each_series() {
    let store = SeriesStore::new(StoreConfig::default());
    let hour = 3_600_000;
    for (instance, start) in [(0, 5 * hour), (1, -3 * hour), (2, 0)] {
        let labels = named("up", instance);
        for tick in 0..300 {
            store.append(&labels, sample(start + tick * 1_000, tick as f64)).unwrap();
        }
    }
    assert_eq!(store.stats().samples, 900);
    let error = store.append(&named("up", 3), sample(-20 * hour, 1.0)).unwrap_err();
    assert!(error.is_too_old(), "{error}");
    let far = SeriesStore::new(StoreConfig::default());
    far.append(&named("up", 0), sample(i64::MAX, 1.0)).unwrap();
    far.append(&named("up", 1), sample(i64::MAX - 1, 1.0)).unwrap();
    assert_eq!(far.stats().samples, 2);
}

#[test]
fn above_the_cap_on_bytes_the_oldest_chunks_of_all_series_go() {
    let limit = 1 << 20;
    let config = StoreConfig { max_bytes: limit, max_series: 1_000, ..StoreConfig::default() };
    let store = SeriesStore::new(config);
    let ids: Vec<_> = (0..100).map(|i| store.resolve(&named("noise", i)).unwrap()).collect();
    let mut random = 1_u64;
    for tick in 0..3_000 {
        let batch: Vec<_> = ids
            .iter()
            .map(|id| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (*id, f64::from_bits(random >> 2))
            })
            .collect();
        store.append_batch(Timestamp::from_millis(tick * 1_000), &batch);
        assert!(store.stats().bytes <= limit);
    }
    assert_eq!(store.stats().series, 100);
    let kept = store.read(&all(), TimeRange::all());
    let starts: Vec<_> = kept.iter().map(|series| series.samples[0].timestamp).collect();
    let (first, last) = (starts.iter().min().unwrap(), starts.iter().max().unwrap());
    assert!(last.since(*first) <= Duration::from_secs(120), "they reach equally far back");
    assert!(kept.iter().all(|series| series.samples.len() > 500));
}

#[test]
fn native_histograms_are_stored_and_queried_beside_numbers() {
    let store = SeriesStore::new(StoreConfig::default());
    let (native, plain) = (named("latency", 0), named("latency", 1));
    for tick in 0..100_i64 {
        let counts = [1.0, 2.0, 3.0].map(|count| count * tick as f64);
        store.append_histogram(&native, histogram(tick * 15_000, counts)).unwrap();
        store.append(&plain, sample(tick * 15_000, tick as f64)).unwrap();
    }
    assert_eq!(store.stats().samples, 200);
    let end = 99 * 15_000;
    let count = value_at(&store, "round(histogram_count(rate(latency[5m])), 0.1)", end);
    assert_eq!(count, [(r#"{instance="i0"}"#.to_owned(), SampleValue::Float(0.4))]);
    let quantile = value_at(&store, "histogram_quantile(0.5, latency)", end);
    assert!(
        matches!(&quantile[..], [(labels, SampleValue::Float(value))] if labels.contains("i0") && (1.0..=2.0).contains(value))
    );
    assert_eq!(value_at(&store, "latency", end).len(), 2);

    let again = store.append_histogram(&native, histogram(end, [99.0, 198.0, 297.0]));
    assert!(again.is_ok(), "the same once more");
    let other = store.append_histogram(&native, histogram(end, [0.0; 3]));
    assert!(other.unwrap_err().is_duplicate());
    let earlier = store.append_histogram(&native, histogram(0, [0.0; 3]));
    assert!(earlier.unwrap_err().is_out_of_order());
    assert!(store.append(&native, sample(end, 1.0)).unwrap_err().is_duplicate());

    let stale = NativeHistogram { sum: STALE, ..NativeHistogram::default() };
    let marker =
        HistogramSample { timestamp: Timestamp::from_millis(end + 1), value: Arc::new(stale) };
    store.append_histogram(&native, marker).unwrap();
    assert_eq!(value_at(&store, "latency", end + 1).len(), 1, "the series has ended");
    assert_eq!(value_at(&store, "count_over_time(latency[5m])", end + 1).len(), 2);
}

#[test]
fn native_histograms_are_evicted_and_counted_in_bytes_as_numbers_are() {
    let config = StoreConfig { max_samples: 300, ..StoreConfig::default() };
    let store = SeriesStore::new(config);
    for tick in 0..1_000 {
        let counts = [tick as f64, 1.0, 0.5];
        store.append_histogram(&named("latency", 0), histogram(tick * 1_000, counts)).unwrap();
        store.append(&named("up", 0), sample(tick * 1_000, 1.0)).unwrap();
        assert!(store.stats().samples <= 300);
    }
    let kept = store.read_histograms(&all(), TimeRange::all());
    assert_eq!(kept[0].samples.last().unwrap().timestamp, Timestamp::from_millis(999_000));
    let before = store.stats().bytes;
    store.ingest(Timestamp::from_millis(1_000_000_000), &Nothing);
    assert_eq!((store.stats().samples, store.stats().series), (0, 0));
    assert!(store.stats().bytes < before);
}

#[test]
fn what_is_given_out_makes_an_equal_store_again() {
    let store = SeriesStore::new(StoreConfig::default());
    let mut kept: Vec<SealedChunk> = Vec::new();
    for tick in 0..500_i64 {
        for instance in 0..3 {
            let jitter = if instance == 2 { tick * tick % 7 } else { 0 };
            let value = if tick == 300 { STALE } else { (tick * (instance + 1)) as f64 / 4.0 };
            let labels = named("counter", instance as usize);
            // One is an hour behind the others.
            let behind = if instance == 1 { 3_600_000 } else { 0 };
            store.append(&labels, sample(tick * 5_000 + jitter - behind, value)).unwrap();
        }
        let counts = [1.0, 2.0, tick as f64];
        store.append_histogram(&named("latency", 0), histogram(tick * 5_000, counts)).unwrap();
        if tick % 50 == 0 || tick == 499 {
            // As somebody would who keeps everything at once, in the order in which it may have to be loaded.
            kept.extend(store.take_open());
            while let taken @ [_, ..] = &store.take_sealed(1_000)[..] {
                kept.extend_from_slice(taken);
            }
        }
    }
    assert!(store.take_open().is_empty());
    kept.sort_by_key(|chunk| chunk.start);

    let again = SeriesStore::new(StoreConfig::default());
    let loaded: usize = kept.iter().map(|chunk| again.load(chunk).unwrap()).sum();
    assert_eq!(loaded, store.stats().samples);
    assert_eq!(contents(&again), contents(&store));
    assert!(again.take_open().is_empty(), "what was loaded has been kept");
    again.append(&named("counter", 0), sample(500 * 5_000, 1.0)).unwrap();
}

#[test]
fn chunks_that_are_full_are_taken_in_as_they_are_and_not_given_out_again() {
    let store = SeriesStore::new(StoreConfig::default());
    for tick in 0..400 {
        store.append(&named("up", 0), sample(tick * 5_000, tick as f64)).unwrap();
    }
    // The newest samples stay as they are, at least the 64 newest.
    let sealed = store.take_sealed(usize::MAX);
    assert_eq!(sealed.len(), 2);
    let again = SeriesStore::new(StoreConfig::default());
    assert_eq!(sealed.iter().map(|chunk| again.load(chunk).unwrap()).sum::<usize>(), 240);
    assert!(again.take_sealed(usize::MAX).is_empty());
    assert_eq!(again.load(&sealed[0]).unwrap(), 0, "it is there already");
}

#[test]
fn a_damaged_chunk_is_refused_and_does_no_harm() {
    let store = SeriesStore::new(StoreConfig::default());
    for tick in 0..200 {
        store.append(&named("up", 0), sample(tick * 5_000, tick as f64)).unwrap();
    }
    let sealed = store.take_sealed(usize::MAX).remove(0);
    let again = SeriesStore::new(StoreConfig::default());
    for end in 0..sealed.bytes.len() {
        let damaged = SealedChunk { bytes: sealed.bytes[..end].into(), ..sealed.clone() };
        assert!(again.load(&damaged).unwrap_err().is_invalid_chunk());
        assert!(damaged.samples().is_err() && damaged.histograms().is_err());
    }
    assert_eq!(again.stats().series, 0);
}

#[test]
fn what_a_selector_finds_follows_the_series_that_come_and_go() {
    let store = SeriesStore::new(StoreConfig {
        retention: Duration::from_secs(60),
        ..StoreConfig::default()
    });
    let selector: Selector = r#"{__name__=~"a|b",instance!="i1"}"#.parse().unwrap();
    let found = |store: &SeriesStore| {
        let series = store.series(&selector, TimeRange::all());
        series.iter().map(|labels| labels.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(found(&store), [""; 0]);
    let (a, b) = (r#"a{instance="i0"}"#, r#"b{instance="i0"}"#);
    store.append(&named("b", 0), sample(0, 1.0)).unwrap();
    assert_eq!(found(&store), [b]);
    store.append(&named("a", 0), sample(30_000, 1.0)).unwrap();
    store.append(&named("a", 1), sample(30_000, 1.0)).unwrap();
    assert_eq!(found(&store), [a, b]);
    store.append(&named("c", 0), sample(60_000, 1.0)).unwrap();
    assert_eq!(found(&store), [a], "b is past the retention");
    store.append(&named("b", 0), sample(61_000, 1.0)).unwrap();
    assert_eq!(found(&store), [a, b]);
}

#[test]
fn whoever_reads_holds_nothing_that_an_append_waits_for() {
    let store = SeriesStore::new(StoreConfig::default());
    let ids: Vec<_> = (0..300).map(|i| store.resolve(&named("up", i)).unwrap()).collect();
    let batch: Vec<_> = ids.iter().map(|id| (*id, 1.0)).collect();
    store.append_batch(Timestamp::from_millis(1_000), &batch);
    let mut shown = 0;
    store.scan(&all(), TimeRange::all(), &mut |series| {
        shown += 1;
        assert_eq!(series.samples.last().unwrap().timestamp.as_millis() % 1_000, 0);
        // From within the reading: this would never come back if the reading held a lock.
        let at = Timestamp::from_millis(1_000 + shown * 1_000);
        assert_eq!(store.append_batch(at, &batch).appended, 300);
        store.append(&named("more", shown as usize), sample(at.as_millis(), 1.0)).unwrap();
        std::ops::ControlFlow::Continue(())
    });
    assert_eq!(shown, 300, "what came since is not shown");
    assert_eq!(store.stats().series, 600);
}

#[test]
fn the_best_few_are_those_of_the_whole_vector() {
    let store = SeriesStore::new(StoreConfig::default());
    for instance in 0..50_usize {
        for tick in 0..20 {
            let value = ((instance * 37) % 50) as f64 * tick as f64;
            store.append(&named("work_total", instance), sample(tick * 15_000, value)).unwrap();
        }
    }
    let end = 19 * 15_000;
    // The sum with nothing else keeps the first from being read one series after the other.
    for query in ["topk(5, rate(work_total[5m]))", "bottomk(3, work_total)", "topk(0, work_total)"]
    {
        let whole = query.replace("work_total)", "work_total + 0)").replace("[5m])", "[5m]) + 0");
        let strip = |found: Vec<(String, SampleValue)>| {
            let text = |(labels, value): (String, SampleValue)| {
                format!("{} {value:?}", labels.trim_start_matches("work_total"))
            };
            found.into_iter().map(text).collect::<Vec<_>>()
        };
        let (found, expected) = (value_at(&store, query, end), value_at(&store, &whole, end));
        assert_eq!(strip(found), strip(expected), "{query}");
    }
}

#[test]
fn many_samples_of_one_series_go_in_at_once_and_what_is_refused_is_told_by_its_place() {
    let store = SeriesStore::new(StoreConfig::default());
    let id = store.resolve(&named("backfilled", 0)).unwrap();
    let mut samples: Vec<_> = (0..3_000).map(|tick| sample(tick * 1_000, tick as f64)).collect();
    samples[1_500] = samples[1_499];
    samples[2_500] = sample(0, 7.0);
    let report = store.append_samples(id, &samples);
    assert_eq!((report.appended, report.repeated, report.refused.len()), (2_998, 1, 1));
    assert!(report.refused[0].0 == 2_500 && report.refused[0].1.is_out_of_order());
    assert_eq!(contents(&store).len(), 2_998);
}
