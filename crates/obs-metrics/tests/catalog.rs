//! Every metric of the catalogs: its exact name, labels and buckets, as a scrape sees them.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use metrics::{counter, histogram, with_local_recorder};
use obs_metrics::catalog::{
    BusinessMetrics, DatabaseMetrics, LlmCall, LlmMetrics, ResourceMetrics, ToolMetrics,
    WorkflowMetrics, WorkflowOwner, describe_api, describe_logs,
};
use obs_metrics::collect::{Collect, ProcessCollector};
use obs_metrics::{Outcome, Registry};
use obs_model::{Gather, MetricKind, MetricValue};

/// A family as it is seen: kind, label names, finite bucket bounds.
fn check(registry: &Registry, name: &str, kind: MetricKind, labels: &[&str], bounds: &[f64]) {
    let mut seen = None;
    registry.gather(&mut |family| {
        if &*family.name == name {
            seen = Some(family.clone());
        }
    });
    let family = seen.unwrap_or_else(|| panic!("{name} is missing"));
    assert_eq!(family.kind, kind, "{name}");
    assert!(!family.help.is_empty(), "{name} has no help");
    for point in &family.points {
        let names: BTreeSet<_> = point.labels.iter().map(|(name, _)| name).collect();
        assert_eq!(names, labels.iter().copied().collect(), "{name}");
        if let MetricValue::Histogram(snapshot) = &point.value {
            let seen: Vec<_> = snapshot.buckets.iter().map(|bucket| bucket.upper_bound).collect();
            assert_eq!(seen, [bounds, &[f64::INFINITY]].concat(), "{name}");
        }
    }
    let text = registry.render_text();
    assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    assert!(text.contains(&format!("# TYPE {name} {}\n", kind.as_str())), "{name}");
}

/// Uses everything once.
fn use_all(registry: &Registry, namespace: &str) {
    let workflows = WorkflowMetrics::new(registry, namespace);
    let run = workflows.start(WorkflowOwner::new("u-1", "o-1"));
    run.within(|| workflows.start_step("plan").finish(Outcome::Success));
    run.finish(Outcome::Error);

    let tools = ToolMetrics::new(registry, namespace);
    tools.start("search").succeed();
    tools.start("search").fail("timeout");

    let database = DatabaseMetrics::new(registry);
    let _connection = database.connection();
    database.start("select").succeed(12);
    database.start("select").fail("timeout");

    let llm = LlmMetrics::new(registry);
    llm.start("small", "planner").succeed(Some(900), Some(30));
    llm.record(&LlmCall {
        model: "small",
        agent: "planner",
        outcome: Outcome::Error,
        duration: Duration::from_secs(3),
        input_tokens: None,
        output_tokens: None,
        error_type: Some("rate_limit"),
    });

    let business = BusinessMetrics::new(registry);
    business.record_analysis("o-1", "postgresql");
    business.record_chart("bar", "o-1");
    business.record_query("postgresql", "o-1");
    business.record_conversation(7);
    business.record_session("o-1");

    let resources = ResourceMetrics::new(registry);
    resources.record_streaming_accumulator(2_000);
    resources.record_conversation_history(6_000_000);
    ProcessCollector::new(registry).refresh().unwrap();

    describe_api(registry);
    describe_logs(registry);
    with_local_recorder(registry, || {
        counter!("api_requests_total", "endpoint" => "/x/{id}", "method" => "GET", "status" => "200")
            .increment(1);
        counter!("api_errors_total", "endpoint" => "/x/{id}", "method" => "GET").increment(1);
        histogram!("api_request_duration_ms", "endpoint" => "/x/{id}", "method" => "GET").record(3);
        counter!("log_events_total", "level" => "ERROR", "service" => "analyst").increment(1);
        histogram!("log_processing_duration_ms").record(0.02);
    });
}

#[test]
fn every_family_has_its_exact_name_labels_and_buckets() {
    use MetricKind::{Counter, Gauge, Histogram};
    let registry = Registry::default();
    use_all(&registry, "analyst");
    let check = |name, kind, labels: &[&str], bounds: &[f64]| {
        check(&registry, name, kind, labels, bounds);
    };

    check(
        "analyst_workflow_executions_total",
        Counter,
        &["status", "user_id", "organization_id"],
        &[],
    );
    check(
        "analyst_workflow_duration_seconds",
        Histogram,
        &["status", "step"],
        &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0],
    );
    check("analyst_workflow_active_executions", Gauge, &[], &[]);
    check("analyst_workflow_step_executions_total", Counter, &["step_name", "status"], &[]);
    check(
        "analyst_workflow_step_duration_seconds",
        Histogram,
        &["step_name"],
        &[0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0],
    );

    check("analyst_tool_executions_total", Counter, &["tool_name", "status"], &[]);
    check(
        "analyst_tool_duration_seconds",
        Histogram,
        &["tool_name"],
        &[0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0],
    );
    check("analyst_tool_errors_total", Counter, &["tool_name", "error_type"], &[]);

    check("database_connections_active", Gauge, &[], &[]);
    check(
        "database_query_duration_seconds",
        Histogram,
        &["operation"],
        &[0.001, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0],
    );
    check(
        "database_query_result_rows",
        Histogram,
        &[],
        &[1.0, 10.0, 100.0, 1000.0, 5000.0, 10000.0, 50000.0],
    );
    check("database_errors_total", Counter, &["error_type"], &[]);

    check("llm_requests_total", Counter, &["model", "agent", "status"], &[]);
    check(
        "llm_tokens_used",
        Histogram,
        &["model", "type"],
        &[100.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0, 20000.0],
    );
    check(
        "llm_request_duration_seconds",
        Histogram,
        &["model", "agent"],
        &[0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0],
    );
    check("llm_errors_total", Counter, &["model", "error_type"], &[]);

    check("successful_analyses_total", Counter, &["organization_id", "data_source_type"], &[]);
    check("charts_created_total", Counter, &["chart_type", "organization_id"], &[]);
    check("sql_queries_executed_total", Counter, &["data_source_type", "organization_id"], &[]);
    check(
        "conversation_message_count",
        Histogram,
        &[],
        &[1.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0],
    );
    check("user_sessions_total", Counter, &["organization_id"], &[]);

    check("memory_usage_bytes", Gauge, &["type"], &[]);
    check("streaming_accumulator_size_bytes", Histogram, &[], &[1e3, 1e4, 1e5, 5e5, 1e6, 5e6]);
    check("conversation_history_size_bytes", Histogram, &[], &[1e3, 1e4, 1e5, 5e5, 1e6, 5e6, 1e7]);

    check("api_requests_total", Counter, &["endpoint", "method", "status"], &[]);
    check("api_errors_total", Counter, &["endpoint", "method"], &[]);
    check(
        "api_request_duration_ms",
        Histogram,
        &["endpoint", "method"],
        &[
            1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 300.0, 500.0, 750.0, 1000.0, 2000.0,
            5000.0, 10000.0,
        ],
    );
    check("log_events_total", Counter, &["level", "service"], &[]);
    check(
        "log_processing_duration_ms",
        Histogram,
        &[],
        &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 50.0, 100.0],
    );
}

#[test]
fn nothing_is_shown_before_its_first_use_but_the_gauge_of_active_workflows() {
    let registry = Registry::default();
    let before = registry.render_text();
    let _groups = (
        WorkflowMetrics::new(&registry, "analyst"),
        ToolMetrics::new(&registry, "analyst"),
        DatabaseMetrics::new(&registry),
        LlmMetrics::new(&registry),
        BusinessMetrics::new(&registry),
        ResourceMetrics::new(&registry),
        ProcessCollector::new(&registry),
    );
    let after = registry.render_text();
    let shown = "# HELP analyst_workflow_active_executions Workflows that run now.\n\
                 # TYPE analyst_workflow_active_executions gauge\n\
                 analyst_workflow_active_executions 0\n";
    let before = before.replace("obskit_metrics_series 0", "obskit_metrics_series 1");
    assert_eq!(after, format!("{shown}{before}"));
}

#[test]
fn the_namespace_can_be_chosen_and_left_out() {
    let registry = Registry::default();
    ToolMetrics::new(&registry, "shop_").start("x").succeed();
    ToolMetrics::new(&registry, "").start("x").succeed();
    for name in ["shop_tool_executions_total", "tool_executions_total"] {
        let labels = [("tool_name", "x"), ("status", "success")];
        assert_eq!(registry.value(name, &labels), Some(1.0));
    }
}

#[test]
fn what_the_user_set_before_a_catalog_stands() {
    let registry = Registry::default();
    registry.set_buckets("llm_tokens_used", &[7.0]).unwrap();
    registry.describe("llm_tokens_used", "Mine.");
    LlmMetrics::new(&registry).record_tokens("m", Some(5), None);
    let text = registry.render_text();
    assert!(text.contains("# HELP llm_tokens_used Mine.\n"));
    assert!(text.contains("llm_tokens_used_bucket{model=\"m\",type=\"input\",le=\"7\"} 1\n"));
}

#[test]
#[ignore = "needs promtool, from Debian's package prometheus"]
fn promtool_finds_nothing_wrong_but_the_unit_that_is_asked_for() {
    let registry = Registry::default();
    use_all(&registry, "analyst");
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    registry.write_text(&mut child.stdin.take().unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let unexpected: Vec<_> = said.lines().filter(|line| !accepted(line)).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    // What it does complain of shows that it read the text to the end.
    assert!(said.contains("log_processing_duration_ms"), "{said}");
}

/// The lints that the metrics' given names cannot avoid.
fn accepted(line: &str) -> bool {
    line.is_empty() || line.contains("_ms ") && line.contains("unit")
}
