//! Tests of storing what was gathered.

use std::time::Duration;

use obs_model::{Bucket, MetricKind, MetricPoint, NativeBuckets};
use parking_lot::Mutex;

use super::*;
use crate::{Selector, StoreConfig, TimeRange};

/// A source whose families a test sets.
#[derive(Default)]
struct Source(Mutex<Vec<MetricFamily>>);

impl Source {
    fn set(&self, families: impl IntoIterator<Item = MetricFamily>) {
        *self.0.lock() = families.into_iter().collect();
    }
}

impl Gather for Source {
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
        self.0.lock().iter().for_each(visit);
    }
}

fn family(name: &str, points: &[(&str, MetricValue)]) -> MetricFamily {
    let points = points
        .iter()
        .map(|(job, value)| MetricPoint {
            labels: Labels::new([("job", job)]).unwrap(),
            value: value.clone(),
        })
        .collect();
    MetricFamily { name: name.into(), help: "".into(), kind: MetricKind::Gauge, points }
}

fn histogram(bounds: &[f64]) -> MetricValue {
    let buckets = (1..)
        .zip(bounds)
        .map(|(count, &upper_bound)| Bucket { upper_bound, cumulative_count: count })
        .collect();
    MetricValue::Histogram(HistogramSnapshot {
        buckets,
        sum: 7.5,
        count: bounds.len() as u64,
        ..HistogramSnapshot::default()
    })
}

fn at(tick: i64) -> Timestamp {
    Timestamp::from_millis(tick * 5_000)
}

/// Every series that has a value at `tick`, as text.
fn present(store: &SeriesStore, tick: i64) -> Vec<String> {
    let all: Selector = r#"{__name__=~".+"}"#.parse().unwrap();
    store
        .latest(&all, at(tick))
        .values()
        .map(|(labels, value)| format!("{labels} {value}"))
        .collect()
}

#[test]
fn a_histogram_becomes_buckets_a_sum_and_a_count() {
    let store = SeriesStore::new(StoreConfig::default());
    let source = Source::default();
    source.set([
        family("a_total", &[("x", MetricValue::Counter(2.0)), ("y", MetricValue::Counter(3.0))]),
        family("h", &[("x", histogram(&[0.005, 1.0, 2.5e6, f64::INFINITY]))]),
    ]);
    let report = store.ingest(at(1), &source);
    assert_eq!(report, IngestReport { series: 8, samples: 8, ended: 0, dropped: 0 });
    assert_eq!(
        present(&store, 1),
        [
            r#"a_total{job="x"} 2"#,
            r#"a_total{job="y"} 3"#,
            r#"h_bucket{job="x",le="+Inf"} 4"#,
            r#"h_bucket{job="x",le="0.005"} 1"#,
            r#"h_bucket{job="x",le="1"} 2"#,
            r#"h_bucket{job="x",le="2.5e+06"} 3"#,
            r#"h_count{job="x"} 4"#,
            r#"h_sum{job="x"} 7.5"#,
        ]
    );
}

#[test]
fn a_vanished_series_ends_at_once_and_may_come_back() {
    let store = SeriesStore::new(StoreConfig::default());
    let source = Source::default();
    let both = [("x", MetricValue::Gauge(1.0)), ("y", MetricValue::Gauge(2.0))];
    source.set([family("g", &both), family("other", &both[..1])]);
    store.ingest(at(1), &source);
    source.set([family("g", &both[..1])]);
    let report = store.ingest(at(2), &source);
    assert_eq!(report, IngestReport { series: 1, samples: 1, ended: 2, dropped: 0 });
    assert_eq!(present(&store, 1).len(), 3);
    assert_eq!(present(&store, 2), [r#"g{job="x"} 1"#]);
    assert_eq!(store.ingest(at(3), &source).ended, 0, "a series ends once");

    source.set([family("g", &both)]);
    store.ingest(at(4), &source);
    assert_eq!(present(&store, 4).len(), 2);
    let y = Selector::metric("g").equal("job", "y");
    let values: Vec<_> =
        store.select(&y, TimeRange::all())[0].samples.iter().map(|s| s.value).collect();
    assert_eq!(values, [2.0, 2.0], "a range selector skips the marker");
}

#[test]
fn a_histogram_with_other_bounds_ends_the_buckets_that_it_no_longer_has() {
    let store = SeriesStore::new(StoreConfig::default());
    let source = Source::default();
    source.set([family("h", &[("x", histogram(&[1.0, 2.0, f64::INFINITY]))])]);
    store.ingest(at(1), &source);
    source.set([family("h", &[("x", histogram(&[1.0, 4.0, f64::INFINITY]))])]);
    let report = store.ingest(at(2), &source);
    assert_eq!(report, IngestReport { series: 5, samples: 5, ended: 1, dropped: 0 });
    assert!(present(&store, 2).iter().any(|line| line.contains(r#"le="4""#)));
    assert!(!present(&store, 2).iter().any(|line| line.contains(r#"le="2""#)));
}

#[test]
fn sources_with_feeds_of_their_own_do_not_end_each_others_series() {
    let store = SeriesStore::new(StoreConfig::default());
    let (first, second) = (Source::default(), Source::default());
    first.set([family("a", &[("x", MetricValue::Gauge(1.0))])]);
    second.set([family("b", &[("x", MetricValue::Gauge(1.0))])]);
    let (mut one, mut two) = (Feed::new(), Feed::new());
    for tick in 1..4 {
        assert_eq!(store.ingest_feed(&mut one, at(tick), &first).ended, 0);
        assert_eq!(store.ingest_feed(&mut two, at(tick), &second).ended, 0);
    }
    assert_eq!(present(&store, 3).len(), 2);
}

#[test]
fn a_gauge_with_the_markers_bits_is_only_nan() {
    let store = SeriesStore::new(StoreConfig::default());
    let source = Source::default();
    source.set([family("g", &[("x", MetricValue::Gauge(STALE))])]);
    store.ingest(at(1), &source);
    assert_eq!(present(&store, 1), [r#"g{job="x"} NaN"#]);
}

#[test]
fn refused_samples_are_reported_and_room_is_used_once_there_is_some() {
    let store = SeriesStore::new(StoreConfig {
        max_series: 1,
        retention: Duration::from_secs(15),
        ..StoreConfig::default()
    });
    let source = Source::default();
    let both = [("x", MetricValue::Gauge(1.0)), ("y", MetricValue::Gauge(2.0))];
    source.set([family("g", &both)]);
    assert_eq!(store.ingest(at(1), &source).dropped, 1);
    assert_eq!(store.ingest(at(1), &source).dropped, 1, "still no room");
    let other = [("x", MetricValue::Gauge(3.0)), ("y", MetricValue::Gauge(2.0))];
    source.set([family("g", &other)]);
    assert_eq!(store.ingest(at(1), &source).dropped, 2, "a duplicate and still no room");
    source.set([family("g", &both[1..])]);
    let report = store.ingest(at(2), &source);
    assert_eq!((report.ended, report.dropped), (1, 1));
    for tick in 3..10 {
        store.ingest(at(tick), &source);
    }
    assert_eq!(present(&store, 9), [r#"g{job="y"} 2"#]);
}

#[test]
fn a_series_that_was_evicted_is_made_again() {
    let store = SeriesStore::new(StoreConfig { max_samples: 1, ..StoreConfig::default() });
    let source = Source::default();
    source.set([family("g", &[("x", MetricValue::Gauge(1.0)), ("y", MetricValue::Gauge(2.0))])]);
    for tick in 1..5 {
        let report = store.ingest(at(tick), &source);
        assert_eq!((report.samples, report.dropped), (2, 0));
        assert!(store.stats().samples <= 1);
    }
}

#[test]
fn labels_over_the_limits_are_refused_and_counted_every_time() {
    let store = SeriesStore::new(StoreConfig::default());
    let source = Source::default();
    let full: Vec<_> = (0..40).map(|index| (format!("l{index}"), "v")).collect();
    let mut given = family("g", &[("x", MetricValue::Gauge(1.0))]);
    given.points[0].labels = Labels::new(full).unwrap();
    source.set([given]);
    for tick in 1..3 {
        assert_eq!(store.ingest(at(tick), &source).dropped, 1);
    }
    assert_eq!(store.stats().series, 0);
}

fn native(count: u64, exemplars: &[(usize, i64)]) -> MetricValue {
    let MetricValue::Histogram(fixed) = histogram(&[1.0, f64::INFINITY]) else { unreachable!() };
    let buckets =
        NativeBuckets { schema: 0, positive: vec![(1, count)], ..NativeBuckets::default() };
    let exemplars = exemplars.iter().map(|(bucket, at)| {
        let labels = Labels::new([("trace_id", at.to_string())]).unwrap();
        (*bucket, Exemplar { labels, value: 1.5, timestamp: Timestamp::from_millis(*at) })
    });
    MetricValue::Histogram(HistogramSnapshot {
        count,
        exemplars: exemplars.collect(),
        native: Some(Box::new(buckets)),
        ..fixed
    })
}

/// What an expression comes to at `tick`.
fn evaluated(store: &SeriesStore, expr: &str, tick: i64) -> Vec<f64> {
    use crate::promql::{Engine, EngineOptions, QueryValue, SampleValue};

    let engine = Engine::new(EngineOptions::default());
    let parsed = engine.parse(expr).unwrap();
    let result = engine.instant(store, &parsed, at(tick), &|| false).unwrap();
    let QueryValue::Vector(points) = result.value else { panic!("{expr} is no vector") };
    let number = |value: &SampleValue| match value {
        SampleValue::Float(value) => *value,
        SampleValue::Histogram(_) => f64::NAN,
    };
    points.iter().map(|point| number(&point.value)).collect()
}

#[test]
fn exponential_buckets_are_queried_as_a_native_histogram() {
    let (store, source) = (SeriesStore::new(StoreConfig::default()), Source::default());
    for tick in 1..=12_i64 {
        source.set([family("seconds", &[("a", native(tick.unsigned_abs() * 10, &[]))])]);
        // Two buckets, a sum, a count, and the whole.
        assert_eq!(store.ingest(at(tick), &source).samples, 5);
    }
    for (expr, expected) in [
        ("histogram_count(seconds)", 120.0),
        ("histogram_count(increase(seconds[30s])) > bool 59", 1.0),
        ("histogram_quantile(0.5, rate(seconds[30s]))", 2_f64.sqrt()),
        ("histogram_sum(seconds)", 7.5),
        ("seconds_count", 120.0),
    ] {
        assert_eq!(evaluated(&store, expr, 12), [expected], "{expr}");
    }
    source.set([family("seconds", &[("a", histogram(&[1.0, f64::INFINITY]))])]);
    assert_eq!(store.ingest(at(13), &source).ended, 1);
    assert_eq!(evaluated(&store, "seconds", 13), [] as [f64; 0]);
    assert_eq!(evaluated(&store, "seconds_count", 13), [2.0]);
}

#[test]
fn exemplars_go_to_the_series_of_their_bucket_and_each_once() {
    let (store, source) = (SeriesStore::new(StoreConfig::default()), Source::default());
    let shown = [&[(1, 2_000)][..], &[(1, 2_000), (0, 1_000)], &[(1, 12_000), (0, 1_000)]];
    for (tick, exemplars) in (1..).zip(shown) {
        source.set([family("seconds", &[("a", native(10, exemplars))])]);
        store.ingest(at(tick), &source);
    }
    let times = |selector: &str| -> Vec<Vec<i64>> {
        let selector: Selector = selector.parse().unwrap();
        let found = store.exemplars(&[selector.clone(), selector], TimeRange::all());
        let time = |one: &Exemplar| one.timestamp.as_millis();
        found.iter().map(|series| series.exemplars.iter().map(time).collect()).collect()
    };
    assert_eq!(times("seconds_bucket{le=\"+Inf\"}"), [[2_000, 12_000]]);
    assert_eq!(times("seconds_bucket{le=\"1\"}"), [[1_000]]);
    assert_eq!(times("seconds"), [[2_000, 12_000]], "what comes late is before what is there");
    assert_eq!(store.stats().exemplars, 5);
    // What is past the retention goes, and what it took.
    source.set([]);
    let later = at(3).plus(store.config().retention);
    store.ingest(later, &source);
    assert_eq!(store.stats().exemplars, 0);
    assert_eq!(times("seconds"), [] as [Vec<i64>; 0]);
}

#[test]
fn an_exemplar_needs_a_series_that_is_there() {
    let store = SeriesStore::new(StoreConfig { max_series: 1, ..StoreConfig::default() });
    let exemplar = |at: i64| Exemplar {
        labels: Labels::empty(),
        value: 1.0,
        timestamp: Timestamp::from_millis(at),
    };
    let series = Labels::new([("__name__", "a")]).unwrap();
    let error = store.append_exemplar(&series, exemplar(5)).unwrap_err();
    assert!(error.is_exemplar());
    assert_eq!(
        error.to_string(),
        "exemplar of a at 1970-01-01T00:00:00.005Z was refused: there is no such series: expected one that has samples"
    );
    let sample = |at: i64| obs_model::Sample { timestamp: Timestamp::from_millis(at), value: 1.0 };
    store.append(&series, sample(5)).unwrap();
    let before = store.stats().bytes;
    store.append_exemplar(&series, exemplar(5)).unwrap();
    assert!(store.append_exemplar(&series, exemplar(4)).is_err());
    assert!(store.stats().bytes > before + size_of::<Exemplar>());
    // The series goes with the retention, and its exemplars with it.
    let later = Timestamp::from_millis(6).plus(store.config().retention);
    store.ingest(later, &Source::default());
    assert_eq!((store.stats().series, store.stats().exemplars), (0, 0));
}
