//! The memory of the spans that finished last.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Pipeline, series};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::{Clock, Context, CorrelationId, FieldValue, ManualClock, Timestamp};
use obs_tracing::{FinishedSpans, SpanQuery, trace_async};
use tracing::field::Empty;

const START: i64 = 1_700_000_000_000;

fn remembering(bytes: usize) -> (Pipeline, FinishedSpans, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(START)));
    let pipeline = Pipeline::new(|config| {
        config.span_memory = Some(bytes);
        config.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    });
    let finished = pipeline.handle.finished_spans().expect("spans are kept");
    (pipeline, finished, clock)
}

fn query(change: impl FnOnce(&mut SpanQuery)) -> SpanQuery {
    let mut query = SpanQuery::default();
    change(&mut query);
    query
}

#[test]
fn a_finished_span_has_its_times_its_fate_and_its_fields_without_secrets() {
    let (pipeline, finished, clock) = remembering(1 << 20);
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        let span =
            tracing::info_span!("order", user_id = "u-1", password = "hunter2", total = Empty);
        span.in_scope(|| {
            clock.advance(Duration::from_millis(12));
            // The line renders the fields, and what comes later counts all the same.
            tracing::error!("declined");
            span.record("total", 9.5);
            span.record("total", 10.5);
        });
    });
    let found = finished.find(&SpanQuery::default());
    assert_eq!(found.len(), 1);
    let span = &found[0];
    assert_eq!((span.name, span.target), ("order", "pipeline::finished"));
    assert_eq!(span.start, Timestamp::from_millis(START));
    assert_eq!(span.duration, Duration::from_millis(12));
    assert!(span.failed && span.parent.is_none() && !span.sampled);
    let line = &pipeline.written()[0];
    assert_eq!(line["traceId"], span.trace.to_string());
    assert_eq!(line["spanId"], span.span.to_string());
    let field = |name: &str| {
        let found: Vec<_> = span.fields.iter().filter(|(key, _)| key == name).collect();
        assert_eq!(found.len(), 1, "{name} in {:?}", span.fields);
        found[0].1.clone()
    };
    assert_eq!(field("userId"), FieldValue::from("u-1"));
    assert_eq!(field("total"), FieldValue::F64(10.5));
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
}

#[test]
fn spans_are_found_by_everything_that_a_query_names_the_latest_first() {
    let (pipeline, finished, clock) = remembering(1 << 20);
    let correlation: CorrelationId = "c-1".parse().unwrap();
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        for number in 0..6_u64 {
            let context = match number {
                0..3 => Context::new().with_correlation(correlation.clone()),
                _ => Context::new().with_user("u-9"),
            };
            let _entered = context.enter();
            let span = tracing::info_span!("step", number, note = "Mail to Alice");
            clock.advance(Duration::from_millis(10 * number));
            if number == 4 {
                span.in_scope(|| tracing::error!("no"));
            }
        }
        drop(tracing::info_span!("other"));
    });
    let numbers = |change: fn(&mut SpanQuery)| -> Vec<u64> {
        let number = |span: obs_tracing::FinishedSpan| {
            span.fields.iter().find_map(|(key, value)| match value {
                FieldValue::I64(number) if key == "number" => Some(*number as u64),
                _ => None,
            })
        };
        finished.find(&query(change)).into_iter().filter_map(number).collect()
    };
    assert_eq!(numbers(|q| q.name = Some("step".into())), [5, 4, 3, 2, 1, 0]);
    assert_eq!(numbers(|q| q.min_duration = Duration::from_millis(30)), [5, 4, 3]);
    assert_eq!(numbers(|q| q.failed = Some(true)), [4]);
    assert_eq!(numbers(|q| q.correlation = Some("c-1".into())), [2, 1, 0]);
    assert_eq!(numbers(|q| q.user = Some("u-9".into())), [5, 4, 3]);
    assert_eq!(numbers(|q| q.text = Some("ALICE".into())), [5, 4, 3, 2, 1, 0]);
    assert_eq!(numbers(|q| q.text = Some("bob".into())), [0; 0]);
    assert_eq!(numbers(|q| q.limit = 2), [5]);
    assert_eq!(numbers(|q| q.to = Some(Timestamp::from_millis(START + 30))), [2, 1, 0]);
    assert_eq!(numbers(|q| q.from = Some(Timestamp::from_millis(START + 100))), [5, 4]);
    assert_eq!(finished.find(&query(|q| q.name = Some("ste".into()))).len(), 0);
}

#[tokio::test]
async fn a_trace_is_a_tree_of_its_finished_spans() {
    let (pipeline, finished, clock) = remembering(1 << 20);
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let root = tracing::info_span!("root");
    let trace = {
        let _entered = root.enter();
        let first = tracing::info_span!("first");
        clock.advance(Duration::from_millis(1));
        first.in_scope(|| drop(tracing::info_span!("inner")));
        clock.advance(Duration::from_millis(1));
        drop(tracing::info_span!("second"));
        let work = async { Ok::<_, std::io::Error>(()) };
        trace_async("load", work, [("table", "orders".into())]).await.unwrap();
        finished.find(&SpanQuery::default())[0].trace
    };
    let names = |finished: &FinishedSpans| -> Vec<_> {
        let spans = finished.trace(trace).spans;
        spans.iter().map(|one| (one.span.name, one.depth, one.parent)).collect()
    };
    let open =
        [("first", 0, None), ("inner", 1, Some(0)), ("second", 0, None), ("operation", 0, None)];
    assert_eq!(names(&finished), open, "the root has not finished");
    drop(root);
    let closed = [
        ("root", 0, None),
        ("first", 1, Some(0)),
        ("inner", 2, Some(1)),
        ("second", 1, Some(0)),
        ("operation", 1, Some(0)),
    ];
    assert_eq!(names(&finished), closed);
    let load = &finished.trace(trace).spans[4].span;
    assert!(load.fields.contains(&("table".into(), "orders".into())), "{load:?}");
}

#[test]
fn a_span_that_nobody_exports_keeps_the_spans_that_it_is_linked_to() {
    let (pipeline, finished, _) = remembering(1 << 20);
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        let cause = tracing::info_span!("cause");
        tracing::info_span!("effect").follows_from(&cause);
        tracing::info_span!("other").follows_from(tracing::Span::none());
    });
    let found = finished.find(&SpanQuery::default());
    let named = |name: &str| found.iter().find(|span| span.name == name).unwrap();
    let (cause, effect) = (named("cause"), named("effect"));
    let [link] = &effect.links[..] else { panic!("{effect:?}") };
    assert_eq!((link.trace, link.span, link.attributes.len()), (cause.trace, cause.span, 0));
    assert!(named("other").links.is_empty() && cause.links.is_empty());
}

#[test]
fn the_memory_is_bounded_and_what_goes_is_counted_exactly() {
    const SPANS: u64 = 20_000;
    let (pipeline, finished, _) = remembering(256 * 1024);
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        tracing::dispatcher::with_default(&pipeline.dispatch, || {
            for number in 0..SPANS {
                drop(tracing::info_span!("many", number));
            }
            drop(tracing::info_span!("huge", text = "x".repeat(20_000)));
        });
    });
    let kept = finished.find(&query(|q| q.limit = usize::MAX));
    let bytes = kept.len() * 100;
    assert!((50 * 1024..=256 * 1024).contains(&bytes), "{} spans", kept.len());
    let newest: Vec<_> =
        kept.iter().flat_map(|span| &span.fields).map(|(_, n)| n.clone()).collect();
    let expected: Vec<_> =
        (SPANS - kept.len() as u64..SPANS).map(|number| FieldValue::I64(number as i64)).collect();
    assert!(expected.iter().all(|number| newest.contains(number)), "the oldest go first");
    let evicted = SPANS - kept.len() as u64;
    let counted = |reason: &str, count| {
        (format!("obskit_span_memory_dropped_total{{reason={reason}}}"), count)
    };
    let expected = [counted("evicted", evicted), counted("too_large", 1)];
    assert_eq!(series(&recorder.snapshotter()), expected);
}

#[test]
fn without_a_memory_there_is_nothing_to_search_and_too_little_is_refused() {
    assert!(Pipeline::new(|_| {}).handle.finished_spans().is_none());
    let mut config = obs_tracing::LogConfig::new(obs_model::Resource::new("test"));
    config.span_memory = Some(1_000);
    let error = obs_tracing::build(config).map(drop).unwrap_err();
    assert!(error.to_string().contains("span_memory is 1000"), "{error}");
}
