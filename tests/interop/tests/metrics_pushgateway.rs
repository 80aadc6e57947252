//! A batch job leaves its metrics with a real Pushgateway.

use std::time::Duration;

use interop::{Receiver, ReceiverKind, get};
use obs_metrics::push::Endpoint;
use obs_metrics::push::pushgateway::{Body, Pushgateway};
use obs_metrics::{NativeHistogram, Registry};

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_pushgateway_keeps_a_group_until_it_is_deleted() {
    let receiver = Receiver::start(ReceiverKind::Pushgateway);
    let registry = Registry::default();
    registry.counter("rows_total", &[("table", "a/b")]).increment(42);
    registry.histogram("batch_seconds", &[]).record(0.5);
    registry.set_native_buckets("native_seconds", NativeHistogram::default()).unwrap();
    registry.histogram("native_seconds", &[]).record(0.5);
    let endpoint = Endpoint::new(format!("http://{}", receiver.address()));
    let page = || get(receiver.address(), "/metrics").unwrap().text();
    for body in [Body::Text, Body::Protobuf] {
        let gateway = Pushgateway::new(endpoint.clone(), "night/ly", &registry)
            .with_label("path", "/var/tmp")
            .with_label("zone", "b c")
            .with_label("empty", "")
            .with_body(body);
        gateway.push(DEADLINE).await.unwrap();
        let labels = "empty=\"\",instance=\"\",job=\"night/ly\",path=\"/var/tmp\"";
        let line = format!("rows_total{{{labels},table=\"a/b\",zone=\"b c\"}} 42");
        assert!(page().contains(&line), "{body:?}: {}", page());
        assert!(page().contains("batch_seconds_bucket{"), "{body:?}");

        let more = Registry::default();
        more.gauge("more", &[]).set(1.0);
        let adding = Pushgateway::new(endpoint.clone(), "night/ly", &more)
            .with_label("path", "/var/tmp")
            .with_label("zone", "b c")
            .with_label("empty", "")
            .with_body(body);
        adding.add(DEADLINE).await.unwrap();
        assert!(page().contains(&line) && page().contains("more{"), "what was there stays");
        adding.push(DEADLINE).await.unwrap();
        assert!(!page().contains("rows_total{"), "what was there is replaced");
        gateway.delete(DEADLINE).await.unwrap();
        assert!(!page().contains("night/ly"), "the group is gone");
    }
}
