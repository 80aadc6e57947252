//! The differences of whole rounds, and those of exponential buckets.

mod totals;

use std::sync::Mutex;

use obs_delivery::{Delivery, Message, SendFuture, Transport};
use obs_model::{
    Context, Gather, Labels, ManualClock, MetricFamily, MetricKind, MetricPoint, MetricValue,
    Resource, TraceId,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric,
    NumberDataPoint,
};

use super::*;
use crate::push::Source;
use crate::push::otlp::encode::Encoder;
use crate::push::otlp::tests::{metrics, named, numbers, read, registry};
use crate::push::otlp::{OtlpConfig, Temporality, delivery_config, start};
use crate::{Exemplars, Registry, RegistryConfig};

/// An encoder that was made at 2 s, when the series of `registry` begin.
fn encoder(source: impl Into<Source>, temporality: Temporality) -> Encoder {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(2_000)));
    let config = OtlpConfig { temporality, clock, ..OtlpConfig::new(Resource::new("api")) };
    Encoder::new(config, source.into())
}

fn deltas(source: impl Into<Source>) -> Encoder {
    encoder(source, Temporality::Delta)
}

/// The one point of a counter, if the metric has one.
fn number<'a>(all: &'a [Metric], name: &str) -> Option<&'a NumberDataPoint> {
    all.iter().find(|metric| metric.name == name).map(|metric| &numbers(metric)[0])
}

/// Where a point begins and ends, in milliseconds, and its number.
fn shown(point: Option<&NumberDataPoint>) -> Option<(u64, u64, Number)> {
    point.map(|point| {
        let (start, end) = (point.start_time_unix_nano, point.time_unix_nano);
        (start / 1_000_000, end / 1_000_000, point.value.unwrap())
    })
}

fn fixed<'a>(all: &'a [Metric], name: &str) -> Option<&'a HistogramDataPoint> {
    let metric = all.iter().find(|metric| metric.name == name)?;
    let Some(Data::Histogram(histogram)) = &metric.data else { panic!("{metric:?}") };
    assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Delta);
    Some(&histogram.data_points[0])
}

fn native<'a>(all: &'a [Metric], name: &str) -> Option<&'a ExponentialHistogramDataPoint> {
    let metric = all.iter().find(|metric| metric.name == name)?;
    let Some(Data::ExponentialHistogram(histogram)) = &metric.data else { panic!("{metric:?}") };
    assert_eq!(histogram.aggregation_temporality(), AggregationTemporality::Delta);
    Some(&histogram.data_points[0])
}

#[test]
fn a_point_has_what_was_added_since_the_last_one_and_begins_where_that_ended() {
    let (registry, clock) = registry(RegistryConfig::default());
    registry.set_buckets("wait", &[1.0, 2.0]).unwrap();
    let jobs = registry.counter("jobs_total", &[]);
    let busy = registry.float_counter("busy_total", &[]);
    let wait = registry.histogram("wait", &[]);
    jobs.increment(3);
    busy.increment(0.5);
    wait.record(0.5);
    let mut encoder = deltas(&registry);
    let all = metrics(&mut encoder, 9_000);
    let Some(Data::Sum(sum)) = &named(&all, "jobs_total").data else { panic!("{all:?}") };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Delta);
    // What there is at the first round was added since the series began.
    assert_eq!(shown(number(&all, "jobs_total")), Some((2_000, 9_000, Number::AsInt(3))));
    assert_eq!(shown(number(&all, "busy_total")), Some((2_000, 9_000, Number::AsDouble(0.5))));
    let point = fixed(&all, "wait").unwrap();
    assert_eq!((&*point.bucket_counts, point.count, point.sum), (&[1, 0, 0][..], 1, Some(0.5)));

    clock.advance(Duration::from_secs(8));
    jobs.increment(2);
    wait.record(5.0);
    wait.record(0.25);
    registry.counter("new_total", &[]).increment(7);
    let all = metrics(&mut encoder, 11_000);
    assert_eq!(shown(number(&all, "jobs_total")), Some((9_000, 11_000, Number::AsInt(2))));
    assert_eq!(shown(number(&all, "new_total")), Some((10_000, 11_000, Number::AsInt(7))));
    assert_eq!(number(&all, "busy_total"), None, "nothing was added to it");
    let point = fixed(&all, "wait").unwrap();
    assert_eq!((&*point.bucket_counts, point.count, point.sum), (&[1, 0, 1][..], 2, Some(5.25)));
    assert_eq!(point.explicit_bounds, [1.0, 2.0]);
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (9_000_000_000, 11_000_000_000));

    busy.increment(0.25);
    let all = metrics(&mut encoder, 13_000);
    let named: Vec<_> = all.iter().map(|metric| &*metric.name).collect();
    assert_eq!(named, ["busy_total", "obskit_metrics_series"]);
    // Its silence is in the interval of the point that ends it.
    assert_eq!(shown(number(&all, "busy_total")), Some((9_000, 13_000, Number::AsDouble(0.25))));
}

#[test]
fn gauges_are_never_differences() {
    let (registry, _) = registry(RegistryConfig::default());
    registry.gauge("depth", &[]).set(4.0);
    let mut encoder = deltas(&registry);
    for at in [9_000, 11_000] {
        let all = metrics(&mut encoder, at);
        let depth = number(&all, "depth").unwrap();
        assert_eq!((depth.value, depth.start_time_unix_nano), (Some(Number::AsDouble(4.0)), 0));
    }
}

#[test]
fn a_series_of_that_name_that_is_made_anew_begins_anew() {
    let (registry, clock) = registry(RegistryConfig::default());
    registry.set_buckets("wait", &[1.0]).unwrap();
    registry.counter("jobs_total", &[]).increment(3);
    registry.histogram("wait", &[]).record(0.5);
    let mut encoder = deltas(&registry);
    metrics(&mut encoder, 9_000);
    clock.set(Timestamp::from_millis(10_000));
    assert!(registry.remove("jobs_total", &[]) && registry.remove("wait", &[]));
    // More than before, so that only its beginning tells it from the one that went.
    registry.counter("jobs_total", &[]).increment(5);
    registry.histogram("wait", &[]).record_many(0.5, 2);
    let all = metrics(&mut encoder, 11_000);
    assert_eq!(shown(number(&all, "jobs_total")), Some((10_000, 11_000, Number::AsInt(5))));
    let point = fixed(&all, "wait").unwrap();
    assert_eq!((point.start_time_unix_nano, point.count), (10_000_000_000, 2));
}

/// A source that shows what it was last given.
#[derive(Default)]
struct Given(Mutex<Vec<MetricFamily>>);

impl Given {
    fn set(&self, values: &[(&str, MetricValue)]) {
        let family = |(name, value): &(&str, MetricValue)| MetricFamily {
            name: Arc::from(*name),
            help: Arc::from(""),
            kind: match value {
                MetricValue::Histogram(_) => MetricKind::Histogram,
                _ => MetricKind::Counter,
            },
            points: vec![MetricPoint { labels: Labels::empty(), value: value.clone() }],
        };
        *self.0.lock().unwrap() = values.iter().map(family).collect();
    }
}

impl Gather for Given {
    fn gather(&self, visit: &mut dyn FnMut(&MetricFamily)) {
        self.0.lock().unwrap().iter().for_each(visit);
    }
}

fn observed(counts: &[(f64, u64)], sum: f64) -> MetricValue {
    let mut cumulative_count = 0;
    let buckets = counts.iter().map(|(upper_bound, count)| {
        cumulative_count += count;
        obs_model::Bucket { upper_bound: *upper_bound, cumulative_count }
    });
    let buckets: Vec<_> = buckets.collect();
    let count = cumulative_count;
    MetricValue::Histogram(obs_model::HistogramSnapshot {
        buckets,
        sum,
        count,
        ..Default::default()
    })
}

#[test]
fn a_total_that_falls_begins_anew_where_the_last_point_ended() {
    let given = Arc::new(Given::default());
    let mut encoder = deltas(Arc::clone(&given) as Arc<dyn Gather>);
    let inf = f64::INFINITY;
    let mut round = |total: f64, wait: MetricValue, at| {
        given.set(&[("busy_total", MetricValue::Counter(total)), ("wait", wait)]);
        let all = metrics(&mut encoder, at);
        let busy = shown(number(&all, "busy_total"));
        let wait = fixed(&all, "wait").map(|point| {
            (point.start_time_unix_nano / 1_000_000, point.bucket_counts.clone(), point.sum)
        });
        (busy, wait)
    };
    round(8.0, observed(&[(1.0, 4), (inf, 4)], 20.0), 9_000);
    // There are more observations than before, but fewer in one bucket.
    let (busy, wait) = round(3.0, observed(&[(1.0, 3), (inf, 9)], 50.0), 10_000);
    assert_eq!(busy, Some((9_000, 10_000, Number::AsDouble(3.0))));
    assert_eq!(wait, Some((9_000, vec![3, 9], Some(50.0))));
    // The same counts of other buckets are not a later state of the same histogram.
    let (busy, wait) = round(f64::NAN, observed(&[(2.0, 3), (inf, 9)], 51.0), 11_000);
    assert_eq!(busy, None);
    assert_eq!(wait, Some((10_000, vec![3, 9], Some(51.0))));
    let (busy, wait) = round(4.0, observed(&[(2.0, 3), (inf, 10)], inf), 12_000);
    assert_eq!(busy, Some((10_000, 12_000, Number::AsDouble(1.0))), "no total in between");
    assert_eq!(wait, Some((11_000, vec![0, 1], Some(inf))));
    let (busy, wait) = round(inf, observed(&[(2.0, 4), (inf, 10)], inf), 13_000);
    assert_eq!(busy, Some((12_000, 13_000, Number::AsDouble(inf))));
    assert_eq!(wait, Some((12_000, vec![1, 0], None)), "the sum is one that nobody can tell");
    assert_eq!(round(inf, observed(&[(2.0, 4), (inf, 10)], inf), 14_000), (None, None));
}

#[test]
fn a_series_that_does_not_say_when_it_began_began_after_the_round_before() {
    let given = Arc::new(Given::default());
    let mut encoder = deltas(Arc::clone(&given) as Arc<dyn Gather>);
    let mut round = |total: Option<f64>, at| {
        let value = total.map(|total| ("busy_total", MetricValue::Counter(total)));
        given.set(value.as_slice());
        shown(number(&metrics(&mut encoder, at), "busy_total"))
    };
    assert_eq!(round(Some(8.0), 9_000), Some((2_000, 9_000, Number::AsDouble(8.0))));
    assert_eq!(round(None, 10_000), None);
    assert_eq!(round(Some(2.0), 11_000), Some((10_000, 11_000, Number::AsDouble(2.0))));
}

#[test]
fn low_memory_leaves_the_totals_of_counters_that_are_observed() {
    let form = |all: &[Metric], name| match &named(all, name).data {
        Some(Data::Sum(sum)) => sum.aggregation_temporality(),
        Some(Data::Histogram(histogram)) => histogram.aggregation_temporality(),
        other => panic!("{other:?}"),
    };
    let given = Arc::new(Given::default());
    given.set(&[
        ("busy_total", MetricValue::Counter(1.0)),
        ("wait", observed(&[(f64::INFINITY, 1)], 1.0)),
    ]);
    let (registry, _) = registry(RegistryConfig::default());
    registry.float_counter("busy_total", &[]).increment(1.0);
    registry.histogram("wait", &[]).record(1.0);
    let given = given as Arc<dyn Gather>;
    let (total, difference) = (AggregationTemporality::Cumulative, AggregationTemporality::Delta);
    for (temporality, source, sums, histograms) in [
        (Temporality::LowMemory, Source::from(&registry), difference, difference),
        (Temporality::LowMemory, Source::from(Arc::clone(&given)), total, difference),
        (Temporality::Delta, Source::from(given), difference, difference),
        (Temporality::default(), Source::from(&registry), total, total),
    ] {
        let all = metrics(&mut encoder(source, temporality), 9_000);
        let forms = (form(&all, "busy_total"), form(&all, "wait"));
        assert_eq!(forms, (sums, histograms), "{temporality:?}");
    }
}

#[test]
fn a_series_of_differences_ends_in_silence_and_a_gauge_with_a_mark() {
    let (registry, _) = registry(RegistryConfig::default());
    registry.counter("jobs_total", &[]).increment(1);
    registry.histogram("wait", &[]).record(1.0);
    registry.gauge("depth", &[]).set(1.0);
    let mut encoder = deltas(&registry);
    metrics(&mut encoder, 9_000);
    for name in ["jobs_total", "wait", "depth"] {
        assert!(registry.remove(name, &[]), "{name}");
    }
    let all = metrics(&mut encoder, 11_000);
    let named: Vec<_> = all.iter().map(|metric| &*metric.name).collect();
    assert_eq!(named, ["obskit_metrics_series", "depth"]);
    assert_eq!(number(&all, "depth").unwrap().flags, 1);
    // What was remembered went too: one that begins at the same time is not taken for it.
    registry.counter("jobs_total", &[]).increment(1);
    let all = metrics(&mut encoder, 13_000);
    assert_eq!(shown(number(&all, "jobs_total")), Some((2_000, 13_000, Number::AsInt(1))));
}

#[test]
fn what_comes_back_with_its_total_is_not_sent_twice() {
    let idle_timeout = Some(Duration::from_secs(60));
    let (registry, _) = registry(RegistryConfig { idle_timeout, ..RegistryConfig::default() });
    let jobs = registry.counter("jobs_total", &[]);
    jobs.increment(5);
    let mut encoder = deltas(&registry);
    metrics(&mut encoder, 9_000);
    registry.take_out("jobs_total");
    for at in [11_000, 13_000] {
        assert_eq!(number(&metrics(&mut encoder, at), "jobs_total"), None);
    }
    jobs.increment(2);
    registry.expire_idle();
    let all = metrics(&mut encoder, 15_000);
    assert_eq!(shown(number(&all, "jobs_total")), Some((9_000, 15_000, Number::AsInt(2))));
}

#[test]
fn an_exemplar_is_sent_once() {
    let config = RegistryConfig { exemplars: Exemplars::PerBucket, ..RegistryConfig::default() };
    let (registry, clock) = registry(config);
    registry.set_buckets("wait", &[1.0, 2.0]).unwrap();
    let mut encoder = deltas(&registry);
    let mut round = |traced: &[(u128, f64)], untraced: f64, at| {
        for (trace, value) in traced {
            let context = Context::default().with_trace(TraceId::new(*trace).unwrap());
            let _entered = context.enter();
            registry.histogram("wait", &[]).record(*value);
        }
        registry.histogram("wait", &[]).record(untraced);
        let all = metrics(&mut encoder, at);
        let exemplars = &fixed(&all, "wait").unwrap().exemplars;
        exemplars.iter().map(|exemplar| exemplar.trace_id[15]).collect::<Vec<_>>()
    };
    assert_eq!(round(&[(1, 0.5), (2, 1.5)], 9.0, 1_000), [1, 2]);
    assert_eq!(round(&[], 9.0, 1_500), [0; 0], "they are still there, and were sent");
    clock.advance(Duration::from_secs(1));
    // The round's time is that of a tick before the observation.
    assert_eq!(round(&[(3, 1.5)], 9.0, 2_900), [3]);
    assert_eq!(round(&[], 9.0, 5_000), [0; 0]);
}

#[test]
fn no_interval_is_empty_or_turned_round() {
    let (registry, clock) = registry(RegistryConfig::default());
    let mut encoder = deltas(&registry);
    let mut round = |at| {
        registry.counter("jobs_total", &[]).increment(1);
        let all = metrics(&mut encoder, at);
        let (start, end, value) = shown(number(&all, "jobs_total")).unwrap();
        assert_eq!(value, Number::AsInt(1));
        (start, end)
    };
    // Read after the tick that it is of, at which there was no such series yet.
    assert_eq!(round(1_900), (1_899, 1_900));
    assert_eq!(round(2_500), (1_900, 2_500));
    assert_eq!(round(2_500), (2_499, 2_500), "a second round at one instant");
    // The clock was set back.
    assert_eq!(round(1_000), (999, 1_000));
    assert_eq!(round(1_100), (1_000, 1_100));
    clock.set(Timestamp::from_millis(1_050));
    assert!(registry.remove("jobs_total", &[]));
    assert_eq!(round(1_200), (1_100, 1_200), "made anew, and it was earlier then");
}

/// What was sent.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Message>>>);

impl Transport for Kept {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        self.0.lock().unwrap().push(message.clone());
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn the_shutdown_sends_what_was_added_last_and_nothing_twice() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(9_000)));
    let registry = Registry::with_clock(RegistryConfig::default(), Arc::clone(&clock) as _);
    let jobs = registry.counter("jobs_total", &[]);
    let kept = Kept::default();
    let delivery = Delivery::start(delivery_config("kept"), kept.clone()).unwrap();
    let temporality = Temporality::Delta;
    let resource = Resource::new("api");
    // The clock stands still, so all rounds are out of turn and at one instant.
    let config = OtlpConfig { temporality, clock, ..OtlpConfig::new(resource) };
    let pusher = start(config, &registry, delivery).unwrap();
    for more in [3, 4] {
        jobs.increment(more);
        pusher.export().await;
    }
    pusher.export().await;
    jobs.increment(5);
    assert_eq!(pusher.shutdown(Duration::from_secs(10)).await.undelivered, 0);
    let requests: Vec<_> = kept.0.lock().unwrap().iter().map(read).collect();
    let resources = requests.iter().flat_map(|request| &request.resource_metrics);
    let scopes = resources.flat_map(|resource| &resource.scope_metrics);
    let points: Vec<_> =
        scopes.filter_map(|scope| shown(number(&scope.metrics, "jobs_total"))).collect();
    let expected = [(8_999, 9_000, 3), (9_000, 9_001, 4), (9_001, 9_003, 5)];
    assert_eq!(points, expected.map(|(start, end, more)| (start, end, Number::AsInt(more))));
}

#[test]
fn exponential_buckets_are_subtracted_as_those_of_the_later_state() {
    let buckets = |schema, zero: (f64, u64), positive: &[(i32, u64)], negative: &[(i32, u64)]| {
        let (positive, negative) = (positive.to_vec(), negative.to_vec());
        NativeBuckets { schema, zero_threshold: zero.0, zero_count: zero.1, positive, negative }
    };
    let check = |before: &NativeBuckets, now: &NativeBuckets, expected: Option<NativeBuckets>| {
        let mut more = buckets(7, (9.0, 9), &[(9, 9)], &[(9, 9)]);
        let found = subtract(now, before, &mut more).map(|()| more);
        assert_eq!(found, expected, "{before:?} {now:?}");
    };
    let before = buckets(1, (0.0, 1), &[(-2, 1), (-1, 2), (1, 3), (2, 4)], &[(0, 5)]);
    check(&before, &before, Some(buckets(1, (0.0, 0), &[], &[])));
    // The same schema: what is in new buckets, in old ones, and in the zero bucket.
    check(
        &before,
        &buckets(1, (0.0, 3), &[(-2, 1), (-1, 3), (1, 3), (2, 4), (9, 1)], &[(0, 5), (3, 2)]),
        Some(buckets(1, (0.0, 2), &[(-1, 1), (9, 1)], &[(3, 2)])),
    );
    // Two steps coarser: -2 to 0 and 1 to 4 are one bucket each.
    check(
        &before,
        &buckets(-1, (0.0, 1), &[(0, 3), (1, 7), (2, 6)], &[(0, 6)]),
        Some(buckets(-1, (0.0, 0), &[(2, 6)], &[(0, 1)])),
    );
    // The zero bucket grew to 2^-0.5, where bucket -1 ends; and coarser in the same time.
    let grown = (-0.5_f64).exp2();
    check(
        &before,
        &buckets(1, (grown, 6), &[(1, 3), (2, 5)], &[(0, 5)]),
        Some(buckets(1, (grown, 2), &[(2, 1)], &[])),
    );
    check(
        &before,
        &buckets(0, (grown, 4), &[(1, 8)], &[(0, 5)]),
        Some(buckets(0, (grown, 0), &[(1, 1)], &[])),
    );
    // Not later states: finer, a smaller zero bucket, one that ends within a bucket with counts, fewer in a bucket.
    check(&before, &buckets(2, (0.0, 9), &[(4, 99)], &[(0, 9)]), None);
    check(&buckets(1, (0.5, 1), &[], &[]), &buckets(1, (0.25, 1), &[], &[]), None);
    check(&before, &buckets(1, (0.6, 9), &[(1, 9), (2, 9)], &[(0, 9)]), None);
    check(&before, &buckets(1, (0.0, 0), &before.positive, &before.negative), None);
    check(&before, &buckets(1, (0.0, 1), &before.positive, &[(0, 4)]), None);
    check(&before, &buckets(1, (0.0, 1), &before.positive, &[(1, 5)]), None);
}
