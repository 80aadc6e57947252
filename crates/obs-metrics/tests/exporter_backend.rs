//! The same catalogs on an application that has installed metrics-exporter-prometheus.
#![cfg(feature = "metrics-exporter-prometheus")]

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use obs_metrics::catalog::{BusinessMetrics, ToolMetrics};
use obs_metrics::expose::{Format, parse};
use obs_metrics::trackers::{Collector, CollectorOptions};
use obs_metrics::{Registry, backend, label_set};
use obs_model::{Gather, MetricKind, MetricValue};

label_set! {
    /// The labels of a job.
    struct Job {
        kind: &'static str,
    }
}

/// What an application has: a recorder, with the buckets of the catalogs that it uses.
fn recorder() -> PrometheusRecorder {
    let declared = Registry::default();
    let _ = ToolMetrics::new(&declared, "analyst");
    backend::with_catalog_buckets(PrometheusBuilder::new(), &declared).unwrap().build_recorder()
}

fn kinds(registry: &Registry) -> Vec<(String, MetricKind, usize)> {
    let mut kinds = Vec::new();
    registry.gather(&mut |family| {
        kinds.push((family.name.to_string(), family.kind, family.points.len()));
    });
    kinds
}

#[test]
fn catalogs_families_and_collectors_record_into_the_recorder_that_is_there() {
    let recorder = recorder();
    let registry = Registry::over_exporter(recorder.handle());
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("applications_own_total").increment(5);
        BusinessMetrics::new(&registry).record_chart("bar", "o-1");
        ToolMetrics::new(&registry, "analyst").start("sql").succeed();
        registry
            .counter_family::<Job>("jobs_total")
            .with(&Job { kind: "mail" }, |jobs| jobs.increment(2));
        registry.float_counter("cpu_seconds_total", &[]).absolute(1.5);
        let options = CollectorOptions::default();
        let depth = Collector::new(&registry, "gauge", "depth", "Depth.", &["queue"], options);
        depth.unwrap().set(4.0, &[("queue", "a")]).unwrap();
        registry.install().unwrap();
    });
    let chart = [("chart_type", "bar"), ("organization_id", "o-1")];
    assert_eq!(registry.value("charts_created_total", &chart), Some(1.0));
    assert_eq!(registry.value("jobs_total", &[("kind", "mail")]), Some(2.0));
    assert_eq!(registry.value("cpu_seconds_total", &[]), Some(1.5));
    assert_eq!(registry.value("depth", &[("queue", "a")]), Some(4.0));
    assert_eq!(registry.value("applications_own_total", &[]), Some(5.0));
    assert_eq!(registry.value("nothing_total", &[]), None);
    assert!(registry.render_text().contains("# HELP charts_created_total Charts created"));
}

#[test]
fn what_is_gathered_has_its_types_and_the_catalogs_buckets() {
    let recorder = recorder();
    let registry = Registry::over_exporter(recorder.handle());
    metrics::with_local_recorder(&recorder, || {
        ToolMetrics::new(&registry, "analyst").start("sql").succeed();
        registry.histogram("no_buckets", &[]).record(0.5);
        registry.gauge("depth", &[("q", "a")]).set(1.0);
        registry.gauge("depth", &[("q", "b")]).set(2.0);
    });
    let expected = [
        ("analyst_tool_duration_seconds", MetricKind::Histogram, 1),
        ("analyst_tool_executions_total", MetricKind::Counter, 1),
        ("depth", MetricKind::Gauge, 2),
        // The exporter makes a summary of a histogram without buckets.
        ("no_buckets", MetricKind::Gauge, 7),
        ("no_buckets_count", MetricKind::Counter, 1),
        ("no_buckets_sum", MetricKind::Counter, 1),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(name, kind, points)| (name.to_owned(), kind, points)).collect();
    assert_eq!(kinds(&registry), expected);
    registry.gather(&mut |family| {
        if family.kind == MetricKind::Histogram {
            let MetricValue::Histogram(snapshot) = &family.points[0].value else { panic!() };
            assert_eq!(snapshot.count, 1);
            assert!(snapshot.buckets.len() > 3 && snapshot.buckets[0].upper_bound < 1.0);
        }
    });
}

#[test]
fn every_scrape_gets_the_text_that_the_exporter_renders() {
    let recorder = recorder();
    let registry = Registry::over_exporter(recorder.handle());
    metrics::with_local_recorder(&recorder, || registry.counter("x_total", &[]).increment(1));
    for accept in [None, Some("application/openmetrics-text"), Some("text/plain;version=1.0.0")] {
        let exposition = registry.negotiate(accept, None);
        assert!(matches!(exposition.format(), Format::Text { .. }), "{accept:?}");
        assert_eq!(exposition.content_type(), obs_metrics::TEXT_CONTENT_TYPE);
        let mut body = Vec::new();
        exposition.write(&mut body).unwrap();
        let families = parse::text(&body).unwrap();
        assert_eq!((&*families[0].name, families[0].samples[0].value), ("x_total", 1.0));
    }
    let zipped = registry.negotiate(None, Some("gzip"));
    let mut body = Vec::new();
    zipped.write(&mut body).unwrap();
    assert_eq!(body[..2], [0x1f, 0x8b]);
}

#[test]
fn a_registry_that_is_made_its_own_back_end_records_nothing_and_goes_on() {
    let recorder = recorder();
    let registry = Registry::over_exporter(recorder.handle());
    metrics::with_local_recorder(&registry, || {
        metrics::counter!("x_total").increment(1);
        registry.gauge("g", &[]).set(1.0);
        registry.describe("g", "G.");
    });
    assert_eq!(registry.value("x_total", &[]), None);
}
