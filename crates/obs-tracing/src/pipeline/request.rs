//! Requests, without the ways that are there for what is only known at run time: their spans are opened with the fields
//! that each of them has, and their lines are put together from parts that are ready, where that comes to the same.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use metrics::Counter;
use obs_model::{Baggage, Context, CorrelationId, Timestamp};
use tracing_core::Metadata;

use super::events::EventLog;
use super::queue::NewLine;
use super::{Closed, Opening, Pipeline, thread};
use crate::config::LogFormat;
use crate::counters;
use crate::duration::nanoseconds;
use crate::incoming::Caller;
use crate::line::{Head, Outline, Template, TemplatedLine};
use crate::spans::ids::SpanIds;
use crate::spans::{KnownTexts, SpanHandles, SpanKey};

/// The nanoseconds of a millisecond.
const NANOSECONDS: u64 = 1_000_000;

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

/// What requests have in common whose lines differ in nothing but their values, as each thread keeps it.
pub(crate) struct RequestKind {
    /// Whose requests they are.
    owner: u32,
    template: Option<&'static Template>,
    lines: Counter,
    /// What measures their spans, if anything does.
    spans: Option<SpanHandles>,
}

/// A request that ends.
pub(crate) struct Request<'a> {
    pub(crate) place: &'static Metadata<'static>,
    pub(crate) key: SpanKey,
    /// The context that it began with.
    pub(crate) context: &'a Context,
    pub(crate) is_sampled: bool,
    pub(crate) took: Duration,
    /// When it ended by [`Pipeline::time`].
    pub(crate) ended: Duration,
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
    #[inline(always)]
    pub(crate) fn write_request(
        &self,
        request: &Request<'_>,
        outline: Outline,
        kept: &mut Option<RequestKind>,
    ) -> bool {
        // What is exported keeps the event, and a filter that goes by spans has to be asked.
        let is_ordinary = !request.key.is_exported()
            && self.opens_any_span()
            && !thread::is_suppressed()
            && self.spans.is_as_opened(request.key);
        if !is_ordinary {
            return false;
        }
        let kind = match kept {
            Some(kind) if kind.owner == self.spans.owner => kind,
            _ => kept.insert(self.kind(request.place, outline)),
        };
        self.events.write_request(request, outline, kind)
    }

    #[cold]
    fn kind(&self, place: &'static Metadata<'static>, outline: Outline) -> RequestKind {
        let rules = &self.events.rules;
        RequestKind {
            owner: self.spans.owner,
            template: Template::of(outline, rules),
            lines: counters::counter(outline.level, &rules.service),
            spans: self.measured.as_ref().map(|measured| measured.handles(place)),
        }
    }

    /// Closes the span of a request that took so long and whose line was written as those of its kind are, with the
    /// status as its field.
    #[inline(always)]
    pub(crate) fn close_ordinary(
        &self,
        key: SpanKey,
        took: Duration,
        status: u16,
        kind: &RequestKind,
    ) {
        // OK because who holds it open besides closes it and measures it as any other span.
        let Some(mut last) = self.spans.release(key) else { return };
        last.state().put_status(status);
        let Closed { failed, .. } = self.close(key, last, Some(took));
        if let Some(spans) = &kind.spans {
            spans.count(took, failed);
        }
    }

    /// Closes the span of a request that took so long.
    pub(crate) fn close_request(&self, key: SpanKey, took: Duration) {
        self.release(key, Some(took));
    }
}

impl EventLog {
    #[inline(always)]
    fn write_request(&self, request: &Request<'_>, outline: Outline, kind: &RequestKind) -> bool {
        let Request { context, is_sampled, took, ended, .. } = *request;
        let is_json = self.output.is_none() || self.rules.format == LogFormat::Json;
        if !is_json || context.baggage().is_some() || !self.admission.takes_all(outline.level) {
            return false;
        }
        let (Some(correlation), Some(trace), Some(span)) =
            (context.correlation(), context.trace(), context.span())
        else {
            return false;
        };
        let Some(template) = kind.template else { return false };
        let started = thread::is_timed().then(Instant::now);
        let Outline { level, target, .. } = outline;
        let (correlation, took) = (self.shown(correlation), nanoseconds(took));
        let correlation = correlation.as_bytes();
        let line = NewLine::Templated(TemplatedLine { template, trace, span, took, correlation });
        // OK because these are milliseconds of this millennium.
        let at = (self.clock.unix_nanoseconds(ended) / NANOSECONDS) as i64;
        let at = Timestamp::from_millis(at);
        kind.lines.increment(1);
        if let Some(output) = &self.output {
            output.0.push(line, at, level, None);
        }
        let head = Head { at, level, target, trace: Some(trace), span: Some(span) };
        self.give_to_sinks(line, head, is_sampled);
        super::events::record_time(started);
        true
    }

    /// A correlation id as it stands on lines.
    ///
    /// There was no secret in it by the default rules, or it would not have been taken. Other rules have more names of keys
    /// at most.
    fn shown<'a>(&self, correlation: &'a CorrelationId) -> Cow<'a, str> {
        let text = correlation.as_str();
        if self.rules.checks_ids { self.rules().redactor.text(text) } else { Cow::Borrowed(text) }
    }
}
