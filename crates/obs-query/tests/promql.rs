//! Queries over the series store: values, limits and the errors of each.

use std::cell::Cell;
use std::time::Duration;

use obs_model::{Labels, Sample, Timestamp};
use obs_query::promql::{
    Engine, EngineOptions, MAX_QUERY_DEPTH, ParseOptions, QueryResult, QueryValue, Steps,
};
use obs_query::{Error, SeriesStore, StoreConfig};

const STEP: i64 = 15_000;

/// Two jobs with two instances each; a counter that grows by 15, 30, 45, 60 a step, and a gauge.
fn store() -> SeriesStore {
    let store = SeriesStore::new(StoreConfig::default());
    for (index, (job, instance)) in
        [("a", "0"), ("a", "1"), ("b", "0"), ("b", "1")].into_iter().enumerate()
    {
        for (name, slope) in [("requests_total", 15.0), ("gauge", -1.0)] {
            let labels =
                Labels::new([("__name__", name), ("job", job), ("instance", instance)]).unwrap();
            for tick in 0..=80 {
                let value = tick as f64 * slope * (index as f64 + 1.0);
                let timestamp = Timestamp::from_millis(tick * STEP);
                store.append(&labels, Sample { timestamp, value }).unwrap();
            }
        }
    }
    store
}

fn instant_with(engine: &Engine, query: &str) -> Result<QueryResult, Error> {
    let expr = engine.parse(query)?;
    engine.instant(&store(), &expr, Timestamp::from_millis(1_200_000), &|| false)
}

/// The result of a query at 20 minutes, as `{labels} value` in order.
fn instant(query: &str) -> Vec<String> {
    let answer = instant_with(&Engine::default(), query).unwrap_or_else(|e| panic!("{query}: {e}"));
    match answer.value {
        QueryValue::Scalar(sample) => vec![sample.value.to_string()],
        QueryValue::Vector(points) => points
            .iter()
            .map(|point| format!("{} {}", point.labels, point.value.as_float().unwrap()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn failure(query: &str) -> Error {
    match instant_with(&Engine::default(), query) {
        Err(error) => error,
        Ok(answer) => panic!("{query}: {answer:?}"),
    }
}

fn range(engine: &Engine, query: &str, end: i64, step: i64) -> Result<QueryResult, Error> {
    let steps = Steps {
        start: Timestamp::EPOCH,
        end: Timestamp::from_millis(end),
        step: Duration::from_millis(step.unsigned_abs()),
    };
    engine.range(&store(), &engine.parse(query)?, steps, &|| false)
}

#[test]
fn queries_come_to_what_prometheus_makes_of_them() {
    for (query, expected) in [
        (
            "sum by (job) (increase(requests_total[5m]))",
            vec![r#"{job="a"} 900"#, r#"{job="b"} 2100"#],
        ),
        ("topk(1, gauge)", vec![r#"gauge{instance="0",job="a"} -80"#]),
        ("-gauge{job='a'} > 100", vec![r#"{instance="1",job="a"} 160"#]),
        (
            "gauge{job='a'} < bool -100",
            vec![r#"{instance="0",job="a"} 0"#, r#"{instance="1",job="a"} 1"#],
        ),
        (
            "requests_total{instance='0'} / on (job) group_left () sum by (job) (requests_total)",
            vec![
                r#"{instance="0",job="a"} 0.3333333333333333"#,
                r#"{instance="0",job="b"} 0.42857142857142855"#,
            ],
        ),
        ("count(gauge unless gauge{job='a'})", vec!["{} 2"]),
        ("scalar(gauge{job='a',instance='0'}) + 1", vec!["-79"]),
        ("absent(nothing{a='b'})", vec![r#"{a="b"} 1"#]),
        (
            "max_over_time(increase(requests_total{job='a',instance='0'}[1m])[5m:1m])",
            vec![r#"{instance="0",job="a"} 60"#],
        ),
        ("quantile(0.5, gauge)", vec!["{} -200"]),
        ("day_of_week() + hour()", vec!["{} 4"]),
        ("2 ^ 3 ^ 2", vec!["512"]),
    ] {
        assert_eq!(instant(query), expected, "{query}");
    }
}

#[test]
fn matching_that_is_not_clear_is_an_error_in_prometheus_words() {
    for (query, expected) in [
        (
            "requests_total * on (job) gauge",
            r#"found duplicate series for the match group {job="a"} on the right hand-side of the operation: [{__name__="gauge", instance="1", job="a"}, {__name__="gauge", instance="0", job="a"}];many-to-many matching not allowed: matching labels must be unique on one side"#,
        ),
        (
            "requests_total * on (job) gauge{instance='0'}",
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
        ),
        (
            "sum without (instance) (gauge) * on (job) group_right (instance) label_replace(requests_total, 'instance', '', '', '')",
            "vector cannot contain metrics with the same labelset",
        ),
        ("rate({__name__=~'.+'}[5m])", "vector cannot contain metrics with the same labelset"),
        (
            "label_replace(gauge, 'job', 'x', '', '')",
            "vector cannot contain metrics with the same labelset",
        ),
        ("topk(NaN, gauge)", "Parameter value is NaN"),
        ("topk(1e30, gauge)", "Scalar value 1e+30 overflows int64"),
        ("count_values('', gauge)", "invalid label name \"\""),
        ("label_join(gauge, '', ',', 'job')", "invalid destination label name in label_join(): "),
    ] {
        let error = failure(query);
        assert_eq!(error.to_string(), expected, "{query}");
        assert!(error.is_execution(), "{query}");
    }
}

#[test]
fn names_are_dropped_at_once_unless_that_is_put_off() {
    let query = "label_replace(increase(requests_total{job='a',instance='0'}[5m]), 'was', '$1', '__name__', '(.*)')";
    assert_eq!(instant(query), [r#"{instance="0",job="a"} 300"#]);
    let options = EngineOptions { delayed_name_removal: true, ..EngineOptions::default() };
    let answer = instant_with(&Engine::new(options), query).unwrap();
    let QueryValue::Vector(points) = answer.value else { panic!("expected a vector") };
    assert_eq!(points[0].labels.get("was"), Some("requests_total"));
    assert_eq!(points[0].labels.metric_name(), None);
}

#[test]
fn annotations_say_what_is_odd_and_where() {
    let query = "sum(\n  rate(gauge[5m]))";
    let answer = instant_with(&Engine::default(), query).unwrap();
    assert_eq!(
        answer.annotations.infos()[0].located(query),
        "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"gauge\" (2:8)"
    );
    let answer = instant_with(&Engine::default(), "quantile(2, gauge)").unwrap();
    assert_eq!(
        answer.annotations.warnings()[0].message,
        "PromQL warning: quantile value should be between 0 and 1, got 2"
    );
}

#[test]
fn a_range_query_has_a_value_at_each_step_that_has_one() {
    let answer = range(&Engine::default(), "sum(requests_total)", 60_000, 30_000).unwrap();
    let QueryValue::Matrix(series) = answer.value else { panic!("expected a matrix") };
    let values: Vec<f64> = series[0].floats.iter().map(|sample| sample.value).collect();
    assert_eq!(values, [0.0, 300.0, 600.0]);
    let answer = range(&Engine::default(), "time()", 2_000, 1_000).unwrap();
    let QueryValue::Matrix(series) = answer.value else { panic!("expected a matrix") };
    assert_eq!(series[0].floats.len(), 3);
    assert!(series[0].labels.is_empty());
}

#[test]
fn too_many_samples_are_an_error_of_their_own() {
    let in_memory = EngineOptions { max_samples: 100, ..EngineOptions::default() };
    let read = EngineOptions { max_samples_read: 100, ..EngineOptions::default() };
    for (options, query) in [
        (&in_memory, "gauge[20m]"),
        (&in_memory, "max_over_time((gauge + gauge)[20m:15s])"),
        (&in_memory, "sum_over_time((gauge or requests_total)[90s:1s])"),
        (&read, "sum(rate(requests_total[20m]))"),
        (&read, "count_over_time(gauge[20m])"),
    ] {
        let engine = Engine::new(options.clone());
        let error = instant_with(&engine, query).unwrap_err();
        assert!(error.is_too_many_samples(), "{query}: {error}");
        assert!(error.to_string().contains("at most 100 are accepted"), "{error}");
    }
    // A step count that no memory could hold is refused before anything is allocated.
    let error = failure("sum_over_time(vector(1)[1y:1ms])");
    assert!(error.is_invalid_query(), "{error}");
    assert!(error.to_string().contains("at most 50000000 are accepted"), "{error}");
}

#[test]
fn too_many_steps_are_an_error_of_their_own() {
    let error = range(&Engine::default(), "gauge", 11_000_000, 1_000).unwrap_err();
    assert!(error.is_invalid_query());
    assert!(error.to_string().contains("11001 steps: at most 11000"), "{error}");
    for (query, end, step, expected) in [
        ("gauge[5m]", 1_000, 1_000, "must be Scalar or instant Vector"),
        ("gauge", -1, 1_000, "end timestamp must not be before start time"),
        ("gauge", 1_000, 0, "expected at least 1 ms"),
    ] {
        let error = range(&Engine::default(), query, end, step).unwrap_err();
        assert!(error.is_invalid_query() && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_query_that_takes_too_long_is_stopped() {
    let options = EngineOptions { timeout: Duration::ZERO, ..EngineOptions::default() };
    let error = instant_with(&Engine::new(options), "sum(gauge)").unwrap_err();
    assert!(error.is_timeout(), "{error}");
}

#[test]
fn a_query_that_is_not_wanted_any_more_is_stopped() {
    let engine = Engine::default();
    let expr = engine.parse("sum_over_time(sum(requests_total)[20m:1ms])").unwrap();
    let asked = Cell::new(0);
    let canceled = || {
        asked.set(asked.get() + 1);
        asked.get() > 10
    };
    let at = Timestamp::from_millis(1_200_000);
    let error = engine.instant(&store(), &expr, at, &canceled).unwrap_err();
    assert!(error.is_canceled(), "{error}");
    assert_eq!(asked.get(), 11);
}

#[test]
fn the_deepest_query_that_is_accepted_can_be_evaluated() {
    let levels = MAX_QUERY_DEPTH - 1;
    for query in [
        format!("{}gauge{}", "abs(".repeat(levels), ")".repeat(levels)),
        format!("{}gauge", "gauge+".repeat(levels)),
        format!("{}gauge{}", "sum(".repeat(levels), ")".repeat(levels)),
        format!("{}1", "-".repeat(levels - 1)),
    ] {
        instant_with(&Engine::default(), &query).unwrap();
    }
}

#[test]
fn experimental_functions_have_to_be_enabled() {
    assert!(failure("mad_over_time(gauge[5m])").is_parse());
    let options = EngineOptions { parse: ParseOptions::all(), ..EngineOptions::default() };
    let answer = instant_with(&Engine::new(options), "mad_over_time(gauge{job='a'}[5m])").unwrap();
    let QueryValue::Vector(points) = answer.value else { panic!("expected a vector") };
    assert_eq!(points[0].value.as_float(), Some(5.0));
}

#[test]
fn names_may_be_any_text() {
    let store = SeriesStore::new(StoreConfig::default());
    for (service, value) in [("x", 1.0), ("x", 2.0), ("y", 4.0)] {
        let series = [
            ("__name__", "http.requests"),
            ("service.name", service),
            ("städte", &value.to_string()),
        ];
        let timestamp = Timestamp::from_millis(60_000);
        store.append(&Labels::new(series).unwrap(), Sample { timestamp, value }).unwrap();
    }
    let engine = Engine::default();
    for (query, expected) in [
        (
            r#"{"http.requests", "städte"="2"}"#,
            r#"{"http.requests","service.name"="x","städte"="2"} 2"#,
        ),
        (r#"sum({"service.name"="x"})"#, "{} 3"),
        (
            r#"sum by ("service.name") ({"http.requests"})"#,
            "{\"service.name\"=\"x\"} 3\n{\"service.name\"=\"y\"} 4",
        ),
        (r#"label_replace(sum({"http.requests"}), "a.b", "c", "", "")"#, r#"{"a.b"="c"} 7"#),
        (
            r#"{"städte"="1"} + on ("service.name") group_left sum by ("service.name") ({"service.name"="x"})"#,
            r#"{"service.name"="x","städte"="1"} 4"#,
        ),
    ] {
        let expr = engine.parse(query).unwrap();
        let answer = engine.instant(&store, &expr, Timestamp::from_millis(60_000), &|| false);
        let Ok(QueryValue::Vector(points)) = answer.map(|answer| answer.value) else {
            panic!("{query}: expected a vector");
        };
        let mut found: Vec<_> = points
            .iter()
            .map(|point| format!("{} {}", point.labels, point.value.as_float().unwrap()))
            .collect();
        found.sort();
        assert_eq!(found.join("\n"), expected, "{query}");
    }
}

#[test]
fn what_was_read_is_counted() {
    let answer = instant_with(&Engine::default(), "sum(rate(requests_total[5m]))").unwrap();
    assert_eq!(answer.stats.samples_read, 80);
    assert!((20..80).contains(&answer.stats.peak_samples));
}
