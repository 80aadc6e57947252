//! What the load client saw, and what it follows that the service must have counted.

use std::collections::BTreeMap;
use std::time::Duration;

use super::mix::Kind;
use super::scrape::Counts;

/// What became of one request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// The route's template and the method.
    pub(super) route: (&'static str, &'static str),
    pub(super) latency: Duration,
    pub(super) answer: Option<Answer>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) correlated: bool,
    /// The failure's name.
    pub(super) error_type: Option<String>,
    /// The kind of the chart.
    pub(super) chart: Option<String>,
}

/// What the load client saw.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that were due while too many others were under way.
    pub unsent: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Answers with the request's own correlation id.
    pub correlated: u64,
    /// Well-formed requests that were sent.
    pub well_formed: u64,
    /// Of those, how many got an answer other than a server error.
    pub well_formed_served: u64,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// For each kind how many were sent, and how many of them were answered as they should be.
    pub by_kind: BTreeMap<Kind, (u64, u64)>,
    /// Requests by what became of them: `answered`, a failure's name, or `no answer`.
    pub by_outcome: BTreeMap<String, u64>,
    /// How long each answer took.
    pub latencies: Vec<Duration>,
    /// What the service must have counted.
    pub counts: Counts,
}

impl Tally {
    pub(super) fn add(&mut self, seen: Seen) {
        let Seen { kind, route, latency, answer } = seen;
        self.sent += 1;
        self.well_formed += u64::from(kind.is_well_formed());
        let by_kind = self.by_kind.entry(kind).or_default();
        by_kind.0 += 1;
        let Some(answer) = answer else {
            *self.by_outcome.entry("no answer".to_owned()).or_default() += 1;
            return;
        };
        by_kind.1 += u64::from(answer.status == kind.expected_status());
        self.answered += 1;
        self.correlated += u64::from(answer.correlated);
        self.well_formed_served += u64::from(kind.is_well_formed() && answer.status < 500);
        self.latencies.push(latency);
        *self.by_status.entry(answer.status).or_default() += 1;
        let outcome = answer.error_type.clone().unwrap_or_else(|| "answered".to_owned());
        *self.by_outcome.entry(outcome).or_default() += 1;
        self.count(route, &answer);
    }

    /// Adds what the service must have counted for this answer.
    fn count(&mut self, (endpoint, method): (&str, &str), answer: &Answer) {
        let status = answer.status.to_string();
        self.counts.add("api_requests_total", &[endpoint, method, &status]);
        if endpoint != "/api/v2/analyses" {
            return;
        }
        let error = answer.error_type.as_deref();
        // These are refused before the workflow begins.
        if error.is_some_and(|error| {
            ["invalid_json", "body_too_large", "body_unreadable", "invalid_request"]
                .contains(&error)
        }) {
            return;
        }
        let outcome = if error.is_some() { "error" } else { "success" };
        self.counts.add("analyst_workflow_executions_total", &[outcome]);
        match error {
            None | Some("chart_impossible") => {
                self.counts.add("analyst_tool_executions_total", &["execute_sql", "success"]);
                self.counts.add("sql_queries_executed_total", &[]);
            }
            // These fail in the plan, before the statement runs.
            Some("unknown_question" | "unknown_airport" | "model_answer") => {}
            Some(model) if model.starts_with("model_") => {}
            Some(_) => self.counts.add("analyst_tool_executions_total", &["execute_sql", "error"]),
        }
        if error == Some("chart_impossible") {
            self.counts.add("analyst_tool_executions_total", &["create_chart", "error"]);
        }
        if error.is_none() {
            self.counts.add("successful_analyses_total", &[]);
        }
        if let Some(chart) = &answer.chart {
            self.counts.add("analyst_tool_executions_total", &["create_chart", "success"]);
            self.counts.add("charts_created_total", &[chart]);
        }
    }

    /// The latency below which this part of the answers lies, from 0 to 1; `None` without answers.
    #[must_use]
    pub fn latency(&self, part: f64) -> Option<Duration> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list"
        )]
        let place = (part * sorted.len().saturating_sub(1) as f64).ceil() as usize;
        sorted.get(place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(kind: Kind, status: u16, error: Option<&str>, chart: Option<&str>) -> Seen {
        Seen {
            kind,
            route: ("/api/v2/analyses", "POST"),
            latency: Duration::from_millis(u64::from(status)),
            answer: Some(Answer {
                status,
                correlated: true,
                error_type: error.map(str::to_owned),
                chart: chart.map(str::to_owned),
            }),
        }
    }

    #[test]
    fn answers_say_what_the_service_must_have_counted() {
        let mut tally = Tally::default();
        tally.add(seen(Kind::Question, 200, None, Some("bar")));
        tally.add(seen(Kind::Question, 503, Some("database_locked"), None));
        tally.add(seen(Kind::UnknownQuestion, 422, Some("unknown_question"), None));
        tally.add(seen(Kind::BrokenJson, 400, Some("invalid_json"), None));
        tally.add(Seen { answer: None, ..seen(Kind::Question, 0, None, None) });
        assert_eq!(
            (tally.sent, tally.answered, tally.well_formed, tally.well_formed_served),
            (5, 4, 3, 1)
        );
        assert_eq!(tally.by_kind[&Kind::Question], (3, 1));
        assert_eq!(tally.by_outcome["no answer"], 1);
        let expected = [
            ("analyst_tool_executions_total", vec!["create_chart", "success"], 1.0),
            ("analyst_tool_executions_total", vec!["execute_sql", "error"], 1.0),
            ("analyst_tool_executions_total", vec!["execute_sql", "success"], 1.0),
            ("analyst_workflow_executions_total", vec!["error"], 2.0),
            ("analyst_workflow_executions_total", vec!["success"], 1.0),
            ("charts_created_total", vec!["bar"], 1.0),
        ];
        for (family, labels, count) in expected {
            assert_eq!(tally.counts.get(family, &labels), count, "{family} {labels:?}");
        }
        assert_eq!(tally.latency(0.5), Some(Duration::from_millis(422)));
        assert_eq!(tally.latency(1.0), Some(Duration::from_millis(503)));
        assert_eq!(Tally::default().latency(0.5), None);
    }
}
