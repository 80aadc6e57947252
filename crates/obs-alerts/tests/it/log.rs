//! What is written to the log: the log channel's lines, and a rule's health once per change.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::support::{Bench, START};
use obs_alerts::{LogChannel, Rule};
use obs_model::{Clock, Severity};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Keeps each line of the target `obskit::alerts` as `LEVEL message`, with one field if it is there.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

#[derive(Default)]
struct Fields {
    message: String,
    shown: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "description" | "error" => self.shown = format!("{value:?}"),
            _ => {}
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "obskit::alerts"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = format!("{} {} {}", event.metadata().level(), fields.message, fields.shown);
        self.0.lock().unwrap().push(line);
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn lines_of(run: impl FnOnce()) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), run);
    let lines = lines.0.lock().unwrap();
    lines.clone()
}

#[test]
fn the_log_channel_warns_when_an_alert_fires_and_informs_when_it_is_resolved() {
    let lines = lines_of(|| {
        let bench = Bench::new();
        bench.engine.add_channel("log", Arc::new(LogChannel)).unwrap();
        let rule =
            Rule::closure("disk", "Disk", Severity::High, |context| Ok(context.now() == START))
                .with_description("5 % left");
        bench.engine.add_rule(rule).unwrap();
        bench.evaluate();
        bench.evaluate();
        bench.seconds(1);
        bench.evaluate();
    });
    assert_eq!(
        lines,
        [r#"WARN alert is firing "5 % left""#, r#"INFO alert is resolved "5 % left""#]
    );
}

#[test]
fn a_failing_rule_is_logged_once_for_each_change_of_its_error() {
    let lines = lines_of(|| {
        let bench = Bench::new();
        let clock = Arc::clone(&bench.clock);
        let rule = Rule::closure("flaky", "Flaky", Severity::High, move |_| -> Result<bool, _> {
            match clock.now().since(START).as_secs() {
                0 | 1 => Err("no route".into()),
                2 => Err("refused".into()),
                _ => Ok(false),
            }
        });
        bench.engine.add_rule(rule).unwrap();
        for _ in 0..6 {
            bench.evaluate();
            bench.seconds(1);
        }
    });
    assert_eq!(
        lines,
        [
            r#"WARN an alert rule fails "no route""#,
            r#"WARN an alert rule fails "refused""#,
            "INFO an alert rule works again ",
        ]
    );
}
