//! Log lines at level ERROR as errors.

use std::borrow::Cow;

use obs_model::{Accepted, FieldValue, Level, LogRecord, Mechanism, Sink, StackFrame};

use crate::fingerprint::Link;
use crate::tracker::Occurrence;
use crate::{ErrorTracker, LOG_TARGET, stack};

/// The type of a log line that reports no error of its own.
const LOG_TYPE: &str = "log";

/// Log lines at level ERROR become events; all others are ignored.
///
/// Lines of the target [`LOG_TARGET`] are ignored too: they report errors that this crate has captured, so that
/// nothing is counted twice and nothing loops. An event that came from a log line is not logged again.
///
/// The line's error gives type, message and chain; the line's target and file are its place; its field `input`
/// is the input.
impl Sink<LogRecord> for ErrorTracker {
    fn accept(&self, record: LogRecord) -> Accepted {
        if record.level == Level::Error && !is_own(&record.target) {
            self.take(&record);
        }
        Accepted::Taken
    }
}

/// Whether a log line with this target was written by this crate.
fn is_own(target: &str) -> bool {
    target.strip_prefix(LOG_TARGET).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl ErrorTracker {
    fn take(&self, record: &LogRecord) {
        let error = record.error.as_ref();
        let error_type = error.map(|error| error.name.as_str()).filter(|name| !name.is_empty());
        let chain = error
            .map(|error| error.stack.as_str())
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.trim().is_empty())
            .take(self.inner().config.max_chain)
            .map(|line| Link {
                error_type: String::new(),
                message: self.redacted(format_args!("{line}")),
            })
            .collect();
        let input = record.fields.iter().find(|(name, _)| name == "input").map(|(_, value)| value);
        let file = record.location.as_ref().map(|(file, _)| file.as_ref());
        self.record(Occurrence {
            mechanism: Mechanism::Logged,
            timestamp: record.timestamp,
            error_type: stack::short(error_type.unwrap_or(LOG_TYPE)),
            message: self.redacted(format_args!("{}", message_of(record))),
            chain,
            stack: vec![StackFrame {
                function: stack::short(&record.target),
                file: file.map(stack::short),
                line: record.location.as_ref().map(|(_, line)| *line),
            }],
            file: file.or(Some(&record.target)),
            thread: None,
            context: record.context.clone(),
            input: input.map(|input: &FieldValue| self.redacted_input(input)),
            group_key: None,
        });
    }
}

/// What the line says, and what its error says unless the line says it already.
fn message_of(record: &LogRecord) -> Cow<'_, str> {
    let error = record.error.as_ref().map_or("", |error| error.message.as_str());
    if error.is_empty() || record.message.contains(error) {
        Cow::Borrowed(&record.message)
    } else if record.message.is_empty() {
        Cow::Borrowed(error)
    } else {
        Cow::Owned(format!("{}: {error}", record.message))
    }
}
