//! The main job with a state folder: what it knew and what it could not push are there after `kill -9`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use interop::{Options, Receiver, ReceiverKind, Service, encoded, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

fn now_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// The number that a query of the service's own store comes to.
fn ask(service: &Service, query: &str) -> Option<f64> {
    let answer = service.admin_get(&format!("/api/v1/query?query={}", encoded(query)));
    answer.json()["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn series_and_undelivered_pushes_survive_kill_9() {
    let state = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::start(ReceiverKind::VictoriaMetrics);
    receiver.stop();
    let url = receiver.write_url();
    let start = || {
        Service::start(
            Options::default()
                .variable("OBSKIT_STATE_DIR", state.path().to_str().unwrap())
                .variable("OBSKIT_METRICS_SAMPLE_INTERVAL", "500ms")
                .variable("OBSKIT_REMOTE_WRITE_ENDPOINT", &url)
                .variable("OBSKIT_REMOTE_WRITE_INTERVAL", "500ms"),
        )
    };

    let service = start();
    assert_eq!(service.analyse(&[], r#"{"sql": "SELECT count(*) FROM flights"}"#).status, 200);
    let spooled = || service.metric("obskit_delivery_spool_items", &["remote_write"]);
    let pushes = eventually("some pushes in the spool", PATIENCE, || {
        Some(spooled()).filter(|pushes| *pushes >= 5.0)
    });
    let asked = "count_over_time(analyst_workflow_executions_total[1h])";
    let samples = eventually("some samples", PATIENCE, || {
        ask(&service, asked).filter(|samples| *samples >= 5.0)
    });
    service.kill();
    let killed = now_seconds();

    receiver.restart();
    let service = start();
    // One interval may be missing: the samples that were being written.
    let kept = ask(&service, asked);
    assert!(kept.is_some_and(|kept| kept >= samples - 1.0), "{kept:?} of {samples} samples");
    assert!(service.metric("obskit_delivery_recovered_total", &["remote_write"]) >= pushes);
    eventually("the pushes from before the end", PATIENCE, || {
        let found = receiver.query("analyst_workflow_executions_total[1h]");
        let values = found.first()?["values"].as_array()?.clone();
        let before = values.iter().filter(|value| value[0].as_f64().is_some_and(|at| at < killed));
        (before.count() as f64 >= pushes - 1.0).then_some(())
    });
}
