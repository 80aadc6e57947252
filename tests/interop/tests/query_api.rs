//! The query API as Prometheus' own tools use it: `promtool query` against `obskit serve` and against Prometheus.

use std::process::Command;

use interop::{Point, QueryServer, run, send_series};
use serde_json::{Value, json};

/// A time on the grid of the samples.
const BASE: i64 = 1_700_000_000_000;

/// Labels by name.
type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// Both servers with the same series: counters with a reset, gauges, a histogram, an end, and what is no number.
fn servers() -> [QueryServer; 2] {
    let servers = [QueryServer::obskit(&[]), QueryServer::prometheus()];
    let points = |value: &dyn Fn(i64) -> f64| -> Vec<Point> {
        (0..120).map(|tick| (BASE + tick * 15_000, value(tick))).collect()
    };
    let mut series: Vec<(Pairs<'_>, Vec<Point>)> = Vec::new();
    for (job, code, step) in [("api", "200", 7), ("api", "500", 1), ("web", "200", 13)] {
        let labels = vec![("__name__", "requests_total"), ("code", code), ("job", job)];
        series.push((labels, points(&|tick| (tick % 70 * step) as f64)));
    }
    let labels = vec![("__name__", "temperature"), ("job", "api"), ("room", "a \"b\"\\\n\u{e9}")];
    series.push((labels, points(&|tick| (tick as f64 / 9.0).sin() * 1e-7)));
    for (le, share) in [("0.1", 0.5), ("1", 0.9), ("+Inf", 1.0)] {
        let labels = vec![("__name__", "seconds_bucket"), ("job", "api"), ("le", le)];
        series.push((labels, points(&|tick| (tick as f64 * 10.0 * share).floor())));
    }
    let odd = [f64::NAN, f64::INFINITY, -f64::INFINITY, -0.0, 1e300, 123_456_789.0];
    series.push((vec![("__name__", "odd")], points(&|tick| odd[(tick % 6) as usize])));
    for server in &servers {
        let batch = series.iter().map(|(labels, points)| (labels.iter().copied(), &points[..]));
        let answer = send_series(server.address(), batch);
        assert_eq!(answer.status, 204, "{}: {}", server.address(), answer.text());
    }
    servers
}

/// What promtool prints, its lines in order: neither server promises one for instant vectors.
fn promtool(server: &QueryServer, arguments: &[&str]) -> (bool, Vec<String>) {
    let url = format!("http://{}", server.address());
    let mut command = Command::new("promtool");
    command.arg("query").arg(arguments[0]).args(&arguments[2..]).arg(&url).arg(arguments[1]);
    if arguments[0] == "series" {
        command = Command::new("promtool");
        command.args(["query", "series", &url]).args(&arguments[1..]);
    }
    let (succeeded, output) = run(&mut command);
    let mut lines: Vec<String> = output.lines().map(str::to_owned).collect();
    lines.sort();
    (succeeded, lines)
}

#[test]
fn promtool_prints_the_same_for_both() {
    let [ours, theirs] = servers();
    let at = format!("--time={}", BASE / 1_000 + 1_501);
    let start = format!("--start={}", BASE / 1_000 + 601);
    let end = format!("--end={}", BASE / 1_000 + 1_501);
    for arguments in [
        &["instant", "sum by (job) (rate(requests_total[5m]))", &at][..],
        &["instant", "requests_total", &at],
        &["instant", "temperature", &at],
        &["instant", "odd", &at],
        &["instant", "odd[2m]", &at],
        &["instant", "histogram_quantile(0.7, rate(seconds_bucket[5m]))", &at],
        &["instant", "nothing", &at],
        &["instant", "1e9 / 3", &at],
        &["range", "rate(requests_total[1m])", &start, &end, "--step=1m"],
        &["range", "odd", &start, &end, "--step=15s"],
        &["range", "topk(1, requests_total)", &start, &end, "--step=90s"],
        &["range", "1", &start, &end, "--step=5m"],
        &["labels", "__name__"],
        &["labels", "room"],
        &["labels", "nothing"],
        &["series", "--match=requests_total", "--match={job=\"api\"}"],
    ] {
        let (succeeded, lines) = promtool(&ours, arguments);
        assert!(succeeded, "{arguments:?}: {lines:?}");
        assert_eq!(lines, promtool(&theirs, arguments).1, "{arguments:?}");
    }
}

#[test]
fn a_mistake_fails_promtool_with_both() {
    let [ours, theirs] = servers();
    let at = format!("--time={}", BASE / 1_000 + 1_501);
    for expr in ["sum(", "requests_total * on () requests_total"] {
        let arguments = ["instant", expr, &at];
        for server in [&ours, &theirs] {
            let (succeeded, lines) = promtool(server, &arguments);
            assert!(!succeeded, "{} {arguments:?}: {lines:?}", server.address());
        }
    }
}

/// The shape of a JSON value: its keys and the kinds of what they hold.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), shape(value))).collect()
        }
        Value::Array(items) => items.first().map_or(json!([]), |first| json!([shape(first)])),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("bool"),
        Value::Null => Value::Null,
    }
}

#[test]
fn answers_are_equal_member_by_member() {
    let [ours, theirs] = servers();
    let at = (BASE / 1_000 + 1_501).to_string();
    for (path, parameters) in [
        ("query", &[("query", "scalar(odd)"), ("time", &at)][..]),
        ("query", &[("query", "sort(requests_total)"), ("time", &at)]),
        ("query", &[("query", "temperature[1m]"), ("time", "2023-11-14T22:30:00.5Z")]),
        ("query_range", &[("query", "odd"), ("start", &at), ("end", &at), ("step", "1m30s")]),
        ("series", &[("match[]", "seconds_bucket")]),
        ("labels", &[]),
        ("labels", &[("match[]", "temperature")]),
        ("query", &[("query", "1 +")]),
        ("query", &[("query", "1"), ("time", "soon")]),
        ("series", &[]),
    ] {
        let (ours, theirs) = (ours.ask(path, parameters), theirs.ask(path, parameters));
        if theirs["status"] == "error" {
            // The texts differ where ours say more; the kind of error does not.
            assert_eq!(ours["errorType"], theirs["errorType"], "{path} {parameters:?}: {ours}");
            assert_eq!(shape(&ours), shape(&theirs), "{path} {parameters:?}");
        } else {
            assert_eq!(ours, theirs, "{path} {parameters:?}");
        }
    }
}

#[test]
fn samples_that_both_refuse_are_refused_with_the_same_status() {
    let servers = servers();
    let last = BASE + 119 * 15_000;
    for server in &servers {
        for (points, status) in [
            (&[(last, 1.0)][..], 400),
            (&[(last - 15_000, 1.0)], 400),
            (&[(last + 15_000, 1.0), (last + 30_000, 2.0)], 204),
        ] {
            let labels = [("__name__", "requests_total"), ("code", "500"), ("job", "api")];
            let answer = send_series(server.address(), [(labels, points)]);
            assert_eq!(answer.status, status, "{} {points:?}: {}", server.address(), answer.text());
        }
    }
}
