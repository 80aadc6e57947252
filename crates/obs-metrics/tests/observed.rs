//! Exemplars and native buckets, from the recording to the exposition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use metrics::{histogram, with_local_recorder};
use obs_metrics::expose::proto;
use obs_metrics::{BucketPattern, Exemplars, NativeHistogram, Registry, RegistryConfig};
use obs_model::{Context, ManualClock, SpanId, Timestamp, TraceId};
use prost::Message;

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn with_exemplars() -> (Registry, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_250)));
    let config = RegistryConfig { exemplars: Exemplars::PerBucket, ..RegistryConfig::default() };
    let registry = Registry::with_clock(config, clock.clone());
    registry.set_buckets("wait_seconds", &[0.1, 1.0]).unwrap();
    (registry, clock)
}

fn in_trace(trace: u128, work: impl FnOnce()) {
    let trace: TraceId = format!("{trace:032x}").parse().unwrap();
    let span: SpanId = format!("{:016x}", 7).parse().unwrap();
    let _entered = Context::new().with_trace(trace).with_span(span).enter();
    work();
}

/// The exemplars in the lines of an OpenMetrics exposition, by the lines' `le`.
fn shown(registry: &Registry) -> Vec<(String, String)> {
    let mut text = Vec::new();
    registry.negotiate(Some(OPENMETRICS), None).write(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    obs_metrics::expose::parse::openmetrics(text.as_bytes()).unwrap();
    text.lines()
        .filter_map(|line| {
            let (line, exemplar) = line.split_once(" # ")?;
            let le = line.split_once("le=\"")?.1.split_once('"')?.0;
            Some((le.to_owned(), exemplar.to_owned()))
        })
        .collect()
}

fn families(registry: &Registry) -> Vec<proto::MetricFamily> {
    let mut bytes = Vec::new();
    registry.negotiate(Some(PROTOBUF), None).write(&mut bytes).unwrap();
    let mut rest = &bytes[..];
    let mut families = Vec::new();
    while !rest.is_empty() {
        families.push(proto::MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    families
}

fn histogram_of(registry: &Registry, name: &str) -> proto::Histogram {
    let family = families(registry).into_iter().find(|family| family.name() == name).unwrap();
    family.metric[0].histogram.clone().unwrap()
}

#[test]
fn a_bucket_shows_the_first_traced_observation_since_it_was_last_read() {
    let (registry, clock) = with_exemplars();
    let wait = registry.histogram("wait_seconds", &[]);
    wait.record(0.05);
    assert_eq!(shown(&registry), []);

    in_trace(1, || wait.record(0.06));
    in_trace(2, || {
        wait.record(0.07);
        wait.record(5.0);
    });
    let of = |trace: u128, rest: &str| {
        format!("{{span_id=\"0000000000000007\",trace_id=\"{trace:032x}\"}} {rest}")
    };
    let first = vec![
        (String::from("0.1"), of(1, "0.06 1700000000.250")),
        (String::from("+Inf"), of(2, "5 1700000000.250")),
    ];
    assert_eq!(shown(&registry), first);
    // It stays until there is a newer one.
    assert_eq!(shown(&registry), first);
    clock.advance(Duration::from_secs(1));
    wait.record(0.08);
    in_trace(3, || wait.record(0.09));
    assert_eq!(shown(&registry)[0].1, of(3, "0.09 1700000001.250"));
    assert_eq!(registry.value("wait_seconds_count", &[]), Some(6.0));
}

#[test]
fn without_the_option_there_are_no_exemplars() {
    let registry = Registry::default();
    in_trace(1, || registry.histogram("wait_seconds", &[]).record(0.5));
    assert_eq!(shown(&registry), []);
}

#[test]
fn native_buckets_stand_beside_the_fixed_ones() {
    let (registry, _) = with_exemplars();
    let fine = NativeHistogram { schema: 8, max_buckets: 160, ..NativeHistogram::default() };
    registry.set_native_buckets("wait.seconds", fine).unwrap();
    registry
        .set_native_buckets_for(BucketPattern::Suffix("_bytes".into()), NativeHistogram::default())
        .unwrap();
    with_local_recorder(&registry, || {
        let wait = histogram!("wait_seconds");
        for step in 1..=1_000 {
            wait.record(f64::from(step) * 0.001);
        }
        wait.record(0.0);
        wait.record(-3.0);
        in_trace(4, || wait.record(0.5));
        wait.record(f64::NAN);
        histogram!("size_bytes").record(1_000.0);
        histogram!("plain").record(1.0);
    });
    let wait = histogram_of(&registry, "wait_seconds");
    assert_eq!((wait.sample_count(), wait.zero_count()), (1_003, 1));
    assert_eq!(wait.bucket[0].cumulative_count(), 102);
    assert!((-4..8).contains(&wait.schema()), "{}", wait.schema());
    assert_eq!(wait.exemplars.len(), 1);
    assert_eq!(in_native_buckets(&wait), 1_003);
    let size = histogram_of(&registry, "size_bytes");
    // 1,000 is 2^9.966, and 80 / 8 is the next eighth.
    assert_eq!((size.schema(), size.positive_span[0].offset()), (3, 80));
    assert_eq!(histogram_of(&registry, "plain").schema, None);

    assert_eq!(registry.value("wait_seconds_count", &[]), Some(1_003.0));
    assert_eq!(registry.value("wait_seconds_bucket", &[("le", "0.1")]), Some(102.0));
    assert!(registry.render_text().contains("wait_seconds_bucket{le=\"1\"} 1003\n"));
}

/// How many observations the native buckets hold.
fn in_native_buckets(histogram: &proto::Histogram) -> u64 {
    let sum = |deltas: &[i64]| {
        let mut count = 0;
        let mut sum = 0;
        for delta in deltas {
            count += delta;
            sum += count;
        }
        u64::try_from(sum).unwrap()
    };
    histogram.zero_count() + sum(&histogram.positive_delta) + sum(&histogram.negative_delta)
}

#[test]
fn native_and_fixed_counts_agree_at_every_moment_and_nothing_is_lost() {
    const EACH: u64 = 20_000;
    let registry = Registry::default();
    registry.set_native_buckets("busy_seconds", NativeHistogram::default()).unwrap();
    registry.histogram("busy_seconds", &[]).record(1.0);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let busy = histogram_of(&registry, "busy_seconds");
                assert_eq!(busy.sample_count(), in_native_buckets(&busy));
                assert!(
                    busy.bucket.iter().all(|one| one.cumulative_count() <= busy.sample_count())
                );
            }
        });
        let workers: Vec<_> = (0..4_u64)
            .map(|worker| {
                let registry = &registry;
                scope.spawn(move || {
                    let busy = registry.histogram("busy_seconds", &[]);
                    for step in 0..EACH {
                        busy.record((worker * EACH + step) as f64 * 0.01);
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        ended.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    assert_eq!(histogram_of(&registry, "busy_seconds").sample_count(), 4 * EACH + 1);
}

#[test]
fn a_native_histogram_that_cannot_be_is_refused() {
    let registry = Registry::default();
    let wrong = NativeHistogram { schema: 12, ..NativeHistogram::default() };
    assert!(registry.set_native_buckets("x", wrong).unwrap_err().is_invalid_buckets());
}

#[test]
fn a_gather_shows_exemplars_by_bucket_and_native_buckets() {
    use obs_model::{Gather as _, MetricValue};

    let config = RegistryConfig { exemplars: Exemplars::PerBucket, ..RegistryConfig::default() };
    let registry = Registry::new(config);
    registry.set_buckets("wait_seconds", &[1.0, 10.0]).unwrap();
    let native = NativeHistogram { schema: 0, ..NativeHistogram::default() };
    registry.set_native_buckets("wait_seconds", native).unwrap();
    let trace = TraceId::new(0xabc).unwrap();
    registry.histogram("wait_seconds", &[]).record(0.75);
    {
        let _entered = Context::default().with_trace(trace).enter();
        registry.histogram("wait_seconds", &[]).record(3.0);
    }
    let mut found = Vec::new();
    registry.gather(&mut |family| {
        if &*family.name == "wait_seconds" {
            found.extend(family.points.iter().map(|point| point.value.clone()));
        }
    });
    let [MetricValue::Histogram(shown)] = &found[..] else { panic!("{found:?}") };
    assert_eq!((shown.count, shown.sum), (2, 3.75));
    let [(1, exemplar)] = &shown.exemplars[..] else { panic!("{:?}", shown.exemplars) };
    assert_eq!((exemplar.value, exemplar.labels.get("trace_id")), (3.0, Some(&*trace.to_string())));
    let native = shown.native.as_ref().unwrap();
    assert_eq!((native.schema, native.zero_count), (0, 0));
    assert_eq!((&native.positive[..], &native.negative[..]), (&[(0, 1), (2, 1)][..], &[][..]));
}
