//! The webhook channel against a real listener on the loopback interface.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::Bench;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use obs_alerts::{Rule, WebhookChannel, WebhookConfig};
use obs_model::{Accepted, DropReason, Severity};
use serde_json::Value;

/// A request as the listener saw it, and what it answered.
#[derive(Clone, Debug)]
struct Seen {
    body: Value,
    key: String,
    content_type: String,
    answer: StatusCode,
}

#[derive(Default)]
struct Listener {
    /// What to answer next; 200 when there is nothing more.
    answers: Mutex<VecDeque<StatusCode>>,
    seen: Mutex<Vec<Seen>>,
}

async fn receive(
    State(listener): State<Arc<Listener>>,
    headers: HeaderMap,
    body: String,
) -> StatusCode {
    let answer = listener.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    listener.seen.lock().unwrap().push(Seen {
        body: serde_json::from_str(&body).unwrap(),
        key: header("idempotency-key"),
        content_type: header("content-type"),
        answer,
    });
    answer
}

/// A listener that gives these answers first, and a channel to it.
async fn listening(answers: &[StatusCode]) -> (Arc<Listener>, WebhookChannel) {
    let listener = Arc::new(Listener::default());
    listener.answers.lock().unwrap().extend(answers);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let app = Router::new().route("/hook", post(receive)).with_state(Arc::clone(&listener));
    tokio::spawn(async move { axum::serve(socket, app).await });
    let mut config = WebhookConfig::new("ops", format!("http://{address}/hook"));
    config.external_url = "http://svc.example/".to_owned();
    config.delivery.retry.base_backoff = Duration::from_millis(1);
    config.delivery.retry.max_backoff = Duration::from_millis(5);
    (listener, WebhookChannel::start(config).unwrap())
}

/// Fires and resolves one alert, delivers everything, and returns what the listener saw.
async fn life_of_an_alert(answers: &[StatusCode]) -> Vec<Seen> {
    let (listener, channel) = listening(answers).await;
    let bench = Bench::new();
    bench.engine.add_channel("hook", Arc::new(channel.clone())).unwrap();
    let flag = Arc::new(AtomicBool::new(true));
    let condition = Arc::clone(&flag);
    let rule = Rule::closure("disk", "Disk full", Severity::Critical, move |_| {
        Ok(condition.load(Ordering::SeqCst))
    });
    bench
        .engine
        .add_rule(rule.with_description("5 % left").holding_for(Duration::from_secs(60)))
        .unwrap();
    for _ in 0..4 {
        bench.evaluate();
        bench.seconds(60);
    }
    flag.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        bench.evaluate();
        bench.seconds(60);
    }
    let report = channel.shutdown(Duration::from_secs(30)).await;
    assert_eq!((report.delivered, report.dropped.total(), report.undelivered), (2, 0, 0));
    listener.seen.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_hears_of_firing_and_of_resolved_once_each() {
    let seen = life_of_an_alert(&[]).await;
    assert_eq!(seen.len(), 2);
    let (firing, resolved) = (&seen[0].body, &seen[1].body);
    assert_eq!(seen[0].content_type, "application/json");
    for body in [firing, resolved] {
        assert_eq!(body["version"], "4");
        assert_eq!(body["receiver"], "ops");
        assert_eq!(body["externalURL"], "http://svc.example/");
        assert_eq!(body["commonLabels"]["alertname"], "Disk full");
        assert_eq!(body["commonLabels"]["severity"], "critical");
        assert_eq!(body["commonAnnotations"]["description"], "5 % left");
        assert_eq!(body["alerts"][0]["startsAt"], "2023-11-14T22:14:20.000Z");
    }
    assert_eq!(
        (&firing["status"], &firing["alerts"][0]["status"]),
        (&"firing".into(), &"firing".into())
    );
    assert_eq!(firing["alerts"][0]["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(resolved["status"], "resolved");
    assert_eq!(resolved["alerts"][0]["endsAt"], "2023-11-14T22:17:20.000Z");
    assert_eq!(resolved["alerts"][0]["fingerprint"], firing["alerts"][0]["fingerprint"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_fails_first_still_accepts_each_once_and_in_order() {
    let failure = StatusCode::INTERNAL_SERVER_ERROR;
    let seen = life_of_an_alert(&[failure, failure, StatusCode::OK, failure]).await;
    let course: Vec<(&str, u16)> = seen
        .iter()
        .map(|request| (request.body["status"].as_str().unwrap(), request.answer.as_u16()))
        .collect();
    assert_eq!(
        course,
        [("firing", 500), ("firing", 500), ("firing", 200), ("resolved", 500), ("resolved", 200)]
    );
    // A receiver can tell a retry from something new.
    let keys: Vec<&str> = seen.iter().map(|request| request.key.as_str()).collect();
    assert_eq!(keys[0], keys[2]);
    assert_eq!(keys[3], keys[4]);
    assert_ne!(keys[0], keys[3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_alert_goes_through_the_webhook() {
    let (listener, channel) = listening(&[]).await;
    let bench = Bench::new();
    bench.engine.add_channel("hook", Arc::new(channel.clone())).unwrap();
    assert_eq!(bench.engine.send_test("hook").unwrap(), Accepted::Taken);
    let report = channel.shutdown(Duration::from_secs(30)).await;
    assert_eq!(report.delivered, 2);
    let seen = listener.seen.lock().unwrap().clone();
    let states: Vec<&str> =
        seen.iter().map(|request| request.body["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["firing", "resolved"]);
    assert_eq!(bench.engine.send_test("hook").unwrap(), Accepted::Dropped(DropReason::Closed));
}

#[tokio::test]
async fn a_webhook_without_a_usable_url_is_refused() {
    let error = WebhookChannel::start(WebhookConfig::new("ops", "not a url")).unwrap_err();
    assert!(error.is_webhook() && error.to_string().contains("\"ops\""), "{error}");
    assert!(std::error::Error::source(&error).is_some());
}
