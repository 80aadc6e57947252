//! Writes lines from templates where that comes to the same as writing them from their fields.

use std::time::Instant;

use obs_model::Context;

use super::events::EventLog;
use super::{Pipeline, thread};
use crate::config::LogFormat;
use crate::line::{Head, Outline, Template};
use crate::spans::SpanKey;
use crate::spans::ids::SpanIds;

impl Pipeline {
    /// Writes the line of work that ends, which was done in the span `key` and under `context`, and gives the span its
    /// status; whether it did, because nothing about it is out of the ordinary.
    ///
    /// The context comes from the work's own request: it names nothing beside correlation, trace, span and baggage.
    pub(crate) fn write_templated(
        &self,
        key: SpanKey,
        context: &Context,
        outline: Outline<'_>,
        duration_ms: f64,
        kept: &mut Option<Template>,
    ) -> bool {
        // What is exported keeps the event, and a filter that goes by spans has to be asked.
        if key.is_exported() || self.control.is_dynamic() || thread::is_suppressed() {
            return false;
        }
        let ids = self.spans.with(key, |state| {
            state.is_as_opened().then(|| {
                state.put_status(outline.status);
                state.ids
            })
        });
        let ids = ids.flatten();
        ids.is_some_and(|ids| self.events.write_templated(ids, context, outline, duration_ms, kept))
    }
}

impl EventLog {
    fn write_templated(
        &self,
        ids: SpanIds,
        context: &Context,
        outline: Outline<'_>,
        duration_ms: f64,
        kept: &mut Option<Template>,
    ) -> bool {
        let is_json = self.output.is_none() || self.rules.format == LogFormat::Json;
        let is_plain = context.trace() == Some(ids.trace) && context.baggage().is_none();
        if !is_json || !is_plain || !self.admission.takes_all(outline.level) {
            return false;
        }
        let Some(correlation) = context.correlation() else { return false };
        if !kept.as_ref().is_some_and(|template| template.is_of(&self.rules)) {
            *kept = Template::new(outline, &self.rules);
        }
        let Some(template) = kept else { return false };
        let started = thread::is_timed().then(Instant::now);
        thread::with_scratch(|scratch| {
            let Outline { level, target, .. } = outline;
            let (trace, span) = (Some(ids.trace), Some(ids.span));
            let head = Head { at: self.clock.now(), level, target, trace, span };
            scratch.counters.count(self.rules().owner, level, &self.rules.service);
            let correlation = self.rules().redactor.text(correlation.as_str());
            let (line, time) = (&mut scratch.line, &mut scratch.time);
            template.render(line, time, head, &correlation, duration_ms);
            if let Some(output) = &self.output {
                output.0.push(line, head.at, level, None);
            }
            self.give_to_sinks(line, head, ids.sampled);
        });
        super::events::record_time(started);
        true
    }
}
