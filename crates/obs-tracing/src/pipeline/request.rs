//! Requests, without the ways that are there for what is only known at run time: their spans are opened with the fields
//! that each of them has, and their lines are put together from parts that are ready, where that comes to the same.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use obs_model::{Baggage, Context, CorrelationId};
use tracing_core::Metadata;

use super::events::EventLog;
use super::{Opening, Pipeline, thread};
use crate::config::LogFormat;
use crate::incoming::Caller;
use crate::line::{Head, Outline, Template};
use crate::spans::ids::SpanIds;
use crate::spans::{KnownTexts, SpanKey};

/// A request whose span is about to be opened.
pub(crate) struct NewRequest {
    pub(crate) place: &'static Metadata<'static>,
    pub(crate) correlation: CorrelationId,
    pub(crate) texts: KnownTexts,
    pub(crate) caller: Option<Caller>,
    pub(crate) baggage: Option<Baggage>,
    pub(crate) route: &'static str,
    /// When it begins by [`Pipeline::time`].
    pub(crate) began: Duration,
}

/// A request that ends.
pub(crate) struct Request<'a> {
    pub(crate) key: SpanKey,
    /// The context that it began with.
    pub(crate) context: &'a Context,
    pub(crate) is_sampled: bool,
    pub(crate) took: Duration,
}

impl Pipeline {
    /// The time that spans are measured by.
    pub(crate) fn time(&self) -> Duration {
        self.events.clock.monotonic()
    }

    /// Whether the filter need not be told of each span.
    pub(crate) fn opens_any_span(&self) -> bool {
        !self.control.is_dynamic()
    }

    /// Opens the span of a request, which nothing encloses. With it comes the context of the work, and whether the trace
    /// is sampled.
    #[inline]
    pub(crate) fn open_request(&self, new: NewRequest) -> (SpanKey, Context, bool) {
        let metadata = new.place;
        let ids = SpanIds::of_work(new.caller, metadata.name(), new.route, self.sampling.as_ref());
        let mut context = Context::of_work(new.correlation, ids.trace, ids.span);
        if let Some(baggage) = new.baggage {
            context = context.with_baggage(baggage);
        }
        let (parent, root, known) = (None, None, Some(new.texts));
        let (context_of, began) = (Some(&context), Some(new.began));
        let opening = Opening { ids, metadata, parent, root, context: context_of, began, known };
        let key = self.open(opening, |_| ());
        (key.unwrap_or(SpanKey::NONE), context, ids.sampled)
    }

    /// Writes the line of a request; whether it did, because nothing about it is out of the ordinary.
    pub(crate) fn write_request(
        &self,
        request: &Request<'_>,
        outline: Outline<'_>,
        kept: &mut Option<Template>,
    ) -> bool {
        // What is exported keeps the event, and a filter that goes by spans has to be asked.
        !request.key.is_exported()
            && self.opens_any_span()
            && !thread::is_suppressed()
            && self.spans.is_as_opened(request.key)
            && self.events.write_request(request, outline, kept)
    }

    /// Closes the span of a request that took so long, with the status as its field unless it has that already.
    pub(crate) fn close_request(&self, key: SpanKey, took: Duration, status: Option<u16>) {
        self.release(key, Some(took), |state| {
            if let Some(status) = status {
                state.put_status(status);
            }
        });
    }
}

impl EventLog {
    fn write_request(
        &self,
        request: &Request<'_>,
        outline: Outline<'_>,
        kept: &mut Option<Template>,
    ) -> bool {
        let Request { context, is_sampled, took, .. } = *request;
        let is_json = self.output.is_none() || self.rules.format == LogFormat::Json;
        if !is_json || context.baggage().is_some() || !self.admission.takes_all(outline.level) {
            return false;
        }
        let (Some(correlation), Some(trace), Some(span)) =
            (context.correlation(), context.trace(), context.span())
        else {
            return false;
        };
        if !kept.as_ref().is_some_and(|template| template.is_of(&self.rules)) {
            *kept = Template::new(outline, &self.rules);
        }
        let Some(template) = kept else { return false };
        let started = thread::is_timed().then(Instant::now);
        thread::with_scratch(|scratch| {
            let Outline { level, target, .. } = outline;
            let at = self.clock.now();
            let head = Head { at, level, target, trace: Some(trace), span: Some(span) };
            scratch.counters.count(self.rules().owner, level, &self.rules.service);
            let correlation = self.shown(correlation);
            let (line, time) = (&mut scratch.line, &mut scratch.time);
            template.render(line, time, at, (trace, span), &correlation, took);
            if let Some(output) = &self.output {
                output.0.push(&scratch.line, at, level, None);
            }
            self.give_to_sinks(&scratch.line, head, is_sampled);
        });
        super::events::record_time(started);
        true
    }

    /// A correlation id as it stands on lines.
    ///
    /// There was no secret in it by the rules that are usual, or it would not have been taken. Other rules have more names
    /// of keys at most, which count where a value follows them.
    fn shown<'a>(&self, correlation: &'a CorrelationId) -> Cow<'a, str> {
        let text = correlation.as_str();
        let is_pair = text.bytes().any(|byte| matches!(byte, b'=' | b':'));
        if is_pair { self.rules().redactor.text(text) } else { Cow::Borrowed(text) }
    }
}
