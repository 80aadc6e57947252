//! The same samples and the same expressions in Prometheus itself: every value must be the same, and every
//! threshold must pick the same series.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use obs_alerts::{Operator, Signal, ThresholdRule};
use obs_model::{Labels, METRIC_NAME_LABEL, Sample, Timestamp};
use obs_query::{Selector, SeriesStore, StoreConfig};

use crate::support::labels;

/// A small generator of numbers, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        // Knuth's constants for a 64-bit linear congruential generator; the high bits are the good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// One series with a value, or none, every five seconds from zero.
struct Script {
    series: Labels,
    values: Vec<Option<f64>>,
}

const TICKS: usize = 120;

/// A counter that grows by up to `step`, with gaps and now and then a restart.
fn counter(numbers: &mut Numbers, series: &str, step: u64) -> Script {
    let mut total = numbers.below(50) as f64 / 8.0;
    let values = (0..TICKS)
        .map(|tick| {
            total += numbers.below(step + 1) as f64 / 7.0;
            if numbers.below(40) == 0 {
                total = 0.0;
            }
            (!matches!(tick % 12, 7 | 11)).then_some(total)
        })
        .collect();
    Script { series: labels(series), values }
}

/// The three kinds of series of a histogram, observed a few times at each tick.
fn histogram(numbers: &mut Numbers, name: &str, rest: &str) -> Vec<Script> {
    const BOUNDS: [(f64, &str); 4] =
        [(0.5, "0.5"), (1.0, "1"), (2.5, "2.5"), (f64::INFINITY, "+Inf")];
    let (mut sum, mut counts) = (0.0, [0.0; BOUNDS.len()]);
    let mut series = vec![Vec::new(); BOUNDS.len() + 1];
    for _ in 0..TICKS {
        for _ in 0..numbers.below(5) {
            let observed = numbers.below(400) as f64 / 100.0;
            sum += observed;
            for (count, (bound, _)) in counts.iter_mut().zip(BOUNDS) {
                *count += if observed <= bound { 1.0 } else { 0.0 };
            }
        }
        series[BOUNDS.len()].push(Some(sum));
        for (values, count) in series.iter_mut().zip(counts) {
            values.push(Some(count));
        }
    }
    let count = series[BOUNDS.len() - 1].clone();
    let names = BOUNDS
        .iter()
        .map(|(_, bound)| format!("{name}_bucket le={bound} {rest}"))
        .chain([format!("{name}_sum {rest}")]);
    let mut scripts: Vec<Script> =
        names.zip(series).map(|(name, values)| Script { series: labels(&name), values }).collect();
    scripts.push(Script { series: labels(&format!("{name}_count {rest}")), values: count });
    scripts
}

fn scripts(numbers: &mut Numbers) -> Vec<Script> {
    let mut scripts = Vec::new();
    for (route, status, step) in [
        ("/a", "ok", 90),
        ("/a", "error", 20),
        ("/b", "ok", 70),
        ("/b", "error", 1),
        ("/c", "ok", 5),
    ] {
        scripts.push(counter(numbers, &format!("jobs_total route={route} status={status}"), step));
    }
    scripts.push(counter(numbers, "attempts_total route=/a", 200));
    for route in ["/a", "/b"] {
        scripts.extend(histogram(numbers, "job_seconds", &format!("route={route}")));
    }
    scripts
}

fn signals() -> Vec<Signal> {
    let metric = Selector::metric;
    let failed = || metric("jobs_total").equal("status", "error");
    let mut signals = Vec::new();
    for window in [30, 60, 95, 240].map(Duration::from_secs) {
        let per_series = [
            Signal::Last(metric("jobs_total")),
            Signal::rate(metric("jobs_total"), window),
            Signal::increase(failed(), window),
        ];
        let all = [
            Signal::ratio(failed(), metric("jobs_total"), window),
            Signal::ratio(metric("jobs_total"), metric("attempts_total"), window),
            Signal::average(metric("job_seconds"), window),
            Signal::quantile(0.9, metric("job_seconds"), window),
        ];
        for signal in per_series.into_iter().chain(all) {
            signals.push(signal.clone());
            signals.push(signal.clone().summed_by(["route"]));
            signals.push(signal.summed_by(Vec::<String>::new()));
        }
    }
    signals
}

/// How exactly values are compared.
const STEP: f64 = 1e-7;

/// PromQL's `round(value, STEP)`.
fn rounded(value: f64) -> f64 {
    let inverse = 1.0 / STEP;
    (value * inverse + 0.5).floor() / inverse
}

/// Writes one case of a `promtool test rules` file, and returns how many values it expects.
fn write_case(out: &mut String, seed: u64) -> usize {
    let mut numbers = Numbers(seed);
    let store = SeriesStore::new(StoreConfig::default());
    out.push_str("  - interval: 5s\n    input_series:\n");
    for script in scripts(&mut numbers) {
        let mut text = String::new();
        for (tick, value) in script.values.iter().enumerate() {
            let timestamp = Timestamp::from_millis(tick as i64 * 5_000);
            match value {
                Some(value) => {
                    let sample = Sample { timestamp, value: *value };
                    store.append(&script.series, sample).expect("the store has room");
                    write!(text, " {value}").expect("a text takes all");
                }
                None => text.push_str(" _"),
            }
        }
        writeln!(out, "      - series: '{}'\n        values: '{}'", script.series, text.trim())
            .expect("a text takes all");
    }
    out.push_str("    promql_expr_test:\n");
    let mut expected = 0;
    for signal in signals() {
        // Between two samples, and with no gap at any window's start, because Prometheus changed from version
        // 2 to 3 which end of a window is open and how it extrapolates to a start that is far from the first
        // sample; the store computes as version 3.
        let second = (63 + 12 * numbers.below(5) as i64) * 5 + 2;
        let now = Timestamp::from_millis(second * 1_000);
        let values = signal.values(&store, now).expect("it can be computed");
        // Sums and rates may differ in the last digits between versions of Prometheus, so the threshold is not
        // quite at a value of theirs.
        let beside = if matches!(signal, Signal::Last(_)) { 0.0 } else { 1e-4 };
        let threshold = values.first().map_or(0.0, |(_, value)| *value) + beside;
        for operator in Operator::ALL {
            let rule = ThresholdRule::new("rule", "Rule", signal.clone(), operator, threshold);
            let promql = rule.promql();
            writeln!(out, "      - expr: 'round({promql}, {STEP})'\n        eval_time: {second}s")
                .expect("a text takes all");
            let held: Vec<_> =
                values.iter().filter(|(_, value)| operator.holds(*value, threshold)).collect();
            expected += held.len();
            if !held.is_empty() {
                out.push_str("        exp_samples:\n");
            }
            for (labels, value) in held {
                assert!(!value.is_nan(), "promtool takes no NaN for equal to another");
                let (labels, value) = (labels.without(METRIC_NAME_LABEL), rounded(*value));
                writeln!(out, "          - labels: '{labels}'\n            value: {value}")
                    .expect("a text takes all");
            }
        }
    }
    expected
}

#[test]
#[ignore = "needs promtool, version 2 or 3, on the path"]
fn prometheus_gives_every_signal_and_threshold_the_same_values() {
    let mut text = String::from("evaluation_interval: 5s\ntests:\n");
    let expected: usize = (1..=5).map(|seed| write_case(&mut text, seed)).sum();
    assert!(expected > 1_000, "only {expected} values are compared");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signals.yml");
    std::fs::write(&file, text).expect("the target folder can be written");
    let output = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .expect("promtool is on the path");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{}", said.concat());
}
