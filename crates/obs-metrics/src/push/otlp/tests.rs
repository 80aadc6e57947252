//! The requests of whole rounds.

use std::io::Read as _;

use flate2::read::GzDecoder;
use obs_delivery::Message;
use obs_model::{Context, ManualClock, SpanId, Timestamp, TraceId};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, NumberDataPoint};
use prost::Message as _;

use super::*;
use crate::push::grid::{Export, Round};
use crate::push::outbox::Outbox;
use crate::{Exemplars, NativeHistogram, Registry, RegistryConfig};

#[derive(Default)]
struct Kept(Vec<(Message, u64)>);

impl Outbox for Kept {
    fn put(&mut self, message: Message, samples: u64) {
        self.0.push((message, samples));
    }
}

pub(super) fn read(message: &Message) -> ExportMetricsServiceRequest {
    let mut body = Vec::new();
    if message.headers().any(|header| header == ("Content-Encoding", "gzip")) {
        GzDecoder::new(&message.body()[..]).read_to_end(&mut body).unwrap();
    } else {
        body.extend_from_slice(message.body());
    }
    ExportMetricsServiceRequest::decode(&*body).unwrap()
}

pub(super) fn metrics(encoder: &mut Encoder, at: i64) -> Vec<Metric> {
    let mut kept = Kept::default();
    encoder.round(Timestamp::from_millis(at), Round::Regular, &mut kept);
    let requests = kept.0.iter().map(|(message, _)| read(message));
    let resources = requests.flat_map(|request| request.resource_metrics);
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    scopes.flat_map(|scope| scope.metrics).collect()
}

pub(super) fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"))
}

pub(super) fn numbers(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => &sum.data_points,
        Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("{other:?}"),
    }
}

/// A registry whose series begin at 2 s, and the clock that it has.
pub(super) fn registry(config: RegistryConfig) -> (Registry, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(2_000)));
    (Registry::with_clock(config, Arc::clone(&clock) as _), clock)
}

fn encoder(registry: &Registry) -> Encoder {
    Encoder::new(OtlpConfig::new(Resource::new("api").with_version("1.0")), registry.into())
}

#[test]
fn counters_are_cumulative_sums_and_gauges_have_no_start() {
    let (registry, _) = registry(RegistryConfig::default());
    registry.describe("wait_seconds_total", "Waiting.");
    registry.float_counter("wait_seconds_total", &[("kind", "mail")]).increment(0.5);
    registry.counter("jobs_total", &[]).increment(3);
    registry.gauge("depth", &[]).set(-2.0);
    let all = metrics(&mut encoder(&registry), 9_000);

    let wait = named(&all, "wait_seconds_total");
    assert_eq!((&*wait.description, &*wait.unit), ("Waiting.", "s"));
    let Some(Data::Sum(sum)) = &wait.data else { panic!("{wait:?}") };
    assert!(sum.is_monotonic);
    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(Value::AsDouble(0.5)));
    assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (2_000_000_000, 9_000_000_000));
    assert_eq!(point.attributes[0].key, "kind");
    assert_eq!(numbers(named(&all, "jobs_total"))[0].value, Some(Value::AsInt(3)));
    let depth = &numbers(named(&all, "depth"))[0];
    assert_eq!((depth.value, depth.start_time_unix_nano), (Some(Value::AsDouble(-2.0)), 0));
}

#[test]
fn the_resource_is_on_every_request() {
    let (registry, _) = registry(RegistryConfig::default());
    let mut kept = Kept::default();
    encoder(&registry).round(Timestamp::EPOCH, Round::Regular, &mut kept);
    let request = read(&kept.0[0].0);
    let resource = request.resource_metrics[0].resource.as_ref().unwrap();
    let keys: Vec<_> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert!(keys.contains(&"service.name") && keys.contains(&"service.version"), "{keys:?}");
    assert_eq!(kept.0[0].0.content_type(), Some("application/x-protobuf"));
}

#[test]
fn histograms_keep_their_bounds_and_exemplars_their_traces() {
    let config = RegistryConfig { exemplars: Exemplars::PerBucket, ..RegistryConfig::default() };
    let (registry, _) = registry(config);
    registry.set_buckets("h", &[1.0, 2.0]).unwrap();
    {
        let (trace, span) = (TraceId::new(7).unwrap(), SpanId::new(9).unwrap());
        let _entered = Context::default().with_trace(trace).with_span(span).enter();
        registry.histogram("h", &[]).record(1.5);
    }
    registry.histogram("h", &[]).record(9.0);
    let all = metrics(&mut encoder(&registry), 9_000);
    let Some(Data::Histogram(histogram)) = &named(&all, "h").data else { panic!("{all:?}") };
    let point = &histogram.data_points[0];
    assert_eq!(point.explicit_bounds, [1.0, 2.0]);
    assert_eq!((&*point.bucket_counts, point.count, point.sum), (&[0, 1, 1][..], 2, Some(10.5)));
    let exemplar = &point.exemplars[0];
    assert_eq!((exemplar.trace_id.len(), exemplar.trace_id[15]), (16, 7));
    assert_eq!((exemplar.span_id.len(), exemplar.span_id[7]), (8, 9));
    assert!(exemplar.filtered_attributes.is_empty());
}

#[test]
fn a_native_histogram_is_an_exponential_one_whose_indexes_are_one_lower() {
    let (registry, _) = registry(RegistryConfig::default());
    registry.set_native_buckets("h", NativeHistogram { schema: 0, ..Default::default() }).unwrap();
    for value in [1.0, 1.5, 7.0, 0.0, -2.0] {
        registry.histogram("h", &[]).record(value);
    }
    let all = metrics(&mut encoder(&registry), 9_000);
    let Some(Data::ExponentialHistogram(all)) = &named(&all, "h").data else { panic!("{all:?}") };
    let point = &all.data_points[0];
    assert_eq!((point.scale, point.count, point.zero_count), (0, 5, 1));
    // (0.5, 1], (1, 2], none in (2, 4], (4, 8].
    let positive = point.positive.as_ref().unwrap();
    assert_eq!((positive.offset, &*positive.bucket_counts), (-1, &[1, 1, 0, 1][..]));
    let negative = point.negative.as_ref().unwrap();
    assert_eq!((negative.offset, &*negative.bucket_counts), (0, &[1][..]));
}

#[test]
fn requests_keep_within_their_bounds_and_lose_nothing() {
    let (registry, _) = registry(RegistryConfig::default());
    for id in 0..500 {
        registry.gauge("depth", &[("id", &id.to_string())]).set(f64::from(id));
    }
    for (max_points_per_request, max_request_bytes) in [(7, 1 << 20), (2_000, 2_048)] {
        let mut config = OtlpConfig::new(Resource::new("api"));
        config.max_points_per_request = max_points_per_request;
        config.max_request_bytes = max_request_bytes;
        config.compression = Compression::None;
        let mut kept = Kept::default();
        let mut encoder = Encoder::new(config, (&registry).into());
        encoder.round(Timestamp::EPOCH, Round::Regular, &mut kept);
        let mut points = 0;
        for (message, samples) in &kept.0 {
            assert!(*samples <= max_points_per_request as u64);
            // The resource and the frames around the points come on top.
            assert!(message.body().len() <= max_request_bytes * 3 / 2, "{}", message.body().len());
            let request = read(message);
            for metric in &request.resource_metrics[0].scope_metrics[0].metrics {
                assert!(metric.name != "depth" || !numbers(metric).is_empty());
                points += if metric.name == "depth" { numbers(metric).len() } else { 0 };
            }
        }
        assert_eq!(points, 500);
    }
}

#[test]
fn a_series_that_vanishes_is_said_to_have_no_value_once() {
    let idle_timeout = Some(Duration::from_secs(60));
    let (registry, clock) = registry(RegistryConfig { idle_timeout, ..RegistryConfig::default() });
    registry.counter("c_total", &[]).increment(1);
    registry.histogram("h", &[]).record(1.0);
    let mut encoder = encoder(&registry);
    assert_eq!(numbers(named(&metrics(&mut encoder, 1), "c_total"))[0].flags, 0);
    registry.expire_idle();
    clock.advance(Duration::from_secs(61));
    assert_eq!(registry.expire_idle(), 2);
    let all = metrics(&mut encoder, 2);
    let point = &numbers(named(&all, "c_total"))[0];
    assert_eq!((point.flags, point.value), (1, None));
    let Some(Data::Histogram(histogram)) = &named(&all, "h").data else { panic!("{all:?}") };
    assert_eq!(histogram.data_points[0].flags, 1);
    assert!(metrics(&mut encoder, 3).iter().all(|metric| metric.name != "c_total"));
}

#[test]
fn every_bad_setting_is_reported_at_once() {
    let mut config = OtlpConfig::new(Resource::new("api"));
    config.interval = Duration::from_millis(1);
    config.max_points_per_request = 0;
    config.max_request_bytes = 1;
    let error = config.validate().unwrap_err();
    assert!(error.is_invalid_push());
    assert_eq!(
        error.to_string(),
        "push metrics by OTLP: interval is 1ms: at least 100ms; max_points_per_request is 0: at least 1; \
         max_request_bytes is 1: at least 1024"
    );
}
