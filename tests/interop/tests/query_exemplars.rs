//! Exemplars and the state of the store, asked of `obskit serve` and of Prometheus.

use interop::{Exemplar, Point, QueryServer, get, send_with_exemplars};
use serde_json::Value;

/// A time on the grid of the samples.
const BASE: i64 = 1_700_000_000_000;

/// Both servers with two buckets of a histogram, their exemplars, and a series without any.
fn servers() -> [QueryServer; 2] {
    let servers = [QueryServer::obskit(&[]), QueryServer::prometheus()];
    let points: Vec<Point> = (0..40).map(|tick| (BASE + tick * 15_000, tick as f64)).collect();
    let traced = |point: Point, labels: &'static [(&str, &str)]| Exemplar { labels, point };
    let (abc, def, none) = (&[("trace_id", "abc"), ("span_id", "1")], &[("trace_id", "def")], &[]);
    let first = [
        traced((BASE, 0.05), abc),
        traced((BASE + 20_000, 0.01), def),
        // The same again, and one from before it.
        traced((BASE + 20_000, 0.01), def),
        traced((BASE + 10_000, 0.02), def),
        traced((BASE + 300_250, 1e-7), none),
    ];
    let second =
        [traced((BASE + 60_000, 12_345.5), abc), traced((BASE + 60_001, f64::INFINITY), def)];
    let bucket = |le| [("__name__", "seconds_bucket"), ("job", "api"), ("le", le)];
    for server in &servers {
        // Prometheus takes the exemplars of a series from the second request about it.
        for part in points.chunks(20) {
            let series = [
                (bucket("0.1").to_vec(), part, &first[..]),
                (bucket("+Inf").to_vec(), part, &second[..]),
                (vec![("__name__", "seconds_count"), ("job", "api")], part, &[]),
            ];
            let answer = send_with_exemplars(server.address(), series);
            assert_eq!(answer.status, 204, "{}: {}", server.address(), answer.text());
        }
    }
    servers
}

#[test]
fn exemplars_are_those_that_prometheus_finds() {
    let [ours, theirs] = servers();
    let seconds = |millis: i64| format!("{:?}", (BASE + millis) as f64 / 1e3);
    let (zero, twenty, minute) = (seconds(0), seconds(20_000), seconds(60_000));
    for parameters in [
        &[("query", "seconds_bucket")][..],
        &[("query", "seconds_bucket{le=\"0.1\"}"), ("start", &zero), ("end", &minute)],
        &[("query", "seconds_bucket"), ("start", &twenty), ("end", &twenty)],
        &[("query", "seconds_bucket"), ("start", &minute)],
        &[("query", "seconds_bucket"), ("end", "0")],
        &[("query", "histogram_quantile(0.9, sum by (le) (rate(seconds_bucket[5m])))")],
        &[("query", "seconds_bucket{le=\"+Inf\"} / on (job) group_left seconds_count")],
        &[("query", "seconds_bucket or seconds_bucket{le=\"0.1\"}")],
        &[("query", "{job=\"api\"}")],
        &[("query", "seconds_count")],
        &[("query", "nothing")],
    ] {
        let (ours, theirs) =
            (ours.ask("query_exemplars", parameters), theirs.ask("query_exemplars", parameters));
        assert_eq!(ours, theirs, "{parameters:?}");
    }
}

#[test]
fn mistakes_about_exemplars_are_of_the_same_kind() {
    let [ours, theirs] = servers();
    for parameters in [
        &[("query", "seconds_bucket"), ("start", "2"), ("end", "1")][..],
        &[("query", "sum(")],
        &[("query", "seconds_bucket"), ("start", "soon")],
    ] {
        let (ours, theirs) =
            (ours.ask("query_exemplars", parameters), theirs.ask("query_exemplars", parameters));
        for answer in [&ours, &theirs] {
            assert_eq!(answer["status"], "error", "{parameters:?}: {answer}");
        }
        assert_eq!(ours["errorType"], theirs["errorType"], "{parameters:?}: {ours}");
    }
}

#[test]
fn the_state_of_the_store_says_what_prometheus_says() {
    let [ours, theirs] = servers();
    let ask = |server: &QueryServer| match get(server.address(), "/api/v1/status/tsdb") {
        Some(answer) => answer.json(),
        None => panic!("{} does not answer", server.address()),
    };
    let (ours, theirs) = (ask(&ours), ask(&theirs));
    let members = |value: &Value| -> Vec<String> {
        value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(members(&ours["data"]), members(&theirs["data"]));
    for name in members(&theirs["data"]["headStats"]) {
        let (ours, theirs) =
            (&ours["data"]["headStats"][&name], &theirs["data"]["headStats"][&name]);
        // How many samples a chunk has is each one's own affair.
        let same = if name == "chunkCount" { ours.is_u64() } else { ours == theirs };
        assert!(same, "{name}: {ours} {theirs}");
    }
    for name in [
        "seriesCountByMetricName",
        "labelValueCountByLabelName",
        "seriesCountByLabelValuePair",
        "memoryInBytesByLabelName",
    ] {
        let sorted = |value: &Value| {
            let mut rows: Vec<String> =
                value.as_array().into_iter().flatten().map(ToString::to_string).collect();
            rows.sort();
            rows
        };
        assert_eq!(sorted(&ours["data"][name]), sorted(&theirs["data"][name]), "{name}");
    }
}
