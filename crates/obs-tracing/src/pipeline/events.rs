//! Turns events into lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use obs_model::{Clock, Context, FieldValue, Level, LogRecord, Sink};
use tracing_core::{Event, Metadata};

use super::admission::{Admission, Verdict};
use super::queue::{CloseOnDrop, NewLine};
use super::thread;
use crate::baggage::BaggageRules;
use crate::config::LogFormat;
use crate::counters;
use crate::db::sqlx::SQLX_TARGET;
use crate::duration::milliseconds;
use crate::fields::keys::{Key, keys_of};
use crate::fields::{FieldRules, FieldVisitor};
use crate::line::record;
use crate::line::{Head, LineRules, Scratch};
use crate::sink::LineHead;
use crate::spans::ids::{self, SpanIds};
use crate::spans::{SpanKey, SpanTable};

/// Writes a line for every event.
pub(crate) struct EventLog {
    pub(crate) rules: LineRules,
    pub(crate) clock: Arc<dyn Clock>,
    /// The process's own output, if it has one.
    pub(crate) output: Option<CloseOnDrop>,
    /// The sinks beside it, if there are any.
    pub(crate) sinks: Option<SinkQueue>,
    pub(crate) admission: Admission,
    pub(crate) error_sink: Option<Arc<dyn Sink<LogRecord>>>,
    /// Whether sqlx's events about its queries become metrics.
    pub(crate) sqlx_metrics: bool,
    pub(crate) baggage: BaggageRules,
}

/// Where sinks get their lines from.
pub(crate) struct SinkQueue {
    pub(crate) queue: CloseOnDrop,
    /// The least important level that any of them wants.
    pub(crate) level: Level,
}

/// A number for a new pipeline.
pub(crate) fn next_owner() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The roots of the targets whose ERROR events are not offered to the error sink: they carry telemetry away
/// or take part in it, so that an error of theirs, tracked, could cause the next one.
const NOT_TRACKED: [&str; 10] = [
    "h2",
    "hyper",
    "hyper_util",
    "obs_delivery",
    "obs_errors",
    "opentelemetry",
    "opentelemetry_otlp",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
];

impl EventLog {
    /// The rules of fields.
    pub(crate) fn rules(&self) -> &FieldRules {
        &self.rules.fields
    }

    /// Whether events of this place become metrics of queries, so that they are looked at whatever the filter says.
    pub(super) fn observes_sqlx(&self, place: &Metadata<'_>) -> bool {
        self.sqlx_metrics && place.target() == SQLX_TARGET
    }

    /// Writes the line of an event that happens in the span `within`.
    pub(super) fn write(&self, event: &Event<'_>, within: Option<SpanKey>, spans: &SpanTable) {
        if thread::is_suppressed() {
            return;
        }
        let level = level_of(*event.metadata().level());
        let withheld = match self.admission.judge(event.metadata(), level) {
            Verdict::Write { withheld } => withheld,
            Verdict::Drop(reason) => return counters::count_dropped(reason, level, 1),
        };
        let started = thread::is_timed().then(Instant::now);
        thread::with_scratch(|scratch| {
            if withheld > 0 {
                let repeated = FieldValue::U64(withheld);
                scratch.fields.put_value(
                    Key::new("repeated", &self.rules().redactor),
                    &repeated,
                    self.rules(),
                );
            }
            self.render(scratch, event, |scratch| {
                let mut innermost = None;
                let mut next = within;
                while let Some(key) = next {
                    let outer = spans.with(key, |state| {
                        if innermost.is_none() {
                            innermost = Some(state.ids);
                            self.add_foreign_context(scratch, state.ids);
                            state.failed |= level == Level::Error;
                        }
                        scratch.fields.merge_outer(state.fields(self.rules()), self.rules());
                        state.parent
                    });
                    next = outer.flatten();
                }
                innermost
            });
        });
        record_time(started);
    }

    /// Adds what a context of another trace says: it was made current inside the span, so that it comes first.
    fn add_foreign_context(&self, scratch: &mut Scratch, ids: SpanIds) {
        Context::with_current(|context| {
            if context.trace().is_some_and(|trace| trace != ids.trace) {
                scratch.add_context(context, self.rules());
            }
        });
    }

    /// Adds those pairs of the caller's that stand on lines.
    fn add_baggage(&self, scratch: &mut Scratch, context: &Context) {
        if self.baggage.lines.is_empty() {
            return;
        }
        let Some(baggage) = context.baggage() else { return };
        for (name, shown) in &self.baggage.lines {
            if let Some(value) = baggage.get(name) {
                let key = Key::new(shown, &self.rules().redactor);
                scratch.fields.put_text(key, value, self.rules());
            }
        }
    }

    fn render(
        &self,
        scratch: &mut Scratch,
        event: &Event<'_>,
        fill: impl FnOnce(&mut Scratch) -> Option<SpanIds>,
    ) {
        let metadata = event.metadata();
        let level = level_of(*metadata.level());
        let rules = self.rules();
        event.record(&mut FieldVisitor {
            rules,
            keys: &keys_of(metadata, rules.owner, &rules.redactor),
            fields: &mut scratch.fields,
            raw: &mut scratch.raw,
            event: &mut scratch.event,
        });
        let ids = fill(scratch);
        let (trace, span) = Context::with_current(|context| {
            scratch.add_context(context, self.rules());
            self.add_baggage(scratch, context);
            ids::effective(ids, context)
        });
        let target = metadata.target();
        let head = Head { at: self.clock.now(), level, target, trace, span };
        if scratch.event.service.is_empty() {
            scratch.counters.count(self.rules().owner, level, &self.rules.service);
        } else {
            counters::counter(level, &scratch.event.service).increment(1);
        }
        if let Some(CloseOnDrop(queue)) = &self.output {
            scratch.render(head, &self.rules);
            queue.push(NewLine::Whole(&scratch.line), head.at, level, None);
        }
        if self.sinks.as_ref().is_some_and(|sinks| level >= sinks.level) {
            let sampled = ids.is_some_and(|ids| ids.sampled && Some(ids.trace) == trace);
            // The sinks get JSON, which the output has rendered if it wants JSON too.
            if self.output.is_none() || self.rules.format != LogFormat::Json {
                scratch.line.clear();
                scratch.render_json(head, &self.rules);
            }
            self.give_to_sinks(NewLine::Whole(&scratch.line), head, sampled);
        }
        if level == Level::Error
            && let Some(sink) = &self.error_sink
            && !NOT_TRACKED.contains(&target.split("::").next().unwrap_or_default())
        {
            thread::once_in_sink(|| {
                let location = metadata.file().zip(metadata.line());
                // OK because the sink counts what it drops.
                let _ = sink.accept(record::of(scratch, head, &self.rules, location));
            });
        }
    }
}

impl EventLog {
    /// Hands a line, as JSON, to the sinks that want its level.
    pub(super) fn give_to_sinks(&self, line: NewLine<'_>, head: Head<'static>, sampled: bool) {
        let Head { at, level, target, trace, span } = head;
        if let Some(SinkQueue { queue: CloseOnDrop(queue), level: least }) = &self.sinks
            && level >= *least
        {
            let head = LineHead { at, level, target, trace, span, sampled };
            queue.push(line, at, level, Some(head));
        }
    }
}

/// Takes the time of a line that is timed.
pub(super) fn record_time(started: Option<Instant>) {
    if let Some(started) = started {
        let took = milliseconds(started.elapsed());
        metrics::histogram!("log_processing_duration_ms").record(took);
    }
}

fn level_of(level: tracing_core::Level) -> Level {
    match level {
        tracing_core::Level::TRACE => Level::Trace,
        tracing_core::Level::DEBUG => Level::Debug,
        tracing_core::Level::INFO => Level::Info,
        tracing_core::Level::WARN => Level::Warn,
        tracing_core::Level::ERROR => Level::Error,
    }
}
