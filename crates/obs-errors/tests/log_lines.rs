//! The log line of a captured error, and log lines as errors.

mod support;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use obs_errors::{Details, LOG_TARGET};
use obs_model::{Context, Level, LogError, LogRecord, Mechanism, Sink, Timestamp};
use support::tracker;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};

type Line = (String, tracing::Level, BTreeMap<String, String>, Context);

/// Keeps every event with the context that was current.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &tracing::Event<'_>, _: LayerContext<'_, S>) {
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        self.0.lock().unwrap().push((
            metadata.target().to_owned(),
            *metadata.level(),
            fields.0,
            Context::current(),
        ));
    }
}

fn record(target: &'static str, level: Level, message: &str) -> LogRecord {
    LogRecord {
        timestamp: Timestamp::from_millis(7_000),
        level,
        target: target.into(),
        message: message.to_owned(),
        service: "checkout".into(),
        context: Context::new().with_user("u"),
        error: None,
        fields: vec![("input".into(), "id=7 token=abc".into())],
        location: Some(("src/db.rs".into(), 12)),
    }
}

#[test]
fn a_captured_error_is_one_line_of_our_target_in_its_own_context() {
    let (tracker, _) = tracker(|_| {});
    let lines = Lines::default();
    let captured = tracing::subscriber::with_default(
        tracing_subscriber::registry().with(lines.clone()),
        || {
            let error = "x".parse::<u8>().unwrap_err();
            let context = Context::new().with_user("u-9");
            let input = "x password=p";
            let details =
                Details { input: Some(&input), context: Some(&context), ..Details::default() };
            let captured = tracker.capture_with(&error, details);
            let _ = tracker.accept(record("app::db", Level::Error, "logged already"));
            captured
        },
    );
    let lines = lines.0.lock().unwrap();
    let [(target, level, fields, context)] = &lines[..] else {
        panic!("one line is expected, not {lines:?}");
    };
    assert_eq!((target.as_str(), *level), (LOG_TARGET, tracing::Level::ERROR));
    assert_eq!(context.user(), Some("u-9"));
    for (name, expected) in [
        ("message", "invalid digit found in string"),
        ("error.message", "invalid digit found in string"),
        ("error.name", "core::num::error::ParseIntError"),
        ("error_id", &captured.id.to_string()),
        ("fingerprint", &captured.fingerprint.to_string()),
        ("mechanism", "captured"),
        ("input", "x password=[redacted]"),
    ] {
        assert_eq!(fields.get(name).map(String::as_str), Some(expected), "{name}");
    }
}

#[test]
fn error_lines_become_events_and_our_own_and_milder_ones_do_not() {
    let (tracker, _) = tracker(|_| {});
    for (target, level) in [
        (LOG_TARGET, Level::Error),
        ("obskit::errors::inner", Level::Error),
        ("app::db", Level::Warn),
    ] {
        let _ = tracker.accept(record(target, level, "ignored"));
    }
    assert_eq!(tracker.statistics().total, 0);

    let mut line = record("app::db", Level::Error, "cannot load 17");
    let _ = tracker.accept(line.clone());
    line.error = Some(LogError {
        name: "DbError".to_owned(),
        message: "no such table: t, token=x".to_owned(),
        stack: "first cause\nsecond cause".to_owned(),
    });
    let _ = tracker.accept(line.clone());
    line.message = "cannot load 18".to_owned();
    let _ = tracker.accept(line);

    let groups = tracker.groups();
    assert_eq!(groups.iter().map(|group| group.count).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((&*groups[0].error_type, &*groups[1].error_type), ("DbError", "log"));
    let event = &tracker.events(groups[0].fingerprint)[0];
    assert_eq!(event.mechanism, Mechanism::Logged);
    assert_eq!(event.message, "cannot load 18: no such table: t, token=[redacted]");
    assert_eq!(event.chain, ["first cause", "second cause"]);
    assert_eq!(event.timestamp, Timestamp::from_millis(7_000));
    assert_eq!(event.context.user(), Some("u"));
    assert_eq!(event.input.as_deref(), Some("id=7 token=[redacted]"));
    assert_eq!((event.stack[0].function.as_str(), event.stack[0].line), ("app::db", Some(12)));
}
