//! Rules that most services want, over the names of the metric catalog.

use std::time::Duration;

use obs_model::Severity;
use obs_query::{MatchOp, Matcher, Selector};

use crate::{Operator, Signal, ThresholdRule};

/// What the default rules depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultRules {
    /// What stands before `_workflow_executions_total`; empty when nothing does.
    pub namespace: String,
    /// How much memory the service may use, in bytes: the container's limit, or one of the caller's
    /// own. `None` leaves the rule about memory out.
    pub memory_limit_bytes: Option<u64>,
}

/// All default rules that the settings allow.
///
/// ```
/// use obs_alerts::defaults::{DefaultRules, rules};
///
/// let settings = DefaultRules {
///     namespace: "analyst".to_owned(),
///     memory_limit_bytes: Some(1 << 30),
/// };
/// let ids: Vec<String> = rules(&settings).into_iter().map(|rule| rule.id).collect();
/// assert_eq!(
///     ids,
///     [
///         "high-error-rate",
///         "high-workflow-failure-rate",
///         "stuck-requests",
///         "blocked-executor",
///         "high-memory-usage",
///     ]
/// );
/// ```
#[must_use]
pub fn rules(settings: &DefaultRules) -> Vec<ThresholdRule> {
    let mut rules = vec![
        error_rate(),
        workflow_failure_rate(&settings.namespace),
        stuck_requests(),
        blocked_executor(),
    ];
    rules.extend(settings.memory_limit_bytes.map(memory_usage));
    rules
}

/// More than one in ten API requests of the last hour failed: `api_errors_total` against
/// `api_requests_total`, of all endpoints together.
#[must_use]
pub fn error_rate() -> ThresholdRule {
    ThresholdRule {
        severity: Severity::High,
        description: "more than 10 % of the requests of the last hour failed".to_owned(),
        ..ThresholdRule::new(
            "high-error-rate",
            "High error rate",
            Signal::ratio(
                Selector::metric("api_errors_total"),
                Selector::metric("api_requests_total"),
                Duration::from_secs(3_600),
            ),
            Operator::Greater,
            0.1,
        )
    }
}

/// More than one in five workflow executions of the last quarter of an hour ended with an error or a
/// panic: `{namespace}_workflow_executions_total` by its `status`. A cancelled execution is one that did not
/// fail.
#[must_use]
pub fn workflow_failure_rate(namespace: &str) -> ThresholdRule {
    let name = in_namespace(namespace, "workflow_executions_total");
    ThresholdRule {
        severity: Severity::High,
        description: "more than 20 % of the workflow executions of the last 15 minutes failed"
            .to_owned(),
        ..ThresholdRule::new(
            "high-workflow-failure-rate",
            "High workflow failure rate",
            Signal::ratio(
                Selector::metric(&name).matching(regex("status", "error|panicked")),
                Selector::metric(&name),
                Duration::from_secs(15 * 60),
            ),
            Operator::Greater,
            0.2,
        )
    }
}

/// For a minute, there have been requests that hang: `obskit_operations_stuck`, of the spans whose names end in `.request`,
/// such as `http.request`. Other spans may well wait: there is no rule about those.
#[must_use]
pub fn stuck_requests() -> ThresholdRule {
    ThresholdRule {
        severity: Severity::High,
        for_: Duration::from_secs(60),
        description:
            "requests hang: nothing has happened in them for longer than the service allows"
                .to_owned(),
        ..ThresholdRule::new(
            "stuck-requests",
            "Stuck requests",
            Signal::Last(
                Selector::metric("obskit_operations_stuck")
                    .matching(regex("name", r"(.*\.)?request")),
            ),
            Operator::Greater,
            0.0,
        )
    }
}

/// For half a minute, operations have held up threads of the executor: `obskit_operations_blocking`. The tasks that wait for
/// those threads do not run.
#[must_use]
pub fn blocked_executor() -> ThresholdRule {
    ThresholdRule {
        severity: Severity::High,
        for_: Duration::from_secs(30),
        description: "an operation does not leave its thread, and other tasks wait for that thread"
            .to_owned(),
        ..ThresholdRule::new(
            "blocked-executor",
            "Blocked executor",
            Signal::Last(Selector::metric("obskit_operations_blocking")),
            Operator::Greater,
            0.0,
        )
    }
}

/// The resident memory, `memory_usage_bytes{type="rss"}`, has been above 80 % of the limit for a minute.
#[must_use]
pub fn memory_usage(limit_bytes: u64) -> ThresholdRule {
    // OK because a limit of more than 2^53 bytes is rounded by a few bytes.
    let threshold = limit_bytes as f64 * 0.8;
    ThresholdRule {
        severity: Severity::High,
        for_: Duration::from_secs(60),
        description: format!(
            "the process uses more than 80 % of its {limit_bytes} bytes of memory"
        ),
        ..ThresholdRule::new(
            "high-memory-usage",
            "High memory usage",
            Signal::Last(Selector::metric("memory_usage_bytes").equal("type", "rss")),
            Operator::Greater,
            threshold,
        )
    }
}

/// A metric's name in a namespace, made valid as the metric catalog makes it: what may not stand in a name
/// becomes `_`, and a leading digit gets one in front.
fn in_namespace(namespace: &str, name: &str) -> String {
    let namespace = namespace.trim_end_matches('_');
    if namespace.is_empty() {
        return name.to_owned();
    }
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let digit_first = namespace.starts_with(|c: char| c.is_ascii_digit());
    let namespace: String = namespace.chars().map(|c| if valid(c) { c } else { '_' }).collect();
    format!("{}{namespace}_{name}", if digit_first { "_" } else { "" })
}

fn regex(label: &str, pattern: &str) -> Matcher {
    Matcher::new(label, MatchOp::Regex, pattern).expect("the pattern is a valid regular expression")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_compile_to_expressions_over_the_catalog() {
        for (rule, expected) in [
            (
                error_rate(),
                "sum(rate(api_errors_total[1h])) / sum(rate(api_requests_total[1h])) > 0.1",
            ),
            (
                workflow_failure_rate("analyst"),
                "sum(rate(analyst_workflow_executions_total{status=~\"error|panicked\"}[15m])) / \
                 sum(rate(analyst_workflow_executions_total[15m])) > 0.2",
            ),
            (
                workflow_failure_rate(""),
                "sum(rate(workflow_executions_total{status=~\"error|panicked\"}[15m])) / \
                 sum(rate(workflow_executions_total[15m])) > 0.2",
            ),
            (stuck_requests(), "obskit_operations_stuck{name=~\"(.*\\\\.)?request\"} > 0"),
            (blocked_executor(), "obskit_operations_blocking > 0"),
            (memory_usage(1_000), "memory_usage_bytes{type=\"rss\"} > 800"),
        ] {
            assert_eq!(rule.promql(), expected);
        }
    }

    #[test]
    fn a_namespace_is_joined_by_one_underscore_and_made_valid() {
        for (namespace, expected) in [
            ("analyst", "analyst_x"),
            ("analyst_", "analyst_x"),
            ("", "x"),
            ("my-app", "my_app_x"),
            ("3d", "_3d_x"),
        ] {
            assert_eq!(in_namespace(namespace, "x"), expected);
        }
    }

    #[test]
    fn without_a_limit_there_is_no_rule_about_memory() {
        let rules = rules(&DefaultRules::default());
        assert!(rules.iter().all(|rule| rule.id != "high-memory-usage"));
        assert_eq!(rules.len(), 4);
    }
}
