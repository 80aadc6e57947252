//! What is asked: the queries of the comparison, and the expressions of many rules.

use crate::load::Load;

/// How many rules there are.
pub(crate) const RULES: usize = 1_000;

/// One query, as a path with its parameters.
pub(crate) struct Query {
    pub(crate) name: String,
    pub(crate) path: String,
}

const RATE: &str = "sum by (route) (rate(http_requests_total[5m]))";
const QUANTILE: &str =
    "histogram_quantile(0.95, sum by (le, route) (rate(http_request_duration_seconds_bucket[5m])))";
const ERROR_RATIO: &str = r#"sum by (route) (rate(http_requests_total{status=~"5.."}[5m])) / sum by (route) (rate(http_requests_total[5m]))"#;
const SUBQUERY: &str = r#"max_over_time(rate(http_requests_total{route="/r1"}[1m])[30m:1m])"#;

/// Every query over the data of `load`.
pub(crate) fn queries(load: &Load) -> Vec<Query> {
    let (end, hour) = (load.end(), 3_600);
    let whole = load.length() - 300;
    let range = |name: &str, expr: &str, length: i64, step: i64| Query {
        name: name.to_owned(),
        path: format!(
            "/api/v1/query_range?query={}&start={}&end={end}&step={step}",
            encoded(expr),
            end - length
        ),
    };
    let at_end = |name: &str, expr: &str| Query { name: name.to_owned(), path: instant(expr, end) };
    vec![
        at_end("instant: sum by (route) (rate)", RATE),
        at_end("instant: histogram_quantile", QUANTILE),
        at_end("instant: topk(10, rate)", "topk(10, rate(http_requests_total[5m]))"),
        at_end("instant: every series", r#"{__name__=~"http_.*"}"#),
        at_end("instant: max_over_time(gauge[6h])", "max_over_time(process_load[6h])"),
        at_end("instant: count of a regex", r#"count({__name__=~"http_.*", status=~"5.."})"#),
        range("range 1 h / 15 s: sum by (route) (rate)", RATE, hour, 15),
        range("range 1 h / 15 s: histogram_quantile", QUANTILE, hour, 15),
        range("range 6 h / 60 s: error ratio", ERROR_RATIO, whole, 60),
        range("range 1 h / 60 s: sub-query", SUBQUERY, hour, 60),
    ]
}

/// The path of a query at one time.
pub(crate) fn instant(expr: &str, at: i64) -> String {
    format!("/api/v1/query?query={}&time={at}", encoded(expr))
}

/// The expressions of different alerts: each is about another route and instance.
pub(crate) fn rules() -> Vec<String> {
    let rule = |index: usize| {
        let (route, instance) = (index % 20, index / 20);
        format!(
            r#"sum(rate(http_requests_total{{route="/r{route}",instance="10.0.0.{instance}:9090"}}[5m])) > {}"#,
            1_000_000 + index
        )
    };
    (0..RULES).map(rule).collect()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
