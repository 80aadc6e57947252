//! The requests of whole rounds.

use std::collections::BTreeMap;

use obs_delivery::Message;
use obs_model::{Bucket, Gather, HistogramSnapshot, MetricKind};
use obs_model::{Context, ManualClock, MetricFamily, MetricPoint, MetricValue, Timestamp};
use proptest::prelude::*;

use super::proto::{MetricType, TimeSeries, WriteRequest};
use super::*;
use crate::push::grid::{Export, Round};
use crate::push::outbox::Outbox;
use crate::{Exemplars, NativeHistogram, Registry, RegistryConfig};

const STALE: u64 = 0x7ff0_0000_0000_0002;

#[derive(Default)]
struct Kept(Vec<(Message, u64)>);

impl Outbox for Kept {
    fn put(&mut self, message: Message, samples: u64) {
        self.0.push((message, samples));
    }
}

fn requests(encoder: &mut Encoder, at: i64, round: Round) -> Vec<WriteRequest> {
    let mut kept = Kept::default();
    encoder.round(Timestamp::from_millis(at), round, &mut kept);
    kept.0.iter().map(|(message, _)| requests::read(message)).collect()
}

/// Each sample as `name{labels}` with its time and the bits of its value.
fn samples(requests: &[WriteRequest]) -> BTreeMap<(String, i64), u64> {
    let series = requests.iter().flat_map(|request| &request.timeseries);
    let one = |series: &TimeSeries, sample: &proto::Sample| {
        ((shown(series), sample.timestamp), sample.value.to_bits())
    };
    series.flat_map(|series| series.samples.iter().map(move |sample| one(series, sample))).collect()
}

fn shown(series: &TimeSeries) -> String {
    let label = |label: &proto::Label| format!("{}={}", label.name, label.value);
    series.labels.iter().map(label).collect::<Vec<_>>().join(",")
}

fn config() -> RemoteWriteConfig {
    RemoteWriteConfig {
        external_labels: crate::push::target_labels("api", "h:1").unwrap(),
        ..RemoteWriteConfig::default()
    }
}

#[test]
fn a_round_has_every_sample_once_with_its_labels_in_order() {
    let registry = Registry::default();
    registry.set_buckets("wait_seconds", &[0.5, 1.0]).unwrap();
    registry.counter("jobs_total", &[("kind", "mail"), ("Zone", "a"), ("job", "own")]).increment(3);
    registry.gauge("depth", &[]).set(-1.5);
    registry.histogram("wait_seconds", &[("a", "1")]).record_many(0.7, 2);
    let mut encoder = Encoder::new(config(), (&registry).into());
    let round = requests(&mut encoder, 15_000, Round::Regular);
    let all = samples(&round);
    let value = |series: &str| all.get(&(series.to_owned(), 15_000)).copied().map(f64::from_bits);
    for (series, expected) in [
        // The series' own label goes before the one that is put on all, and capitals come before the underscore.
        ("Zone=a,__name__=jobs_total,instance=h:1,job=own,kind=mail", 3.0),
        ("__name__=depth,instance=h:1,job=api", -1.5),
        ("__name__=wait_seconds_bucket,a=1,instance=h:1,job=api,le=0.5", 0.0),
        ("__name__=wait_seconds_bucket,a=1,instance=h:1,job=api,le=1", 2.0),
        ("__name__=wait_seconds_bucket,a=1,instance=h:1,job=api,le=+Inf", 2.0),
        ("__name__=wait_seconds_sum,a=1,instance=h:1,job=api", 1.4),
        ("__name__=wait_seconds_count,a=1,instance=h:1,job=api", 2.0),
    ] {
        assert_eq!(value(series), Some(expected), "{series} in {all:#?}");
    }
    // The registry's own metrics are there too.
    assert!(value("__name__=obskit_metrics_series,instance=h:1,job=api").is_some());
}

#[test]
fn metadata_comes_by_itself_and_only_now_and_then() {
    let registry = Registry::default();
    registry.describe("jobs_seconds_total", "Jobs.");
    registry.counter("jobs_seconds_total", &[]).increment(1);
    let mut encoder = Encoder::new(config(), (&registry).into());
    let with_metadata = |requests: Vec<WriteRequest>| {
        let with: Vec<_> = requests.into_iter().filter(|one| !one.metadata.is_empty()).collect();
        assert!(with.iter().all(|request| request.timeseries.is_empty()));
        with
    };
    let first = with_metadata(requests(&mut encoder, 0, Round::Regular));
    let jobs = first[0].metadata.iter().find(|one| one.metric_family_name == "jobs_seconds_total");
    let jobs = jobs.unwrap();
    assert_eq!(
        (jobs.r#type(), &*jobs.help, &*jobs.unit),
        (MetricType::Counter, "Jobs.", "seconds")
    );
    assert!(with_metadata(requests(&mut encoder, 59_000, Round::Regular)).is_empty());
    assert_eq!(with_metadata(requests(&mut encoder, 60_000, Round::Regular)).len(), 1);
}

#[test]
fn requests_keep_within_their_bounds_and_lose_nothing() {
    let registry = Registry::default();
    for id in 0..500 {
        registry.gauge("depth", &[("id", &id.to_string())]).set(f64::from(id));
    }
    let by_samples = RemoteWriteConfig { max_samples_per_request: 7, ..config() };
    let by_bytes = RemoteWriteConfig { max_request_bytes: 1_024, ..config() };
    for (config, max_samples, max_bytes) in [(by_samples, 7, usize::MAX), (by_bytes, 500, 1_024)] {
        let mut encoder = Encoder::new(config, (&registry).into());
        let mut kept = Kept::default();
        encoder.round(Timestamp::from_millis(5), Round::Regular, &mut kept);
        let read: Vec<_> = kept.0.iter().map(|(message, _)| requests::read(message)).collect();
        for (request, (_, samples)) in read.iter().zip(&kept.0) {
            assert!(request.timeseries.len() <= max_samples);
            assert!(prost::Message::encoded_len(request) <= max_bytes);
            assert_eq!(request.timeseries.len() as u64, *samples);
        }
        assert_eq!(samples(&read).keys().filter(|(one, _)| one.contains("id=")).count(), 500);
    }
}

#[test]
fn a_request_has_the_headers_of_the_specification() {
    let registry = Registry::default();
    let mut kept = Kept::default();
    Encoder::new(config(), (&registry).into()).round(Timestamp::EPOCH, Round::Regular, &mut kept);
    let (message, _) = &kept.0[0];
    assert_eq!(message.content_type(), Some("application/x-protobuf"));
    let expected = [("Content-Encoding", "snappy"), ("X-Prometheus-Remote-Write-Version", "0.1.0")];
    assert_eq!(message.headers().collect::<Vec<_>>(), expected);
}

#[test]
fn a_series_that_vanishes_is_marked_once_with_all_its_parts() {
    let idle_timeout = Some(Duration::from_secs(60));
    let clock = Arc::new(ManualClock::default());
    let config = RegistryConfig { idle_timeout, ..RegistryConfig::default() };
    let registry = Registry::with_clock(config, Arc::clone(&clock) as _);
    registry.set_buckets("h", &[1.0]).unwrap();
    registry.histogram("h", &[("x", "1")]).record(0.5);
    registry.counter("c_total", &[("x", "1")]).increment(1);
    let mut encoder = Encoder::new(self::config(), (&registry).into());
    let of_ours = |requests: Vec<WriteRequest>| -> Vec<_> {
        let all = samples(&requests).into_iter();
        all.filter(|((series, _), _)| series.contains("x=1")).collect()
    };
    assert_eq!(of_ours(requests(&mut encoder, 1, Round::Regular)).len(), 5);
    registry.expire_idle();
    clock.advance(Duration::from_secs(61));
    assert_eq!(registry.expire_idle(), 2);
    let marked = of_ours(requests(&mut encoder, 2, Round::Regular));
    assert_eq!(marked.len(), 5, "{marked:?}");
    assert!(marked.iter().all(|((_, at), value)| (*at, *value) == (2, STALE)));
    assert!(of_ours(requests(&mut encoder, 3, Round::Regular)).is_empty());
}

#[test]
fn the_last_round_has_the_last_values_and_then_ends_every_series() {
    let registry = Registry::default();
    registry.counter("c_total", &[]).increment(4);
    let mut encoder = Encoder::new(config(), (&registry).into());
    let all = samples(&requests(&mut encoder, 100, Round::Last));
    let series = String::from("__name__=c_total,instance=h:1,job=api");
    assert_eq!(all[&(series.clone(), 100)], 4.0_f64.to_bits());
    assert_eq!(all[&(series, 101)], STALE);
    let (values, marks): (Vec<_>, Vec<_>) = all.iter().partition(|((_, at), _)| *at == 100);
    assert_eq!(values.len(), marks.len());
}

#[test]
fn native_histograms_and_exemplars_are_sent_when_asked_for() {
    let config = RegistryConfig { exemplars: Exemplars::PerBucket, ..RegistryConfig::default() };
    let registry = Registry::with_clock(config, Arc::new(ManualClock::default()));
    registry.set_buckets("h", &[1.0]).unwrap();
    registry.set_native_buckets("h", NativeHistogram { schema: 0, ..Default::default() }).unwrap();
    let trace = obs_model::TraceId::new(7).unwrap();
    {
        let _entered = Context::default().with_trace(trace).enter();
        for value in [0.75, 1.5, 3.0, -9.0, 0.0] {
            registry.histogram("h", &[]).record(value);
        }
    }
    let of_h = |histograms, exemplars| {
        let config = RemoteWriteConfig { histograms, exemplars, ..self::config() };
        let mut encoder = Encoder::new(config, (&registry).into());
        let series = requests(&mut encoder, 9, Round::Regular).into_iter();
        let series = series.flat_map(|request| request.timeseries);
        series.filter(|series| shown(series).contains("__name__=h")).collect::<Vec<_>>()
    };
    let fixed = of_h(Histograms::Fixed, false);
    assert_eq!(fixed.len(), 4);
    assert!(fixed.iter().all(|series| series.histograms.is_empty() && series.exemplars.is_empty()));
    assert_eq!(of_h(Histograms::Both, false).len(), 5);
    let native = of_h(Histograms::Native, true);
    assert_eq!((native.len(), native[0].exemplars.len()), (1, 2));
    assert_eq!(native[0].exemplars[0].labels[0].value, trace.to_string());
    let histogram = &native[0].histograms[0];
    assert_eq!((histogram.count_int, histogram.sum), (Some(5), -3.75));
    assert_eq!((histogram.schema, histogram.zero_count_int), (0, Some(1)));
    let span = |offset, length| proto::BucketSpan { offset, length };
    assert_eq!(histogram.positive_spans, [span(0, 3)]);
    assert_eq!(histogram.positive_deltas, [1, 0, 0]);
    assert_eq!(
        (&*histogram.negative_spans, &*histogram.negative_deltas),
        (&[span(4, 1)][..], &[1][..])
    );
    assert_eq!(histogram.timestamp, 9);
}

/// A source that is not a registry.
struct Fixed(Vec<MetricFamily>);

impl Gather for Fixed {
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
        self.0.iter().for_each(visit);
    }
}

proptest! {
    #[test]
    fn the_buckets_of_any_source_come_back_as_they_were(counts in prop::collection::vec(0_u64..1_000, 1..20)) {
        let mut cumulative_count = 0;
        let buckets: Vec<_> = counts.iter().enumerate().map(|(at, count)| {
            cumulative_count += count;
            let last = at + 1 == counts.len();
            Bucket { upper_bound: if last { f64::INFINITY } else { at as f64 }, cumulative_count }
        }).collect();
        let snapshot = HistogramSnapshot {
            buckets: buckets.clone(),
            sum: 2.5,
            count: cumulative_count,
            ..HistogramSnapshot::default()
        };
        let point = MetricPoint { labels: Labels::empty(), value: MetricValue::Histogram(snapshot) };
        let family = MetricFamily { name: "h".into(), help: "".into(), kind: MetricKind::Histogram, points: vec![point] };
        let source: Arc<dyn Gather> = Arc::new(Fixed(vec![family]));
        let mut encoder = Encoder::new(RemoteWriteConfig::default(), source.into());
        let requests = requests(&mut encoder, 1, Round::Regular);
        let values: Vec<_> = requests.iter().flat_map(|one| &one.timeseries).map(|one| one.samples[0].value).collect();
        let expected: Vec<_> = buckets.iter().map(|bucket| bucket.cumulative_count as f64).chain([2.5, cumulative_count as f64]).collect();
        prop_assert_eq!(values, expected);
    }
}

#[test]
fn every_bad_setting_is_reported_at_once() {
    let config = RemoteWriteConfig {
        interval: Duration::ZERO,
        external_labels: Labels::new([("le", "1")]).unwrap(),
        max_samples_per_request: 0,
        max_request_bytes: 0,
        ..RemoteWriteConfig::default()
    };
    let error = config.validate().unwrap_err();
    assert!(error.is_invalid_push());
    assert_eq!(
        error.to_string(),
        "push metrics by remote write: interval is 0ns: at least 100ms; the external label \"le\" is one of the \
         protocol's own; max_samples_per_request is 0: at least 1; max_request_bytes is 0: at least 1024"
    );
}
