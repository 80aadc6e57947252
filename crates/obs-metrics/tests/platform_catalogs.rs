//! The catalogs of agents, models, networks and HTTP: exact names, labels and buckets, as a scrape sees them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use obs_metrics::catalog::{
    AgentMetrics, CustomCounter, HttpMetrics, ModelMetrics, NetworkMetrics, record_business_metric,
};
use obs_metrics::{Outcome, Registry, RegistryConfig};

/// Compares a family with the lines that a scrape should show of it, in any order.
fn check(registry: &Registry, name: &str, expected: &[&str]) {
    let text = registry.render_text();
    let is_of_family = |line: &str| {
        let sample = line.strip_prefix(name).is_some_and(|rest| {
            ["", "_bucket", "_sum", "_count"].iter().any(|suffix| {
                rest.strip_prefix(suffix).is_some_and(|rest| rest.starts_with(['{', ' ']))
            })
        });
        sample || line.starts_with(&format!("# TYPE {name} "))
    };
    let mut seen: Vec<_> = text.lines().filter(|line| is_of_family(line)).collect();
    let mut expected = expected.to_vec();
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected, "{name}");
    assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
}

/// The bounds of a family's buckets, as they are written.
fn bounds(registry: &Registry, name: &str) -> Vec<String> {
    let text = registry.render_text();
    let buckets = text.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{")));
    let bound = |line: &str| {
        line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned)
    };
    buckets.filter_map(bound).collect()
}

const AGENT_BOUNDS: [&str; 11] =
    ["0.1", "0.5", "1", "2", "5", "10", "30", "60", "120", "300", "+Inf"];

#[test]
fn agents_are_shown_by_name() {
    let registry = Registry::default();
    let agents = AgentMetrics::new(&registry);
    agents.record("planner", Duration::from_millis(1_500), Outcome::Success);
    agents.record("planner", Duration::from_millis(500), Outcome::Error);
    check(
        &registry,
        "agent_executions_total",
        &[
            "# TYPE agent_executions_total counter",
            "agent_executions_total{agent=\"planner\",status=\"success\"} 1",
            "agent_executions_total{agent=\"planner\",status=\"error\"} 1",
        ],
    );
    check(
        &registry,
        "agent_errors_total",
        &["# TYPE agent_errors_total counter", "agent_errors_total{agent=\"planner\"} 1"],
    );
    let name = "agent_execution_duration_seconds";
    let counts = [0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2];
    let mut lines = vec![
        format!("# TYPE {name} histogram"),
        format!("{name}_sum{{agent=\"planner\"}} 2"),
        format!("{name}_count{{agent=\"planner\"}} 2"),
    ];
    for (bound, count) in AGENT_BOUNDS.iter().zip(counts) {
        lines.push(format!("{name}_bucket{{agent=\"planner\",le=\"{bound}\"}} {count}"));
    }
    check(&registry, name, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn agents_are_shown_by_type_where_that_is_asked_for_and_by_nothing_else() {
    let registry = Registry::default();
    let agents = AgentMetrics::by_type(&registry);
    agents.record("research", Duration::from_secs(1), Outcome::Success);
    agents.start("research").finish(Outcome::Error);
    let name = "agent_execution_duration_seconds";
    for status in ["success", "error"] {
        let line = format!("{name}_count{{agentType=\"research\",status=\"{status}\"}} 1\n");
        assert!(registry.render_text().contains(&line), "{line}");
    }
    assert_eq!(bounds(&registry, name), [AGENT_BOUNDS, AGENT_BOUNDS].concat());
    let text = registry.render_text();
    assert!(!text.contains("agent=") && !text.contains("agent_executions_total"));
}

#[test]
fn the_duration_of_workflows_has_no_labels_in_either_shape() {
    for make in [AgentMetrics::new, AgentMetrics::by_type] {
        let registry = Registry::default();
        make(&registry).record_workflow(Duration::from_secs(40));
        let name = "workflow_execution_duration_seconds";
        assert_eq!(registry.value(&format!("{name}_sum"), &[]), Some(40.0));
        assert_eq!(bounds(&registry, name), AGENT_BOUNDS);
    }
}

#[tokio::test]
async fn an_execution_is_counted_however_it_ends_and_only_failures_are_errors() {
    let registry = Registry::default();
    let agents = AgentMetrics::new(&registry);
    assert_eq!(agents.track("a", async { Ok::<_, std::fmt::Error>(7) }).await, Ok(7));
    assert_eq!(
        agents.track("a", async { Err::<(), _>(std::fmt::Error) }).await,
        Err(std::fmt::Error)
    );
    drop(agents.start("a"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _run = agents.start("a");
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    drop(agents.track("a", std::future::pending::<Result<(), ()>>()));
    for outcome in Outcome::ALL {
        let labels = [("agent", "a"), ("status", outcome.as_str())];
        assert_eq!(registry.value("agent_executions_total", &labels), Some(1.0), "{outcome}");
    }
    assert_eq!(registry.value("agent_errors_total", &[("agent", "a")]), Some(2.0));
    let count = registry.value("agent_execution_duration_seconds_count", &[("agent", "a")]);
    assert_eq!(count, Some(4.0));
}

#[test]
fn predictions_are_shown_by_model() {
    let registry = Registry::default();
    let models = ModelMetrics::new(&registry);
    models.record_prediction("churn", Duration::from_micros(12_500), Some(0.85));
    models.record_prediction("churn", Duration::from_millis(30), None);
    models.set_accuracy("churn", 0.91);
    check(
        &registry,
        "ml_predictions_total",
        &["# TYPE ml_predictions_total counter", "ml_predictions_total{model=\"churn\"} 2"],
    );
    check(
        &registry,
        "ml_model_accuracy",
        &["# TYPE ml_model_accuracy gauge", "ml_model_accuracy{model=\"churn\"} 0.91"],
    );
    let labels = [("model", "churn")];
    assert_eq!(registry.value("ml_prediction_latency_ms_sum", &labels), Some(42.5));
    assert_eq!(
        bounds(&registry, "ml_prediction_latency_ms"),
        [
            "1", "2", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000",
            "+Inf"
        ]
    );
    let name = "ml_prediction_confidence";
    let bounds = ["0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1", "+Inf"];
    let mut lines = vec![
        format!("# TYPE {name} histogram"),
        format!("{name}_sum{{model=\"churn\"}} 0.85"),
        format!("{name}_count{{model=\"churn\"}} 1"),
    ];
    for (index, bound) in bounds.iter().enumerate() {
        let count = u8::from(index >= 8);
        lines.push(format!("{name}_bucket{{model=\"churn\",le=\"{bound}\"}} {count}"));
    }
    check(&registry, name, &lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_network_is_shown_by_organization() {
    let registry = Registry::default();
    let network = NetworkMetrics::new(&registry);
    let connection = network.connection("o-1");
    network.set_connections("o-2", 5);
    network.record_benchmark("o-1");
    network.record_user_message("report", "o-1");
    network.set_emissions_kg("o-1", "scope_1", 100.0);
    network.add_emissions_kg("o-1", "scope_1", -0.5);
    network.set_organizations(3);
    check(
        &registry,
        "network_connections_active",
        &[
            "# TYPE network_connections_active gauge",
            "network_connections_active{organization=\"o-1\"} 1",
            "network_connections_active{organization=\"o-2\"} 5",
        ],
    );
    drop(connection);
    let labels = [("organization", "o-1")];
    assert_eq!(registry.value("network_connections_active", &labels), Some(0.0));
    check(
        &registry,
        "benchmarks_performed_total",
        &[
            "# TYPE benchmarks_performed_total counter",
            "benchmarks_performed_total{organization=\"o-1\"} 1",
        ],
    );
    check(
        &registry,
        "user_messages_total",
        &[
            "# TYPE user_messages_total counter",
            "user_messages_total{intent=\"report\",organization=\"o-1\"} 1",
        ],
    );
    check(
        &registry,
        "emissions_tracked_kg",
        &[
            "# TYPE emissions_tracked_kg gauge",
            "emissions_tracked_kg{organization=\"o-1\",scope=\"scope_1\"} 99.5",
        ],
    );
    check(
        &registry,
        "organizations_active",
        &["# TYPE organizations_active gauge", "organizations_active 3"],
    );
}

#[test]
fn requests_are_shown_by_method_route_and_status() {
    let registry = Registry::default();
    let http = HttpMetrics::new(&registry);
    http.record("GET", "/agents/{id}", 200, Duration::from_millis(250));
    http.start("POST", "/agents").finish(201);
    http.record("BREW", "/pot", 418, Duration::ZERO);
    drop(http.start("PUT", "/slow"));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _run = http.start("PUT", "/slow");
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    check(
        &registry,
        "http_requests_total",
        &[
            "# TYPE http_requests_total counter",
            "http_requests_total{method=\"GET\",route=\"/agents/{id}\",status=\"200\"} 1",
            "http_requests_total{method=\"POST\",route=\"/agents\",status=\"201\"} 1",
            "http_requests_total{method=\"_OTHER\",route=\"/pot\",status=\"418\"} 1",
            "http_requests_total{method=\"PUT\",route=\"/slow\",status=\"499\"} 1",
            "http_requests_total{method=\"PUT\",route=\"/slow\",status=\"500\"} 1",
        ],
    );
    let labels = [("method", "GET"), ("route", "/agents/{id}")];
    assert_eq!(registry.value("http_request_duration_seconds_sum", &labels), Some(0.25));
    assert_eq!(
        bounds(&registry, "http_request_duration_seconds")[..12],
        ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
    );
}

#[test]
fn a_business_metric_is_a_gauge_and_its_series_stay_within_the_registrys_cap() {
    let registry =
        Registry::new(RegistryConfig { max_series_per_metric: 2, ..RegistryConfig::default() });
    for id in 0..10 {
        record_business_metric(
            &registry,
            "deals_open",
            f64::from(id),
            &[("region", &id.to_string())],
        );
    }
    record_business_metric(&registry, "deals_open", 7.5, &[("region", "0")]);
    let text = registry.render_text();
    let lines: Vec<_> = text.lines().filter(|line| line.contains("deals_open{")).collect();
    assert!(text.contains("# TYPE deals_open gauge\n"));
    assert!(lines.contains(&"deals_open{region=\"0\"} 7.5"), "{lines:?}");
    assert!(lines.contains(&"deals_open{region=\"1\"} 1"), "{lines:?}");
    let shown = lines.iter().filter(|line| line.starts_with("deals_open{region=")).count();
    assert_eq!(shown, 2);
    let folded = registry.value("obskit_metrics_overflow_total", &[("metric", "deals_open")]);
    assert_eq!(folded, Some(8.0));
}

#[test]
fn a_custom_counter_has_its_description_unless_the_user_gave_one_before() {
    let registry = Registry::default();
    registry.describe("mine_total", "Mine.");
    for name in ["exports_total", "mine_total"] {
        let counter = CustomCounter::new(&registry, name, "Exports.");
        counter.increment(2, &[("format", "pdf")]);
        counter.increment(3, &[("format", "pdf")]);
    }
    check(
        &registry,
        "exports_total",
        &["# TYPE exports_total counter", "exports_total{format=\"pdf\"} 5"],
    );
    let text = registry.render_text();
    assert!(text.contains("# HELP exports_total Exports.\n"));
    assert!(text.contains("# HELP mine_total Mine.\n"));
}

#[test]
fn nothing_is_shown_before_its_first_use() {
    let registry = Registry::default();
    let before = registry.render_text();
    let _groups = (
        AgentMetrics::new(&registry),
        AgentMetrics::by_type(&registry),
        ModelMetrics::new(&registry),
        NetworkMetrics::new(&registry),
        HttpMetrics::new(&registry),
        CustomCounter::new(&registry, "exports_total", "Exports."),
    );
    assert_eq!(registry.render_text(), before);
}
