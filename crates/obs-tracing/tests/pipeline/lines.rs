//! What a log line looks like, whatever goes into it.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{PATIENCE, Pipeline, series};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::{
    Accepted, Context, FieldValue, Level, LogRecord, RedactMode, Redactor, Sink, SpanId, TraceId,
};
use obs_tracing::{
    CallsiteLimit, Colors, LogDetails, LogFormat, LogOutput, create_logger, trace_async,
};
use proptest::prelude::*;
use serde_json::json;

#[derive(Debug)]
struct PaymentFailed(std::num::ParseIntError);

impl fmt::Display for PaymentFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the payment failed")
    }
}

impl Error for PaymentFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn payment_failed() -> PaymentFailed {
    PaymentFailed("x".parse::<i32>().unwrap_err())
}

#[test]
fn a_line_has_its_members_in_a_fixed_order() {
    let pipeline = Pipeline::new(|_| {});
    let trace = TraceId::new(0xabc).unwrap();
    let context = Context::new()
        .with_correlation("req-42".parse().unwrap())
        .with_trace(trace)
        .with_span(SpanId::new(0xdef).unwrap())
        .with_user("u")
        .with_organization("acme");
    let text = pipeline.text_of(|| {
        let _entered = context.enter();
        let error = payment_failed();
        tracing::error!(
            target: "shop",
            agent_id = 7,
            amount = 9.5,
            ok = false,
            error = &error as &dyn Error,
            "could not \"pay\"\n"
        );
    });
    let expected = concat!(
        r#"{"timestamp":"2023-11-14T22:13:20.123Z","level":"ERROR","message":"could not \"pay\"\n","#,
        r#""service":"test","target":"shop","correlationId":"req-42","#,
        r#""traceId":"00000000000000000000000000000abc","spanId":"0000000000000def","#,
        r#""userId":"u","organizationId":"acme","agentId":"7","#,
        r#""error":{"name":"PaymentFailed","message":"the payment failed","#,
        r#""stack":"caused by: invalid digit found in string"},"#,
        r#""metadata":{"amount":9.5,"ok":false}}"#,
        "\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn the_innermost_value_of_a_field_wins_and_recorded_ones_are_seen() {
    let pipeline = Pipeline::new(|_| {});
    let lines = pipeline.json_of(|| {
        let outer =
            tracing::info_span!("outer", a = 1, b = 1, late = tracing::field::Empty, user_id = "o");
        let _outer = outer.enter();
        let _inner = tracing::info_span!("inner", b = 2, c = 2, user_id = "i").entered();
        outer.record("late", "x");
        outer.record("a", 10);
        tracing::info!(c = 3, "merged");
    });
    assert_eq!(lines[0]["metadata"], json!({"a": 10, "b": 2, "c": 3, "late": "x"}));
    assert_eq!(lines[0]["userId"], "i");
}

#[test]
fn a_field_recorded_again_and_again_has_its_last_value() {
    let pipeline = Pipeline::new(|_| {});
    let lines = pipeline.json_of(|| {
        let span = tracing::info_span!("loop", round = 0, note = tracing::field::Empty, kept = "x");
        let _entered = span.enter();
        for round in 1..=50_000 {
            span.record("round", round);
            span.record("note", "some words that take room");
            if round % 10_000 == 0 {
                tracing::info!("still here");
            }
        }
    });
    assert_eq!(lines.len(), 5);
    let expected = json!({"round": 50_000, "note": "some words that take room", "kept": "x"});
    assert_eq!(lines[4]["metadata"], expected);
    assert_eq!(lines[4].get("truncated"), None);
}

#[test]
fn every_line_in_a_span_has_ids_and_inner_spans_share_the_trace() {
    let pipeline = Pipeline::new(|_| {});
    let lines = pipeline.json_of(|| {
        let _outer = tracing::info_span!("outer").entered();
        tracing::info!("outside");
        let _inner = tracing::info_span!("inner").entered();
        tracing::info!("inside");
    });
    assert_eq!(lines[0]["traceId"], lines[1]["traceId"]);
    assert_ne!(lines[0]["spanId"], lines[1]["spanId"]);
    assert_eq!(lines[1]["spanId"].as_str().unwrap().len(), 16);
}

#[test]
fn a_context_of_another_trace_inside_a_span_comes_first() {
    let pipeline = Pipeline::new(|_| {});
    let message = Context::new().with_trace(TraceId::new(5).unwrap()).with_user("sender");
    let lines = pipeline.json_of(|| {
        let _consumer = tracing::info_span!("consumer", user_id = "consumer").entered();
        let _entered = message.enter();
        tracing::info!("taken");
        let _handling = tracing::info_span!("handling").entered();
        tracing::info!("handled");
    });
    for line in &lines {
        assert_eq!(line["traceId"], "00000000000000000000000000000005");
    }
    assert_eq!(lines[0]["userId"], "sender");
}

#[test]
fn numbers_that_json_cannot_hold_become_text() {
    let pipeline = Pipeline::new(|_| {});
    let lines = pipeline.json_of(|| {
        tracing::info!(nan = f64::NAN, inf = f64::INFINITY, big = u128::MAX, small = 5_i128, "n");
    });
    assert_eq!(
        lines[0]["metadata"],
        json!({"nan": "NaN", "inf": "Infinity", "big": u128::MAX.to_string(), "small": 5})
    );
}

#[test]
fn secrets_are_removed_from_fields_messages_errors_and_spans() {
    let pipeline = Pipeline::new(|_| {});
    let text = pipeline.text_of(|| {
        let _span = tracing::info_span!("login", password = "hunter2", api_key = 12345).entered();
        let error = std::io::Error::other("postgres://app:hunter2@db refused");
        let error: &dyn Error = &error;
        tracing::warn!(error, url = "https://u:hunter2@h/", "got Bearer hunter2hunter2");
    });
    assert!(!text.contains("hunter2") && !text.contains("12345"), "{text}");
    assert_eq!(text.matches("[redacted]").count(), 5, "{text}");
}

#[test]
fn a_secret_can_be_a_hash_or_nothing_at_all() {
    let log =
        || tracing::info!(api_key = 12_345, token = "t-1", plain = 1, "mail to ada@example.org");
    let hashing = Pipeline::new(|config| {
        config.redactor = Redactor::new().with_mode(RedactMode::Hash { key: [3; 16] });
    });
    let lines = hashing.json_of(|| (log(), log()).0);
    let (one, two) = (&lines[0], &lines[1]);
    assert!(one["metadata"]["api_key"].as_str().unwrap().starts_with("[hash:"), "{one}");
    assert!(one["message"].as_str().unwrap().starts_with("mail to [hash:"), "{one}");
    assert_eq!((&one["message"], &one["metadata"]), (&two["message"], &two["metadata"]));

    let dropping =
        Pipeline::new(|config| config.redactor = Redactor::new().with_mode(RedactMode::Drop));
    let lines = dropping.json_of(log);
    assert_eq!(lines[0]["metadata"], json!({"plain": 1}));
    assert_eq!(lines[0]["message"], "mail to ");
}

#[test]
fn a_line_over_the_cap_is_cut_marked_and_still_json() {
    let pipeline = Pipeline::new(|config| {
        config.max_line_bytes = 16 * 1024;
        config.max_fields = 8;
    });
    let long = "\u{1}é".repeat(20_000);
    let lines = pipeline.json_of(|| {
        let error = std::io::Error::other(long.clone());
        let error: &dyn Error = &error;
        tracing::info!(error, a = long, b = long, c = ?long, d = %long, user_id = long, "{long}");
        tracing::info!(a = 1, b = 1, c = 1, d = 1, e = 1, f = 1, g = 1, h = 1, i = 1, "many");
        tracing::info!(a = 1, "few");
    });
    for line in pipeline.lines.text().lines() {
        assert!(line.len() <= 16 * 1024, "{} bytes", line.len());
    }
    assert_eq!(lines[0]["truncated"], true);
    // Of 60,000 bytes, a quarter of a line is kept, of which the mark takes some.
    let message = lines[0]["message"].as_str().unwrap();
    let (kept, mark) = message.split_once("…[truncated ").unwrap();
    assert_eq!(mark, format!("{} bytes]", 60_000 - kept.len()));
    let shown = lines[0]["metadata"]["a"].as_str().unwrap();
    let (kept, mark) = shown.split_once("…[truncated ").unwrap();
    assert_eq!(mark, format!("{} bytes]", 60_000 - kept.len()));
    assert_eq!(lines[1]["truncated"], true);
    assert_eq!(lines[1]["metadata"].as_object().unwrap().len(), 8);
    assert_eq!(lines[2].get("truncated"), None);
}

#[test]
fn a_line_for_people_stays_one_line() {
    let pipeline = Pipeline::new(|config| config.format = LogFormat::Text);
    let text = pipeline.text_of(|| {
        let _entered = Context::new().with_user("u").enter();
        tracing::info!(target: "shop", rows = 3, note = "a b", "first\nsecond \"quoted\" \u{9b}31m");
    });
    let expected = concat!(
        "2023-11-14T22:13:20.123Z INFO  test shop: first\\nsecond \"quoted\" \\u{9b}31m",
        " rows=3 note=\"a b\" userId=u\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn a_line_for_people_has_colours_when_they_are_asked_for() {
    let pipeline = Pipeline::new(|config| {
        config.format = LogFormat::Text;
        config.colors = Colors::Always;
    });
    let text = pipeline.text_of(|| tracing::warn!(target: "shop", rows = 3, "low"));
    let expected = "\x1b[2m2023-11-14T22:13:20.123Z\x1b[0m \x1b[33mWARN \x1b[0m test \
                    \x1b[2mshop:\x1b[0m \x1b[1mlow\x1b[0m \x1b[2mrows=\x1b[0m3\n";
    assert_eq!(text, expected);
}

#[test]
fn a_logfmt_line_quotes_only_what_needs_it() {
    let pipeline = Pipeline::new(|config| config.format = LogFormat::Logfmt);
    let text = pipeline.text_of(|| {
        let _entered = Context::new().with_user("u").with_trace(TraceId::new(0xabc).unwrap()).enter();
        tracing::info!(target: "shop", rows = 3, note = "a \"b\"\n", empty = "", "we ird" = "x=y", "first second");
    });
    let expected = concat!(
        r#"timestamp=2023-11-14T22:13:20.123Z level=INFO message="first second" service=test target=shop"#,
        r#" traceId=00000000000000000000000000000abc userId=u"#,
        r#" rows=3 note="a \"b\"\n" empty="" we_ird="x=y""#,
        "\n"
    );
    assert_eq!(text, expected);
}

#[test]
fn the_filter_changes_at_run_time_and_spans_outlive_it() {
    let pipeline = Pipeline::new(|config| config.filter = "warn".into());
    let lines = pipeline.json_of(|| {
        for round in 0..2 {
            let _span = tracing::info_span!("work").entered();
            tracing::info!(round, "chatty");
            tracing::warn!(round, "important");
            pipeline.handle.set_filter("info").unwrap();
        }
        pipeline.handle.set_filter("off,[work{round=7}]=info").unwrap();
        tracing::error!("outside");
        let _span = tracing::info_span!("work", round = 7).entered();
        tracing::info!("in the span of the directive");
    });
    let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["important", "chatty", "important", "in the span of the directive"]);
    assert!(lines.iter().all(|line| line["traceId"].is_string()));
}

#[test]
fn events_are_counted_by_level_and_service_also_when_the_recorder_comes_late() {
    let pipeline = Pipeline::new(|_| {});
    let logger = create_logger("billing");
    pipeline.text_of(|| tracing::info!("before there is a recorder"));
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        pipeline.text_of(|| {
            tracing::info!("one");
            tracing::info!("two");
            tracing::error!("three");
            tracing::debug!("filtered");
            logger.warn("four", LogDetails::new());
        });
    });
    let expected = [
        ("log_events_total{level=ERROR,service=test}".to_owned(), 1),
        ("log_events_total{level=INFO,service=test}".to_owned(), 2),
        ("log_events_total{level=WARN,service=billing}".to_owned(), 1),
    ];
    assert_eq!(series(&recorder.snapshotter()), expected);
}

#[test]
fn a_place_that_logs_too_much_is_withheld_and_less_important_levels_are_sampled() {
    let pipeline = Pipeline::new(|config| {
        config.filter = "debug".into();
        config.callsite_limit =
            Some(CallsiteLimit { lines: 3, period: Duration::from_secs(3_600) });
        config.keep_one_in = vec![(Level::Debug, 1_000_000_000)];
    });
    let recorder = DebuggingRecorder::new();
    let lines = metrics::with_local_recorder(&recorder, || {
        pipeline.json_of(|| {
            for _ in 0..100 {
                tracing::info!("again");
            }
            for _ in 0..200 {
                tracing::debug!("a detail");
            }
            tracing::info!("elsewhere");
        })
    });
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[3]["message"], "elsewhere");
    let all = series(&recorder.snapshotter());
    for expected in [
        ("log_events_total{level=INFO,service=test}".to_owned(), 4),
        ("obskit_log_dropped_total{level=DEBUG,reason=sampled}".to_owned(), 200),
        ("obskit_log_dropped_total{level=INFO,reason=rate_limited}".to_owned(), 97),
    ] {
        assert!(all.contains(&expected), "{all:?}");
    }
}

#[test]
fn spans_are_measured_by_name_with_their_errors_and_within_a_cap() {
    let pipeline = Pipeline::new(|config| config.span_metrics = Some(2));
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        pipeline.text_of(|| {
            for round in 0..3 {
                let outer = tracing::info_span!("outer").entered();
                let inner = tracing::info_span!("inner", otel.status_code = tracing::field::Empty);
                let _entered = inner.enter();
                match round {
                    0 => tracing::error!("failed"),
                    1 => drop(inner.record("otel.status_code", "ERROR")),
                    _ => tracing::warn!("nearly"),
                }
                drop(outer);
            }
            drop(tracing::info_span!("a third name"));
        });
    });
    let all: Vec<_> = series(&recorder.snapshotter())
        .into_iter()
        .filter(|(name, _)| name.starts_with("span_"))
        .collect();
    let expected = [
        ("span_duration_ms{span=inner}", 3),
        ("span_duration_ms{span=other}", 1),
        ("span_duration_ms{span=outer}", 3),
        ("span_errors_total{span=inner}", 2),
        ("span_errors_total{span=other}", 0),
        ("span_errors_total{span=outer}", 0),
        ("span_requests_total{span=inner}", 3),
        ("span_requests_total{span=other}", 1),
        ("span_requests_total{span=outer}", 3),
    ];
    assert_eq!(all, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[test]
fn one_line_in_sixty_four_is_timed() {
    let pipeline = Pipeline::new(|_| {});
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        pipeline.text_of(|| (0..128).for_each(|_| tracing::info!("again")));
    });
    let all = series(&recorder.snapshotter());
    assert!(all.contains(&("log_processing_duration_ms{}".to_owned(), 2)), "{all:?}");
}

#[test]
fn a_logger_names_its_service_and_spreads_its_metadata() {
    let pipeline = Pipeline::new(|_| {});
    let logger = create_logger("billing");
    let error = payment_failed();
    let lines = pipeline.json_of(|| {
        let details = LogDetails::new()
            .user("u")
            .request("r")
            .operation("charge")
            .error(&error)
            .with("rows", 3_u64)
            .with("pass\"word", "x")
            .with("password", "hunter2")
            .with("ratio", f64::NAN);
        logger.error("charged", details);
    });
    let line = &lines[0];
    assert_eq!((&line["service"], &line["userId"]), (&json!("billing"), &json!("u")));
    assert_eq!(
        (&line["requestId"], &line["error"]["name"]),
        (&json!("r"), &json!("PaymentFailed"))
    );
    assert_eq!(
        line["metadata"],
        json!({"operation": "charge", "rows": 3, "pass\"word": "x", "password": "[redacted]", "ratio": "NaN"})
    );
}

#[tokio::test]
async fn a_traced_operation_nests_and_reports_its_error_and_duration() {
    let pipeline = Pipeline::new(|config| config.filter = "debug".into());
    let guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let result = trace_async(
        "outer",
        async {
            trace_async("inner", async { Ok::<_, PaymentFailed>(1) }, []).await?;
            Err::<(), _>(payment_failed())
        },
        [("table", FieldValue::from("orders"))],
    )
    .await;
    assert!(result.is_err());
    drop(guard);
    let lines = pipeline.written();
    assert_eq!(lines[0]["metadata"]["operation"], "inner");
    assert_eq!(lines[0]["metadata"]["table"], "orders");
    assert_eq!(lines[1]["metadata"]["operation"], "outer");
    assert_eq!(lines[1]["error"]["message"], "the payment failed");
    assert!(lines[1]["metadata"]["duration_ms"].is_f64());
    assert_eq!(lines[0]["traceId"], lines[1]["traceId"]);
}

/// Keeps records.
#[derive(Default)]
struct Tracker(Mutex<Vec<LogRecord>>);

impl Sink<LogRecord> for Tracker {
    fn accept(&self, record: LogRecord) -> Accepted {
        self.0.lock().unwrap().push(record);
        Accepted::Taken
    }
}

#[test]
fn errors_reach_the_sink_as_records() {
    let tracker = Arc::new(Tracker::default());
    let sink = Arc::clone(&tracker);
    let pipeline = Pipeline::new(|config| config.error_sink = Some(sink));
    let lines = pipeline.json_of(|| {
        let _span = tracing::info_span!("order", order = 42, correlation_id = "c-1").entered();
        let error = payment_failed();
        tracing::error!(error = &error as &dyn Error, token = "t", tool = "sql", "failed: {}", 1);
        tracing::warn!("not an error");
        tracing::error!(target: "hyper::client", "a library that carries telemetry");
    });
    assert_eq!(lines.len(), 3);
    let records = tracker.0.lock().unwrap();
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record.message, "failed: 1");
    assert_eq!(record.error.as_ref().unwrap().name, "PaymentFailed");
    assert_eq!(record.context.correlation().unwrap().as_str(), "c-1");
    assert_eq!(record.context.tool(), Some("sql"));
    assert_eq!(record.context.trace().unwrap().to_string(), lines[0]["traceId"]);
    assert!(record.fields.contains(&("order".into(), FieldValue::I64(42))));
    assert!(record.fields.contains(&("token".into(), "[redacted]".into())));
    assert!(record.location.as_ref().unwrap().0.ends_with("lines.rs"));
}

/// An output that stands still until it is told to go on.
struct Stuck {
    entered: Sender<()>,
    go: Receiver<()>,
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.entered.send(()).map_err(std::io::Error::other)?;
        self.go.recv().map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_slow_output_delays_nobody_and_what_does_not_fit_is_counted() {
    let (entered, was_entered) = channel();
    let (go, gone) = channel();
    let pipeline = Pipeline::new(|config| {
        config.output = LogOutput::Writer(Box::new(Stuck { entered, go: gone }));
        config.max_line_bytes = 16 * 1024;
        config.queue_bytes = 16 * 1024;
        config.filter = "debug".into();
    });
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        tracing::dispatcher::with_default(&pipeline.dispatch, || {
            tracing::info!("taken by the writer");
            was_entered.recv_timeout(PATIENCE).expect("the writer takes the first line");
            let padding = "x".repeat(1_000);
            for _ in 0..100 {
                tracing::info!(padding, "filler");
            }
            tracing::debug!(padding, "what matters less goes first");
            for _ in 0..10 {
                tracing::warn!(padding, "there is room for what matters");
            }
            tracing::error!(padding, "and for what failed");
        });
    });
    let dropped: Vec<_> = series(&recorder.snapshotter())
        .into_iter()
        .filter(|(name, _)| name.starts_with("obskit_"))
        .collect();
    // OK because a line is a little over 1,100 bytes: 8 KiB are open to TRACE, 12 KiB to INFO, 14 KiB to WARN, and the
    // rest to ERROR alone.
    let expected = [
        ("obskit_log_dropped_total{level=DEBUG,reason=queue_full}".to_owned(), 1),
        ("obskit_log_dropped_total{level=INFO,reason=queue_full}".to_owned(), 90),
        ("obskit_log_dropped_total{level=WARN,reason=queue_full}".to_owned(), 8),
    ];
    assert_eq!(dropped, expected);

    let error = pipeline.handle.flush_blocking(Duration::from_millis(1)).unwrap_err();
    assert!(error.is_undelivered() && error.to_string().contains("14 log lines"), "{error}");
    go.send(()).unwrap();
    go.send(()).unwrap();
    pipeline.handle.shutdown_blocking(PATIENCE).unwrap();
    metrics::with_local_recorder(&recorder, || {
        tracing::dispatcher::with_default(&pipeline.dispatch, || tracing::info!("too late"));
    });
    let closed = ("obskit_log_dropped_total{level=INFO,reason=closed}".to_owned(), 1);
    assert!(series(&recorder.snapshotter()).contains(&closed));
}

#[test]
fn a_wrong_configuration_names_every_problem() {
    let mut config = obs_tracing::LogConfig::new(obs_model::Resource::new("test"));
    config.filter = "loud".into();
    config.max_line_bytes = 10;
    config.max_fields = 0;
    #[cfg(feature = "otlp")]
    {
        config.otlp = Some(obs_tracing::OtlpConfig::traces("nowhere"));
    }
    let error = obs_tracing::build(config).err().unwrap();
    assert!(error.is_config());
    for part in ["\"loud\"", "max_line_bytes is 10", "max_fields is 0"] {
        assert!(error.to_string().contains(part), "{part} is not named: {error}");
    }
    assert_eq!(error.to_string().contains("\"nowhere\""), cfg!(feature = "otlp"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_logged_is_one_json_object_per_line(
        texts in prop::collection::vec(any::<String>(), 6),
        number: f64,
        whole: i128,
        format in prop::sample::select(vec![LogFormat::Json, LogFormat::Logfmt, LogFormat::Text]),
    ) {
        let pipeline = Pipeline::new(|config| config.format = format);
        let text = pipeline.text_of(|| {
            let _entered = Context::new().with_user(texts[0].clone()).with_step(texts[1].clone()).enter();
            let span = tracing::info_span!("s", "we\"ird\nkey" = texts[2], user_id = texts[3], whole);
            let _span = span.entered();
            let error = std::io::Error::other(texts[4].clone());
            tracing::error!(
                error = &error as &dyn Error,
                number,
                debugged = ?texts,
                shown = %texts[5],
                metadata = texts[5],
                "{}",
                texts[0]
            );
            create_logger(texts[1].clone()).info(&texts[2], LogDetails::new().with(&texts[3], number));
        });
        prop_assert_eq!(text.lines().count(), 2);
        let is_for_people = format == LogFormat::Text;
        prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n' && is_for_people));
        if format == LogFormat::Json {
            prop_assert_eq!(pipeline.lines.json().len(), 2);
        }
    }
}
