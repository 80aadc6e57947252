//! Loggers, and the shapes of their own that stand on the same pipeline.

use std::io;

use crate::support::{Pipeline, series};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::{Context, Level, Timestamp};
use obs_tracing::{
    DistributedTracing, LogAggregator, LogDetails, LogEvent, LogFormat, SpanEvent, Telemetry,
    create_logger,
};

#[test]
fn a_timer_logs_how_long_the_operation_took_and_returns_it() {
    let pipeline = Pipeline::new(|config| config.filter = "debug".into());
    let lines = pipeline.json_of(|| {
        let logger = create_logger("billing");
        let took = logger.start_timer("send").end();
        let refused = io::Error::other("refused");
        let timer = logger.start_timer("send");
        assert!(timer.elapsed() <= timer.end_with(Level::Error, LogDetails::new().error(&refused)));
        tracing::info!(took = took.as_secs_f64() * 1_000.0);
        drop(logger.start_timer("forgotten"));
    });
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["metadata"]["duration_ms"], lines[2]["metadata"]["took"]);
    for (line, level) in lines.iter().zip(["INFO", "ERROR"]) {
        assert_eq!((&line["service"], &line["level"]), (&"billing".into(), &level.into()));
        assert_eq!(line["metadata"]["operation"], "send");
    }
    assert_eq!(lines[1]["error"]["message"], "refused");
}

#[test]
fn metrics_of_a_logger_are_what_their_names_say_and_name_the_service() {
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let logger = create_logger("billing");
        for (name, value) in [
            ("invoices_total", 2.6),
            ("invoices_total", -1.0),
            ("invoices_total", f64::NAN),
            ("send_duration_seconds", 0.5),
            ("queue_depth", 17.0),
            ("queue_depth", 16.0),
        ] {
            logger.record_metric(name, value, &[]);
        }
        let meter = Telemetry::of("shop").meter().clone();
        meter.counter("orders_total", &[("kind", "web")]).increment(4);
        meter.gauge("carts", &[("service", "its own")]).set(5.0);
        meter.histogram("order_size", &[]).record(1.0);
        meter.record("visits_total", 3.0, &[]);
    });
    let expected = [
        ("carts{service=its own}", 5),
        ("invoices_total{service=billing}", 3),
        ("obskit_metrics_dropped_total{reason=invalid_value}", 2),
        ("order_size{service=shop}", 1),
        ("orders_total{kind=web,service=shop}", 4),
        ("queue_depth{service=billing}", 16),
        ("send_duration_seconds{service=billing}", 1),
        ("visits_total{service=shop}", 3),
    ];
    let seen = series(&recorder.snapshotter());
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[tokio::test]
async fn a_tracer_and_a_logger_of_a_component_name_it() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let billing = Telemetry::of("billing");
    let work = async {
        billing.logger().info("working", LogDetails::new());
        Ok::<_, io::Error>(())
    };
    billing.tracer().trace("send", work, [("to", "ada".into())]).await.unwrap();
    billing.tracer().start_span("by hand").in_scope(|| tracing::info!("inside"));
    let lines = pipeline.written();
    assert_eq!((&lines[0]["service"], &lines[1]["service"]), (&"billing".into(), &"test".into()));
    for (line, operation) in lines.iter().zip(["send", "by hand"]) {
        let metadata = &line["metadata"];
        assert_eq!(
            (&metadata["component"], &metadata["operation"]),
            (&"billing".into(), &operation.into())
        );
    }
    assert_eq!(lines[0]["metadata"]["to"], "ada");
}

#[tokio::test]
async fn an_aggregator_filters_counts_and_hands_on_what_is_left() {
    let pipeline = Pipeline::new(|config| config.filter = "trace".into());
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let _entered = Context::new().with_correlation("req-42".parse().unwrap()).enter();
    let logs = LogAggregator::new("billing")
        .with_level(Level::Warn)
        .with_field("region", "eu")
        .with_field("password", "hunter2");
    for level in Level::ALL {
        let event = LogEvent::new(level, format!("at {level}")).user("u-17").request("r-1");
        assert_eq!(logs.log(&event.with("region", "us").with("n", 7_u64)), level >= Level::Warn);
    }
    logs.filter(Level::Trace);
    assert!(logs.log(&LogEvent::new(Level::Trace, "later").service("shop")));
    assert_eq!((logs.count(), logs.count_of(Level::Error), logs.filtered()), (3, 1, 3));

    let lines = pipeline.written();
    let said: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(said, ["at WARN", "at ERROR", "later"]);
    let warned = &lines[0];
    for (member, value) in [
        ("service", "billing"),
        ("userId", "u-17"),
        ("requestId", "r-1"),
        ("correlationId", "req-42"),
    ] {
        assert_eq!(warned[member], value, "{warned}");
    }
    assert_eq!(
        (&warned["metadata"]["region"], &warned["metadata"]["n"]),
        (&"us".into(), &7.into())
    );
    assert_eq!(
        (&lines[2]["service"], &lines[2]["metadata"]["region"]),
        (&"shop".into(), &"eu".into())
    );
    assert!(!pipeline.lines.text().contains("hunter2"));
}

#[test]
fn a_rendered_event_is_the_line_that_the_pipeline_writes() {
    let pipeline = Pipeline::new(|_| {});
    let at = Timestamp::from_millis(1_700_000_000_123);
    let event = LogEvent::new(Level::Error, "é\n\"quoted\" token=hunter2")
        .user("u-17")
        .with("n", 7_u64)
        .with("user_id", "u-18")
        .with("secret", "hunter2");
    let mut rendered = String::new();
    let text = pipeline.text_of(|| {
        let _entered = Context::new().with_organization("acme").enter();
        tracing::info_span!("span").in_scope(|| {
            let logs = LogAggregator::new("test").with_field("region", "eu");
            rendered = logs.render(&event, at);
            logs.log(&event);
        });
    });
    assert_eq!(rendered, text.trim_end());
    let logfmt = LogAggregator::new("test").with_format(LogFormat::Logfmt).render(&event, at);
    assert!(logfmt.starts_with("timestamp=2023-11-14T22:13:20.123Z level=ERROR "), "{logfmt}");
    assert!(!rendered.contains("hunter2") && !logfmt.contains("hunter2"));
}

#[test]
fn spans_by_hand_nest_say_their_ids_and_keep_attributes_and_events() {
    let pipeline = Pipeline::new(|_| {});
    let lines = pipeline.json_of(|| {
        let tracing = DistributedTracing::new("checkout");
        let order = tracing.start_span("order");
        order.set_attribute("items", 3_u64);
        let payment = tracing.start_child(&order, "payment");
        assert_eq!(payment.parent_span_id(), order.span_id());
        assert_eq!((payment.trace_id(), order.parent_span_id()), (order.trace_id(), None));
        assert!(!payment.is_sampled());
        payment.add_event(SpanEvent::new("authorized").with("method", "card"));
        payment.in_scope(|| {
            let inner = tracing.start_span("inner");
            assert_eq!(inner.parent_span_id(), payment.span_id());
        });
        payment.record_error(&io::Error::other("declined"));
        payment.end();
        order.end();
    });
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["message"], &lines[0]["metadata"]["method"]),
        (&"authorized".into(), &"card".into())
    );
    for line in &lines {
        let metadata = &line["metadata"];
        assert_eq!(
            (&metadata["items"], &metadata["component"]),
            (&3.into(), &"checkout".into()),
            "{line}"
        );
        assert_eq!(metadata["operation"], "payment");
    }
    assert_eq!(lines[1]["error"]["message"], "declined");

    let without = DistributedTracing::new("checkout").start_span("nobody listens");
    assert_eq!((without.trace_id(), without.span_id(), without.is_sampled()), (None, None, false));
}
