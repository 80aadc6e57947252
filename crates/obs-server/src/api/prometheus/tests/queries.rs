//! What queries are answered with.

use std::io::Read as _;

use axum::http::{Method, StatusCode, header};
use serde_json::json;

use super::{Answer, Service};

/// The answer to a query that is posted, without what it says about the time.
async fn asked(service: &Service, query: &str) -> Answer {
    service.post("/api/v1/query", &[("query", query)]).await
}

#[tokio::test]
async fn an_instant_query_is_answered_with_a_vector_of_texts() {
    let service = Service::filled();
    let answer = asked(&service, "sum by (code) (requests_total)").await;
    assert_eq!(
        answer.text(),
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"code":"200"},"value":[1767607200,"1200"]},{"metric":{"code":"500"},"value":[1767607200,"60"]}]}}"#
    );
}

#[tokio::test]
async fn every_kind_of_result_has_its_shape() {
    let service = Service::filled();
    for (query, expected) in [
        ("1/3", json!({"resultType": "scalar", "result": [1_767_607_200, "0.3333333333333333"]})),
        ("\"a\\tb\"", json!({"resultType": "string", "result": [1_767_607_200, "a\tb"]})),
        ("absent(requests_total)", json!({"resultType": "vector", "result": []})),
        (
            "requests_total{code=\"500\"}[30s]",
            json!({"resultType": "matrix", "result": [{
                "metric": {"__name__": "requests_total", "code": "500", "job": "api"},
                "values": [[1_767_607_185, "58.5"], [1_767_607_200, "60"]],
            }]}),
        ),
    ] {
        assert_eq!(asked(&service, query).await.data(), expected, "{query}");
    }
}

#[tokio::test]
async fn a_range_query_has_a_value_at_every_step() {
    let service = Service::filled();
    let path = "/api/v1/query_range?query=requests_total{code=%22500%22}*2&start=2026-01-05T09:59:00Z&end=1767607200&step=30s";
    let data = service.get(path).await.data();
    assert_eq!(data["resultType"], "matrix");
    assert_eq!(
        data["result"],
        json!([{
            "metric": {"code": "500", "job": "api"},
            "values": [[1_767_607_140, "108"], [1_767_607_170, "114"], [1_767_607_200, "120"]],
        }])
    );
}

#[tokio::test]
async fn warnings_and_infos_follow_the_data() {
    let service = Service::filled();
    service.fill(&[("__name__", "temperature")], 10, f64::from);
    let json = asked(&service, "quantile(2, requests_total)").await.json();
    assert_eq!(
        json["warnings"],
        json!(["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"])
    );
    assert!(json.get("infos").is_none(), "{json}");
    let json = asked(&service, "rate(temperature[1m])").await.json();
    assert!(json["infos"][0].as_str().unwrap().ends_with("\"temperature\" (1:6)"), "{json}");
}

#[tokio::test]
async fn a_limit_cuts_the_result_and_says_so() {
    let service = Service::filled();
    let answer = service.get("/api/v1/query?query=requests_total&limit=1").await;
    assert_eq!(answer.data()["result"].as_array().unwrap().len(), 1);
    assert_eq!(answer.json()["warnings"], json!(["results truncated due to limit"]));
    let answer = service.get("/api/v1/query?query=requests_total&limit=2").await;
    assert!(answer.json().get("warnings").is_none());
}

#[tokio::test]
async fn statistics_are_shown_to_who_asks() {
    let service = Service::filled();
    let stats = service.get("/api/v1/query?query=requests_total[1m]&stats=all").await.data();
    assert_eq!(stats["stats"]["samples"], json!({"totalQueryableSamples": 8, "peakSamples": 8}));
    assert!(stats["stats"]["timings"]["evalTotalTime"].is_number(), "{stats}");
    let without = service.get("/api/v1/query?query=1").await.data();
    assert!(without.get("stats").is_none());
}

#[tokio::test]
async fn the_look_back_of_a_request_replaces_the_engines() {
    let service = Service::filled();
    let count = async |parameters: &str| {
        let path = format!("/api/v1/query?query=requests_total&time=1767607260{parameters}");
        service.get(&path).await.data()["result"].as_array().unwrap().len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("&lookback_delta=30s").await, 0);
    assert_eq!(count("&lookback_delta=2m").await, 2);
}

#[tokio::test]
async fn a_mistake_is_answered_with_its_type_and_place() {
    let service = Service::filled();
    for (path, status, kind, text) in [
        ("query?query=sum(", 400, "bad_data", "invalid parameter \"query\": 1:5: parse error:"),
        ("query", 400, "bad_data", "parse error"),
        (
            "query?query=1&time=x",
            400,
            "bad_data",
            "invalid parameter \"time\": Invalid time value for 'time': cannot parse \"x\" to a valid timestamp",
        ),
        ("query?query=1&timeout=x", 400, "bad_data", "invalid parameter \"timeout\""),
        ("query?query=1&limit=-1", 400, "bad_data", "limit must be non-negative"),
        ("query?query=1&lookback_delta=0", 400, "bad_data", "lookback_delta"),
        ("query_range?query=1&end=1&step=1", 400, "bad_data", "invalid parameter \"start\""),
        (
            "query_range?query=1&start=2&end=1&step=1",
            400,
            "bad_data",
            "end timestamp must not be before start time",
        ),
        (
            "query_range?query=1&start=1&end=2&step=0",
            400,
            "bad_data",
            "zero or negative query resolution",
        ),
        (
            "query_range?query=1&start=0&end=11001&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points",
        ),
        (
            "query_range?query=a[1m]&start=1&end=2&step=1",
            400,
            "bad_data",
            "invalid expression type",
        ),
        ("query?query=requests_total*on()requests_total", 422, "execution", "many-to-many"),
    ] {
        let (found_status, found_kind, found_text) =
            service.get(&format!("/api/v1/{path}")).await.error();
        assert_eq!((found_status, &*found_kind), (status, kind), "{path}: {found_text}");
        assert!(found_text.contains(text), "{path}: {found_text}");
    }
}

#[tokio::test]
async fn an_answer_is_compressed_for_a_distant_client_that_asks_and_when_it_is_long() {
    let service = Service::filled();
    for index in 0..1_000 {
        let index = index.to_string();
        service.fill(&[("__name__", "many"), ("index", &index)], 1, f64::from);
    }
    let gzip = [("accept-encoding", "br, gzip;q=0.5")];
    let path = "/api/v1/query?query=many";
    let packed = service.send(Method::GET, path, &gzip, Vec::new()).await;
    assert_eq!(packed.headers[header::CONTENT_ENCODING], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, service.get(path).await.text());

    let short = service.send(Method::GET, "/api/v1/query?query=1", &gzip, Vec::new()).await;
    assert!(!short.headers.contains_key(header::CONTENT_ENCODING));
    let refused = [("accept-encoding", "gzip;q=0")];
    let plain = service.send(Method::GET, path, &refused, Vec::new()).await;
    assert!(!plain.headers.contains_key(header::CONTENT_ENCODING));
}

#[tokio::test]
async fn an_answer_of_many_megabytes_arrives_whole() {
    let service = Service::new();
    let long = "x".repeat(1_000);
    for index in 0..12_000 {
        let index = index.to_string();
        service.fill(&[("__name__", "many"), ("index", &index), ("long", &long)], 1, f64::from);
    }
    let answer = service.get("/api/v1/query?query=many&limit=11000").await;
    assert!(answer.body.len() > 11_000_000, "{}", answer.body.len());
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.data()["result"].as_array().unwrap().len(), 11_000);
    assert_eq!(answer.json()["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn a_mistake_in_a_question_for_exemplars_is_told() {
    let service = Service::filled();
    for parameters in ["query=sum(", "query=a&start=2&end=1", "query=a&start=x"] {
        let (status, kind, _) =
            service.get(&format!("/api/v1/query_exemplars?{parameters}")).await.error();
        assert_eq!((status, &*kind), (400, "bad_data"), "{parameters}");
    }
}

#[tokio::test]
async fn without_a_store_there_is_nothing_to_query() {
    use std::sync::Arc;

    use obs_model::{ManualClock, Resource};
    use tower::ServiceExt as _;

    let clock = Arc::new(ManualClock::at(super::NOW));
    let state = crate::AdminState::new(Resource::new("checkout"), clock);
    let router = crate::router::router(&crate::ServerConfig::default(), state);
    let request = axum::http::Request::builder()
        .uri("/api/v1/query?query=1")
        .header("host", "localhost")
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(router.oneshot(request).await.unwrap().status(), StatusCode::NOT_FOUND);
}
