//! What remote write takes in and what it refuses.

use axum::http::Method;
use obs_query::{Selector, TimeRange};
use prost::Message as _;
use serde_json::json;

use super::super::write::messages::{ProstLabel, ProstRequest, ProstSample, ProstSeries};
use super::{Answer, NOW, Service};

type Points<'a> = &'a [(i64, f64)];

fn body(series: &[(&[(&str, &str)], Points<'_>)]) -> Vec<u8> {
    let timeseries = series
        .iter()
        .map(|(labels, points)| ProstSeries {
            labels: labels
                .iter()
                .map(|(name, value)| ProstLabel { name: (*name).into(), value: (*value).into() })
                .collect(),
            samples: points
                .iter()
                .map(|(timestamp, value)| ProstSample { value: *value, timestamp: *timestamp })
                .collect(),
            ..ProstSeries::default()
        })
        .collect();
    let message = ProstRequest { timeseries, metadata: Vec::new() }.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&message).unwrap()
}

async fn write(service: &Service, body: Vec<u8>) -> Answer {
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "snappy"),
        ("x-prometheus-remote-write-version", "0.1.0"),
    ];
    service.send(Method::POST, "/api/v1/write", &headers, body).await
}

#[tokio::test]
async fn samples_of_interleaved_series_are_stored_the_epoch_included() {
    let service = Service::new();
    let (a, b) = ([("__name__", "a"), ("job", "x")], [("__name__", "b")]);
    let sent = body(&[(&a, &[(0, 1.0)]), (&b, &[(0, 5.0)]), (&a, &[(15_000, 2.0)])]);
    assert_eq!(write(&service, sent).await.status, 204);
    let found = service.store.select(&Selector::metric("a"), TimeRange::all());
    let points: Vec<_> =
        found[0].samples.iter().map(|s| (s.timestamp.as_millis(), s.value)).collect();
    assert_eq!(points, [(0, 1.0), (15_000, 2.0)]);
    let answer = service.get("/api/v1/query?query=b&time=0").await;
    assert_eq!(answer.data()["result"], json!([{"metric": {"__name__": "b"}, "value": [0, "5"]}]));
}

#[tokio::test]
async fn bad_samples_are_refused_with_their_numbers_and_the_good_ones_stored() {
    let service = Service::new();
    let now = NOW.as_millis();
    let a = [("__name__", "a")];
    assert_eq!(write(&service, body(&[(&a, &[(now, 1.0)])])).await.status, 204);
    let unnamed = [("job", "x")];
    let invalid = [("__name__", "c"), ("", "x")];
    let twice = [("__name__", "d"), ("x", "1"), ("x", "2")];
    let sent = body(&[
        (&a, &[(now - 1, 1.0), (now, 3.0), (now + 1, 2.0), (now + 600_001, 2.0)]),
        (&[("__name__", "old")], &[(0, 1.0)]),
        (&unnamed, &[(now, 1.0)]),
        (&invalid, &[(now, 1.0), (now + 1, 1.0)]),
        (&twice, &[(now, 1.0)]),
        (&[("__name__", "b")], &[(now, 7.0)]),
    ]);
    let answer = write(&service, sent).await;
    assert_eq!(answer.status, 400);
    let text = answer.text();
    assert!(
        text.starts_with(
            "8 samples were refused and 2 stored (out_of_order: 1, duplicate: 1, too_far_ahead: 1, too_old: 1, invalid_labels: 4); the first: sample of a"
        ),
        "{text}"
    );
    assert_eq!(service.store.stats().samples, 3);
}

#[tokio::test]
async fn a_stale_marker_ends_a_series() {
    let service = Service::new();
    let now = NOW.as_millis();
    let sent = body(&[(&[("__name__", "a")], &[(now - 1_000, 1.0), (now, obs_query::STALE)])]);
    assert_eq!(write(&service, sent).await.status, 204);
    let answer = service.get("/api/v1/query?query=a").await;
    assert_eq!(answer.data()["result"], json!([]));
}

#[tokio::test]
async fn other_encodings_and_versions_are_not_accepted() {
    let service = Service::new();
    for (headers, status) in [
        (&[("content-type", "application/x-protobuf;proto=prometheus.WriteRequest")][..], 204),
        (&[], 204),
        (&[("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")], 415),
        (&[("content-type", "application/json")], 415),
        (&[("content-encoding", "gzip")], 415),
    ] {
        let sent = body(&[]);
        let answer = service.send(Method::POST, "/api/v1/write", headers, sent).await;
        assert_eq!(answer.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_nothing_of_it_stored() {
    let mut service = Service::new();
    let limits = service.config.prometheus.remote_write.as_mut().unwrap();
    (limits.max_body_bytes, limits.max_decompressed_bytes) = (10_000, 1_000_000);
    let compress = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    let good = body(&[(&[("__name__", "a")], &[(0, 1.0)])]);
    let mut cut = snap::raw::Decoder::new().decompress_vec(&good).unwrap();
    cut.pop();
    for (sent, status, text) in [
        (b"not snappy".to_vec(), 400, "snappy block format"),
        (compress(&cut), 400, "is not a write request: it ends within a field"),
        (compress(&vec![0; 2_000_000]), 413, "too large"),
        (compress(&vec![0; 1_000_001]), 413, ""),
        // The length that a body claims counts before any memory is taken for it.
        (b"\xff\xff\xff\xff\x0f".to_vec(), 413, "at most 1000000"),
    ] {
        let answer = write(&service, sent).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
    }
    assert_eq!(service.store.stats().samples, 0);
}

#[tokio::test]
async fn it_is_off_unless_it_is_asked_for() {
    let mut service = Service::new();
    service.config.prometheus.remote_write = None;
    let answer = write(&service, body(&[])).await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("remote write receiver needs to be enabled"));
}

#[tokio::test]
async fn a_sample_that_is_sent_again_is_taken_for_stored() {
    let service = Service::new();
    let sent = body(&[(&[("__name__", "a")], &[(NOW.as_millis(), 1.0)])]);
    assert_eq!(write(&service, sent.clone()).await.status, 204);
    assert_eq!(write(&service, sent).await.status, 204);
    assert_eq!(service.store.stats().samples, 1);
}

#[tokio::test]
async fn a_native_histogram_is_stored_and_queried() {
    use super::super::write::messages::{ProstHistogram, ProstSpan};

    let service = Service::new();
    let label = |name: &str, value: &str| ProstLabel { name: name.into(), value: value.into() };
    let histogram = ProstHistogram {
        count_int: Some(4),
        sum: 6.0,
        zero_count_int: Some(0),
        positive_spans: vec![ProstSpan { offset: 0, length: 2 }],
        positive_deltas: vec![1, 2],
        timestamp: NOW.as_millis(),
        ..ProstHistogram::default()
    };
    let series = ProstSeries {
        labels: vec![label("__name__", "seconds")],
        histograms: vec![histogram],
        ..ProstSeries::default()
    };
    let message = ProstRequest { timeseries: vec![series], metadata: Vec::new() }.encode_to_vec();
    let sent = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    assert_eq!(write(&service, sent).await.status, 204);
    let data = service.get("/api/v1/query?query=seconds").await.data();
    assert_eq!(
        data["result"][0]["histogram"],
        json!([1_767_607_200, {"count": "4", "sum": "6", "buckets": [[0, "0.5", "1", "1"], [0, "1", "2", "3"]]}])
    );
}

#[tokio::test]
async fn exemplars_are_stored_and_found_by_what_a_query_selects() {
    use super::super::write::messages::ProstExemplar;

    let service = Service::new();
    let now = NOW.as_millis();
    let label = |name: &str, value: &str| ProstLabel { name: name.into(), value: value.into() };
    let series = |name: &str, exemplars: &[(&str, f64, i64)]| ProstSeries {
        labels: vec![label("__name__", name), label("le", "1")],
        samples: vec![ProstSample { value: 1.0, timestamp: now }],
        exemplars: exemplars
            .iter()
            .map(|(trace, value, timestamp)| ProstExemplar {
                labels: vec![label("trace_id", trace)],
                value: *value,
                timestamp: *timestamp,
            })
            .collect(),
        ..ProstSeries::default()
    };
    let long = "x".repeat(121);
    let sent = [
        // The third is a repetition, the fourth before it, the last one of next year.
        series(
            "a_bucket",
            &[
                ("1", 0.5, now - 60_000),
                ("2", 0.75, now),
                ("2", 0.75, now),
                ("0", 0.5, now - 1),
                ("9", 1.0, now + 700_000),
            ],
        ),
        series("b_bucket", &[("3", 0.25, now), (&long, 0.5, now)]),
    ];
    let message = ProstRequest { timeseries: sent.to_vec(), metadata: Vec::new() }.encode_to_vec();
    let sent = snap::raw::Encoder::new().compress_vec(&message).unwrap();
    let answer = write(&service, sent).await;
    assert_eq!(
        answer.status,
        204,
        "an exemplar that is refused fails no request: {}",
        answer.text()
    );
    let at = now / 1_000;
    let exemplar = |trace: &str, value: &str, at: i64| json!({"labels": {"trace_id": trace}, "value": value, "timestamp": at});
    let of = |name: &str, exemplars: &[serde_json::Value]| json!({"seriesLabels": {"__name__": name, "le": "1"}, "exemplars": exemplars});
    let (first, second, third) =
        (exemplar("1", "0.5", at - 60), exemplar("2", "0.75", at), exemplar("3", "0.25", at));
    for (parameters, expected) in [
        ("query=a_bucket", json!([of("a_bucket", &[first.clone(), second.clone()])])),
        (
            "query=rate(b_bucket[1m])/on()a_bucket+0*b_bucket",
            json!([of("a_bucket", &[first.clone(), second.clone()]), of("b_bucket", &[third])]),
        ),
        (&format!("query=a_bucket&start={at}"), json!([of("a_bucket", &[second])])),
        (&format!("query=a_bucket&end={}", at - 60), json!([of("a_bucket", &[first])])),
        (&format!("query=a_bucket&end={}", at - 61), json!([])),
        ("query=none", json!([])),
    ] {
        let parameters = parameters.replace('+', "%2B");
        let data = service.get(&format!("/api/v1/query_exemplars?{parameters}")).await.data();
        assert_eq!(data, expected, "{parameters}");
    }
    assert_eq!(service.store.stats().exemplars, 3);
}
