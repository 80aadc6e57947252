//! Every family that the requirements name, written here as they write it, against what a scrape sees after one record
//! of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram, with_local_recorder};
use obs_metrics::business::{
    Analysis, AnalysisKind, BusinessConfig, BusinessRecorder, Chart, Query,
};
use obs_metrics::catalog::{
    AgentMetrics, CacheLookup, CustomMetrics, DatabaseMetrics, HttpMetrics, LlmMetrics,
    ModelMetrics, NetworkMetrics, ResourceMetrics, ServerMetrics, ToolMetrics, WorkflowMetrics,
    WorkflowOwner, describe_api, describe_logs,
};
use obs_metrics::collect::{Collect, ProcessCollector};
use obs_metrics::{Outcome, Registry, record_metric};
use obs_model::{Gather, ManualClock, MetricFamily, MetricValue};

/// Row, family with its labels, type, and buckets where the row names them.
const ROWS: &[(&str, &str, &str, &[f64])] = &[
    ("A1", "analyst_workflow_executions_total{status,user_id,organization_id}", "counter", &[]),
    (
        "A1",
        "analyst_workflow_duration_seconds{status,step}",
        "histogram",
        &[0.1, 0.5, 1., 2., 5., 10., 30., 60., 120., 300.],
    ),
    ("A1", "analyst_workflow_active_executions", "gauge", &[]),
    ("A1", "analyst_workflow_step_executions_total{step_name,status}", "counter", &[]),
    (
        "A1",
        "analyst_workflow_step_duration_seconds{step_name}",
        "histogram",
        &[0.1, 0.5, 1., 2., 5., 10., 30., 60.],
    ),
    ("A2", "analyst_tool_executions_total{tool_name,status}", "counter", &[]),
    (
        "A2",
        "analyst_tool_duration_seconds{tool_name}",
        "histogram",
        &[0.01, 0.1, 0.5, 1., 2., 5., 10., 30.],
    ),
    ("A2", "analyst_tool_errors_total{tool_name,error_type}", "counter", &[]),
    ("A3", "database_connections_active", "gauge", &[]),
    (
        "A3",
        "database_query_duration_seconds{operation}",
        "histogram",
        &[0.001, 0.01, 0.1, 0.5, 1., 2., 5.],
    ),
    (
        "A3",
        "database_query_result_rows",
        "histogram",
        &[1., 10., 100., 1000., 5000., 10000., 50000.],
    ),
    ("A3", "database_errors_total{error_type}", "counter", &[]),
    ("A4", "llm_requests_total{model,agent,status}", "counter", &[]),
    (
        "A4",
        "llm_tokens_used{model,type}",
        "histogram",
        &[100., 500., 1000., 2000., 5000., 10000., 20000.],
    ),
    (
        "A4",
        "llm_request_duration_seconds{model,agent}",
        "histogram",
        &[0.5, 1., 2., 5., 10., 20., 30., 60.],
    ),
    ("A4", "llm_errors_total{model,error_type}", "counter", &[]),
    ("A5", "successful_analyses_total{organization_id,data_source_type}", "counter", &[]),
    ("A5", "charts_created_total{chart_type,organization_id}", "counter", &[]),
    ("A5", "sql_queries_executed_total{data_source_type,organization_id}", "counter", &[]),
    ("A5", "conversation_message_count", "histogram", &[1., 5., 10., 20., 50., 100., 200., 500.]),
    ("A5", "user_sessions_total{organization_id}", "counter", &[]),
    ("A6", "memory_usage_bytes{type}", "gauge", &[]),
    ("A6", "streaming_accumulator_size_bytes", "histogram", &[1e3, 1e4, 1e5, 5e5, 1e6, 5e6]),
    ("A6", "conversation_history_size_bytes", "histogram", &[1e3, 1e4, 1e5, 5e5, 1e6, 5e6, 1e7]),
    ("A16", "database_connections_limit", "gauge", &[]),
    ("E5", "agent_executions_total{agent,status}", "counter", &[]),
    ("E5", "agent_errors_total{agent}", "counter", &[]),
    ("E5", "agent_execution_duration_seconds{agent}", "histogram", &[]),
    ("E6", "ml_predictions_total{model}", "counter", &[]),
    ("E6", "ml_prediction_latency_ms{model}", "histogram", &[]),
    ("E6", "ml_model_accuracy{model}", "gauge", &[]),
    ("E6", "ml_prediction_confidence{model}", "histogram", &[]),
    ("E7", "api_requests_total{endpoint,method,status}", "counter", &[]),
    ("E7", "api_errors_total{endpoint,method}", "counter", &[]),
    ("E7", "api_request_duration_ms{endpoint,method}", "histogram", &[]),
    ("E8", "network_connections_active{organization}", "gauge", &[]),
    ("E8", "benchmarks_performed_total{organization}", "counter", &[]),
    ("E8", "user_messages_total{intent,organization}", "counter", &[]),
    ("E8", "emissions_tracked_kg{organization,scope}", "gauge", &[]),
    ("E8", "organizations_active", "gauge", &[]),
    ("P9", "log_events_total{level,service}", "counter", &[]),
    ("P9", "log_processing_duration_ms", "histogram", &[]),
    ("P9", "workflow_execution_duration_seconds", "histogram", &[]),
    ("P9", "http_requests_total{method,route,status}", "counter", &[]),
    ("P9", "http_request_duration_seconds{method,route}", "histogram", &[]),
    ("M1", "mcp_query_latency_seconds", "histogram", &[]),
    ("M1", "mcp_embedding_generation_seconds", "histogram", &[]),
    ("M1", "mcp_cache_hit_ratio", "gauge", &[]),
    ("M1", "mcp_active_connections", "gauge", &[]),
    ("M1", "mcp_requests_total{method,status}", "counter", &[]),
];

/// The other shape of one family: a platform that asks for it has no other.
const BY_TYPE: &[(&str, &str, &str, &[f64])] =
    &[("P9", "agent_execution_duration_seconds{agentType,status}", "histogram", &[])];

fn record_catalogs(registry: &Registry) {
    let workflows = WorkflowMetrics::new(registry, "analyst");
    let run = workflows.start(WorkflowOwner::new("u-1", "o-1"));
    run.within(|| workflows.start_step("plan").finish(Outcome::Success));
    run.finish(Outcome::Success);
    ToolMetrics::new(registry, "analyst").start("search").fail("timeout");
    let database = DatabaseMetrics::new(registry);
    database.set_connections_limit(10);
    drop(database.connection());
    database.start("select").succeed(12);
    database.record_error("timeout");
    let llm = LlmMetrics::new(registry);
    llm.start("small", "planner").succeed(Some(900), Some(30));
    llm.record_error("small", "rate_limit");
    let resources = ResourceMetrics::new(registry);
    resources.record_streaming_accumulator(2_000);
    resources.record_conversation_history(6_000);
    ProcessCollector::new(registry).refresh().unwrap();
    let network = NetworkMetrics::new(registry);
    drop(network.connection("o-1"));
    network.record_benchmark("o-1");
    network.record_user_message("report", "o-1");
    network.add_emissions_kg("o-1", "scope_1", 1.0);
    network.set_organizations(1);
    ModelMetrics::new(registry).set_accuracy("churn", 0.9);
    AgentMetrics::new(registry).record_workflow(Duration::from_secs(1));
    HttpMetrics::new(registry).record("GET", "/x/{id}", 200, Duration::from_millis(7));
    let server = ServerMetrics::new(registry, "mcp");
    server.record_lookup(CacheLookup::Miss);
    server.record_request("tools/list", Outcome::Error);
    describe_api(registry);
    describe_logs(registry);
}

fn record_business(registry: &Registry) {
    let business = BusinessRecorder::new(
        registry,
        BusinessConfig::default(),
        Arc::new(ManualClock::default()),
    );
    business.record_analysis(&Analysis {
        organization_id: "o-1",
        user_id: "u-1",
        data_source_type: "postgresql",
        kind: AnalysisKind::SqlQuery,
        success: true,
        duration: Duration::from_secs(1),
        tokens: 10,
        queries: 1,
        charts: 0,
    });
    business.record_chart(&Chart {
        chart_type: "bar",
        organization_id: "o-1",
        points: 5,
        duration: Duration::from_secs(1),
        success: true,
    });
    business.record_query(&Query {
        organization_id: "o-1",
        data_source_type: "postgresql",
        complexity: "simple",
        rows: 5,
        duration: Duration::from_secs(1),
        success: true,
    });
    business.record_session("o-1", "u-1");
    business.record_conversation(3);
}

fn record_everything_once(registry: &Registry) {
    record_catalogs(registry);
    record_business(registry);
    let custom = CustomMetrics::new(registry);
    custom.record_agent_execution("planner", Duration::from_secs(1), false);
    custom.record_ml_prediction("churn", Duration::from_millis(5), Some(0.5));
    with_local_recorder(registry, || {
        let labels = [("endpoint", "/x/{id}"), ("method", "GET")];
        counter!("api_requests_total", "endpoint" => "/x/{id}", "method" => "GET", "status" => "200")
            .increment(1);
        counter!("api_errors_total", &labels).increment(1);
        histogram!("api_request_duration_ms", &labels).record(3);
        counter!("log_events_total", "level" => "ERROR", "service" => "s").increment(1);
        histogram!("log_processing_duration_ms").record(0.02);
    });
}

fn check(registry: &Registry, rows: &[(&str, &str, &str, &[f64])]) {
    let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
    registry.gather(&mut |family| {
        families.insert(family.name.to_string(), family.clone());
    });
    for (row, family, kind, buckets) in rows {
        let (name, labels) = family.trim_end_matches('}').split_once('{').unwrap_or((family, ""));
        let labels: BTreeSet<&str> = labels.split(',').filter(|label| !label.is_empty()).collect();
        let family = families.get(name).unwrap_or_else(|| panic!("{row}: no {name}"));
        assert_eq!(family.kind.as_str(), *kind, "{row}: {name}");
        assert!(!family.help.is_empty(), "{row}: {name} has no help");
        for point in &family.points {
            let seen: BTreeSet<&str> = point.labels.iter().map(|(name, _)| name).collect();
            assert_eq!(seen, labels, "{row}: {name}");
            if let (MetricValue::Histogram(snapshot), false) = (&point.value, buckets.is_empty()) {
                let seen: Vec<f64> = snapshot.buckets.iter().map(|of| of.upper_bound).collect();
                assert_eq!(seen, [*buckets, &[f64::INFINITY]].concat(), "{row}: {name}");
            }
        }
    }
}

#[test]
fn every_family_that_the_requirements_name_is_shown_as_they_name_it() {
    let registry = Registry::default();
    record_everything_once(&registry);
    check(&registry, ROWS);
    let registry = Registry::default();
    AgentMetrics::by_type(&registry).record("planner", Duration::from_secs(1), Outcome::Success);
    check(&registry, BY_TYPE);
}

#[test]
fn a_metric_that_only_has_a_name_becomes_what_it_looks_like_or_what_it_is() {
    // The registry that is installed for the process; no other test of this file installs one.
    let registry = Registry::default();
    record_metric("lost", 1.0, &[]);
    registry.install().unwrap();
    assert!(Registry::installed().is_some());
    registry.set_buckets("rows", &[10.0]).unwrap();
    registry.counter("restarts", &[("by", "macro")]).increment(1);
    for value in [2.0, 0.5] {
        record_metric("fuel_litres_total", value, &[("truck", "a")]);
        record_metric("restarts", value, &[("by", "name")]);
        record_metric("depth", value, &[]);
        record_metric("rows", value, &[]);
    }
    record_metric("fuel_litres_total", -1.0, &[("truck", "a")]);
    record_metric("restarts", 1.0, &[("by", "macro")]);
    let value = |name, labels: &[(&str, &str)]| registry.value(name, labels);
    assert_eq!(value("fuel_litres_total", &[("truck", "a")]), Some(2.5));
    assert_eq!(value("restarts", &[("by", "name")]), Some(2.5));
    assert_eq!(value("restarts", &[("by", "macro")]), Some(1.0));
    assert_eq!(value("depth", &[]), Some(0.5));
    assert_eq!(value("rows_bucket", &[("le", "10")]), Some(2.0));
    assert_eq!(value("lost", &[]), None);
    let dropped = |reason| value("obskit_metrics_dropped_total", &[("reason", reason)]);
    assert_eq!((dropped("invalid_value"), dropped("kind_conflict")), (Some(1.0), Some(1.0)));
}

#[test]
fn the_hit_ratio_follows_the_lookups() {
    let registry = Registry::default();
    let server = ServerMetrics::new(&registry, "");
    for (name, labels) in [
        ("cache_lookups_total", &[("result", "hit")][..]),
        ("cache_lookups_total", &[("result", "miss")]),
        ("active_connections", &[]),
        ("query_latency_seconds_count", &[]),
    ] {
        assert_eq!(registry.value(name, labels), Some(0.0), "{name}");
    }
    for (lookup, expected) in [
        (CacheLookup::Miss, 0.0),
        (CacheLookup::Hit, 0.5),
        (CacheLookup::Miss, 1.0 / 3.0),
        (CacheLookup::Hit, 0.5),
    ] {
        server.record_lookup(lookup);
        assert_eq!(registry.value("cache_hit_ratio", &[]), Some(expected));
    }
    assert_eq!(registry.value("cache_lookups_total", &[("result", "hit")]), Some(2.0));
}
