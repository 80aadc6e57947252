//! What there is to query: series, labels, metadata and the state of the service.

use serde_json::json;

use super::Service;

#[tokio::test]
async fn series_are_found_by_any_of_the_selectors_and_shown_once() {
    let service = Service::filled();
    let form = [("match[]", "requests_total{code=\"500\"}"), ("match[]", "{job=\"api\"}")];
    let data = service.post("/api/v1/series", &form).await.data();
    let series = |code: &str| json!({"__name__": "requests_total", "code": code, "job": "api"});
    assert_eq!(data, json!([series("200"), series("500")]));

    let limited = service.get("/api/v1/series?match[]=requests_total&limit=1").await;
    assert_eq!(limited.data(), json!([series("200")]));
    assert_eq!(limited.json()["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn both_ends_of_a_range_belong_to_it() {
    let service = Service::filled();
    for (range, found) in [
        ("start=1767607200&end=1767607300", 2),
        ("start=1767607200.001&end=1767607300", 0),
        ("start=1&end=1767606600", 2),
        ("start=1&end=1767606599.999", 0),
    ] {
        let path = format!("/api/v1/series?match[]=requests_total&{range}");
        assert_eq!(service.get(&path).await.data().as_array().unwrap().len(), found, "{range}");
    }
}

#[tokio::test]
async fn labels_and_their_values_are_those_of_what_is_asked_about() {
    let service = Service::filled();
    service.fill(&[("__name__", "up"), ("instance", "a")], 1, |_| 1.0);
    for (path, expected) in [
        ("labels", json!(["__name__", "code", "instance", "job"])),
        ("labels?match[]=up", json!(["__name__", "instance"])),
        ("labels?limit=1", json!(["__name__"])),
        ("labels?start=1767700000", json!([])),
        ("label/code/values", json!(["200", "500"])),
        ("label/code/values?match[]=requests_total{code!=\"200\"}", json!(["500"])),
        ("label/code/values?match[]=up", json!([])),
        ("label/U__code/values", json!(["200", "500"])),
        ("label/nothing/values", json!([])),
        ("label/__name__/values", json!(["requests_total", "up"])),
    ] {
        let path = format!("/api/v1/{}", path.replace('"', "%22"));
        assert_eq!(service.get(&path).await.data(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_selector_must_be_one_and_must_not_take_in_everything() {
    let service = Service::filled();
    for (path, text) in [
        ("series", "no match[] parameter provided"),
        ("series?match[]={", "invalid parameter \"match[]\""),
        ("labels?match[]={job=~\".*\"}", "at least one"),
        ("labels?start=x", "invalid parameter \"start\""),
        ("label//values", ""),
    ] {
        let answer = service.get(&format!("/api/v1/{}", path.replace('"', "%22"))).await;
        if text.is_empty() {
            assert!(answer.status.is_client_error(), "{path}");
            continue;
        }
        let (status, kind, error) = answer.error();
        assert_eq!((status, &*kind), (400, "bad_data"), "{path}");
        assert!(error.contains(text), "{path}: {error}");
    }
}

#[tokio::test]
async fn metadata_is_what_the_registry_says() {
    let service = Service::filled();
    service.registry.describe("jobs_total", "Jobs that were done");
    service.registry.counter("jobs_total", &[]).increment(1);
    service.registry.gauge("depth", &[]).set(2.0);
    let jobs = json!([{"type": "counter", "help": "Jobs that were done", "unit": ""}]);
    let data = service.get("/api/v1/metadata?metric=jobs_total").await.data();
    assert_eq!(data, json!({"jobs_total": jobs}));
    let data = service.get("/api/v1/metadata?limit=1&limit_per_metric=1").await.data();
    assert_eq!(data.as_object().unwrap().len(), 1);
    assert_eq!(service.get("/api/v1/metadata?metric=nothing").await.data(), json!({}));
    let (status, _, text) = service.get("/api/v1/metadata?limit=x").await.error();
    assert_eq!((status, &*text), (400, "limit must be a number"));
}

#[tokio::test]
async fn the_process_is_its_own_target() {
    let service = Service::filled();
    let data = service.get("/api/v1/targets").await.data();
    let target = &data["activeTargets"][0];
    assert_eq!(target["labels"], json!({"instance": "localhost:9464", "job": "checkout"}));
    assert_eq!(target["scrapeUrl"], "http://localhost:9464/metrics");
    assert_eq!(target["health"], "up");
    assert_eq!(target["lastScrape"], "2026-01-05T10:00:00.000Z");
    assert_eq!(data["droppedTargets"], json!([]));
    let dropped = service.get("/api/v1/targets?state=dropped").await.data();
    assert_eq!(dropped["activeTargets"], json!([]));
}

#[tokio::test]
async fn the_service_says_what_it_is_and_how_it_was_set_up() {
    let service = Service::filled();
    let build = service.get("/api/v1/status/buildinfo").await.data();
    assert_eq!(build["version"], "3.5.0");
    let runtime = service.get("/api/v1/status/runtimeinfo").await.data();
    assert_eq!(runtime["storageRetention"], "86400s");
    let flags = service.get("/api/v1/status/flags").await.data();
    assert_eq!(flags["query.max-concurrency"], "20");
    assert_eq!(flags["web.enable-remote-write-receiver"], "true");
    let config = service.get("/api/v1/status/config").await.data();
    assert_eq!(config["yaml"], "global:\n  scrape_interval: 5s\n");
}

#[tokio::test]
async fn the_state_of_the_store_names_what_has_the_most_series() {
    let service = Service::filled();
    service.fill(&[("__name__", "up"), ("instance", "a")], 1, |_| 1.0);
    let data = service.get("/api/v1/status/tsdb?limit=1").await.data();
    assert_eq!(data["headStats"]["numSeries"], 3);
    assert_eq!(data["headStats"]["numLabelPairs"], 6);
    // Nothing is sealed before there are 184 samples.
    let bounds = ["chunkCount", "minTime", "maxTime"].map(|name| data["headStats"][name].clone());
    assert_eq!(bounds, [json!(3), json!(1_767_606_600_000_i64), json!(1_767_607_200_000_i64)]);
    assert_eq!(data["seriesCountByMetricName"], json!([{"name": "requests_total", "value": 2}]));
    assert_eq!(data["labelValueCountByLabelName"], json!([{"name": "__name__", "value": 2}]));
    assert_eq!(data["memoryInBytesByLabelName"], json!([{"name": "__name__", "value": 16}]));
    assert_eq!(
        data["seriesCountByLabelValuePair"],
        json!([{"name": "__name__=requests_total", "value": 2}])
    );
    let empty = Service::new().get("/api/v1/status/tsdb").await.data();
    assert_eq!(empty["headStats"]["minTime"], i64::MAX, "as Prometheus says it");
    assert_eq!(empty["headStats"]["maxTime"], i64::MIN);
    assert_eq!(service.get("/api/v1/status/tsdb?limit=0").await.error().0, 400);
}
