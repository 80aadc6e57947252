//! The summary of a load, as a table for people.

use std::fmt;
use std::time::Duration;

use super::LoadConfig;
use super::scrape::Comparison;
use super::tally::Tally;
use crate::table::number_text;

/// What a load did and what came of it.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What was asked for.
    pub config: LoadConfig,
    /// What was seen.
    pub tally: Tally,
    /// How long it took to send everything.
    pub sending: Duration,
    /// The most that a request was sent after it was due.
    pub lateness: Duration,
    /// How often the database was locked.
    pub locks: u64,
    /// What both sides counted, when the metrics could be read.
    pub comparisons: Option<Vec<Comparison>>,
}

impl Summary {
    /// The part of the well-formed requests that got an answer other than a server error, in per cent.
    #[must_use]
    pub fn well_formed_percent(&self) -> f64 {
        percent(self.tally.well_formed_served, self.tally.well_formed)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, tally, .. } = self;
        let achieved = count(tally.sent) / self.sending.as_secs_f64().max(f64::MIN_POSITIVE);
        writeln!(f, "\nLoad")?;
        let line = |f: &mut fmt::Formatter<'_>, name: &str, text: String| {
            writeln!(f, "  {name:<22}{text}")
        };
        line(
            f,
            "asked for",
            format!(
                "{}/s for {:.1} s, seed {}",
                config.rate,
                config.duration.as_secs_f64(),
                config.seed
            ),
        )?;
        line(f, "achieved", format!("{achieved:.1}/s over {:.1} s", self.sending.as_secs_f64()))?;
        line(f, "sent", tally.sent.to_string())?;
        line(
            f,
            "answered",
            format!("{} ({:.2} %)", tally.answered, percent(tally.answered, tally.sent)),
        )?;
        if tally.unsent > 0 {
            line(f, "not sent", format!("{}, because too many were under way", tally.unsent))?;
        }
        line(f, "correlation ids back", format!("{} of {}", tally.correlated, tally.answered))?;
        line(
            f,
            "well-formed served",
            format!(
                "{:.3} % ({} of {})",
                self.well_formed_percent(),
                tally.well_formed_served,
                tally.well_formed
            ),
        )?;
        let latency = |part| tally.latency(part).map_or_else(|| "-".to_owned(), milliseconds);
        line(
            f,
            "latency",
            format!(
                "p50 {}  p95 {}  p99 {}  max {}",
                latency(0.5),
                latency(0.95),
                latency(0.99),
                latency(1.0)
            ),
        )?;
        line(f, "sent late by at most", milliseconds(self.lateness))?;
        line(f, "database locked", format!("{} times for 300 ms", self.locks))?;
        self.tables(f)
    }
}

impl Summary {
    fn tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(f, "\n  {:<24}{:>10}", "status", "answers")?;
        for (status, answers) in &tally.by_status {
            writeln!(f, "  {status:<24}{answers:>10}")?;
        }
        writeln!(f, "\n  {:<24}{:>10}", "outcome", "requests")?;
        for (outcome, requests) in &tally.by_outcome {
            writeln!(f, "  {outcome:<24}{requests:>10}")?;
        }
        writeln!(f, "\n  {:<24}{:>10}{:>10}{:>14}", "kind", "sent", "should be", "as it should")?;
        for (kind, (sent, expected)) in &tally.by_kind {
            let should_be = kind.expected_status();
            writeln!(f, "  {:<24}{sent:>10}{should_be:>10}{expected:>14}", kind.name())?;
        }
        let Some(comparisons) = &self.comparisons else {
            return writeln!(
                f,
                "\n  The counts were not compared: the service's metrics could not be read."
            );
        };
        let width = comparisons.iter().map(|c| c.series.len()).max().unwrap_or(0).max(8);
        writeln!(f, "\n  {:<width$}{:>10}{:>10}", "counted", "client", "service")?;
        for comparison in comparisons {
            let verdict = if comparison.is_equal() { "equal" } else { "DIFFERS" };
            let (client, service) = (comparison.client, comparison.service);
            writeln!(f, "  {:<width$}{client:>10}{service:>10}  {verdict}", comparison.series)?;
        }
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", number_text(duration.as_secs_f64() * 1e3))
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 100.0 } else { count(part) / count(whole) * 100.0 }
}

#[expect(clippy::cast_precision_loss, reason = "no load has 2^53 requests")]
const fn count(number: u64) -> f64 {
    number as f64
}
