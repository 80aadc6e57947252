//! An application that has metrics-exporter-prometheus installed: the series store and `/metrics` work on it.

use std::sync::Arc;

use interop::get;
use metrics_exporter_prometheus::PrometheusBuilder;
use obs_metrics::catalog::WorkflowMetrics;
use obs_metrics::{Outcome, Registry, backend};
use obs_model::{Resource, SystemClock, Timestamp};
use obs_query::promql::{Engine, EngineOptions, QueryValue};
use obs_query::{SeriesStore, StoreConfig};
use obs_server::{AdminState, ServerConfig};

#[tokio::test]
async fn the_store_answers_queries_and_metrics_are_served_from_the_exporter() {
    let declared = Registry::default();
    let _ = WorkflowMetrics::new(&declared, "analyst");
    let builder = backend::with_catalog_buckets(PrometheusBuilder::new(), &declared).unwrap();
    let handle = builder.install_recorder().unwrap();
    let registry = Registry::over_exporter(handle);
    registry.install().unwrap();

    let workflows = WorkflowMetrics::new(&registry, "analyst");
    let store = Arc::new(SeriesStore::new(StoreConfig::default()));
    // A minute of samples, five seconds apart, with three steps each.
    let at = |tick: i64| Timestamp::from_millis(1_700_000_000_000 + tick * 5_000);
    for tick in 0..=12 {
        for _ in 0..3 {
            workflows.start_step("plan").finish(Outcome::Success);
        }
        metrics::counter!("applications_own_total").increment(1);
        let report = store.ingest(at(tick), &registry);
        assert_eq!(report.dropped, 0, "{report:?}");
    }
    let value = |query: &str| {
        let engine = Engine::new(EngineOptions::default());
        let parsed = engine.parse(query).unwrap();
        let answer = engine.instant(&*store, &parsed, at(12), &|| false).unwrap();
        let QueryValue::Vector(points) = answer.value else { panic!("{query}") };
        assert_eq!(points.len(), 1, "{query}");
        points[0].value.as_float().unwrap()
    };
    let executions =
        "analyst_workflow_step_executions_total{step_name=\"plan\",status=\"success\"}";
    assert_eq!(value(executions), 39.0);
    assert!((value(&format!("rate({executions}[1m])")) - 0.6).abs() < 1e-9);
    assert_eq!(value("applications_own_total"), 13.0);
    let quantile =
        "histogram_quantile(0.9, rate(analyst_workflow_step_duration_seconds_bucket[1m]))";
    // Every step took less than the first bound, and the quantile lies nine tenths of the way there.
    assert!((value(quantile) - 0.09).abs() < 1e-9);

    let listen = "127.0.0.1:0".parse().unwrap();
    let bound = obs_server::bind(ServerConfig { listen, ..ServerConfig::default() }).await.unwrap();
    let address = bound.local_addr().to_string();
    let clock = Arc::new(SystemClock::new());
    let state = AdminState::new(Resource::new("app"), clock).with_registry(registry.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(bound.serve(state, async { stopped.await.unwrap_or_default() }));
    let page =
        tokio::task::spawn_blocking(move || get(&address, "/metrics").unwrap()).await.unwrap();
    assert_eq!(page.header("content-type"), Some(obs_metrics::TEXT_CONTENT_TYPE));
    assert!(page.text().contains("applications_own_total 13"), "{}", page.text());
    assert!(page.text().contains("analyst_workflow_step_duration_seconds_bucket{"));
    drop(stop);
    serving.await.unwrap();
}
