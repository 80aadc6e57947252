//! What happened in finished spans: their events and links, in the memory and to a collector that asks later.

use std::net::SocketAddr;

use http::StatusCode;
use obs_model::{FieldValue, Resource};
use obs_tracing::memory::LineQuery;
use obs_tracing::{
    EventInSpan, FinishedSpan, FinishedSpans, OtlpConfig, Sampler, Sampling, SpanQuery, TailConfig,
};
use opentelemetry::trace::{SpanContext, Status, TraceFlags, TraceState};
use opentelemetry::{Array, KeyValue, Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::export::{any, collector};
use crate::support::{PATIENCE, Pipeline};

/// A pipeline with both memories, which exports what is sampled.
fn remembering(address: SocketAddr, sampler: Sampler, tail: Option<TailConfig>) -> Pipeline {
    let mut otlp = OtlpConfig::new(&format!("http://{address}"));
    otlp.sampling = Sampling::new(sampler);
    otlp.tail = tail;
    Pipeline::new(|config| {
        config.otlp = Some(otlp);
        config.span_memory = Some(4 << 20);
        config.line_memory = Some(1 << 20);
    })
}

fn named(finished: &FinishedSpans, name: &str) -> FinishedSpan {
    let mut query = SpanQuery::default();
    query.name = Some(name.to_owned());
    let mut found = finished.find(&query);
    assert_eq!(found.len(), 1, "{name}");
    found.remove(0)
}

fn attribute<'a>(of: &'a EventInSpan, name: &str) -> Option<&'a FieldValue> {
    of.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

fn names(span: &FinishedSpan) -> Vec<&str> {
    span.events.iter().map(|event| &*event.name).collect()
}

/// Sends everything that is kept to a collector of its own.
async fn sent_later(finished: &FinishedSpans) -> Vec<Span> {
    let (address, received) = collector(StatusCode::OK).await;
    let mut query = SpanQuery::default();
    query.limit = usize::MAX;
    let to = OtlpConfig::new(&format!("http://{address}"));
    let sent = finished.send(&query, to, &Resource::new("test"), PATIENCE).await.unwrap();
    assert!(sent.is_complete(), "{sent:?}");
    received.spans()
}

#[derive(Debug)]
struct Declined(std::io::Error);

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined for Bearer hunter2hunter2")
    }
}

impl std::error::Error for Declined {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_on_demand_is_what_the_collector_got_with_events_links_and_no_secrets() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = remembering(address, Sampler::AlwaysOn, None);
    pipeline.text_of(|| {
        let cause = tracing::info_span!("cause");
        let order = tracing::info_span!("order", order = 42);
        order.follows_from(&cause);
        order.in_scope(|| {
            tracing::info!(
                cents = 950,
                password = "hunter2",
                "paid <b>by</b> Bearer hunter2hunter2"
            );
            let declined = Declined(std::io::Error::other("card expired"));
            tracing::error!(error = &declined as &dyn std::error::Error);
            tracing::warn!(error = "only text");
        });
        let busy = tracing::info_span!("busy");
        busy.in_scope(|| {
            for number in 0..130 {
                tracing::info!(number, "again");
                busy.follows_from(&cause);
            }
        });
        let by_hand = tracing::info_span!("by hand", rows = 7);
        let linked = SpanContext::new(
            7_u128.into(),
            9_u64.into(),
            TraceFlags::default(),
            false,
            TraceState::default(),
        );
        by_hand.set_attribute("rows", 8_i64);
        by_hand.set_attribute("extra", "yes");
        by_hand.add_link_with_attributes(linked, vec![KeyValue::new("why", "retry")]);
        by_hand
            .add_event("noted", vec![KeyValue::new("api_key", "hunter2"), KeyValue::new("by", 7)]);
        by_hand.set_status(Status::error("said so"));
    });
    let finished = pipeline.handle.finished_spans().unwrap();
    pipeline.handle.flush(PATIENCE).await.unwrap();
    let (mut live, mut later) = (received.spans(), sent_later(&finished).await);
    for spans in [&mut live, &mut later] {
        spans.sort_by(|one, other| one.span_id.cmp(&other.span_id));
    }
    assert_eq!(live, later);
    assert!(!format!("{later:?}").contains("hunter2"), "{later:?}");
    let span = |name: &str| later.iter().find(|span| span.name == name).unwrap();
    let events: Vec<&str> = span("order").events.iter().map(|event| &*event.name).collect();
    assert_eq!(events.len(), 3);
    assert!(events[0].starts_with("paid <b>") && events[1..] == ["exception"; 2], "{events:?}");
    assert_eq!(span("order").links[0].span_id, span("cause").span_id);
    let busy = span("busy");
    assert_eq!((busy.events.len(), busy.dropped_events_count), (128, 2));
    assert_eq!((busy.links.len(), busy.dropped_links_count), (128, 2));
    assert_eq!(any(&span("by hand").links[0].attributes[0]), "retry");
    assert_eq!(span("by hand").status.as_ref().unwrap().message, "said so");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_span_tells_its_events_and_links_without_secrets() {
    let (address, _received) = collector(StatusCode::OK).await;
    let pipeline = remembering(address, Sampler::AlwaysOn, None);
    let list = Value::Array(Array::I64(vec![1, 2]));
    pipeline.text_of(|| {
        let cause = tracing::info_span!("cause");
        let order = tracing::info_span!("order");
        order.follows_from(&cause);
        order.in_scope(|| {
            tracing::info!(user_id = "u-1", cents = 950, password = "hunter2", "paid");
            let declined = Declined(std::io::Error::other("card expired"));
            tracing::error!(error = &declined as &dyn std::error::Error);
        });
        order.add_event("noted", vec![KeyValue::new("pages", list.clone())]);
        order.set_status(Status::Ok);
        tracing::info_span!("after").in_scope(|| ());
    });
    let finished = pipeline.handle.finished_spans().unwrap();
    let (cause, order) = (named(&finished, "cause"), named(&finished, "order"));
    assert_eq!(names(&order), ["paid", "exception", "noted"]);
    let [paid, exception, noted] = &order.events[..] else { panic!("{:?}", order.events) };
    assert!(paid.at >= order.start && paid.at <= exception.at);
    for (event, name, value) in [
        (paid, "level", FieldValue::from("INFO")),
        (paid, "target", "pipeline::told".into()),
        (paid, "cents", 950_i64.into()),
        (paid, "userId", "u-1".into()),
        (exception, "level", "ERROR".into()),
        (exception, "exception.stacktrace", "caused by: card expired".into()),
        (noted, "pages", "[1,2]".into()),
    ] {
        assert_eq!(attribute(event, name), Some(&value), "{name} of {event:?}");
    }
    assert!(attribute(exception, "exception.message").is_some(), "{exception:?}");
    assert!(!format!("{:?}", order.events).contains("hunter2"), "{:?}", order.events);
    assert_eq!(order.links.len(), 1);
    assert_eq!((order.links[0].trace, order.links[0].span), (cause.trace, cause.span));
    // The next span in the same slot has nothing of it.
    let after = named(&finished, "after");
    assert!(after.events.is_empty() && after.links.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_that_is_too_much_for_a_part_is_kept_without_its_events_which_are_counted() {
    let (address, _received) = collector(StatusCode::OK).await;
    let pipeline = Pipeline::new(|config| {
        config.otlp = Some(OtlpConfig::new(&format!("http://{address}")));
        // A part has 16 KiB then.
        config.span_memory = Some(256 * 1024);
    });
    pipeline.text_of(|| {
        for count in [5, 50] {
            let span = tracing::info_span!("order", count);
            span.follows_from(&span);
            span.in_scope(|| {
                (0..count).for_each(|_| tracing::info!(text = "x".repeat(1_000), "told"));
            });
        }
    });
    let found = pipeline.handle.finished_spans().unwrap().find(&SpanQuery::default());
    let told = |span: &FinishedSpan| {
        (span.events.len(), span.dropped_events, span.links.len(), span.dropped_links)
    };
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), [(0, 50, 0, 1), (5, 0, 1, 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_that_is_not_exported_keeps_its_links_and_its_lines_are_its_events_on_demand() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = remembering(address, Sampler::AlwaysOff, None);
    pipeline.text_of(|| {
        let cause = tracing::info_span!("cause");
        let order = tracing::info_span!("order", user_id = "u-1", cents = 950);
        order.follows_from(&cause);
        order.in_scope(|| {
            tracing::info!(cents = 950, card = "visa", "first");
            tracing::info_span!("inner", cents = 7).in_scope(|| {
                let declined = Declined(std::io::Error::other("card expired"));
                tracing::error!(error = &declined as &dyn std::error::Error);
            });
            tracing::info!("last");
        });
    });
    let finished = pipeline.handle.finished_spans().unwrap();
    pipeline.handle.flush(PATIENCE).await.unwrap();
    let order = named(&finished, "order");
    assert!(order.events.is_empty() && order.dropped_events == 0);
    assert_eq!(order.links[0].span, named(&finished, "cause").span);

    let mut trace = finished.trace(order.trace);
    let query = LineQuery { trace: Some(order.trace), ..LineQuery::default() };
    let lines = pipeline.handle.lines().unwrap().search(&query).lines;
    trace.add_lines(&lines);
    let [outer, inner] = &trace.spans[..] else { panic!("{trace:?}") };
    assert_eq!(names(&outer.span), ["first", "last"]);
    let first = &outer.span.events[0];
    assert_eq!(attribute(first, "level"), Some(&"INFO".into()));
    assert_eq!(attribute(first, "card"), Some(&"visa".into()));
    // What stands on the span is not said again.
    assert_eq!(first.attributes.len(), 3, "{first:?}");
    assert_eq!(names(&inner.span), ["exception"]);
    let exception = &inner.span.events[0];
    assert_eq!(attribute(exception, "exception.type"), Some(&"Declined".into()));
    assert!(attribute(exception, "exception.message").is_some(), "{exception:?}");
    assert!(!format!("{trace:?}").contains("hunter2"), "{trace:?}");
    // Those that were written for another trace are not among them.
    let mut other = finished.trace(named(&finished, "cause").trace);
    other.add_lines(&lines);
    assert!(other.spans[0].span.events.is_empty());

    assert!(received.spans().is_empty());
    let later = sent_later(&finished).await;
    let order = later.iter().find(|span| span.name == "order").unwrap();
    assert_eq!((order.links.len(), order.events.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_tail_sampling_keeps_are_not_told_twice() {
    let (address, _received) = collector(StatusCode::OK).await;
    let pipeline = remembering(address, Sampler::AlwaysOff, Some(TailConfig::default()));
    pipeline.text_of(|| {
        tracing::info_span!("order").in_scope(|| {
            tracing::info!("not kept with it");
            tracing::warn!("kept with it");
        });
    });
    let finished = pipeline.handle.finished_spans().unwrap();
    pipeline.handle.flush(PATIENCE).await.unwrap();
    let order = named(&finished, "order");
    assert_eq!(names(&order), ["kept with it"]);
    let mut trace = finished.trace(order.trace);
    let lines = pipeline.handle.lines().unwrap().search(&LineQuery::default()).lines;
    assert_eq!(lines.len(), 2);
    trace.add_lines(&lines);
    assert_eq!(names(&trace.spans[0].span), ["kept with it"]);
}
