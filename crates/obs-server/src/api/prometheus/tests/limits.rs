//! What is too much ends in a clear error and leaves no work behind.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use tower::ServiceExt as _;

use super::Service;

/// A query that takes minutes over the samples of [`Service::large`].
const ENDLESS: &str = "max_over_time(quantile_over_time(0.5,many[5h])[1h:1s])";

impl Service {
    /// A hundred series of five hours.
    fn large() -> Self {
        let service = Self::new();
        for index in 0..100 {
            let index = index.to_string();
            service.fill(&[("__name__", "many"), ("index", &index)], 1_200, f64::from);
        }
        service
    }

    /// How many queries are under way in the router's pool, as the registry of the test would show them.
    async fn is_idle(&self, router: &axum::Router) -> bool {
        // A pool of one place answers at once only if nothing is under way.
        let request = Request::builder()
            .uri("/api/v1/query?query=1&timeout=100ms")
            .header("host", "localhost")
            .body(Body::empty())
            .unwrap();
        router.clone().oneshot(request).await.unwrap().status().is_success()
    }
}

#[tokio::test]
async fn an_expression_of_a_megabyte_is_refused() {
    let service = Service::filled();
    let long = format!("1{}", "+1".repeat(512 * 1_024));
    let (status, kind, text) = service.post("/api/v1/query", &[("query", &long)]).await.error();
    assert_eq!((status, &*kind), (400, "bad_data"));
    assert!(text.contains("at most 262144 are accepted"), "{text}");
}

#[tokio::test]
async fn a_form_that_no_query_needs_is_not_read_to_its_end() {
    let service = Service::filled();
    let long = "1".repeat(5 * 1_024 * 1_024);
    let (status, kind, text) = service.post("/api/v1/query", &[("query", &long)]).await.error();
    assert_eq!((status, &*kind, &*text), (413, "bad_data", "the request body is too large"));
}

#[tokio::test]
async fn an_expression_nested_ten_thousand_deep_is_refused() {
    let service = Service::filled();
    for nested in [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("{}1", "-".repeat(10_000)),
        format!("1{}", "^1".repeat(10_000)),
        format!("{}requests_total{}", "abs(".repeat(10_000), ")".repeat(10_000)),
    ] {
        let (status, kind, text) =
            service.post("/api/v1/query", &[("query", &nested)]).await.error();
        assert_eq!((status, &*kind), (400, "bad_data"), "{text}");
        assert!(text.contains("nested") || text.contains("deep"), "{text}");
    }
}

#[tokio::test]
async fn a_query_over_too_many_samples_says_so() {
    let mut service = Service::large();
    service.config.prometheus.engine.max_samples = 1_000;
    let (status, kind, text) = service.get("/api/v1/query?query=many[5h]").await.error();
    assert_eq!((status, &*kind), (422, "execution"));
    assert!(text.contains("too many samples"), "{text}");

    service.config.prometheus.engine.max_samples = 50_000_000;
    service.config.prometheus.engine.max_samples_read = 1_000;
    let (status, kind, text) = service.get("/api/v1/query?query=sum(rate(many[5h]))").await.error();
    assert_eq!((status, &*kind), (422, "execution"));
    assert!(text.contains("read too many samples"), "{text}");
}

#[tokio::test]
async fn a_query_whose_time_is_over_ends_and_frees_its_place() {
    let mut service = Service::large();
    service.config.prometheus.max_concurrent_queries = 1;
    let router = service.router();
    let request = Request::builder()
        .uri(format!("/api/v1/query?query={ENDLESS}&timeout=100ms"))
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["errorType"], "timeout");
    assert!(json["error"].as_str().unwrap().contains("query timed out in expression evaluation"));
    assert!(service.is_idle(&router).await);
}

#[tokio::test]
async fn a_query_whose_client_hangs_up_ends_and_frees_its_place() {
    let mut service = Service::large();
    service.config.prometheus.max_concurrent_queries = 1;
    let router = service.router();
    let request = Request::builder()
        .uri(format!("/api/v1/query?query={ENDLESS}"))
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap();
    let asking = tokio::spawn(router.clone().oneshot(request));
    let started = Instant::now();
    while service.is_idle(&router).await {
        assert!(started.elapsed() < Duration::from_secs(60), "the query did not begin");
    }
    asking.abort();
    while !service.is_idle(&router).await {
        assert!(started.elapsed() < Duration::from_secs(60), "the query goes on");
    }
}

#[tokio::test]
async fn queries_over_the_limit_wait_in_line_until_their_time_is_over() {
    let mut service = Service::large();
    service.config.prometheus.max_concurrent_queries = 1;
    let router = service.router();
    let request = |timeout: &str| {
        Request::builder()
            .uri(format!("/api/v1/query?query={ENDLESS}&timeout={timeout}"))
            .header("host", "localhost")
            .body(Body::empty())
            .unwrap()
    };
    let asking = tokio::spawn(router.clone().oneshot(request("1m")));
    while service.is_idle(&router).await {}
    let answer = router.clone().oneshot(request("10ms")).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(json["error"], "query timed out in query queue");
    asking.abort();
}
