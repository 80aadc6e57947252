//! The span of a request.

use std::time::{Duration, Instant};

use obs_model::{Context, CorrelationId, LentContext};
use tracing::Span;
use tracing_core::callsite::DefaultCallsite;
use tracing_core::field::{self, FieldSet, Value};
use tracing_core::span::Record;
use tracing_core::{Kind, Level, LevelFilter, Metadata, Subscriber, dispatcher, identify_callsite};

use super::access::TARGET;
use super::incoming::Said;
use super::route::Route;
use crate::incoming::Incoming;
use crate::line::Outline;
use crate::pipeline::{HeldPipeline, NewRequest, Pipeline, Request, RequestKind};
use crate::spans::{KnownTexts, SpanKey};

const FIELDS: [&str; 6] =
    ["correlation_id", "method", "path", "status", "otel.kind", "otel.status_code"];

/// Where those are among them that a span is opened with.
static OPENED_WITH: [usize; 4] = [0, 1, 2, 4];

static PLACE: DefaultCallsite = DefaultCallsite::new(&METADATA);
static METADATA: Metadata<'static> = Metadata::new(
    "http.request",
    TARGET,
    Level::INFO,
    Some(file!()),
    Some(line!()),
    Some(module_path!()),
    FieldSet::new(&FIELDS, identify_callsite!(&PLACE)),
    Kind::SPAN,
);

/// The span of a request.
pub(super) enum RequestSpan {
    /// One that was opened in obskit's pipeline itself, and is entered and closed there: what `tracing` does between is
    /// a good part of what a request costs.
    Own(OwnSpan),
    /// One of whatever subscriber there is, and when it was opened.
    Any(Span, Instant),
}

/// A span that was opened in obskit's pipeline itself.
pub(super) struct OwnSpan {
    pipeline: HeldPipeline,
    key: SpanKey,
    is_sampled: bool,
    began: Duration,
    /// How long the request took, once it has ended.
    took: Option<Duration>,
    is_closed: bool,
}

impl RequestSpan {
    /// Opens the span, and says in which context the request is served.
    #[inline]
    pub(super) fn open(
        pipeline: Option<HeldPipeline>,
        said: Said,
        method: &'static str,
        route: &Route,
    ) -> (Self, Context) {
        let is_wanted = LevelFilter::current() >= Level::INFO && PLACE.interest().is_always();
        let pipeline = pipeline.filter(|pipeline| is_wanted && pipeline.opens_any_span());
        let (Some(pipeline), Some(path)) = (pipeline, route.kept()) else {
            return Self::open_any(said, method, route.as_str());
        };
        let began = pipeline.time();
        let (key, context, is_sampled) = pipeline.open_request(NewRequest {
            place: &METADATA,
            correlation: said.correlation,
            texts: KnownTexts { values: [method, path, "server"], fields: &OPENED_WITH },
            caller: said.caller,
            baggage: said.baggage,
            route: path,
            began,
        });
        let (took, is_closed) = (None, false);
        (Self::Own(OwnSpan { pipeline, key, is_sampled, began, took, is_closed }), context)
    }

    fn open_any(said: Said, method: &'static str, path: &str) -> (Self, Context) {
        let (incoming, began) = (Incoming::from(said), Instant::now());
        let span = incoming.open(path, |context| {
            let interest = PLACE.interest();
            let is_wanted = LevelFilter::current() >= Level::INFO
                && (interest.is_always()
                    || !interest.is_never() && dispatcher::get_default(|to| to.enabled(&METADATA)));
            if !is_wanted {
                return Span::none();
            }
            let correlation = context.correlation().map(CorrelationId::as_str);
            let values: [Option<&dyn Value>; FIELDS.len()] =
                [Some(&correlation), Some(&method), Some(&path), None, Some(&"server"), None];
            with_fields(values, |values| Span::new_root(&METADATA, values))
        });
        let context = incoming.context_within(&span);
        (Self::Any(span, began), context)
    }

    /// Notes that the request has ended, and says how long it took.
    pub(super) fn end(&mut self) -> Duration {
        match self {
            Self::Own(own) => {
                let took = own.pipeline.time().saturating_sub(own.began);
                own.took = Some(took);
                took
            }
            Self::Any(_, began) => began.elapsed(),
        }
    }

    /// Writes the line of a request that has ended from a template, where nothing about it is out of the ordinary: then
    /// the answer is `true`.
    #[inline(always)]
    pub(super) fn write_ordinary(
        &mut self,
        context: &Context,
        outline: Outline,
        kept: &mut Option<RequestKind>,
    ) -> bool {
        let Self::Own(own) = self else { return false };
        let Some(took) = own.took else { return false };
        let OwnSpan { key, is_sampled, began, .. } = *own;
        let ended = began + took;
        let request = Request { place: &METADATA, key, context, is_sampled, took, ended };
        own.pipeline.write_request(&request, outline, kept)
    }

    /// Closes the span of a request whose line was written so, with its status.
    #[inline(always)]
    pub(super) fn close_ordinary(&mut self, status: u16, kind: &RequestKind) {
        if let Self::Own(own) = self
            && let Some(took) = own.took
        {
            own.is_closed = true;
            own.pipeline.close_ordinary(own.key, took, status, kind);
        }
    }

    pub(super) fn id(&self) -> Option<tracing_core::span::Id> {
        match self {
            Self::Own(own) => Some(own.key.id()),
            Self::Any(span, _) => span.id(),
        }
    }

    /// Enters the span, and lends the context for as long.
    #[inline(always)]
    pub(super) fn enter<'a>(&'a self, context: &'a mut Context, watched: Watched) -> Within<'a> {
        let context = context.lend();
        let span = match self {
            Self::Own(own) => Entered::Own(own.enter(watched)),
            Self::Any(span, _) => Entered::Any(span.enter()),
        };
        Within { _span: span, _context: context }
    }

    /// Sets a field, such as the status.
    pub(super) fn record(&self, field: &str, value: &dyn Value) {
        match self {
            Self::Own(own) => own.record(field, value),
            Self::Any(span, _) => {
                span.record(field, value);
            }
        }
    }
}

impl OwnSpan {
    #[inline(always)]
    fn enter(&self, watched: Watched) -> EnteredOwn<'_> {
        match watched {
            Watched::Yes => self.pipeline.enter_span(self.key),
            Watched::No => self.pipeline.enter_unwatched(self.key),
        }
        EnteredOwn { pipeline: &self.pipeline, key: self.key, watched }
    }

    fn record(&self, name: &str, value: &dyn Value) {
        let values = FIELDS.map(|field| (field == name).then_some(value));
        with_fields(values, |values| self.pipeline.record(&self.key.id(), &Record::new(values)));
    }
}

impl Drop for OwnSpan {
    fn drop(&mut self) {
        if !self.is_closed {
            let took = self.took.unwrap_or_else(|| self.pipeline.time().saturating_sub(self.began));
            self.pipeline.close_request(self.key, took);
        }
    }
}

/// The request's span and context are current as long as this lives.
pub(super) struct Within<'a> {
    // In this order, because the span is left before the context.
    _span: Entered<'a>,
    _context: LentContext<'a>,
}

enum Entered<'a> {
    Own(#[expect(dead_code, reason = "it leaves the span when it is dropped")] EnteredOwn<'a>),
    Any(
        #[expect(dead_code, reason = "it leaves the span when it is dropped")]
        tracing::span::Entered<'a>,
    ),
}

struct EnteredOwn<'a> {
    pipeline: &'a Pipeline,
    key: SpanKey,
    watched: Watched,
}

/// Whether it is noted that this thread is in the span, and for how long.
#[derive(Clone, Copy)]
pub(super) enum Watched {
    Yes,
    No,
}

impl Drop for EnteredOwn<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        match self.watched {
            Watched::Yes => self.pipeline.exit_span(self.key),
            Watched::No => self.pipeline.exit_unwatched(self.key),
        }
    }
}

/// Lends values of the fields as `tracing` has them.
fn with_fields<R>(
    values: [Option<&dyn Value>; FIELDS.len()],
    work: impl FnOnce(&field::ValueSet<'_>) -> R,
) -> R {
    let fields = METADATA.fields();
    let mut names = fields.iter();
    // OK because there are as many fields as values.
    let pairs = values.map(|value| (names.next().expect("a field for each value"), value));
    let pairs = pairs.each_ref().map(|(field, value)| (field, *value));
    work(&fields.value_set(&pairs))
}
