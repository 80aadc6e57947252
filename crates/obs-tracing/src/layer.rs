//! The layer that gives every span its ids and turns events into lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use obs_model::{Clock, Context, Level, LogRecord, Sink};
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context as LayerContext, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::counters;
use crate::fields::{FieldBuffer, FieldRules, FieldVisitor};
use crate::ids::{self, Sampling, SpanIds};
use crate::line::{Head, LineRules, Scratch};
use crate::record;
use crate::thread;
use crate::writer::CloseOnDrop;

/// What the layer keeps for an open span.
pub(crate) struct SpanState {
    pub(crate) ids: SpanIds,
    /// The span's fields, rendered when it opened.
    pub(crate) fields: FieldBuffer,
    /// The rules that they were rendered by.
    pub(crate) rules: Arc<LineRules>,
}

/// Gives every span its ids and writes a line for every event.
pub(crate) struct LogLayer {
    pub(crate) rules: Arc<LineRules>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: CloseOnDrop,
    pub(crate) sampling: Sampling,
    pub(crate) error_sink: Option<Arc<dyn Sink<LogRecord>>>,
}

/// A number for the rules of a new layer.
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

impl LogLayer {
    fn rules(&self) -> &FieldRules {
        &self.rules.fields
    }

    fn render(
        &self,
        scratch: &mut Scratch,
        event: &Event<'_>,
        fill: impl FnOnce(&mut Scratch) -> Option<SpanIds>,
    ) {
        let metadata = event.metadata();
        let level = level_of(*metadata.level());
        event.record(&mut FieldVisitor {
            rules: self.rules(),
            fields: &mut scratch.fields,
            raw: &mut scratch.raw,
            event: Some(&mut scratch.event),
        });
        let ids = fill(scratch);
        let (trace, span) = Context::with_current(|context| {
            scratch.add_context(context, self.rules());
            ids::effective(ids, context)
        });
        let target = metadata.target();
        let head = Head { at: self.clock.now(), level, target, trace, span };
        if scratch.event.service.is_empty() {
            scratch.counters.count(self.rules().owner, level, &self.rules.service);
        } else {
            counters::counter(level, &scratch.event.service).increment(1);
        }
        scratch.render(head, &self.rules);
        self.queue.0.push(&scratch.line, level);
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

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attrs: &Attributes<'_>, id: &Id, ctx: LayerContext<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let enclosing =
            span.parent().and_then(|parent| Some(parent.extensions().get::<SpanState>()?.ids));
        let ids = SpanIds::open(enclosing, self.sampling);
        let mut fields = thread::take_buffer();
        thread::with_scratch(|scratch| {
            attrs.record(&mut FieldVisitor {
                rules: self.rules(),
                fields: &mut fields,
                raw: &mut scratch.raw,
                event: None,
            });
        });
        let rules = Arc::clone(&self.rules);
        span.extensions_mut().insert(SpanState { ids, fields, rules });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: LayerContext<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        // OK because the values are rendered before the span is locked: a `Debug` form may itself log.
        let mut recorded = thread::take_buffer();
        thread::with_scratch(|scratch| {
            values.record(&mut FieldVisitor {
                rules: self.rules(),
                fields: &mut recorded,
                raw: &mut scratch.raw,
                event: None,
            });
        });
        if let Some(state) = span.extensions_mut().get_mut::<SpanState>() {
            recorded.merge_outer(&state.fields, self.rules());
            std::mem::swap(&mut state.fields, &mut recorded);
        }
        thread::give_back(recorded);
    }

    fn on_event(&self, event: &Event<'_>, ctx: LayerContext<'_, S>) {
        if thread::is_suppressed() {
            return;
        }
        thread::with_scratch(|scratch| {
            self.render(scratch, event, |scratch| {
                let mut innermost = None;
                for span in ctx.event_scope(event).into_iter().flatten() {
                    let extensions = span.extensions();
                    let Some(state) = extensions.get::<SpanState>() else { continue };
                    if innermost.is_none() {
                        innermost = Some(state.ids);
                        Context::with_current(|context| {
                            // A context of another trace was made current inside this span, so that what it
                            // says comes first.
                            if context.trace().is_some_and(|trace| trace != state.ids.trace) {
                                scratch.add_context(context, self.rules());
                            }
                        });
                    }
                    scratch.fields.merge_outer(&state.fields, self.rules());
                }
                innermost
            });
        });
    }

    fn on_close(&self, id: Id, ctx: LayerContext<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        if let Some(state) = extensions.get_mut::<SpanState>() {
            let fields = std::mem::take(&mut state.fields);
            drop(extensions);
            thread::give_back(fields);
        }
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
