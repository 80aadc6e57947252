//! Lines and spans that are kept, sent once to somebody who asks for them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use obs_model::{Level, Resource};
use obs_tracing::memory::LineQuery;
use obs_tracing::sink::{Line, LineSink, LogSink, SinkFilter};
use obs_tracing::{DistributedTracing, OtlpConfig, SpanKind, SpanOptions, SpanQuery};

use crate::export::collector;
use crate::support::{PATIENCE, Pipeline};

type Messages = Arc<Mutex<Vec<String>>>;

/// Keeps what lines say, and panics when one says so.
struct Kept(Messages);

impl LineSink for Kept {
    fn write(&mut self, line: &Line<'_>) {
        assert_ne!(line.message(), "panic");
        self.0.lock().unwrap().push(line.message().to_owned());
    }
}

#[tokio::test]
async fn lines_that_are_asked_for_are_sent_in_their_order_and_those_that_are_lost_are_told() {
    let pipeline = Pipeline::new(|config| config.line_memory = Some(1 << 20));
    pipeline.text_of(|| {
        for number in 0..1_000 {
            tracing::info!("line {number}");
            tracing::warn!("warning {number}");
        }
    });
    let memory = pipeline.handle.lines().unwrap();
    let send = |query: LineQuery, level: Level| {
        let messages = Messages::default();
        let sink =
            LogSink::local("once", Kept(Arc::clone(&messages))).filtered(SinkFilter::at(level));
        let memory = memory.clone();
        async move {
            let service = Resource::new("test");
            let sent = memory.send(&query, sink, &service, PATIENCE).await.unwrap();
            (sent, std::mem::take(&mut *messages.lock().unwrap()))
        }
    };
    let all = LineQuery { limit: usize::MAX, ..LineQuery::default() };
    let (sent, messages) = send(all.clone(), Level::Warn).await;
    assert_eq!((sent.found, sent.delivered, sent.is_complete()), (1_000, 1_000, true));
    let expected: Vec<String> = (0..1_000).map(|number| format!("warning {number}")).collect();
    assert_eq!(messages, expected);

    let newest = LineQuery { limit: 3, ..LineQuery::default() };
    let (_, messages) = send(newest, Level::Trace).await;
    assert_eq!(messages, ["warning 998", "line 999", "warning 999"]);

    pipeline.text_of(|| {
        tracing::warn!("panic");
        tracing::warn!("lost with it");
    });
    let (sent, _) = send(all.clone(), Level::Warn).await;
    assert_eq!((sent.found, sent.found - sent.delivered), (1_002, 2));
    let (service, nameless) =
        (Resource::new("test"), LogSink::local("", Kept(Messages::default())));
    let refused = memory.send(&all, nameless, &service, PATIENCE).await;
    assert!(refused.unwrap_err().is_config());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_spans_are_sent_with_their_kind_parent_and_attributes_sampled_or_not() {
    let pipeline = Pipeline::new(|config| config.span_memory = Some(1 << 20));
    pipeline.text_of(|| {
        let tracing = DistributedTracing::new("checkout");
        for number in 0..600_u64 {
            let order = tracing.start_span("order");
            let charge = SpanOptions::new().child_of(&order).kind(SpanKind::Client);
            let charge = charge.attribute("number", number).attribute("password", "hunter2");
            drop(tracing.start_span_with("charge", charge));
        }
    });
    let (address, received) = collector(StatusCode::OK).await;
    let base = format!("http://{address}");

    let finished = pipeline.handle.finished_spans().unwrap();
    let service = Resource::new("checkout");
    let mut query = SpanQuery::default();
    query.limit = usize::MAX;
    let sent = finished.send(&query, OtlpConfig::new(&base), &service, PATIENCE).await.unwrap();
    assert_eq!((sent.found, sent.delivered, sent.last_error), (1_200, 1_200, None));
    let spans = received.spans();
    assert_eq!(spans.len(), 1_200);
    for (number, pair) in spans.chunks(2).enumerate() {
        let [charge, order] = pair else { panic!("every order has a charge") };
        assert_eq!((&*charge.name, charge.kind, order.kind), ("charge", 3, 1));
        assert_eq!((&charge.parent_span_id, &charge.trace_id), (&order.span_id, &order.trace_id));
        let shown = format!("{:?}", charge.attributes);
        assert!(shown.contains(&format!("IntValue({number})")), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    // Where nobody takes them, the deadline holds and the account says so.
    query.limit = 5;
    let nobody = OtlpConfig::new("http://127.0.0.1:9");
    let sent = finished.send(&query, nobody, &service, Duration::from_millis(50)).await.unwrap();
    assert_eq!((sent.found, sent.delivered, sent.is_complete()), (5, 0, false));
    let wrong = finished.send(&query, OtlpConfig::traces("nowhere"), &service, PATIENCE);
    assert!(wrong.await.unwrap_err().is_config());
}
