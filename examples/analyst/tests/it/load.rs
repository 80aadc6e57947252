//! A short load against a service with obskit's HTTP layer: both sides count the same.

use std::time::Duration;

use crate::support::Service;
use analyst::load::{self, LoadConfig, Target};
use axum::Router;
use axum::routing::get;
use obskit::logs::http::ObserveLayer;
use obskit::metrics::Registry;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_and_the_service_count_the_same() {
    let registry = Registry::default();
    registry.install().expect("no other test here installs one");
    let service = Service::start(registry, None, |router| router.layer(ObserveLayer::new())).await;
    let shown = service.registry.clone();
    let admin = crate::support::serve(
        Router::new().route("/metrics", get(move || async move { shown.render_text() })),
    )
    .await;

    // Something was counted before, and must not be taken for the load's.
    service.post("{\"question\": \"Bird strikes by year\"}").await;
    let config = LoadConfig { rate: 100.0, duration: Duration::from_secs(4), seed: 3 };
    let airports = service.analyst.rules().places().codes_by_departures();
    let target = Target {
        service: service.address,
        admin: Some(admin),
        database: service.database.clone(),
        airports: airports.into_iter().map(str::to_owned).collect(),
    };
    let (_stopping, stop) = tokio::sync::watch::channel(false);
    let summary = load::run(config, target, service.client.clone(), stop).await;

    assert_eq!((summary.tally.sent, summary.tally.answered), (400, 400), "{summary}");
    assert_eq!(summary.tally.correlated, 400, "{summary}");
    assert_eq!(summary.tally.by_kind[&load::Kind::Slow], (1, 1), "{summary}");
    let compared = summary.comparisons.as_deref().expect("the metrics can be read");
    assert!(compared.len() >= 12, "{summary}");
    assert!(compared.iter().all(load::Comparison::is_equal), "{summary}");
    for (kind, (sent, expected)) in &summary.tally.by_kind {
        assert_eq!(sent, expected, "{}: {summary}", kind.name());
    }
    assert!(summary.to_string().contains("equal"), "{summary}");
}

#[tokio::test]
async fn a_load_that_is_stopped_ends_at_once_with_what_it_has() {
    let service = Service::start(Registry::default(), None, |router| router).await;
    let config = LoadConfig { rate: 50.0, duration: Duration::from_secs(3_600), seed: 3 };
    let target = Target {
        service: service.address,
        admin: None,
        database: service.database.clone(),
        airports: vec!["ORD".to_owned()],
    };
    let (stopping, stop) = tokio::sync::watch::channel(false);
    let load = tokio::spawn(load::run(config, target, service.client.clone(), stop));
    let answered = [("status", "success")];
    while service
        .count("analyst_workflow_step_executions_total", &[("step_name", "answer"), answered[0]])
        < 5.0
    {
        tokio::task::yield_now().await;
    }
    stopping.send(true).expect("the load listens");
    let summary = load.await.expect("no panic");
    assert!(
        summary.tally.answered >= 5 && summary.tally.sent == summary.tally.answered,
        "{summary}"
    );
    assert!(
        summary.comparisons.is_none() && summary.to_string().contains("not compared"),
        "{summary}"
    );
}
