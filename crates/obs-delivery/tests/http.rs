//! `HttpTransport` against a server on this machine.
#![cfg(feature = "http")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use obs_delivery::{
    Answer, Classifier, Delivery, DeliveryConfig, DeliveryStatus, Framing, HttpConfig, HttpMethod,
    HttpTransport, ItemOutcome, Message, RetryPolicy, SendError, Transport, Verdict,
};
use obs_model::{ManualClock, Timestamp};
use tokio::net::TcpListener;

/// Status, headers and body.
type Reply = (u16, Vec<(&'static str, String)>, &'static str);

/// What the server answers, in order; 200 after that. Status 0 stands for no answer at all.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<VecDeque<Reply>>>,
    requests: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Server {
    fn then(self, status: u16) -> Self {
        self.answers.lock().unwrap().push_back((status, Vec::new(), ""));
        self
    }

    fn then_with(self, status: u16, name: &'static str, value: &str, body: &'static str) -> Self {
        self.answers.lock().unwrap().push_back((status, vec![(name, value.to_owned())], body));
        self
    }

    async fn serve(&self, listener: TcpListener) -> SocketAddr {
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(any(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}/hook?key=s3cret", self.serve(listener).await)
    }

    fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

async fn answer(State(server): State<Server>, headers: HeaderMap, body: Bytes) -> Response {
    server.requests.lock().unwrap().push((headers, body));
    let answer = server.answers.lock().unwrap().pop_front();
    match answer {
        None => StatusCode::OK.into_response(),
        Some((0, ..)) => std::future::pending().await,
        Some((status, headers, body)) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}

async fn send_once(server: Server, config: impl Fn(String) -> HttpConfig) -> Result<(), SendError> {
    let url = server.start().await;
    HttpTransport::new(config(url)).unwrap().send(&Message::new("{}")).await
}

fn impatient() -> DeliveryConfig {
    DeliveryConfig {
        timeout: Duration::from_millis(300),
        retry: RetryPolicy { base_backoff: Duration::from_millis(20), ..RetryPolicy::default() },
        ..DeliveryConfig::named("local")
    }
}

/// Polls until the destination is as wanted, for at most ten seconds.
async fn until(delivery: &Delivery, wanted: impl Fn(&DeliveryStatus) -> bool) {
    let begun = Instant::now();
    while !wanted(&delivery.status()) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", delivery.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_post_carries_the_body_the_content_type_and_all_headers() {
    let server = Server::default();
    let config = HttpConfig::new(server.start().await)
        .with_header("x-team", "payments")
        .with_secret_header("x-signature", "s3cret");
    let transport = HttpTransport::new(config).unwrap();
    transport.send(&Message::new("one")).await.unwrap();
    let own = Message::new("two").with_content_type("text/plain").with_header("x-team", "web");
    transport.send(&own).await.unwrap();
    let requests = server.requests.lock().unwrap();
    let shown: Vec<_> = requests
        .iter()
        .map(|(headers, body)| {
            let get = |name: &str| headers[name].to_str().unwrap();
            (body.as_ref(), get("content-type"), get("x-team"), get("x-signature"))
        })
        .collect();
    assert_eq!(
        shown,
        [
            (&b"one"[..], "application/json", "payments", "s3cret"),
            (&b"two"[..], "text/plain", "web", "s3cret"),
        ]
    );
}

#[tokio::test]
async fn answers_are_told_apart() {
    for (status, expected) in [
        (200, None),
        (202, None),
        (204, None),
        (301, Some(true)),
        (307, Some(true)),
        (400, Some(true)),
        (401, Some(true)),
        (404, Some(true)),
        (410, Some(true)),
        (413, Some(true)),
        (422, Some(true)),
        (408, Some(false)),
        (425, Some(false)),
        (429, Some(false)),
        (500, Some(false)),
        (502, Some(false)),
        (503, Some(false)),
        (504, Some(false)),
    ] {
        let outcome = send_once(Server::default().then(status), HttpConfig::new).await;
        assert_eq!(outcome.err().map(|error| error.is_permanent()), expected, "{status}");
    }
}

#[tokio::test]
async fn a_request_to_be_left_alone_is_read_in_both_forms() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    for (value, expected) in [("7", 7), ("Tue, 14 Nov 2023 22:14:20 GMT", 60)] {
        let server = Server::default().then_with(429, "retry-after", value, "slow down");
        let error = send_once(server, |url| HttpConfig::new(url).with_clock(clock.clone())).await;
        let error = error.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)), "{value}");
        assert!(
            error.to_string().ends_with("answered 429 Too Many Requests: slow down"),
            "{error}"
        );
    }
}

/// A letter for each message, as no protocol has it.
struct Letters;

impl Classifier for Letters {
    fn classify(&self, answer: &Answer<'_>) -> Verdict {
        let outcome = |letter: &u8| match letter {
            b'y' => ItemOutcome::Accepted,
            b'n' => ItemOutcome::Refused,
            _ => ItemOutcome::Retry,
        };
        match answer.status {
            200 if answer.is_whole => Verdict::PerItem(answer.body.iter().map(outcome).collect()),
            status => Verdict::of_status(status),
        }
    }

    fn body_limit(&self, status: u16) -> usize {
        if status == 200 { 100_000 } else { 0 }
    }
}

#[tokio::test]
async fn a_protocol_may_answer_for_each_message() {
    let server = Server::default().then_with(200, "x-any", "y", "yn?").then(413).then_with(
        200,
        "retry-after",
        "0",
        "y",
    );
    let config = HttpConfig::new(server.start().await).with_classifier(Letters);
    let delivery = Delivery::builder(impatient())
        .encoder(Framing::lines())
        .endpoint("only", HttpTransport::new(config).unwrap())
        .start()
        .unwrap();
    for body in ["a", "b", "c"] {
        let _ = delivery.offer(Message::new(body));
    }
    let report = delivery.shutdown(Duration::from_secs(5)).await;
    assert_eq!((report.delivered, report.dropped.permanent, report.undelivered), (1, 2, 0));
    let bodies: Vec<Bytes> =
        server.requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(bodies, ["a\nb\nc\n", "c\n"]);
}

#[tokio::test]
async fn an_answer_of_many_outcomes_is_read_to_its_end() {
    const ANSWER: &str = const {
        static BYTES: [u8; 60_000] = [b'n'; 60_000];
        match std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => panic!(),
        }
    };
    let server = Server::default().then_with(200, "x-any", "y", ANSWER);
    let error =
        send_once(server, |url| HttpConfig::new(url).with_classifier(Letters)).await.unwrap_err();
    assert_eq!(error.outcomes().unwrap().len(), 60_000);
    assert!(error.is_permanent() && error.to_string().len() < 1_000);
}

#[tokio::test]
async fn too_much_at_once_is_told_apart_from_other_refusals() {
    for (status, expected) in [(413, true), (400, false), (503, false)] {
        let error = send_once(Server::default().then(status), HttpConfig::new).await.unwrap_err();
        assert_eq!(error.is_too_large(), expected, "{status}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Server::default();
    let location = target.start().await;
    let server = Server::default().then_with(307, "location", &location, "");
    let error = send_once(server, HttpConfig::new).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("redirects are not followed"));
    assert_eq!(target.count(), 0);
}

#[tokio::test]
async fn a_failing_server_is_tried_again_until_it_answers() {
    let server = Server::default().then(500).then_with(429, "retry-after", "0", "").then(200);
    let transport = HttpTransport::new(HttpConfig::new(server.start().await)).unwrap();
    let delivery = Delivery::start(impatient(), transport).unwrap();
    let _ = delivery.offer(Message::new("a"));
    until(&delivery, |status| status.delivered == 1).await;
    assert_eq!((server.count(), delivery.status().retries), (3, 2));
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_and_tried_again() {
    let server = Server::default().then(0);
    let transport = HttpTransport::new(HttpConfig::new(server.start().await)).unwrap();
    let delivery = Delivery::start(impatient(), transport).unwrap();
    let _ = delivery.offer(Message::new("a"));
    until(&delivery, |status| status.delivered == 1).await;
    assert_eq!(server.count(), 2);
    assert_eq!(delivery.last_error().unwrap().message, "no answer within 300ms");
}

#[tokio::test]
async fn a_bad_message_is_dropped_and_the_next_arrives() {
    let server = Server::default().then_with(400, "x-any", "y", "bad routing key\ntoken=abc123");
    let transport = HttpTransport::new(HttpConfig::new(server.start().await)).unwrap();
    let delivery = Delivery::start(impatient(), transport).unwrap();
    for body in ["a", "b"] {
        let _ = delivery.offer(Message::new(body));
    }
    let report = delivery.shutdown(Duration::from_secs(5)).await;
    assert_eq!((report.delivered, report.dropped.permanent), (1, 1));
    let error = delivery.last_error().unwrap().message;
    assert!(error.contains("400 Bad Request: bad routing key token="), "{error}");
    assert!(!error.contains("abc123") && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_server_that_comes_up_later_gets_the_message() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let transport = HttpTransport::new(HttpConfig::new(format!("http://{address}/"))).unwrap();
    let delivery = Delivery::start(impatient(), transport).unwrap();
    let _ = delivery.offer(Message::new("a"));
    until(&delivery, |status| status.failures_in_a_row > 1).await;
    let error = delivery.last_error().unwrap().message;
    assert!(error.starts_with(&format!("no connection to http://{address}: ")), "{error}");
    let server = Server::default();
    server.serve(TcpListener::bind(address).await.unwrap()).await;
    until(&delivery, |status| status.delivered == 1).await;
    assert_eq!(server.requests.lock().unwrap()[0].1, "a");
}

#[tokio::test]
async fn https_needs_no_process_wide_crypto_provider() {
    let url = Server::default().start().await.replace("http://", "https://");
    let transport = HttpTransport::new(HttpConfig::new(url)).unwrap();
    // The server speaks no TLS, so the handshake is begun and fails.
    let error = transport.send(&Message::new("a")).await.unwrap_err();
    assert!(!error.is_permanent() && error.to_string().starts_with("no connection to https://"));
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[test]
fn every_problem_of_a_config_is_reported_and_no_secret() {
    for (url, problem) in [
        ("hooks.example.com/s3cret", "relative URL"),
        ("ftp://user:s3cret@example.com/", "scheme \"ftp\""),
        ("http://", "empty host"),
    ] {
        let config = HttpConfig::new(url)
            .with_content_type("text/\nplain")
            .with_header("bad name", "x")
            .with_secret_header("x-y", "s3cret\n");
        assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
        let error = HttpTransport::new(config).unwrap_err();
        let text = error.to_string();
        assert!(error.is_config());
        for part in [problem, "content-type", "bad name", "\"x-y\""] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let config = HttpConfig::new("https://user:s3cret@hooks.example.com/services/s3cret?k=s3cret")
        .with_header(header::AUTHORIZATION.as_str(), "Bearer s3cret")
        .with_header("x-team", "payments")
        .with_secret_header("x-anything", "s3cret");
    let shown = format!("{config:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("payments") && shown.contains("https://hooks.example.com/…"), "{shown}");
    let transport = HttpTransport::new(config).unwrap();
    let shown = format!("{transport} {transport:?}");
    assert!(!shown.contains("s3cret") && shown.contains("https://hooks.example.com/…"), "{shown}");
    let message = Message::new("s3cret").with_header("x-key", "s3cret");
    assert!(!format!("{message:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_function_decides_by_status_and_body_what_an_answer_means() {
    let judged = |status, body| async move {
        let server = Server::default();
        server.answers.lock().unwrap().push_back((status, Vec::new(), body));
        send_once(server, |url| {
            HttpConfig::new(url).with_classifier(|answer: &Answer<'_>| {
                match (answer.status, answer.body) {
                    (400, b"already stored") => Verdict::Delivered,
                    (500, _) => Verdict::Permanent,
                    (409, _) => Verdict::Passing,
                    (status, _) => Verdict::of_status(status),
                }
            })
        })
        .await
        .map_err(|error| error.is_permanent())
    };
    assert_eq!(judged(400, "already stored").await, Ok(()));
    assert_eq!(judged(400, "no such thing").await, Err(true));
    assert_eq!(judged(500, "").await, Err(true));
    assert_eq!(judged(409, "").await, Err(false));
    assert_eq!(judged(503, "").await, Err(false));
    assert_eq!(judged(200, "").await, Ok(()));
}

#[tokio::test]
async fn the_method_is_the_one_of_the_config() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    // The method comes back as the status, so that no state is needed.
    let router = Router::new().fallback(any(|method: axum::http::Method| async move {
        match method.as_str() {
            "PUT" => StatusCode::CONFLICT,
            "DELETE" => StatusCode::GONE,
            _ => StatusCode::OK,
        }
    }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    for (method, status) in
        [(HttpMethod::Post, 200), (HttpMethod::Put, 409), (HttpMethod::Delete, 410)]
    {
        let seen = Arc::new(Mutex::new(0));
        let kept = Arc::clone(&seen);
        let classifier = move |answer: &Answer<'_>| {
            *kept.lock().unwrap() = answer.status;
            Verdict::Delivered
        };
        let config = HttpConfig::new(&url).with_method(method).with_classifier(classifier);
        HttpTransport::new(config).unwrap().send(&Message::new("")).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), status);
    }
}
