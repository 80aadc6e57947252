//! Remote write into real receivers: everything arrives, once, also when the receiver goes away for a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interop::{Receiver, ReceiverKind, eventually, get};
use obs_delivery::{Delivery, Message, SendFuture, Transport};
use obs_metrics::push::remote_write::{self, Histograms, RemoteWriteConfig, proto};
use obs_metrics::push::{Endpoint, Pusher, target_labels};
use obs_metrics::{Exemplars, NativeHistogram, Registry, RegistryConfig};
use obs_model::{Context, TraceId};
use prost::Message as _;
use serde_json::Value;

const SERIES: usize = 300;
const INTERVAL: Duration = Duration::from_millis(250);

/// Each sample by series and time, as it was sent first.
type Samples = BTreeMap<(String, i64), f64>;

/// How long the receiver is away: 5 s unless the environment says otherwise.
fn outage() -> Duration {
    let seconds = std::env::var("OBSKIT_INTEROP_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(5))
}

/// A transport that keeps what passes through it.
struct Watched<T> {
    inner: T,
    sent: Arc<Mutex<Samples>>,
}

impl<T: Transport> Transport for Watched<T> {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        let body = snap::raw::Decoder::new().decompress_vec(message.body()).unwrap();
        let request = proto::WriteRequest::decode(&*body).unwrap();
        let mut sent = self.sent.lock().unwrap();
        for series in &request.timeseries {
            let pairs = series.labels.iter().map(|one| (one.name.as_str(), one.value.as_str()));
            let name = shown(pairs);
            for sample in series.samples.iter().filter(|sample| !sample.value.is_nan()) {
                let before = sent.insert((name.clone(), sample.timestamp), sample.value);
                // Sent again is the same again.
                assert!(before.is_none_or(|before| before == sample.value), "{name}");
            }
        }
        drop(sent);
        self.inner.send(message)
    }
}

/// The labels in one order.
fn shown<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    pairs.sort();
    pairs.join(",")
}

fn start(receiver: &Receiver, registry: &Registry, sent: &Arc<Mutex<Samples>>) -> Pusher {
    let endpoint = Endpoint::new(receiver.write_url());
    let inner = remote_write::transport(&endpoint, "receiver").unwrap();
    let watched = Watched { inner, sent: Arc::clone(sent) };
    let delivery = Delivery::start(remote_write::delivery_config("receiver"), watched).unwrap();
    let config = RemoteWriteConfig {
        interval: INTERVAL,
        external_labels: target_labels("interop", "127.0.0.1:1").unwrap(),
        max_samples_per_request: 100,
        ..RemoteWriteConfig::default()
    };
    remote_write::start(config, registry, delivery).unwrap()
}

/// Records all the while: a few hundred counters, a gauge and a histogram.
async fn record(registry: &Registry, duration: Duration) {
    let until = tokio::time::Instant::now() + duration;
    let mut step = 0_u64;
    while tokio::time::Instant::now() < until {
        for id in 0..SERIES {
            registry.counter("work_total", &[("id", &id.to_string())]).increment(step % 7);
        }
        // Quarters, because VictoriaMetrics keeps some fifteen decimal digits of a number.
        registry.gauge("depth", &[("quote", "a \"b\"\\c")]).set(step as f64 / 4.0);
        registry.histogram("work_seconds", &[]).record(step as f64 / 4.0);
        step += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn number(text: &Value) -> f64 {
    text.as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// What the receiver has, sample by sample; the same time of a series twice is a failure.
fn stored(receiver: &Receiver) -> Samples {
    let mut all = Samples::new();
    for series in receiver.query("{job=\"interop\"}[1h]") {
        let labels = series["metric"].as_object().unwrap();
        let name =
            shown(labels.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        for sample in series["values"].as_array().unwrap() {
            let millis = (sample[0].as_f64().unwrap() * 1_000.0).round() as i64;
            let value = number(&sample[1]);
            if value.is_nan() {
                continue; // VictoriaMetrics shows the markers that end series, Prometheus does not.
            }
            let before = all.insert((name.clone(), millis), value);
            assert_eq!(before, None, "{name} at {millis} is there twice");
        }
    }
    all
}

/// The first few differences, in words.
fn difference(sent: &Samples, stored: &Samples) -> Vec<String> {
    let lost = sent.iter().filter(|(at, value)| stored.get(at) != Some(value));
    let more = stored.iter().filter(|(at, value)| sent.get(at) != Some(value));
    let lost = lost.map(|one| format!("not as sent: {one:?}"));
    lost.chain(more.map(|one| format!("not sent so: {one:?}"))).take(5).collect()
}

async fn check_outage(kind: ReceiverKind) {
    let mut receiver = Receiver::start(kind);
    let registry = Registry::default();
    registry.set_buckets("work_seconds", &[0.1, 1.0, 10.0]).unwrap();
    let sent = Arc::new(Mutex::new(Samples::new()));
    let pusher = start(&receiver, &registry, &sent);
    record(&registry, Duration::from_secs(2)).await;
    receiver.stop();
    record(&registry, outage()).await;
    assert!(pusher.delivery().status().queued > 0, "nothing waits for the receiver");
    receiver.restart();
    record(&registry, Duration::from_secs(2)).await;
    let rounds = sent.lock().unwrap().len();
    assert!(rounds > SERIES, "nothing was sent");
    let report = pusher.shutdown(Duration::from_secs(60)).await;
    assert_eq!((report.undelivered, report.dropped.total()), (0, 0), "{report:?}");
    assert_eq!(report.delivered, report.offered);

    let sent = sent.lock().unwrap();
    // No tick was left out: the counters of the outage are there with their times.
    let first = sent.keys().filter(|(name, _)| name.contains(",id=7,")).map(|(_, at)| *at);
    let times: Vec<i64> = first.collect();
    let step = i64::try_from(INTERVAL.as_millis()).unwrap();
    let (last, on_grid) = times.split_last().unwrap();
    assert!(on_grid.windows(2).all(|pair| pair[1] - pair[0] == step), "{on_grid:?}");
    assert!(*last > on_grid[on_grid.len() - 1]);
    assert!(on_grid.len() as u64 >= outage().as_secs() * 4 + 8, "{}", on_grid.len());

    let found = eventually("all samples", Duration::from_secs(30), || {
        let found = stored(&receiver);
        (found.len() >= sent.len()).then_some(found)
    });
    assert_eq!(difference(&sent, &found), Vec::<String>::new());
    assert_eq!(found.len(), sent.len());

    // The last values are those that the registry has, and no series goes on after its end.
    for id in [0, 7, SERIES - 1] {
        let id = id.to_string();
        // Of the samples as they are stored: VictoriaMetrics evaluates functions at a time that it has rounded down.
        let of_id = format!(",id={id},");
        let last = found.iter().rfind(|((name, _), _)| name.contains(&of_id));
        let last = last.map(|(_, value)| *value);
        assert_eq!(last, registry.value("work_total", &[("id", &id)]));
    }
    if kind == ReceiverKind::Prometheus {
        assert!(receiver.query("work_total").is_empty(), "the series have not ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_has_every_sample_once_after_an_outage() {
    check_outage(ReceiverKind::Prometheus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victoria_metrics_has_every_sample_once_after_an_outage() {
    check_outage(ReceiverKind::VictoriaMetrics).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_takes_native_histograms_and_exemplars() {
    let receiver = Receiver::start(ReceiverKind::Prometheus);
    let config = RegistryConfig { exemplars: Exemplars::PerBucket, ..RegistryConfig::default() };
    let registry = Registry::new(config);
    registry.set_native_buckets("wait_seconds", NativeHistogram::default()).unwrap();
    let trace = TraceId::new(0xabc).unwrap();
    {
        let _entered = Context::default().with_trace(trace).enter();
        for value in 1..=1_000 {
            registry.histogram("wait_seconds", &[]).record(f64::from(value) / 100.0);
        }
    }
    let endpoint = Endpoint::new(receiver.write_url());
    let transport = remote_write::transport(&endpoint, "receiver").unwrap();
    let delivery = Delivery::start(remote_write::delivery_config("receiver"), transport).unwrap();
    let config = RemoteWriteConfig {
        interval: Duration::from_secs(3_600),
        histograms: Histograms::Native,
        exemplars: true,
        ..RemoteWriteConfig::default()
    };
    let pusher = remote_write::start(config, registry, delivery).unwrap();
    pusher.export().await;
    eventually("the histogram", Duration::from_secs(20), || {
        let count = receiver.query("histogram_count(wait_seconds)");
        (number(&count.first()?["value"][1]) == 1_000.0).then_some(())
    });
    let median = number(&receiver.query("histogram_quantile(0.5, wait_seconds)")[0]["value"][1]);
    // Buckets grow by 9 %.
    assert!((median - 5.0).abs() < 0.5, "{median}");
    // Prometheus takes the exemplars of a series that it knows, which it does not before its first histogram.
    pusher.export().await;
    eventually("the exemplar", Duration::from_secs(20), || {
        let path = "/api/v1/query_exemplars?query=wait_seconds&start=0&end=9999999999";
        get(receiver.address(), path)?.text().contains(&trace.to_string()).then_some(())
    });
    let report = pusher.shutdown(Duration::from_secs(20)).await;
    assert_eq!((report.undelivered, report.dropped.total()), (0, 0), "{report:?}");
}
