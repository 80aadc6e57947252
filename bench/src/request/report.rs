//! The table, and the same as JSON.

use std::error::Error;
use std::path::Path;

use clap::ValueEnum;

use crate::{PATHS, Stack};

/// One turn of one stack.
pub(crate) struct Case {
    /// Since which start of the servers.
    pub(crate) start: usize,
    /// In which round of it.
    pub(crate) round: usize,
    /// With which stack.
    pub(crate) stack: Stack,
    /// Which handler.
    pub(crate) work: &'static str,
    /// CPU of the server per request.
    pub(crate) microseconds: f64,
    /// Bytes of spans that reached the collector, per request: a stack that drops spans under load costs less.
    pub(crate) exported: f64,
}

/// Prints the medians and writes `target/bench/request.json`.
pub(crate) fn print_and_write(cases: &[Case]) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    println!(
        "{:<8} {:<14} {:>12} {:>12} {:>10} {:>18}  by start",
        "handler", "stack", "µs/request", "extra µs", "overhead", "exported B/request"
    );
    for (work, _) in PATHS {
        let bare = median(of(cases, Stack::Bare, work));
        let usual_extra = median(extra(cases, Stack::Usual, work));
        for stack in Stack::value_variants() {
            let total = median(of(cases, *stack, work));
            let more = median(extra(cases, *stack, work));
            let overhead = more / bare * 100.0;
            let sent = median(exported(cases, *stack, work));
            let starts = by_start(cases, *stack, work);
            println!(
                "{work:<8} {:<14} {total:>12.2} {more:>12.2} {overhead:>9.1}% {sent:>18.0}  {}",
                format!("{stack:?}").to_lowercase(),
                starts.iter().map(|more| format!("{more:.2}")).collect::<Vec<_>>().join(" ")
            );
            if !matches!(stack, Stack::Bare | Stack::Usual) {
                rows.push(serde_json::json!({
                    "case": format!("{work} {stack:?}").to_lowercase(),
                    "ours": more,
                    "peer": usual_extra,
                    "peer_name": "axum-prometheus + tower-http trace + tracing-subscriber JSON + tracing-opentelemetry",
                    "unit": "extra CPU microseconds per request",
                    "ratio": more / usual_extra,
                    "by_start": starts,
                }));
                println!(
                    "{:<8} {:<14} ratio to the usual stack's extra: {:.2}",
                    "",
                    "",
                    more / usual_extra
                );
            }
        }
    }
    let folder = Path::new("target/bench");
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("request.json"), serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}

fn of(cases: &[Case], stack: Stack, work: &str) -> Vec<f64> {
    cases.iter().filter(|c| c.stack == stack && c.work == work).map(|c| c.microseconds).collect()
}

fn exported(cases: &[Case], stack: Stack, work: &str) -> Vec<f64> {
    cases.iter().filter(|c| c.stack == stack && c.work == work).map(|c| c.exported).collect()
}

/// The median of what a stack costs beyond the bare service, for each start.
fn by_start(cases: &[Case], stack: Stack, work: &str) -> Vec<f64> {
    cases
        .chunk_by(|one, next| one.start == next.start)
        .map(|cases| median(extra(cases, stack, work)))
        .collect()
}

/// What a stack costs beyond the bare service of the same round.
fn extra(cases: &[Case], stack: Stack, work: &str) -> Vec<f64> {
    cases
        .iter()
        .filter(|case| case.stack == stack && case.work == work)
        .filter_map(|case| {
            let bare = cases.iter().find(|other| {
                (other.start, other.round) == (case.start, case.round)
                    && (other.stack, other.work) == (Stack::Bare, work)
            })?;
            Some(case.microseconds - bare.microseconds)
        })
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
