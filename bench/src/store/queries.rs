//! The queries of the comparison of stores, asked in process: what is left is decoding and arithmetic.

use std::error::Error;
use std::time::Duration;

use obs_model::Timestamp;
use obs_query::SeriesStore;
use obs_query::promql::{Engine, Expr, QueryResult, Steps};

use crate::data::cpu_time;

/// One row of the table.
struct Case {
    name: &'static str,
    query: &'static str,
    /// How far it goes back and the distance of its steps; none for an instant query.
    steps: Option<(u64, u64)>,
}

const CASES: [Case; 10] = [
    Case { name: "instant sum by (rate)", query: RATE_BY_ROUTE, steps: None },
    Case { name: "instant quantile", query: QUANTILE, steps: None },
    Case { name: "instant topk", query: "topk(10, rate(http_requests_total[5m]))", steps: None },
    Case { name: "range sum by (rate), 1 h", query: RATE_BY_ROUTE, steps: Some((3_600, 15)) },
    Case { name: "range quantile, 1 h", query: QUANTILE, steps: Some((3_600, 15)) },
    Case { name: "range error ratio, 6 h", query: ERROR_RATIO, steps: Some((21_600, 60)) },
    Case { name: "max_over_time, 6 h", query: "max_over_time(process_load[6h])", steps: None },
    Case { name: "sub-query, 1 h", query: SUBQUERY, steps: Some((3_600, 60)) },
    Case {
        name: "count by regex",
        query: r#"count({__name__=~"http_.*", status=~"5.."})"#,
        steps: None,
    },
    Case {
        name: "avg by (instance)",
        query: "avg by (instance) (http_requests_total)",
        steps: None,
    },
];

const RATE_BY_ROUTE: &str = "sum by (route) (rate(http_requests_total[5m]))";
const QUANTILE: &str =
    "histogram_quantile(0.95, sum by (le, route) (rate(http_request_duration_seconds_bucket[5m])))";
const ERROR_RATIO: &str = r#"sum by (route) (rate(http_requests_total{status=~"5.."}[5m])) / sum by (route) (rate(http_requests_total[5m]))"#;
const SUBQUERY: &str = r#"max_over_time(rate(http_requests_total{route="/r1"}[1m])[30m:1m])"#;

/// Prints the median time of each query whose name contains `only`, over so many rounds, up to `end`.
#[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
pub(crate) fn measure(
    store: &SeriesStore,
    end: Timestamp,
    rounds: usize,
    only: &str,
) -> Result<(), Box<dyn Error>> {
    let engine = Engine::default();
    for case in CASES.iter().filter(|case| case.name.contains(only)) {
        let expr = engine.parse(case.query)?;
        let mut spent = Vec::new();
        let mut read = 0;
        for _ in 0..rounds {
            let started = cpu_time()?;
            let answer = evaluate(&engine, store, &expr, end, case.steps)?;
            spent.push(cpu_time()? - started);
            read = answer.stats.samples_read;
        }
        println!("{:<30} {:>10.2} ms {read:>12} samples", case.name, median(spent));
    }
    if "alerts".contains(only) {
        let exprs =
            (0..1_000).map(|index| engine.parse(&alert(index))).collect::<Result<Vec<_>, _>>()?;
        let mut spent = Vec::new();
        for _ in 0..rounds {
            let started = cpu_time()?;
            for expr in &exprs {
                evaluate(&engine, store, expr, end, None)?;
            }
            spent.push(cpu_time()? - started);
        }
        println!("{:<30} {:>10.2} ms", "1,000 alert expressions", median(spent));
    }
    Ok(())
}

/// An alert expression unlike the others.
fn alert(index: usize) -> String {
    let (instance, route, limit) = (index % 50, index / 50 % 20, index as f64 / 1e3);
    match index % 4 {
        0 => format!(
            r#"rate(http_requests_total{{instance="10.0.0.{instance}:9090",route="/r{route}"}}[5m]) > {limit}"#
        ),
        1 => format!(
            r#"sum(rate(http_requests_total{{route="/r{route}",status=~"5..",instance="10.0.0.{instance}:9090"}}[{}m])) > {limit}"#,
            2 + index % 9
        ),
        2 => format!(
            r#"histogram_quantile(0.9, sum by (le) (rate(http_request_duration_seconds_bucket{{instance="10.0.0.{}:9090",route="/r{route}"}}[5m]))) > {limit}"#,
            instance % 25
        ),
        _ => format!(r#"process_load{{instance="10.0.0.{instance}:9090"}} > {limit}"#),
    }
}

fn evaluate(
    engine: &Engine,
    store: &SeriesStore,
    expr: &Expr,
    end: Timestamp,
    steps: Option<(u64, u64)>,
) -> Result<QueryResult, Box<dyn Error>> {
    Ok(match steps {
        None => engine.instant(store, expr, end, &|| false)?,
        Some((back, step)) => {
            let start = end.minus(Duration::from_secs(back));
            let steps = Steps { start, end, step: Duration::from_secs(step) };
            engine.range(store, expr, steps, &|| false)?
        }
    })
}

/// In milliseconds.
fn median(mut spent: Vec<Duration>) -> f64 {
    spent.sort();
    spent[spent.len() / 2].as_secs_f64() * 1e3
}
