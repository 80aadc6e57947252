//! Threshold rules over a real store that is filled sample by sample.

use std::time::Duration;

use crate::support::{Bench, labels, names};
use obs_alerts::defaults::{self, DefaultRules};
use obs_alerts::{Operator, Signal, ThresholdRule};
use obs_model::{AlertState, Severity};
use obs_query::Selector;

fn depth_rule() -> ThresholdRule {
    ThresholdRule {
        for_: Duration::from_secs(10),
        severity: Severity::High,
        ..ThresholdRule::new(
            "deep",
            "Deep queue",
            Signal::Last(Selector::metric("depth")),
            Operator::GreaterOrEqual,
            100.0,
        )
    }
}

#[test]
fn a_threshold_goes_from_pending_over_firing_to_resolved() {
    let (bench, memory) = Bench::with_channel();
    bench.engine.add_rule(depth_rule()).expect("a valid rule");
    let mut seen = Vec::new();
    for value in [50.0, 100.0, 120.0, 150.0, 99.9, 100.0] {
        bench.sample("depth", value);
        seen.push(names(&bench.evaluate()).join(" "));
        bench.seconds(5);
    }
    assert_eq!(seen, ["", "deep:pending", "", "deep:firing", "deep:resolved", "deep:pending"]);
    let told = memory.events();
    assert_eq!(names(&told), ["deep:firing", "deep:resolved"]);
    assert_eq!(told[0].message, "depth is 150, >= 100");
    assert_eq!((told[0].value, told[0].severity), (Some(150.0), Severity::High));
    assert_eq!(
        told[0].fired_at.map(|at| at.since(told[0].active_at)),
        Some(Duration::from_secs(10))
    );
}

#[test]
fn each_series_has_an_alert_of_its_own() {
    let bench = Bench::new();
    let rule = ThresholdRule { for_: Duration::ZERO, labels: labels("team=core"), ..depth_rule() };
    bench.engine.add_rule(rule).expect("a valid rule");
    bench.sample("depth queue=mail", 200.0);
    bench.sample("depth queue=jobs", 300.0);
    bench.sample("depth queue=idle", 0.0);
    let fired = bench.evaluate();
    let found: Vec<_> = fired.iter().map(|alert| (alert.labels.clone(), alert.value)).collect();
    assert_eq!(
        found,
        [
            (labels("queue=jobs team=core"), Some(300.0)),
            (labels("queue=mail team=core"), Some(200.0)),
        ]
    );
}

#[test]
fn a_series_that_goes_missing_resolves_its_alert() {
    let bench = Bench::new();
    bench.engine.add_rule(ThresholdRule { for_: Duration::ZERO, ..depth_rule() }).expect("valid");
    bench.sample("depth", 200.0);
    assert_eq!(names(&bench.evaluate()), ["deep:firing"]);
    bench.seconds(299);
    assert_eq!(names(&bench.evaluate()), [""; 0]);
    bench.seconds(1);
    assert_eq!(names(&bench.evaluate()), ["deep:resolved"]);
}

#[test]
fn a_series_that_ends_resolves_its_alert_at_once() {
    let bench = Bench::new();
    bench.engine.add_rule(ThresholdRule { for_: Duration::ZERO, ..depth_rule() }).expect("valid");
    bench.sample("depth", 200.0);
    assert_eq!(names(&bench.evaluate()), ["deep:firing"]);
    bench.seconds(5);
    bench.sample("depth", obs_query::STALE);
    assert_eq!(names(&bench.evaluate()), ["deep:resolved"]);
}

#[test]
fn a_description_is_the_message() {
    let bench = Bench::new();
    let rule = ThresholdRule {
        for_: Duration::ZERO,
        description: "mail is not going out".to_owned(),
        ..depth_rule()
    };
    bench.engine.add_rule(rule).expect("a valid rule");
    bench.sample("depth", 200.0);
    assert_eq!(bench.evaluate()[0].message, "mail is not going out");
}

/// Runs counters for ten minutes at so many per second each, then evaluates the default rules.
fn after_ten_minutes(rates: &[(&str, f64)]) -> Vec<String> {
    let bench = Bench::new();
    let settings =
        DefaultRules { namespace: "analyst".to_owned(), memory_limit_bytes: Some(1_000) };
    for rule in defaults::rules(&settings) {
        bench.engine.add_rule(rule).expect("a valid rule");
    }
    for tick in 0..=120_u32 {
        for (series, rate) in rates {
            bench.sample(series, f64::from(tick) * 5.0 * rate);
        }
        bench.seconds(5);
    }
    names(&bench.evaluate())
}

#[test]
fn the_error_rate_rule_fires_above_one_in_ten() {
    let ok = "api_requests_total endpoint=/pay method=POST status=200";
    let failed = "api_requests_total endpoint=/pay method=POST status=500";
    let errors = "api_errors_total endpoint=/pay method=POST";
    let run = |fine: f64, bad: f64| after_ten_minutes(&[(ok, fine), (failed, bad), (errors, bad)]);
    assert_eq!(run(8.0, 2.0), ["high-error-rate:firing"]);
    assert_eq!(run(9.5, 0.5), [""; 0]);
    assert_eq!(run(0.0, 0.0), [""; 0]);
}

#[test]
fn the_workflow_rule_fires_above_one_in_five_and_does_not_mind_cancellations() {
    let of = |status| format!("analyst_workflow_executions_total status={status} user_id=u");
    let run = |rates: [f64; 4]| {
        let names = ["success", "error", "panicked", "cancelled"].map(of);
        let rates: Vec<(&str, f64)> = names.iter().map(String::as_str).zip(rates).collect();
        after_ten_minutes(&rates)
    };
    assert_eq!(run([7.0, 2.0, 1.0, 0.0]), ["high-workflow-failure-rate:firing"]);
    assert_eq!(run([9.0, 1.0, 0.0, 0.0]), [""; 0]);
    assert_eq!(run([1.0, 0.0, 0.0, 9.0]), [""; 0]);
}

#[test]
fn the_memory_rule_fires_after_a_minute_above_four_fifths_of_the_limit() {
    let bench = Bench::new();
    bench.engine.add_rule(defaults::memory_usage(1_000)).expect("a valid rule");
    let series = "memory_usage_bytes type=rss";
    bench.sample(series, 800.0);
    assert_eq!(bench.evaluate(), []);
    bench.seconds(5);
    bench.sample(series, 801.0);
    bench.sample("memory_usage_bytes type=virtual", 9_000.0);
    assert_eq!(names(&bench.evaluate()), ["high-memory-usage:pending"]);
    bench.seconds(60);
    let changes = bench.evaluate();
    assert_eq!(changes[0].state, AlertState::Firing);
    assert_eq!(changes[0].labels, labels("type=rss"));
}
