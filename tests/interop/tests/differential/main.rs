//! Seeded random queries to `obskit serve` and to Debian's Prometheus 2.42, over the same series sent by remote write.
//!
//! Every value must agree to 1e-9 of its size. What Prometheus 3 does otherwise than 2.42 is kept out of the queries:
//!
//! - Windows and the look-back are open at their left end since 3.0: no time of an evaluation is a whole window after a
//!   sample, because samples stand at another fraction of a second than evaluations do.
//! - `.` in a regular expression takes in line breaks since 3.0: no label has one.
//! - `holt_winters` has another name, and functions that came later are not asked for.
//! - `predict_linear` of a window with `@` moves the window along with the steps of a range in 2.42, which is a mistake.
//! - Sub-queries, too, are open at their left end since 3.0, and their steps are whole multiples: none stands in another.
//! - `atan2` keeps the name of the metric in 2.42.
//! - Date functions of what is no time, such as infinity, have no meaning: they are asked about numbers only.
//! - A last digit that differs makes a remainder jump from nothing to the divisor: `%` is asked about stored values only.
//! - `topk` and `bottomk` may pick any of equal values: they are asked about values that all differ.
//! - Averages and deviations of what is infinite or NaN are worked out in another order since 2.53: series with such
//!   values are not averaged.
//!
//! `OBSKIT_DIFFERENTIAL_QUERIES` says how many queries there are, `OBSKIT_DIFFERENTIAL_SEED` which ones.

mod compare;
mod data;
mod generate;

use interop::{QueryServer, send_series};

use crate::compare::{Answer, difference};
use crate::generate::Generator;

/// How many queries there are unless the environment says otherwise.
const QUERIES: u64 = 1_000;
/// How much of the data goes into one request: Prometheus takes nothing in that is much older than its newest.
const SLICE: usize = 120;

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => {
            text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: expected a number"))
        }
        Err(_) => default,
    }
}

fn servers() -> [QueryServer; 2] {
    let servers = [QueryServer::obskit(&[]), QueryServer::prometheus()];
    let series = data::series();
    for server in &servers {
        for slice in 0..data::TICKS.div_ceil(SLICE) {
            let batch = series.iter().map(|one| {
                let from = data::BASE + (slice * SLICE) as i64 * data::INTERVAL;
                let until = from + SLICE as i64 * data::INTERVAL;
                let points = &one.points;
                let (first, last) = (
                    points.partition_point(|p| p.0 < from),
                    points.partition_point(|p| p.0 < until),
                );
                (one.labels.iter().map(|(name, value)| (*name, &**value)), &points[first..last])
            });
            let answer = send_series(server.address(), batch);
            assert_eq!(answer.status, 204, "{}: {}", server.address(), answer.text());
        }
    }
    servers
}

#[test]
fn random_queries_are_answered_as_prometheus_answers_them() {
    let [ours, theirs] = servers();
    let count = setting("OBSKIT_DIFFERENTIAL_QUERIES", QUERIES);
    let mut generator = Generator::new(setting("OBSKIT_DIFFERENTIAL_SEED", 1));
    let (mut different, mut errors, mut empty) = (Vec::new(), 0, 0);
    for _ in 0..count {
        let query = generator.query();
        let parameters: Vec<(&str, &str)> =
            query.parameters.iter().map(|(name, value)| (*name, &**value)).collect();
        let theirs = Answer::read(&theirs.ask(query.path, &parameters));
        let ours = Answer::read(&ours.ask(query.path, &parameters));
        match &theirs {
            Answer::Refused(_) => errors += 1,
            Answer::Series(series) if series.is_empty() => empty += 1,
            Answer::Series(_) => {}
        }
        if let Some(difference) = difference(&ours, &theirs) {
            different.push(format!("{parameters:?}\n  {difference}"));
        }
    }
    let summary = format!(
        "{} of {count} differ, {errors} fail on both sides, {empty} have no result",
        different.len()
    );
    assert!(different.is_empty(), "{summary}:\n{}", different.join("\n"));
    // Otherwise the queries would show nothing.
    assert!((errors + empty) * 2 < count, "{summary}");
}
