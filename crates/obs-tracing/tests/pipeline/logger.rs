//! Loggers, and the shapes of their own that stand on the same pipeline.

use std::io;

use crate::support::{PATIENCE, Pipeline, series};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::{Context, Level, Timestamp, WithContext};
use obs_tracing::{
    DistributedTracing, LogAggregator, LogDetails, LogEvent, LogFormat, SpanEvent, SpanKind,
    SpanOptions, Telemetry, create_logger,
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
        tracing::info!(took = took.as_nanos() as f64 / 1e6);
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
    billing.tracer().trace_async("send", work, [("to", "ada".into())]).await.unwrap();
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
        let event = LogEvent::new(level, format!("at {level}"))
            .user("u-17")
            .agent("planner")
            .request("r-1");
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
        ("agentId", "planner"),
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
        .agent("planner")
        .with("n", 7_u64)
        .with("user_id", "u-18")
        .with("secret", "hunter2");
    let fields: Vec<_> = event.fields().map(|(name, _)| name).collect();
    assert_eq!(fields, ["n", "user_id", "secret"]);
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
        payment.finish();
        order.finish();
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

#[tokio::test]
async fn a_line_of_a_logger_has_every_member_that_its_row_names() {
    let pipeline = Pipeline::new(|config| config.filter = "debug".into());
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let logger = create_logger("my-service");
    let refused = io::Error::other("refused");
    let details = || {
        LogDetails::new()
            .user("u-17")
            .agent("planner")
            .request("r-1")
            .operation("send")
            .with("n", 7_u64)
    };
    let work = async {
        logger.debug("at debug", details());
        logger.info("at info", details());
        logger.warn("at warn", details());
        logger.error("at error", details().error(&refused));
        Ok::<_, io::Error>(4)
    };
    let context = Context::new().with_agent("the context's");
    let traced = logger.trace_async("outer", work, [("month", 4_u64.into())]);
    assert_eq!(traced.in_context(context).await.unwrap(), 4);

    let lines = pipeline.written();
    let finished = lines.last().unwrap();
    assert_eq!(
        (&finished["agentId"], &finished["metadata"]["month"]),
        (&"the context's".into(), &4.into())
    );
    assert_eq!(finished["metadata"]["component"], "my-service");
    for (line, level) in lines.iter().zip(["DEBUG", "INFO", "WARN", "ERROR"]) {
        assert_eq!(line["timestamp"], "2023-11-14T22:13:20.123Z");
        assert_eq!((&line["level"], &line["service"]), (&level.into(), &"my-service".into()));
        assert_eq!(line["message"], format!("at {}", level.to_ascii_lowercase()));
        assert_eq!(line["traceId"], finished["traceId"]);
        assert_eq!(line["spanId"].as_str().map(str::len), Some(16));
        for (member, value) in [("userId", "u-17"), ("agentId", "planner"), ("requestId", "r-1")] {
            assert_eq!(line[member], value, "{line}");
        }
        assert_eq!(
            (&line["metadata"]["operation"], &line["metadata"]["n"]),
            (&"send".into(), &7.into())
        );
    }
    let error = lines[3]["error"].as_object().unwrap();
    assert_eq!(error.keys().collect::<Vec<_>>(), ["message", "name", "stack"]);
    assert_eq!(error["message"], "refused");
}

#[test]
fn a_span_by_hand_has_the_parent_and_attributes_that_it_was_started_with() {
    let pipeline = Pipeline::new(|_| {});
    let lines = pipeline.json_of(|| {
        let tracing = DistributedTracing::new("checkout")
            .with_attribute("region", "eu")
            .with_attribute("shop", 4_u64);
        let order = tracing.start_span("order");
        let other = tracing.start_span("other");
        let options = SpanOptions::new().child_of(&order).kind(SpanKind::Client);
        let charge = tracing
            .start_span_with("charge", options.attribute("amount", 9.5).attribute("shop", 7_u64));
        assert_eq!(charge.parent_span_id(), order.span_id());
        assert_ne!(charge.trace_id(), other.trace_id());
        let event = SpanEvent::new("declined").with("code", 51_u64);
        assert_eq!(event.attributes().map(|(key, _)| key).collect::<Vec<_>>(), ["code"]);
        charge.add_event(event);
        assert!(charge.elapsed() <= charge.finish());
    });
    let metadata = &lines[0]["metadata"];
    let said = ["region", "shop", "amount", "code"].map(|key| metadata[key].to_string());
    assert_eq!(said, ["\"eu\"", "7", "9.5", "51"]);
}

#[test]
fn an_aggregator_with_outputs_of_its_own_writes_to_each_and_to_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.log"), folder.path().join("b.log"));
    let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let outputs = [
        format!("file:{}", first.display()),
        format!("file:{}", second.display()),
        format!("syslog://{}", server.local_addr().unwrap()),
    ];
    let recorder = DebuggingRecorder::new();
    let pipeline = Pipeline::new(|_| {});
    let process = metrics::with_local_recorder(&recorder, || {
        pipeline.text_of(|| {
            let logs = LogAggregator::new("billing")
                .with_level(Level::Info)
                .with_field("region", "eu")
                .with_outputs(&outputs.each_ref().map(String::as_str))
                .unwrap();
            tracing::info_span!("span", order = 42).in_scope(|| {
                let _entered = Context::new().with_user("u-17").enter();
                for number in 0..100_u64 {
                    let event = LogEvent::new(Level::Warn, "nearly out").with("n", number);
                    assert!(logs.log(&event.with("password", "hunter2")));
                    assert!(!logs.log(&LogEvent::new(Level::Debug, "detail")));
                }
            });
            logs.flush_blocking(PATIENCE).unwrap();
            assert_eq!((logs.count(), logs.filtered()), (100, 100));
        })
    });
    assert_eq!(process, "", "the process's own output gets nothing");
    for path in [first, second] {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!text.contains("hunter2"));
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 100);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!((&line["service"], &line["userId"]), (&"billing".into(), &"u-17".into()));
            assert_eq!(line["metadata"]["n"], number);
            assert_eq!(line["metadata"]["region"], "eu");
            assert_eq!(line["traceId"].as_str().map(str::len), Some(32));
        }
    }
    let mut datagram = [0; 4_096];
    let length = server.recv(&mut datagram).unwrap();
    assert!(String::from_utf8_lossy(&datagram[..length]).contains("nearly out"));
    let counted = series(&recorder.snapshotter());
    assert!(counted.contains(&("log_events_total{level=WARN,service=billing}".to_owned(), 100)));

    let wrong = LogAggregator::new("billing").with_outputs(&[
        "pigeon://coop",
        "file:",
        "elasticsearch://u:s3cret@host:9200",
    ]);
    let error = wrong.unwrap_err();
    let text = error.to_string();
    assert!(error.is_config() && text.contains("pigeon") && text.contains("\"file\""), "{text}");
    assert!(text.contains("host:port/index") && !text.contains("s3cret"), "{text}");
    assert!(LogAggregator::new("billing").with_outputs(&[]).unwrap_err().is_config());
}
