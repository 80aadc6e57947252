//! Signals over a real store, with values worked out by hand.

use obs_model::Sample;
use obs_query::SeriesStore;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A store with a sample every 5 s from 0 to 60 s; `value` is the series' value at a second.
fn fill(store: &SeriesStore, series: &str, value: impl Fn(f64) -> f64) {
    let labels = labels(series);
    for tick in 0..=12 {
        let timestamp = Timestamp::from_millis(tick * 5_000);
        let value = value(timestamp.as_secs_f64());
        store.append(&labels, Sample { timestamp, value }).expect("the store has room");
    }
}

/// Labels written as `name` or `name a=1 b=2`, or `a=1 b=2` without a name.
fn labels(text: &str) -> Labels {
    Labels::new(
        text.split_whitespace().map(|word| word.split_once('=').unwrap_or(("__name__", word))),
    )
    .expect("valid labels")
}

fn selector(text: &str) -> Selector {
    text.parse().expect("a selector")
}

/// Computes `signal` at 60 s.
fn check(store: &SeriesStore, signal: &Signal, promql: &str, expected: &[(&str, f64)]) {
    assert_eq!(signal.promql(), promql);
    let values = signal.values(store, Timestamp::from_millis(60_000)).expect("it can be computed");
    let names: Vec<&Labels> = values.iter().map(|(labels, _)| labels).collect();
    let expected_names: Vec<Labels> = expected.iter().map(|(text, _)| labels(text)).collect();
    assert_eq!(names, expected_names.iter().collect::<Vec<_>>(), "{promql}");
    for ((labels, value), (_, expected)) in values.iter().zip(expected) {
        let close = (value - expected).abs() < 1e-9 || value.is_nan() && expected.is_nan();
        assert!(close || value == expected, "{promql} {labels}: {value}, expected {expected}");
    }
}

fn store() -> SeriesStore {
    SeriesStore::new(StoreConfig::default())
}

#[test]
fn last_is_the_latest_value_of_each_series() {
    let store = store();
    fill(&store, "depth queue=mail", |second| second);
    fill(&store, "depth queue=jobs", |second| 100.0 - second);
    check(
        &store,
        &Signal::Last(Selector::metric("depth")),
        "depth",
        &[("depth queue=jobs", 40.0), ("depth queue=mail", 60.0)],
    );
}

#[test]
fn last_forgets_a_series_that_is_older_than_the_look_back() {
    let store = store();
    fill(&store, "depth", |second| second);
    let signal = Signal::Last(Selector::metric("depth"));
    let values = |at| signal.values(&store, Timestamp::from_millis(at)).expect("computed").len();
    assert_eq!((values(359_999), values(360_000)), (1, 0));
}

#[test]
fn rate_and_increase_are_per_series_and_survive_a_counter_reset() {
    let store = store();
    fill(&store, "jobs_total kind=a", |second| second * 2.0);
    // It starts again after 30 s, and the first sample after that, 10, is what it grew by since.
    fill(
        &store,
        "jobs_total kind=b",
        |second| if second > 30.0 { second - 30.0 } else { second } * 2.0,
    );
    check(
        &store,
        &Signal::rate(Selector::metric("jobs_total"), MINUTE),
        "rate(jobs_total[1m])",
        &[("kind=a", 2.0), ("kind=b", 2.0)],
    );
    check(
        &store,
        &Signal::increase(selector(r#"jobs_total{kind="a"}"#), MINUTE),
        r#"increase(jobs_total{kind="a"}[1m])"#,
        &[("kind=a", 120.0)],
    );
}

#[test]
fn sums_are_of_everything_or_by_labels() {
    let store = store();
    fill(&store, "jobs_total kind=a host=x", |second| second);
    fill(&store, "jobs_total kind=a host=y", |second| second * 2.0);
    fill(&store, "jobs_total kind=b host=x", |second| second * 4.0);
    fill(&store, "jobs_total host=x", |second| second * 8.0);
    let rate = Signal::rate(Selector::metric("jobs_total"), MINUTE);
    check(
        &store,
        &rate.clone().summed_by(["kind"]),
        "sum by (kind) (rate(jobs_total[1m]))",
        &[("", 8.0), ("kind=a", 3.0), ("kind=b", 4.0)],
    );
    check(
        &store,
        &rate.summed_by(Vec::<String>::new()),
        "sum(rate(jobs_total[1m]))",
        &[("", 15.0)],
    );
    check(
        &store,
        &Signal::Last(Selector::metric("jobs_total")).summed_by(["host", "kind"]),
        "sum by (host, kind) (jobs_total)",
        &[
            ("host=x", 480.0),
            ("host=x kind=a", 60.0),
            ("host=x kind=b", 240.0),
            ("host=y kind=a", 120.0),
        ],
    );
}

#[test]
fn a_ratio_divides_what_has_the_same_labels() {
    let store = store();
    fill(&store, "x route=a status=error", |second| second);
    fill(&store, "x route=a status=ok", |second| second * 3.0);
    fill(&store, "x route=b status=ok", |second| second * 4.0);
    let ratio = Signal::ratio(selector(r#"x{status="error"}"#), Selector::metric("x"), MINUTE);
    check(&store, &ratio, r#"sum(rate(x{status="error"}[1m])) / sum(rate(x[1m]))"#, &[("", 0.125)]);
    check(
        &store,
        &ratio.summed_by(["route"]),
        r#"sum by (route) (rate(x{status="error"}[1m])) / sum by (route) (rate(x[1m]))"#,
        &[("route=a", 0.25)],
    );
}

#[test]
fn without_traffic_a_ratio_is_nan_and_without_series_it_is_nothing() {
    let store = store();
    fill(&store, "x status=error", |_| 7.0);
    fill(&store, "x status=ok", |_| 9.0);
    let ratio = Signal::ratio(selector(r#"x{status="error"}"#), Selector::metric("x"), MINUTE);
    let text = r#"sum(rate(x{status="error"}[1m])) / sum(rate(x[1m]))"#;
    check(&store, &ratio, text, &[("", f64::NAN)]);
    check(&SeriesStore::new(StoreConfig::default()), &ratio, text, &[]);
}

#[test]
fn an_average_is_the_sum_by_the_count_of_a_histogram() {
    let store = store();
    fill(&store, "latency_seconds_sum route=a", |second| second * 6.0);
    fill(&store, "latency_seconds_count route=a", |second| second * 2.0);
    fill(&store, "latency_seconds_sum route=b", |second| second * 2.0);
    fill(&store, "latency_seconds_count route=b", |second| second * 2.0);
    check(
        &store,
        &Signal::average(Selector::metric("latency_seconds"), MINUTE),
        "sum(increase(latency_seconds_sum[1m])) / sum(increase(latency_seconds_count[1m]))",
        &[("", 2.0)],
    );
    check(
        &store,
        &Signal::average(selector(r#"latency_seconds{route!="b"}"#), MINUTE).summed_by(["route"]),
        "sum by (route) (increase(latency_seconds_sum{route!=\"b\"}[1m])) / \
         sum by (route) (increase(latency_seconds_count{route!=\"b\"}[1m]))",
        &[("route=a", 3.0)],
    );
}

#[test]
fn a_quantile_is_read_from_the_summed_buckets() {
    let store = store();
    for host in ["x", "y"] {
        for (bound, rate) in [("1", 1.0), ("2", 3.0), ("+Inf", 4.0)] {
            let name = format!("latency_seconds_bucket host={host} le={bound}");
            fill(&store, &name, |second| second * rate);
        }
    }
    // Rates 2, 6 and 8: half of 8 is the 4th, halfway between the 2nd and the 6th, so halfway from 1 to 2.
    check(
        &store,
        &Signal::quantile(0.5, Selector::metric("latency_seconds"), MINUTE),
        "histogram_quantile(0.5, sum by (le) (rate(latency_seconds_bucket[1m])))",
        &[("", 1.5)],
    );
    // In the last bucket the answer is the largest finite bound.
    check(
        &store,
        &Signal::quantile(0.99, Selector::metric("latency_seconds"), MINUTE).summed_by(["host"]),
        "histogram_quantile(0.99, sum by (host, le) (rate(latency_seconds_bucket[1m])))",
        &[("host=x", 2.0), ("host=y", 2.0)],
    );
}

#[test]
fn two_metrics_that_a_rate_cannot_tell_apart_are_an_error() {
    let store = store();
    fill(&store, "a_total job=j", |second| second);
    fill(&store, "b_total job=j", |second| second);
    let signal = Signal::rate(selector(r#"{job="j"}"#), MINUTE);
    let error = signal.values(&store, Timestamp::from_millis(60_000)).unwrap_err();
    assert!(error.is_evaluation());
    assert!(error.to_string().contains(r#"rate({job="j"}[1m])"#), "{error}");
}

#[test]
fn every_problem_of_a_signal_is_listed() {
    let check = |signal: Signal| {
        let mut problems = Vec::new();
        signal.check(&StoreConfig::default(), &mut problems);
        problems.join("\n")
    };
    let metric = || Selector::metric("x");
    assert_eq!(check(Signal::rate(metric(), Duration::from_secs(10))), "");
    assert!(
        check(Signal::rate(metric(), Duration::from_millis(9_999)))
            .contains("9s999ms is too short")
    );
    assert!(check(Signal::rate(metric(), MINUTE * 60 * 25)).contains("1d1h is too long"));
    assert!(check(Signal::Last(selector(r#"{job="j"}"#))).contains("names no metric"));
    let many = check(Signal::quantile(1.5, metric(), Duration::ZERO).summed_by(["a-b", "c"]));
    for part in ["quantile is 1.5", "0s is too short", "\"a-b\""] {
        assert!(many.contains(part), "{part} is missing in {many}");
    }
    assert_eq!(many.lines().count(), 3);
}

#[test]
fn durations_are_written_as_promql_reads_them() {
    for (millis, expected) in [
        (0, "0s"),
        (1, "1ms"),
        (1_500, "1s500ms"),
        (60_000, "1m"),
        (5_400_000, "1h30m"),
        (90_000_000, "1d1h"),
    ] {
        assert_eq!(Span(Duration::from_millis(millis)).to_string(), expected);
    }
}
