//! What becomes of recordings: names, kinds, limits, caps, threads.

use std::thread;

use metrics::{
    Counter, Key, Label, Level, Metadata, Recorder, counter, describe_histogram, gauge, histogram,
    with_local_recorder,
};
use obs_metrics::{BucketPattern, Registry, RegistryConfig};
use obs_model::{Gather, LabelLimits, Labels, MetricKind, MetricValue};

const DROPPED: &str = "obskit_metrics_dropped_total";
const FOLDED: &str = "obskit_metrics_overflow_total";

fn dropped(registry: &Registry, reason: &str) -> f64 {
    registry.value(DROPPED, &[("reason", reason)]).unwrap()
}

fn registry_of(config: RegistryConfig) -> Registry {
    Registry::new(config)
}

#[test]
fn the_macros_record_counters_gauges_and_histograms() {
    let registry = Registry::default();
    with_local_recorder(&registry, || {
        counter!("jobs_total", "kind" => "mail").increment(2);
        counter!("jobs_total", "kind" => "mail").absolute(7);
        counter!("jobs_total", "kind" => "mail").absolute(5);
        gauge!("depth").set(4.5);
        gauge!("depth").increment(2.0);
        gauge!("depth").decrement(0.5);
        histogram!("wait_seconds").record(0.3);
        histogram!("wait_seconds").record_many(7.0, 2);
    });
    assert_eq!(registry.value("jobs_total", &[("kind", "mail")]), Some(7.0));
    assert_eq!(registry.value("depth", &[]), Some(6.0));
    assert_eq!(registry.value("wait_seconds_count", &[]), Some(3.0));
    assert_eq!(registry.value("wait_seconds_sum", &[]), Some(14.3));
    assert_eq!(registry.value("wait_seconds_bucket", &[("le", "0.5")]), Some(1.0));
    assert_eq!(registry.value("wait_seconds_bucket", &[("le", "+Inf")]), Some(3.0));
    assert_eq!(registry.value("wait_seconds_bucket", &[("le", "0.6")]), None);
    assert_eq!(registry.value("wait_seconds", &[]), None);
    assert_eq!(registry.value("absent", &[]), None);
}

#[test]
fn eight_threads_lose_nothing_also_when_some_end_early() {
    const EACH: u64 = 20_000;
    let registry = Registry::default();
    thread::scope(|scope| {
        for worker in 0..8_u64 {
            let registry = &registry;
            scope.spawn(move || {
                with_local_recorder(registry, || {
                    // Every other thread is done after a tenth of the work; a new one takes its place.
                    let parts = if worker % 2 == 0 { 10 } else { 1 };
                    for _ in 0..parts {
                        thread::scope(|inner| {
                            inner.spawn(|| {
                                with_local_recorder(registry, || record(EACH / parts, worker));
                            });
                        });
                    }
                });
            });
        }
    });
    let all = (8 * EACH) as f64;
    assert_eq!(registry.value("shared_total", &[]), Some(all));
    assert_eq!(registry.value("shared_gauge", &[]), Some(all));
    assert_eq!(registry.value("shared_ms_count", &[]), Some(all));
    assert_eq!(registry.value("shared_ms_sum", &[]), Some(all * 3.0));
    for worker in 0..8 {
        let labels = [("worker", &*worker.to_string())];
        assert_eq!(registry.value("own_total", &labels), Some(EACH as f64));
    }
}

fn record(times: u64, worker: u64) {
    let cached = gauge!("shared_gauge");
    for _ in 0..times {
        counter!("shared_total").increment(1);
        counter!("own_total", "worker" => worker.to_string()).increment(1);
        cached.increment(1);
        histogram!("shared_ms").record(3.0);
    }
}

#[test]
fn threads_that_register_one_series_at_once_share_it() {
    let registry = Registry::default();
    for round in 0..200 {
        let name = format!("race_{round}_total");
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| registry.counter(&name, &[("a", "b")]).increment(1));
            }
        });
        assert_eq!(registry.value(&name, &[("a", "b")]), Some(8.0));
    }
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(200.0));
}

#[test]
fn a_gather_beside_writers_sees_counts_that_agree_and_never_fall() {
    let registry = Registry::default();
    let histogram = registry.histogram("busy_seconds", &[]);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for value in 0..200_000 {
                histogram.record(f64::from(value % 70));
            }
        });
        let mut last = 0;
        while !writer.is_finished() {
            registry.gather(&mut |family| {
                if let MetricValue::Histogram(seen) = &family.points[0].value {
                    assert_eq!(seen.buckets.last().unwrap().cumulative_count, seen.count);
                    assert!(
                        seen.buckets
                            .windows(2)
                            .all(|pair| pair[0].cumulative_count <= pair[1].cumulative_count)
                    );
                    assert!(seen.count >= last);
                    last = seen.count;
                }
            });
        }
    });
    assert_eq!(registry.value("busy_seconds_count", &[]), Some(200_000.0));
}

#[test]
fn names_and_labels_are_made_valid_and_then_mean_one_series() {
    let registry = Registry::default();
    with_local_recorder(&registry, || {
        counter!("http.requests", "http.method" => "GET").increment(1);
        counter!("http_requests", "http_method" => "GET").increment(2);
        counter!("http.requests", "__name__" => "evil").increment(4);
        histogram!("h_seconds", "le" => "x").record(1.0);
    });
    registry.counter("twice_total", &[("a", "1"), ("a", "2")]).increment(8);
    assert_eq!(registry.value("http_requests", &[("http_method", "GET")]), Some(3.0));
    assert_eq!(registry.value("http_requests", &[("exported___name__", "evil")]), Some(4.0));
    assert_eq!(registry.value("h_seconds_count", &[("exported_le", "x")]), Some(1.0));
    assert_eq!(registry.value("twice_total", &[("a", "2")]), Some(8.0));
}

#[test]
fn a_label_set_over_the_limits_is_refused_and_every_call_counted() {
    let limits = LabelLimits { max_labels: 2, max_name_bytes: 8, max_value_bytes: 4 };
    let registry = registry_of(RegistryConfig { label_limits: limits, ..Default::default() });
    for labels in
        [&[("a", "1"), ("b", "2"), ("c", "3")][..], &[("verylonglabel", "1")], &[("a", "12345")]]
    {
        registry.counter("x_total", labels).increment(3);
        registry.gauge("y", labels).set(1.0);
        registry.histogram("z", labels).record_many(1.0, 4);
    }
    assert_eq!(dropped(&registry, "label_limits"), 18.0);
    registry.counter("x_total", &[("a", "1234")]).increment(1);
    registry.counter(&"n".repeat(1_025), &[]).increment(1);
    assert_eq!(dropped(&registry, "label_limits"), 18.0);
    assert_eq!(dropped(&registry, "name_too_long"), 1.0);
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(1.0));
}

#[test]
fn a_metric_used_as_two_kinds_keeps_the_first_and_counts_the_calls_of_the_second() {
    let registry = Registry::default();
    with_local_recorder(&registry, || {
        for _ in 0..2 {
            counter!("thing").increment(1);
            gauge!("thing").set(9.0);
            histogram!("thing").record(9.0);
            gauge!("thing", "other" => "labels").set(9.0);
        }
    });
    registry.float_counter("thing", &[]).increment(0.5);
    assert_eq!(registry.value("thing", &[]), Some(2.0));
    assert_eq!(dropped(&registry, "kind_conflict"), 7.0);
}

#[test]
fn a_name_that_is_a_part_of_a_histogram_is_a_conflict_in_either_order() {
    let registry = Registry::default();
    registry.histogram("a", &[]).record(1.0);
    registry.counter("a_count", &[]).increment(1);
    registry.gauge("a_sum", &[]).set(1.0);
    registry.counter("b_bucket", &[]).increment(1);
    registry.histogram("b", &[]).record(1.0);
    registry.counter("c_count", &[]).increment(1);
    registry.counter("c", &[]).increment(1);
    assert_eq!(dropped(&registry, "kind_conflict"), 3.0);
    assert_eq!(registry.value("a_count", &[]), Some(1.0));
    assert_eq!(registry.value("b_bucket", &[]), Some(1.0));
    assert_eq!(registry.value("c", &[]), Some(1.0));
}

#[test]
fn series_over_the_metrics_cap_are_folded_into_one_and_counted() {
    let registry = registry_of(RegistryConfig { max_series_per_metric: 3, ..Default::default() });
    with_local_recorder(&registry, || {
        for id in 0..10 {
            counter!("c_total", "id" => id.to_string()).increment(2);
            gauge!("g", "id" => id.to_string()).increment(1.0);
            histogram!("h", "id" => id.to_string()).record(1.0);
        }
        counter!("c_total", "id" => "0").increment(1);
        counter!("small_total").increment(1);
    });
    registry.float_counter("f_total", &[("id", "0")]).increment(0.5);
    let overflow = [("otel_metric_overflow", "true")];
    assert_eq!(registry.value("c_total", &[("id", "0")]), Some(3.0));
    assert_eq!(registry.value("c_total", &[("id", "3")]), None);
    assert_eq!(registry.value("c_total", &overflow), Some(14.0));
    assert_eq!(registry.value("g", &overflow), Some(7.0));
    assert_eq!(registry.value("h_count", &overflow), Some(7.0));
    for (metric, folded) in
        [("c_total", Some(7.0)), ("g", Some(7.0)), ("h", Some(7.0)), ("small_total", None)]
    {
        assert_eq!(registry.value(FOLDED, &[("metric", metric)]), folded, "{metric}");
    }
    assert_eq!(registry.value("small_total", &[]), Some(1.0));
}

#[test]
fn series_over_the_cap_in_all_are_folded_per_metric() {
    let registry = registry_of(RegistryConfig { max_series: 2, ..Default::default() });
    for (metric, id) in [("a_total", "1"), ("a_total", "2"), ("a_total", "3"), ("b_total", "1")] {
        registry.counter(metric, &[("id", id)]).increment(1);
    }
    let float = registry.float_counter("f_total", &[]);
    float.increment(0.5);
    float.absolute(2.0);
    let overflow = [("otel_metric_overflow", "true")];
    for (metric, value) in [("a_total", 1.0), ("b_total", 1.0), ("f_total", 2.0)] {
        assert_eq!(registry.value(metric, &overflow), Some(value), "{metric}");
    }
    assert_eq!(registry.value(FOLDED, &[("metric", "f_total")]), Some(2.0));
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(2.0));
}

#[test]
fn metrics_over_the_cap_are_dropped_and_counted() {
    let registry = registry_of(RegistryConfig { max_metrics: 2, ..Default::default() });
    for name in ["a", "b", "c", "d", "a"] {
        registry.gauge(name, &[]).set(1.0);
    }
    assert_eq!(registry.value("c", &[]), None);
    assert_eq!(dropped(&registry, "too_many_metrics"), 2.0);
}

#[test]
fn keys_that_mean_one_series_do_not_grow_what_is_remembered() {
    let registry = registry_of(RegistryConfig { max_series: 4, ..Default::default() });
    let metadata = Metadata::new("test", Level::INFO, None);
    for repeat in 0..100 {
        let labels = vec![Label::new("a", repeat.to_string()), Label::new("a", "last")];
        let handle: Counter =
            registry.register_counter(&Key::from_parts("x_total", labels), &metadata);
        handle.increment(1);
    }
    assert_eq!(registry.value("x_total", &[("a", "last")]), Some(100.0));
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(1.0));
}

#[test]
fn not_a_number_is_kept_by_gauges_and_refused_by_histograms() {
    let registry = Registry::default();
    registry.gauge("g", &[]).set(f64::NAN);
    registry.gauge("i", &[]).set(f64::NEG_INFINITY);
    registry.histogram("h_seconds", &[]).record(f64::NAN);
    registry.histogram("h_seconds", &[]).record(f64::INFINITY);
    registry.float_counter("f_total", &[]).increment(-1.0);
    assert!(registry.value("g", &[]).unwrap().is_nan());
    assert_eq!(registry.value("i", &[]), Some(f64::NEG_INFINITY));
    assert_eq!(registry.value("h_seconds_count", &[]), Some(1.0));
    assert_eq!(registry.value("h_seconds_bucket", &[("le", "60")]), Some(0.0));
    assert_eq!(registry.value("h_seconds_sum", &[]), Some(f64::INFINITY));
    assert_eq!(dropped(&registry, "invalid_value"), 2.0);
}

#[test]
fn buckets_are_set_before_first_use_only() {
    let registry = Registry::default();
    registry.set_buckets("exact.ms", &[1.0, 2.0, f64::INFINITY]).unwrap();
    registry.set_buckets_for(BucketPattern::Prefix("exact".into()), &[5.0]).unwrap();
    registry.histogram("exact_ms", &[]).record(1.5);
    registry.histogram("exact_other", &[]).record(1.5);
    with_local_recorder(&registry, || {
        describe_histogram!("wait", metrics::Unit::Seconds, "Wait.");
        histogram!("wait").record(1.0);
    });
    assert_eq!(registry.value("exact_ms_bucket", &[("le", "2")]), Some(1.0));
    assert_eq!(registry.value("exact_other_bucket", &[("le", "5")]), Some(1.0));
    assert_eq!(registry.value("wait_bucket", &[("le", "0.005")]), Some(0.0));

    registry.set_buckets("exact_ms", &[1.0, 2.0]).unwrap();
    let late = registry.set_buckets("exact_ms", &[3.0]).unwrap_err();
    assert!(late.is_buckets_in_use(), "{late}");
    assert!(registry.set_buckets("x", &[2.0, 1.0]).unwrap_err().is_invalid_buckets());
}

#[test]
fn a_gather_shows_every_family_once_in_order_of_name() {
    let registry = Registry::default();
    registry.describe("b_seconds", "How long.");
    registry.histogram("b_seconds", &[("x", "1")]).record(0.2);
    registry.gauge("a", &[]).set(3.0);
    let mut families = Vec::new();
    registry.clone().gather(&mut |family| families.push(family.clone()));
    let names: Vec<_> = families.iter().map(|family| &*family.name).collect();
    assert_eq!(names, ["a", "b_seconds", DROPPED, "obskit_metrics_series"]);
    let histogram = &families[1];
    assert_eq!((&*histogram.help, histogram.kind), ("How long.", MetricKind::Histogram));
    assert_eq!(histogram.points[0].labels, Labels::new([("x", "1")]).unwrap());
    let MetricValue::Histogram(snapshot) = &histogram.points[0].value else { panic!() };
    assert_eq!(snapshot.buckets.last().unwrap().upper_bound, f64::INFINITY);
    assert_eq!((snapshot.count, snapshot.sum), (1, 0.2));
}
