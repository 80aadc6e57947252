//! Pushing over HTTP to servers on this machine.
#![cfg(feature = "push")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use obs_delivery::{Delivery, DeliveryConfig, Message, RetryPolicy, SendFuture, Transport};
use obs_metrics::Registry;
use obs_metrics::push::pushgateway::{Body, Pushgateway};
use obs_metrics::push::remote_write::{self, RemoteWriteConfig, proto::WriteRequest};
use obs_metrics::push::{Endpoint, target_labels};
use obs_model::{Clock, Timestamp};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(10);

struct Request {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn write_request(&self) -> WriteRequest {
        let body = snap::raw::Decoder::new().decompress_vec(&self.body).unwrap();
        WriteRequest::decode(&*body).unwrap()
    }

    /// The values of the series of this name, with their times.
    fn samples(&self, name: &str) -> Vec<(i64, f64)> {
        let request = self.write_request();
        let named = request.timeseries.iter().filter(|series| {
            series.labels.iter().any(|label| label.name == "__name__" && label.value == name)
        });
        named.flat_map(|series| &series.samples).map(|one| (one.timestamp, one.value)).collect()
    }
}

/// A status and a body.
type Answer = (u16, Vec<u8>);

/// Answers in order, then 204.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    async fn start(answers: &[(u16, &[u8])]) -> (Self, String) {
        let server = Self::default();
        let answers = answers.iter().map(|(status, body)| (*status, body.to_vec()));
        server.answers.lock().unwrap().extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(any(answer)).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (server, url)
    }

    fn requests(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap()
    }
}

async fn answer(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    server.requests().push(Request { method, path, headers, body });
    let answer = server.answers.lock().unwrap().pop_front();
    match answer {
        None => StatusCode::NO_CONTENT.into_response(),
        Some((status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
    }
}

fn quick(config: DeliveryConfig) -> DeliveryConfig {
    let retry = RetryPolicy {
        base_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(5),
        ..config.retry.clone()
    };
    DeliveryConfig { retry, ..config }
}

/// A registry with one counter at `value`.
fn registry(value: u64) -> Registry {
    let registry = Registry::default();
    registry.counter("jobs_total", &[]).increment(value);
    registry
}

fn remote_write(url: &str, registry: &Registry) -> obs_metrics::push::Pusher {
    let endpoint = Endpoint::new(url).with_basic_auth("user", "pass");
    let config = RemoteWriteConfig {
        external_labels: target_labels("api", "h:1").unwrap(),
        interval: Duration::from_secs(3_600),
        metadata_interval: Duration::MAX,
        ..RemoteWriteConfig::default()
    };
    let transport = remote_write::transport(&endpoint, "there").unwrap();
    let delivery = Delivery::start(quick(remote_write::delivery_config("there")), transport);
    remote_write::start(config, registry, delivery.unwrap()).unwrap()
}

#[tokio::test]
async fn a_request_that_fails_is_sent_again_as_it_is() {
    let (server, url) = Server::start(&[(503, b""), (429, b""), (500, b"")]).await;
    let registry = registry(7);
    let pusher = remote_write(&format!("{url}/api/v1/write"), &registry);
    pusher.export().await;
    // What is counted after the round does not change what is sent again.
    registry.counter("jobs_total", &[]).increment(1);
    let report = pusher.shutdown(DEADLINE).await;
    assert_eq!((report.undelivered, report.dropped.total()), (0, 0));

    let requests = server.requests();
    let first = &requests[0];
    assert!(requests[1..4].iter().all(|again| again.body == first.body));
    assert_eq!(first.samples("jobs_total").len(), 1);
    assert_eq!(first.samples("jobs_total")[0].1, 7.0);
    assert_eq!(first.path, "/api/v1/write");
    for (name, value) in [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("authorization", "Basic dXNlcjpwYXNz"),
    ] {
        assert_eq!(first.header(name), value);
    }
    assert!(first.header("user-agent").starts_with("obskit/"));
}

#[tokio::test]
async fn the_last_values_are_pushed_at_shutdown_and_then_every_series_ends() {
    let (server, url) = Server::start(&[]).await;
    let pusher = remote_write(&url, &registry(7));
    let report = pusher.shutdown(DEADLINE).await;
    assert_eq!(report.undelivered, 0);
    let samples: Vec<_> =
        server.requests().iter().flat_map(|request| request.samples("jobs_total")).collect();
    assert_eq!((samples.len(), samples[0].1), (2, 7.0));
    assert!(samples[1].0 > samples[0].0 && samples[1].1.is_nan());
}

#[tokio::test]
async fn a_repeated_request_that_was_stored_before_counts_as_delivered() {
    let said = b"out of order sample, series={}" as &[u8];
    let (_server, url) = Server::start(&[(500, b"stored, and then this"), (400, said)]).await;
    let registry = registry(1);
    let pusher = metrics::with_local_recorder(&registry, || remote_write(&url, &registry));
    pusher.export().await;
    let report = pusher.shutdown(DEADLINE).await;
    assert_eq!(report.dropped.total(), 0);
    let labels = [("destination", "there")];
    assert_eq!(registry.value("obskit_push_already_stored_total", &labels), Some(1.0));
}

#[tokio::test]
async fn a_request_that_is_refused_is_dropped_counted_and_not_sent_again() {
    let said = b"out of order sample" as &[u8];
    let (server, url) = Server::start(&[(400, said), (422, b"")]).await;
    let registry = registry(1);
    let pusher = remote_write(&url, &registry);
    pusher.export().await;
    let report = pusher.shutdown(DEADLINE).await;
    assert_eq!(report.dropped.permanent, 2);
    assert_eq!(server.requests().len() as u64, report.offered);
}

/// A wall clock that goes as fast as tokio's, which a test can make go by itself.
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_007).plus(self.0.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Keeps what it is sent.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Message>>>);

impl Transport for Kept {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        self.0.lock().unwrap().push(message.clone());
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn samples_have_the_times_of_the_grid_and_rounds_out_of_turn_their_own() {
    let kept = Kept::default();
    let delivery = Delivery::start(remote_write::delivery_config("kept"), kept.clone()).unwrap();
    let config = RemoteWriteConfig {
        interval: Duration::from_secs(15),
        metadata_interval: Duration::MAX,
        clock: Arc::new(TokioClock(Instant::now())),
        ..RemoteWriteConfig::default()
    };
    let pusher = remote_write::start(config, registry(1), delivery).unwrap();
    tokio::time::sleep(Duration::from_secs(36)).await;
    pusher.export().await;
    let report = pusher.shutdown(DEADLINE).await;
    assert_eq!(report.undelivered, 0);
    let times: Vec<_> = kept.0.lock().unwrap().iter().flat_map(times).collect();
    // The clock starts at 1000.007 s; the grid has 1005, 1020 and 1035 s; then come the two at 1036.007 s and the end.
    assert_eq!(times, [1_005_000, 1_020_000, 1_035_000, 1_036_007, 1_036_008, 1_036_009]);
}

fn times(message: &Message) -> Vec<i64> {
    let body = snap::raw::Decoder::new().decompress_vec(message.body()).unwrap();
    let request = WriteRequest::decode(&*body).unwrap();
    let is_jobs = |label: &remote_write::proto::Label| label.value == "jobs_total";
    let named = request.timeseries.iter().filter(|series| series.labels.iter().any(is_jobs));
    named.flat_map(|series| &series.samples).map(|sample| sample.timestamp).collect()
}

#[tokio::test]
async fn a_batch_job_replaces_adds_to_and_deletes_its_group() {
    let (server, url) = Server::start(&[(503, b"")]).await;
    let registry = registry(7);
    let gateway = Pushgateway::new(Endpoint::new(&url).with_bearer_token("s3cret"), "b", &registry)
        .with_label("shard", "1");
    gateway.push(DEADLINE).await.unwrap();
    gateway.clone().with_body(Body::Protobuf).add(DEADLINE).await.unwrap();
    gateway.delete(DEADLINE).await.unwrap();
    let requests = server.requests();
    let methods: Vec<_> = requests.iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["PUT", "PUT", "POST", "DELETE"]);
    assert!(requests.iter().all(|request| request.path == "/metrics/job/b/shard/1"));
    assert!(requests.iter().all(|request| request.header("authorization") == "Bearer s3cret"));
    assert_eq!(requests[1].body, registry.render_text().as_bytes());
    assert_eq!(requests[1].header("content-type"), obs_metrics::TEXT_CONTENT_TYPE);
    assert!(requests[2].header("content-type").contains("encoding=delimited"));
    assert!(requests[3].body.is_empty());
}

#[tokio::test]
async fn a_pushgateway_that_refuses_is_an_error_that_says_why() {
    let (_server, url) = Server::start(&[(400, b"pushed metrics are invalid")]).await;
    let gateway = Pushgateway::new(Endpoint::new(url), "b", &registry(1));
    let error = gateway.push(DEADLINE).await.unwrap_err();
    assert!(error.is_not_pushed());
    assert!(error.to_string().contains("pushed metrics are invalid"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_refused_and_no_credential_is_shown() {
    let endpoint =
        Endpoint::new("ftp://x").with_basic_auth("user", "s3cret").with_header("X-Key", "s3cret");
    let error = remote_write::transport(&endpoint, "x").err().unwrap();
    assert!(error.is_invalid_push());
    for shown in [error.to_string(), format!("{endpoint:?}")] {
        assert!(!shown.contains("s3cret") && !shown.contains("dXNlcjpzM2NyZXQ"), "{shown}");
    }
}

#[cfg(feature = "otlp")]
mod otlp {
    use obs_metrics::push::otlp::{self, OtlpConfig};
    use obs_model::Resource;
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    };

    use super::*;

    fn start(url: &str, registry: &Registry) -> obs_metrics::push::Pusher {
        let transport = otlp::transport(&Endpoint::new(format!("{url}/v1/metrics")), "there");
        let delivery = Delivery::start(quick(otlp::delivery_config("there")), transport.unwrap());
        let mut config = OtlpConfig::new(Resource::new("api"));
        config.interval = Duration::from_secs(3_600);
        metrics::with_local_recorder(registry, || {
            otlp::start(config, registry, delivery.unwrap()).unwrap()
        })
    }

    #[tokio::test]
    async fn only_the_statuses_of_the_specification_are_tried_again() {
        for (status, attempts) in
            [(429, 2), (502, 2), (503, 2), (504, 2), (500, 1), (408, 1), (400, 1), (501, 1)]
        {
            let (server, url) = Server::start(&[(status, b"")]).await;
            let pusher = start(&url, &registry(1));
            pusher.export().await;
            while pusher.delivery().status().queued > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert_eq!(server.requests().len(), attempts, "{status}");
        }
    }

    #[tokio::test]
    async fn points_that_were_not_stored_are_counted_and_not_sent_again() {
        let partial_success = Some(ExportMetricsPartialSuccess {
            rejected_data_points: 2,
            error_message: "too many".to_owned(),
        });
        let body = ExportMetricsServiceResponse { partial_success }.encode_to_vec();
        let (server, url) = Server::start(&[(200, &body)]).await;
        let registry = registry(1);
        let pusher = metrics::with_local_recorder(&registry, || start(&url, &registry));
        pusher.export().await;
        let report = pusher.shutdown(DEADLINE).await;
        assert_eq!((report.delivered, report.undelivered), (2, 0));
        let labels = [("destination", "there")];
        assert_eq!(registry.value("obskit_push_rejected_samples_total", &labels), Some(2.0));
        assert!(registry.value("obskit_push_samples_total", &labels) > Some(2.0));
        assert_eq!(registry.value("obskit_push_rounds_total", &labels), Some(2.0));
        assert_eq!(server.requests()[0].path, "/v1/metrics");
        assert_eq!(server.requests()[0].header("content-encoding"), "gzip");
    }

    #[tokio::test]
    async fn a_request_is_one_that_a_collector_reads() {
        let (server, url) = Server::start(&[]).await;
        let pusher = start(&url, &registry(7));
        pusher.export().await;
        assert_eq!(pusher.shutdown(DEADLINE).await.undelivered, 0);
        let mut body = Vec::new();
        let sent = server.requests()[0].body.clone();
        let mut reader = flate2::read::GzDecoder::new(&sent[..]);
        std::io::Read::read_to_end(&mut reader, &mut body).unwrap();
        let request = ExportMetricsServiceRequest::decode(&*body).unwrap();
        let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
        assert!(metrics.iter().any(|metric| metric.name == "jobs_total"));
    }
}
