//! What exported spans say: the pipeline's own fields and events, and what OpenTelemetry's own calls add.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::export::{any, collector, hex, pipeline_to};
use crate::support::PATIENCE;
use http::StatusCode;
use obs_tracing::OpenTelemetryContext;
use opentelemetry::trace::{SpanContext, Status, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::common::v1::KeyValue as Pair;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as Code;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

fn named(pairs: &[Pair]) -> BTreeMap<&str, String> {
    let named: BTreeMap<_, _> = pairs.iter().map(|pair| (&*pair.key, any(pair))).collect();
    assert_eq!(named.len(), pairs.len(), "a name stands twice: {pairs:?}");
    named
}

#[derive(Debug)]
struct Declined(std::io::Error);

impl std::fmt::Display for Declined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("declined")
    }
}

impl std::error::Error for Declined {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn a_span_is_exported_with_its_typed_fields_its_events_its_links_and_its_status() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = pipeline_to(address, |_| {});
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        let other = tracing::info_span!("other");
        let span = tracing::info_span!(
            "work",
            rows = 7,
            share = 0.5,
            cached = true,
            user_id = "u-1",
            password = "hunter2",
            total = Empty,
            otel.name = "GET /work",
            otel.kind = "client",
        );
        span.follows_from(&other);
        span.in_scope(|| {
            tracing::info!(attempt = 2, "begun");
            span.record("total", 1_u64);
            span.record("total", u64::MAX);
            let error = Declined(std::io::Error::other("no funds"));
            tracing::error!(error = &error as &dyn std::error::Error, "not paid");
            tracing::warn!(error = "late");
        });
    });
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    let (work, other) = (received.span("GET /work"), received.span("other"));
    let attributes = named(&work.attributes);
    for (name, value) in [
        ("target", "pipeline::spans"),
        ("rows", "7"),
        ("share", "0.5"),
        ("cached", "true"),
        ("user_id", "u-1"),
        ("total", "18446744073709551615"),
        ("exception.message", "declined"),
        ("exception.stacktrace", "caused by: no funds"),
    ] {
        assert_eq!(attributes.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!format!("{work:?}").contains("hunter2"));
    assert_eq!(work.kind, SpanKind::Client as i32);
    assert!(work.start_time_unix_nano > 0 && work.end_time_unix_nano >= work.start_time_unix_nano);
    assert_eq!((work.links.len(), &work.links[0].span_id), (1, &other.span_id));
    let names: Vec<_> = work.events.iter().map(|event| &*event.name).collect();
    assert_eq!(names, ["begun", "not paid", "exception"]);
    assert_eq!(named(&work.events[0].attributes)["attempt"], "2");
    assert_eq!(named(&work.events[1].attributes)["exception.stacktrace"], "caused by: no funds");
    assert_eq!(named(&work.events[1].attributes)["level"], "ERROR");
    let status = work.status.unwrap();
    assert_eq!((status.code, &*status.message), (Code::Error as i32, "late"));
    assert_eq!(other.status.unwrap().code, Code::Unset as i32);
}

#[tokio::test]
async fn what_opentelemetrys_own_calls_say_joins_the_span() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = pipeline_to(address, |_| {});
    let linked = SpanContext::new(
        7_u128.into(),
        9_u64.into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let (context, inner) = tracing::dispatcher::with_default(&pipeline.dispatch, || {
        let span = tracing::info_span!("work", rows = 7);
        let context = span.context().span().span_context().clone();
        span.set_attribute("rows", 8_i64);
        span.set_attribute("extra", "yes");
        span.add_link(linked.clone());
        span.add_event("noted", vec![KeyValue::new("by", "hand")]);
        span.set_status(Status::error("said so"));
        assert!(span.set_parent(Context::new()).is_err(), "a span starts when it opens");
        let inner = span.in_scope(|| tracing::info_span!("inner"));
        let inner = inner.context().span().span_context().clone();
        assert!(!Context::current().span().span_context().is_valid(), "nothing follows");
        (context, inner)
    });
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    let work = received.span("work");
    assert_eq!(hex(&work.span_id), context.span_id().to_string());
    assert_eq!(hex(&work.trace_id), context.trace_id().to_string());
    assert!(context.is_sampled());
    assert_eq!(received.span("inner").parent_span_id, work.span_id);
    assert_eq!(hex(&received.span("inner").span_id), inner.span_id().to_string());
    let attributes = named(&work.attributes);
    assert_eq!((&*attributes["rows"], &*attributes["extra"]), ("8", "yes"));
    assert_eq!(hex(&work.links[0].span_id), linked.span_id().to_string());
    assert_eq!((&*work.events[0].name, work.events.len()), ("noted", 1));
    assert_eq!(work.status.unwrap().message, "said so");
    assert_eq!(received.spans().len(), 2, "a span that stands for another is not exported itself");
}

#[tokio::test]
async fn opentelemetrys_current_context_follows_the_spans_when_it_is_asked_to() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = pipeline_to(address, |otlp| otlp.context = OpenTelemetryContext::Entered);
    let seen = tracing::dispatcher::with_default(&pipeline.dispatch, || {
        tracing::info_span!("outer").in_scope(|| {
            tracing::info_span!("inner")
                .in_scope(|| Context::current().span().span_context().span_id().to_string())
        })
    });
    assert!(!Context::current().span().span_context().is_valid());
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    assert_eq!(hex(&received.span("inner").span_id), seen);
    assert_eq!(received.spans().len(), 2);
}

#[tokio::test]
async fn events_beyond_the_limit_of_a_span_are_counted_in_it() {
    let (address, received) = collector(StatusCode::OK).await;
    let pipeline = pipeline_to(address, |otlp| otlp.interval = Duration::from_secs(3_600));
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        tracing::info_span!("busy").in_scope(|| {
            for number in 0..130 {
                tracing::info!(number, "one of many");
            }
        });
    });
    pipeline.handle.shutdown(PATIENCE).await.unwrap();
    let busy = received.span("busy");
    assert_eq!((busy.events.len(), busy.dropped_events_count), (128, 2));
}
