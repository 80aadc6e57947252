//! Latencies, throughput, and metrics that are made from text.

use std::sync::Arc;
use std::time::Duration;

use obs_metrics::trackers::{
    Collector, CollectorOptions, LatencyConfig, LatencyTracker, Started, ThroughputConfig,
    ThroughputMonitor,
};
use obs_metrics::{Outcome, Registry, RegistryConfig};
use obs_model::{ManualClock, Timestamp};
use proptest::prelude::*;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn latency(config: LatencyConfig) -> (LatencyTracker, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    (LatencyTracker::new(config, clock.clone()).unwrap(), clock)
}

fn throughput(window: u64, span: u64) -> (ThroughputMonitor, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let config = ThroughputConfig {
        pattern: "/api/*".to_owned(),
        window: Duration::from_secs(window),
        average_span: Duration::from_secs(span),
    };
    (ThroughputMonitor::new(config, clock.clone()).unwrap(), clock)
}

#[test]
fn percentiles_of_a_known_distribution_are_right_to_three_digits() {
    let (tracker, _) = latency(LatencyConfig::default());
    for duration in 1..=1_000 {
        tracker.record(millis(duration), Outcome::Success);
    }
    let expected = [(50.0, 500), (95.0, 950), (99.0, 990), (99.9, 999)];
    let percentiles = tracker.percentiles();
    assert_eq!(percentiles.len(), expected.len());
    for ((percentile, got), (wanted, true_value)) in percentiles.into_iter().zip(expected) {
        assert_eq!(percentile, wanted);
        let (got, true_value) = (got.as_secs_f64(), millis(true_value).as_secs_f64());
        // The next record is at least 0.1 % further on, so half of that tells a neighbour apart.
        assert!((got / true_value - 1.0).abs() < 0.0005, "p{percentile}: {got} {true_value}");
    }
}

#[test]
fn a_summary_has_counts_errors_extremes_mean_and_cumulative_buckets() {
    let buckets = vec![millis(10), millis(20)];
    let (tracker, _) = latency(LatencyConfig { buckets, ..Default::default() });
    for (duration, outcome) in [
        (5, Outcome::Success),
        (10, Outcome::Error),
        (20, Outcome::Cancelled),
        (25, Outcome::Panicked),
    ] {
        tracker.record(millis(duration), outcome);
    }
    let summary = tracker.summary();
    assert_eq!((summary.count, summary.errors, summary.clamped), (4, 3, 0));
    assert_eq!((summary.min, summary.max), (Some(millis(5)), Some(millis(25))));
    assert_eq!(summary.mean, Some(millis(15)));
    let counts: Vec<_> = summary.buckets.iter().map(|bucket| bucket.count).collect();
    assert_eq!(counts, [2, 3]);

    assert_eq!(tracker.reset(), summary);
    let empty = tracker.summary();
    assert_eq!((empty.count, empty.min, empty.max, empty.mean), (0, None, None, None));
    assert!(empty.percentiles.is_empty());
    assert!(empty.buckets.iter().all(|bucket| bucket.count == 0));
}

#[test]
fn durations_out_of_range_are_clamped_and_counted() {
    let registry = Registry::default();
    let (tracker, _) = latency(LatencyConfig::default());
    metrics::with_local_recorder(&registry, || {
        for duration in
            [Duration::ZERO, Duration::from_micros(1), Duration::from_secs(3_600), Duration::MAX]
        {
            tracker.record(duration, Outcome::Success);
        }
    });
    let summary = tracker.summary();
    assert_eq!((summary.count, summary.clamped), (4, 2));
    assert_eq!(summary.min, Some(Duration::from_micros(1)));
    assert_eq!(summary.max, Some(Duration::from_secs(3_600)));
    assert_eq!(summary.percentiles[3], (99.9, Duration::from_secs(3_600)));
    assert_eq!(registry.value("obskit_trackers_clamped_total", &[]), Some(2.0));
}

#[test]
fn timers_over_the_cap_are_refused_and_counted_until_one_ends() {
    let registry = Registry::default();
    let (tracker, clock) = latency(LatencyConfig { max_running: 2, ..Default::default() });
    metrics::with_local_recorder(&registry, || {
        assert_eq!(tracker.start("a"), Started::New);
        assert_eq!(tracker.start("b"), Started::New);
        assert_eq!(tracker.start("c"), Started::Refused);
        clock.advance(millis(10));
        assert_eq!(tracker.start("b"), Started::Restarted);
        clock.advance(millis(10));
        assert_eq!(tracker.end("a", Outcome::Success), Some(millis(20)));
        assert_eq!(tracker.start(&"x".repeat(257)), Started::Refused);
        assert_eq!(tracker.start("c"), Started::New);
    });
    assert_eq!(tracker.end("b", Outcome::Error), Some(millis(10)));
    assert_eq!(tracker.end("b", Outcome::Error), None);
    assert!(tracker.discard("c"));
    assert!(!tracker.discard("c"));
    let summary = tracker.summary();
    assert_eq!((summary.count, summary.errors, summary.running), (2, 1, 0));
    assert_eq!(summary.refused_timers, 2);
    assert_eq!(registry.value("obskit_trackers_refused_timers_total", &[]), Some(2.0));
}

#[test]
fn timers_that_never_end_make_room_after_an_hour() {
    let (tracker, clock) = latency(LatencyConfig { max_running: 2, ..Default::default() });
    tracker.start("lost");
    clock.advance(Duration::from_secs(1_800));
    tracker.start("running");
    clock.advance(Duration::from_secs(1_801));
    assert_eq!(tracker.start("new"), Started::New);
    let summary = tracker.summary();
    assert_eq!((summary.running, summary.abandoned_timers, summary.refused_timers), (2, 1, 0));
    assert_eq!(tracker.end("lost", Outcome::Success), None);
    assert_eq!(tracker.end("running", Outcome::Success), Some(Duration::from_secs(1_801)));
}

#[test]
fn every_problem_of_a_latency_tracker_is_told_at_once() {
    let config = LatencyConfig {
        percentiles: vec![0.0, 50.0, 101.0, f64::NAN],
        buckets: vec![millis(5), millis(5)],
        ..Default::default()
    };
    let error = LatencyTracker::new(config, Arc::new(ManualClock::default())).err().unwrap();
    assert!(error.is_invalid_tracker());
    let text = error.to_string();
    for part in ["percentile 0:", "percentile 101:", "percentile NaN:", "bucket 5ms:"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("percentile 50:"));
}

proptest! {
    #[test]
    fn a_percentile_is_within_a_thousandth_of_the_true_one(
        mut micros in prop::collection::vec(1_u64..10_000_000, 1..200),
        percentile in 1_u32..=100,
    ) {
        let percentiles = vec![f64::from(percentile)];
        let (tracker, _) = latency(LatencyConfig { percentiles, ..Default::default() });
        for duration in &micros {
            tracker.record(Duration::from_micros(*duration), Outcome::Success);
        }
        micros.sort_unstable();
        let rank = (micros.len() * percentile as usize).div_ceil(100).max(1);
        let true_value = micros[rank - 1] as f64;
        let got = tracker.percentiles()[0].1.as_micros() as f64;
        prop_assert!(got >= true_value && got <= true_value * 1.001, "{got} {true_value}");
    }
}

#[test]
fn rates_divide_by_the_time_covered_until_the_window_is_full() {
    let (monitor, clock) = throughput(10, 10);
    for _ in 0..30 {
        monitor.record("/api/solve?x=1", Outcome::Success, 100);
    }
    monitor.record("/api/solve", Outcome::Error, 0);
    monitor.record("/metrics?next=/api/x", Outcome::Success, 1);
    assert_eq!(monitor.report().requests_per_second, 31.0, "within the first second");
    assert_eq!(monitor.report().moving_average, None);
    clock.advance(Duration::from_secs(5));
    let report = monitor.report();
    assert_eq!((report.requests, report.successes, report.bytes), (31, 30, 3_000));
    assert_eq!(report.requests_per_second, 6.2);
    assert_eq!(report.bytes_per_second, 600.0);
    assert_eq!(report.success_ratio, Some(30.0 / 31.0));
    assert_eq!((report.total, report.ignored), (31, 1));
}

#[test]
fn what_is_older_than_the_window_no_longer_counts() {
    let (monitor, clock) = throughput(10, 10);
    monitor.record("/api/a", Outcome::Success, 7);
    clock.advance(millis(9_999));
    assert_eq!(monitor.report().requests, 1);
    clock.advance(millis(1));
    let report = monitor.report();
    assert_eq!((report.requests, report.bytes, report.total), (0, 0, 1));
    assert_eq!(report.success_ratio, None);
    monitor.record("/api/b", Outcome::Success, 1);
    assert_eq!(monitor.report().bytes, 1, "the slot is emptied before it is used again");
}

#[test]
fn a_steady_rate_is_shown_as_it_is_and_setting_the_clock_changes_nothing() {
    let (monitor, clock) = throughput(300, 60);
    for _ in 0..700 {
        for _ in 0..4 {
            monitor.record("/api/a", Outcome::Success, 10);
        }
        clock.advance(millis(1_000));
    }
    clock.set(Timestamp::EPOCH);
    let report = monitor.report();
    assert_eq!(report.covered, Duration::from_secs(299));
    assert_eq!((report.requests_per_second, report.bytes_per_second), (4.0, 40.0));
    assert!((report.moving_average.unwrap() - 4.0).abs() < 1e-9);
}

#[test]
fn the_moving_average_follows_its_formula() {
    let (monitor, clock) = throughput(10, 3);
    for requests in [8, 0, 2] {
        for _ in 0..requests {
            monitor.record("/api/a", Outcome::Success, 0);
        }
        clock.advance(millis(1_000));
    }
    // With a span of 3, each second weighs half of the next: (2 + 0 / 2 + 8 / 4) / (1 + 1 / 2 + 1 / 4).
    assert!((monitor.report().moving_average.unwrap() - 4.0 / 1.75).abs() < 1e-12);
}

#[test]
fn every_problem_of_a_throughput_monitor_is_told_at_once() {
    let config = ThroughputConfig {
        pattern: String::new(),
        window: millis(1_500),
        average_span: Duration::from_secs(90),
    };
    let error = ThroughputMonitor::new(config, Arc::new(ManualClock::default())).err().unwrap();
    assert!(error.is_invalid_tracker());
    assert_eq!(
        error.to_string(),
        "set up a throughput monitor for \"\": the pattern has 0 bytes: 1 to 256 are accepted, such as \"/api/*\"; \
         the window is 1.5s: whole seconds from 1 to 86400 are accepted; \
         the average span is 90s: whole seconds from 1 to 1 are accepted"
    );
}

fn collector(registry: &Registry, kind: &str, name: &str, labels: &[&str]) -> Collector {
    Collector::new(registry, kind, name, "Help.", labels, CollectorOptions::default()).unwrap()
}

#[test]
fn each_type_records_into_the_registry() {
    let registry = Registry::default();
    let jobs = collector(&registry, "counter", "jobs_total", &["kind", "status"]);
    jobs.increment(2, &[("status", "ok"), ("kind", "mail")]).unwrap();
    collector(&registry, "gauge", "depth", &[]).set(-1.5, &[]).unwrap();
    let options = CollectorOptions { buckets: Some(vec![1.0, 2.0]) };
    let sizes = Collector::new(&registry, "histogram", "size", "", &["kind"], options).unwrap();
    sizes.record(1.5, &[("kind", "a")]).unwrap();
    let text = registry.render_text();
    for line in [
        "# HELP jobs_total Help.\n",
        "jobs_total{kind=\"mail\",status=\"ok\"} 2\n",
        "# TYPE depth gauge\ndepth -1.5\n",
        "size_bucket{kind=\"a\",le=\"1\"} 0\n",
        "size_bucket{kind=\"a\",le=\"2\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn wrong_use_is_an_error_that_says_what_is_accepted_and_records_nothing() {
    let registry = Registry::default();
    let jobs = collector(&registry, "counter", "jobs", &["kind", "status"]);
    let depth = collector(&registry, "gauge", "depth", &[]);
    let size = collector(&registry, "histogram", "size", &[]);
    for (result, expected) in [
        (jobs.record(1.0, &[]), "record the counter \"jobs\": a counter accepts increment"),
        (depth.increment(1, &[]), "increment the gauge \"depth\": a gauge accepts set"),
        (size.set(1.0, &[]), "set the histogram \"size\": a histogram accepts record"),
        (
            size.record(f64::NAN, &[]),
            "record NaN into the histogram \"size\": numbers and infinities are accepted",
        ),
        (
            jobs.increment(1, &[("kind", "a"), ("kind", "b"), ("user", "c")]),
            "record into \"jobs\" with the labels [kind, kind, user]: \"kind\" is given twice, \
             \"user\" is unknown, \"status\" is missing; accepted are [kind, status]",
        ),
    ] {
        let error = result.unwrap_err();
        assert!(error.is_wrong_use());
        assert_eq!(error.to_string(), expected);
    }
    let text = registry.render_text();
    assert!(!text.lines().any(|line| line.starts_with("jobs{") || line.starts_with("size_")));
}

#[test]
fn a_collector_that_cannot_be_is_refused_with_every_problem() {
    let registry = Registry::default();
    let options = CollectorOptions { buckets: Some(vec![2.0, 1.0]) };
    let error = Collector::new(&registry, "histogram", "a b", "", &["le", "x", "x", "1"], options);
    let text = error.err().unwrap().to_string();
    for part in ["\"a b\"", "\"le\" is reserved", "\"x\" is given twice", "\"1\"", "must be larger"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    let options = CollectorOptions { buckets: Some(vec![1.0]) };
    let error = Collector::new(&registry, "gauge", "g", "", &[], options).err().unwrap();
    assert!(error.is_invalid_tracker() && error.to_string().contains("for a histogram"));
    let error = Collector::new(&registry, "summary", "s", "", &[], CollectorOptions::default());
    let text = error.err().unwrap().to_string();
    assert!(text.contains("accepted are [counter, gauge, histogram]"), "{text}");
}

#[test]
fn a_name_of_another_type_and_a_full_registry_are_refused() {
    let registry = Registry::new(RegistryConfig { max_metrics: 1, ..Default::default() });
    let first = collector(&registry, "counter", "jobs", &[]);
    let again = collector(&registry, "counter", "jobs", &[]);
    first.increment(1, &[]).unwrap();
    again.increment(1, &[]).unwrap();
    assert_eq!(registry.value("jobs", &[]), Some(2.0));
    for (kind, name, reason) in
        [("gauge", "jobs", "kind_conflict"), ("gauge", "other", "too_many_metrics")]
    {
        let made = Collector::new(&registry, kind, name, "", &[], CollectorOptions::default());
        let error = made.err().unwrap();
        assert!(error.is_invalid_tracker() && error.to_string().contains(reason), "{error}");
    }
}
