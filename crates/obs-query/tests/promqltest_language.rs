//! The language of test files: what it accepts, and that a wrong expectation is a failure.

use obs_query::promqltest::{self, Report};

const SERIES: &str = "
load 1m
  requests_total{job=\"a\", instance=\"0\"} 0+60x10
  requests_total{job=\"b\", instance=\"0\"} 0+120x10
  target_info{job=\"a\", instance=\"0\", version=\"1\"} 1x4 stale
  target_info{job=\"a\", instance=\"0\", version=\"2\"} _x5 1x5
";

fn report(evaluations: &str) -> Report {
    promqltest::run(&format!("{SERIES}\n{evaluations}"))
}

#[test]
fn an_evaluation_that_comes_to_what_it_expects_passes() {
    for evaluation in [
        "eval instant at 10m sum(requests_total)\n  {} 1800",
        "eval instant at 10m requests_total{job='c'}",
        "eval instant at 1m 2 * 3\n  6",
        "eval instant at 1m \"text\"\n  expect string \"text\"",
        "eval_ordered instant at 10m sort_desc(requests_total)\n  requests_total{job=\"b\", instance=\"0\"} 1200\n  requests_total{job=\"a\", instance=\"0\"} 600",
        "eval range from 0 to 2m step 1m requests_total{job=\"a\"}\n  requests_total{job=\"a\", instance=\"0\"} 0 60 120",
        "eval_fail instant at 1m {__name__=~\"requests_total|target_info\"} * on () requests_total\n  expected_fail_regexp found duplicate series .*",
        "eval instant at 1m topk(NaN, requests_total)\n  expect fail msg: Parameter value is NaN",
        "eval_info instant at 10m rate(target_info{version=\"2\"}[5m])\n  {job=\"a\", instance=\"0\", version=\"2\"} 0",
        "eval instant at 10m quantile(2, requests_total)\n  expect no_info\n  expect warn regex: .*got 2\n  {} +Inf",
        "eval instant at 2m requests_total{job=\"a\"}[2m]\n  expect range vector from 1m to 2m step 1m\n  requests_total{job=\"a\", instance=\"0\"} 60 120",
    ] {
        let report = report(evaluation);
        assert_eq!((report.passed, report.total), (1, 1), "{evaluation}: {:?}", report.failures);
    }
}

#[test]
fn an_evaluation_that_does_not_is_a_failure_with_its_line_and_reason() {
    for (evaluation, reason) in [
        ("eval instant at 10m sum(requests_total)\n  {} 1801", "expected 1801 for {} but got 1800"),
        ("eval instant at 10m sum(requests_total)", "unexpected metric {}"),
        ("eval instant at 10m vector(1) > 1\n  {} 1", "expected metric {} with 1 not found"),
        ("eval instant at 1m 2\n  3", "expected scalar 3 but got 2"),
        (
            "eval_ordered instant at 10m sort(requests_total)\n  requests_total{job=\"b\", instance=\"0\"} 1200\n  requests_total{job=\"a\", instance=\"0\"} 600",
            "at position 2 but was at 1",
        ),
        (
            "eval range from 0 to 2m step 1m requests_total{job=\"a\"}\n  requests_total{job=\"a\", instance=\"0\"} 0 _ 120",
            "expected 2 float points",
        ),
        ("eval_fail instant at 1m vector(1)", "expected an error but got none"),
        ("eval instant at 1m sum(\n  {} 1", "unclosed left parenthesis"),
        ("eval_warn instant at 1m vector(1)\n  {} 1", "expected warn annotations but got none"),
        (
            "eval instant at 10m rate(target_info{version=\"2\"}[5m])\n  expect no_info\n  {job=\"a\", instance=\"0\", version=\"2\"} 0",
            "unexpected info annotations",
        ),
        ("eval sometime", "invalid eval command"),
        ("eval instant at 1m vector(1)\n  {} 1 2", "one value for each series"),
    ] {
        let report = report(evaluation);
        assert_eq!((report.passed, report.total), (0, 1), "{evaluation}");
        let failure = &report.failures[0];
        assert!(failure.reason.contains(reason), "{evaluation}: {}", failure.reason);
        assert_eq!(failure.line, 8, "{evaluation}");
    }
}

#[test]
fn what_is_no_command_is_a_failure_but_no_evaluation() {
    let report = promqltest::run("load\n\nfrobnicate\n\nload 1m\n  a 1 2 nonsense\n\nclear\n");
    assert_eq!((report.passed, report.total, report.failures.len()), (0, 0, 3));
}

#[test]
fn info_adds_the_labels_of_the_newest_info_series() {
    let requests = |version: &str| format!("requests_total{{job=\"a\", instance=\"0\"{version}}}");
    for (evaluation, expected) in [
        (
            "eval instant at 3m info(requests_total{job='a'})",
            format!("{} 180", requests(",version=\"1\"")),
        ),
        (
            "eval instant at 7m info(requests_total{job='a'})",
            format!("{} 420", requests(",version=\"2\"")),
        ),
        (
            "eval instant at 3m info(requests_total{job='a'}, {version=~'.+'})",
            format!("{} 180", requests(",version=\"1\"")),
        ),
        ("eval instant at 3m info(requests_total{job='a'}, {version='2'})", String::new()),
        (
            "eval instant at 3m info(requests_total{job='a'}, {__name__='no_info'})",
            format!("{} 180", requests("")),
        ),
        (
            "eval instant at 3m info(requests_total{job='b'})",
            "requests_total{job=\"b\", instance=\"0\"} 360".to_owned(),
        ),
    ] {
        let report = report(&format!("{evaluation}\n  {expected}"));
        assert_eq!(report.passed, 1, "{:?}", report.failures);
    }
}
