//! Traces that are kept though head sampling did not take them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::export::{Received, any, collector, hex};
use crate::support::{PATIENCE, Pipeline, series};
use http::{HeaderMap, StatusCode};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::{Clock, Context, ManualClock, Timestamp, TraceId};
use obs_tracing::{LinkedTraces, OtlpConfig, Sampler, Sampling, TailConfig};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Code;

/// A pipeline whose head sampling takes nothing.
fn sampling_tails(
    address: SocketAddr,
    change: impl FnOnce(&mut TailConfig),
) -> (Pipeline, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000)));
    let mut otlp = OtlpConfig::new(&format!("http://{address}"));
    otlp.sampling = Sampling::new(Sampler::AlwaysOff);
    let mut tail = TailConfig::default();
    change(&mut tail);
    otlp.tail = Some(tail);
    let pipeline = Pipeline::new(|config| {
        config.otlp = Some(otlp);
        config.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    });
    (pipeline, clock)
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key == name).map(any)
}

fn reasons(received: &Received) -> Vec<(String, String)> {
    let mut reasons: Vec<_> = received
        .spans()
        .iter()
        .map(|span| {
            assert_eq!(attribute(span, "obskit.sampled").as_deref(), Some("tail"));
            (span.name.clone(), attribute(span, "obskit.reason").unwrap())
        })
        .collect();
    reasons.sort();
    reasons
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, reason)| ((*name).to_owned(), (*reason).to_owned())).collect()
}

#[tokio::test]
async fn a_trace_that_errs_is_exported_whole_and_an_ordinary_one_is_not() {
    let (address, received) = collector(StatusCode::OK).await;
    let (pipeline, clock) = sampling_tails(address, |_| {});
    let work = |fails: bool| {
        tracing::info_span!("order", order = 42, password = "hunter2").in_scope(|| {
            let mut headers = HeaderMap::new();
            obs_tracing::http::propagate(&mut headers);
            assert!(headers["traceparent"].to_str().unwrap().ends_with("-00"), "not sampled");
            clock.advance(Duration::from_millis(5));
            tracing::info_span!("pay", cents = 950).in_scope(|| {
                clock.advance(Duration::from_millis(7));
                tracing::info!("asked");
                tracing::warn!(attempt = 2, "asked again");
                tracing::info_span!("ask").in_scope(|| {
                    if fails {
                        tracing::error!(reason = "no funds", "declined");
                    }
                });
            });
        });
    };
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        work(false);
        work(true);
        work(false);
    });
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    assert_eq!(
        reasons(&received),
        owned(&[("ask", "error"), ("order", "error"), ("pay", "error")])
    );
    let (order, pay, ask) = (received.span("order"), received.span("pay"), received.span("ask"));
    assert!(order.parent_span_id.is_empty());
    assert_eq!((&pay.parent_span_id, &ask.parent_span_id), (&order.span_id, &pay.span_id));
    assert!(pay.trace_id == order.trace_id && ask.trace_id == order.trace_id);
    let declined = pipeline.lines.json().into_iter().find(|l| l["message"] == "declined").unwrap();
    assert_eq!(declined["traceId"], hex(&ask.trace_id));
    assert_eq!(declined["spanId"], hex(&ask.span_id));
    assert_eq!(attribute(&order, "order").as_deref(), Some("42"));
    assert_eq!(attribute(&pay, "cents").as_deref(), Some("950"));
    assert!(!format!("{order:?}").contains("hunter2"));
    let took = |span: &Span| (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000_000;
    assert_eq!((took(&order), took(&pay), took(&ask)), (12, 7, 0));
    let names = |span: &Span| -> Vec<String> {
        span.events.iter().map(|event| event.name.clone()).collect()
    };
    assert_eq!((names(&pay), names(&ask)), (vec!["asked again".into()], vec!["declined".into()]));
    assert_eq!(ask.status.unwrap().code, Code::Error as i32);
    assert_eq!(pay.status.unwrap().code, Code::Unset as i32);
}

#[tokio::test]
async fn a_trace_is_slow_by_the_history_of_its_own_route() {
    let (address, received) = collector(StatusCode::OK).await;
    let (pipeline, clock) = sampling_tails(address, |_| {});
    let request = |path: &str, milliseconds: u64| {
        tracing::info_span!("request", path)
            .in_scope(|| clock.advance(Duration::from_millis(milliseconds)));
    };
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        for _ in 0..200 {
            request("/quick", 10);
            request("/slow", 100);
        }
        request("/slow", 100);
        request("/quick", 100);
        request("/new", 1_000);
    });
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    assert_eq!(reasons(&received), owned(&[("request", "slow")]));
    assert_eq!(attribute(&received.spans()[0], "path").as_deref(), Some("/quick"));
}

#[tokio::test]
async fn traces_that_a_firing_alert_asks_for_are_kept_for_as_long_as_it_says() {
    let (address, received) = collector(StatusCode::OK).await;
    let (pipeline, clock) = sampling_tails(address, |_| {});
    let sampler = pipeline.handle.tail_sampler().expect("tails are sampled");
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        let requests = || {
            drop(tracing::info_span!("request", path = "/pay", method = "GET"));
            drop(tracing::info_span!("request", path = "/pay", method = "POST"));
            drop(tracing::info_span!("nightly_import"));
        };
        requests();
        let pay = LinkedTraces::new().with_label("path", "/pay").with_label("method", "POST");
        sampler.keep_linked(pay, Duration::from_secs(60));
        sampler.keep_linked(LinkedTraces::new().with_name("nightly*"), Duration::from_secs(10));
        requests();
        clock.advance(Duration::from_secs(30));
        requests();
        clock.advance(Duration::from_secs(30));
        requests();
    });
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    let expected = [("nightly_import", "alert"), ("request", "alert"), ("request", "alert")];
    assert_eq!(reasons(&received), owned(&expected));
    let paid = received.spans().into_iter().filter(|span| span.name == "request");
    assert!(paid.into_iter().all(|span| attribute(&span, "method").as_deref() == Some("POST")));
}

#[tokio::test]
async fn what_is_kept_and_dropped_is_bounded_and_counted_by_its_reason() {
    let (address, received) = collector(StatusCode::OK).await;
    let (pipeline, _) = sampling_tails(address, |tail| {
        tail.max_traces = 2;
        // One at once, and the next in a quarter of an hour.
        tail.max_per_second = 0.001;
    });
    let recorder = DebuggingRecorder::new();
    let trace: TraceId = "0af7651916cd43dd8448eb211c80319c".parse().unwrap();
    metrics::with_local_recorder(&recorder, || {
        tracing::dispatcher::with_default(&pipeline.dispatch, || {
            let roots: Vec<_> = (0..3).map(|_| tracing::info_span!(parent: None, "root")).collect();
            for root in &roots {
                root.in_scope(|| drop(tracing::info_span!("inner")));
            }
            drop(roots);
            let fails = || tracing::info_span!("fails").in_scope(|| tracing::error!("no"));
            {
                let _entered = Context::new().with_trace(trace).enter();
                fails();
                drop(tracing::info_span!("same"));
            }
            fails();
        });
    });
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    assert_eq!(reasons(&received), owned(&[("fails", "error"), ("same", "same_trace")]));
    let traces: Vec<_> = series(&recorder.snapshotter())
        .into_iter()
        .filter(|(name, _)| name.starts_with("obskit_traces"))
        .collect();
    let counted = |name: &str, count: u64| (format!("obskit_traces_{name}"), count);
    assert_eq!(
        traces,
        [
            counted("dropped_total{reason=evicted}", 1),
            counted("dropped_total{reason=rate_limited}", 1),
            counted("kept_total{reason=error}", 1),
            counted("kept_total{reason=same_trace}", 1),
        ]
    );
}

#[test]
fn a_wrong_setting_of_tail_sampling_is_named() {
    let mut otlp = OtlpConfig::new("http://127.0.0.1:9");
    let mut tail = TailConfig::default();
    (tail.max_bytes, tail.slow_quantile, tail.max_per_second) = (1, 1.5, f64::NAN);
    otlp.tail = Some(tail);
    let mut config = obs_tracing::LogConfig::new(obs_model::Resource::new("test"));
    config.otlp = Some(otlp);
    let error = obs_tracing::build(config).map(drop).unwrap_err().to_string();
    for part in ["65536", "quantile 1.5", "NaN traces a second"] {
        assert!(error.contains(part), "{part} is not named: {error}");
    }
}
