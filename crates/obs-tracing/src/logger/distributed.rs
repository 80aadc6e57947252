//! Spans that are started and ended by hand, with attributes and events of any name.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::{FieldValue, SpanId, TraceId};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::Members;
use crate::duration::milliseconds;
use crate::spans::ids::SpanIds;
use crate::task::set_attribute;

/// Starts the spans of one service or component. Cheap to clone.
///
/// These are spans of `tracing`, and of the same traces as all others: what runs in one has it as parent, its lines have
/// its ids, and what is called gets them.
///
/// ```
/// use obs_tracing::{DistributedTracing, SpanEvent};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let tracing = DistributedTracing::new("checkout");
/// let order = tracing.start_span("order");
/// order.set_attribute("order.items", 3_u64);
/// order.add_event(SpanEvent::new("paid").with("method", "card"));
/// let payment = tracing.start_child(&order, "payment");
/// payment.run(async { /* … */ }).await;
/// payment.finish();
/// assert!(order.finish().as_secs() < 60);
/// # });
/// ```
///
/// Which traces are exported, and where to, is decided once for the process: see `LogConfig::otlp`.
#[derive(Clone, Debug)]
pub struct DistributedTracing {
    service: Arc<str>,
    attributes: Arc<[(String, FieldValue)]>,
}

impl DistributedTracing {
    /// The tracing of `service`.
    #[must_use]
    pub fn new(service: impl Into<Arc<str>>) -> Self {
        Self { service: service.into(), attributes: Arc::default() }
    }

    /// This tracing, whose spans have one more attribute, unless they are started with one of the same name.
    #[must_use]
    pub fn with_attribute(mut self, key: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        let added = (key.into(), value.into());
        self.attributes = self.attributes.iter().cloned().chain([added]).collect();
        self
    }

    /// Starts a span within the current one, or a trace when there is none and the context names none.
    pub fn start_span(&self, name: &str) -> TraceSpan {
        self.start_span_with(name, SpanOptions::new())
    }

    /// Starts a span within `parent`.
    pub fn start_child(&self, parent: &TraceSpan, name: &str) -> TraceSpan {
        self.start_span_with(name, SpanOptions::new().child_of(parent))
    }

    /// Starts a span with a parent, a kind and attributes.
    ///
    /// ```
    /// use obs_tracing::{DistributedTracing, SpanKind, SpanOptions};
    ///
    /// let tracing = DistributedTracing::new("checkout").with_attribute("region", "eu");
    /// let order = tracing.start_span("order");
    /// let charge = SpanOptions::new().child_of(&order).kind(SpanKind::Client).attribute("amount", 9.5);
    /// tracing.start_span_with("charge", charge).finish();
    /// ```
    pub fn start_span_with(&self, name: &str, options: SpanOptions<'_>) -> TraceSpan {
        let parent = options.parent.map_or_else(Span::current, |parent| parent.span.clone());
        let span = TraceSpan::start(&parent, &self.service, name, options.kind);
        let is_own = |key: &str| options.attributes.iter().any(|(own, _)| *own == key);
        for (key, value) in self.attributes.iter().filter(|(key, _)| !is_own(key)) {
            set_attribute(&span.span, key, value.clone());
        }
        for (key, value) in options.attributes {
            set_attribute(&span.span, key, value);
        }
        span
    }
}

/// What a span by hand is started with; see [`DistributedTracing::start_span_with`].
#[derive(Clone, Debug, Default)]
pub struct SpanOptions<'a> {
    parent: Option<&'a TraceSpan>,
    kind: SpanKind,
    attributes: Vec<(&'a str, FieldValue)>,
}

impl<'a> SpanOptions<'a> {
    /// Within the current span, of kind internal, without attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Within this span instead of the current one.
    #[must_use]
    pub const fn child_of(mut self, parent: &'a TraceSpan) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Of this kind.
    #[must_use]
    pub const fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// With one more attribute; of two of the same name the later counts.
    #[must_use]
    pub fn attribute(mut self, key: &'a str, value: impl Into<FieldValue>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }
}

/// On which side of a call a span is, as OpenTelemetry has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpanKind {
    /// Of no call: work within the service.
    #[default]
    Internal,
    /// That which serves a request.
    Server,
    /// That which makes a request and waits for the answer.
    Client,
    /// That which sends a message.
    Producer,
    /// That which handles a message.
    Consumer,
}

impl SpanKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A span that was started by hand. Dropped, it ends.
#[derive(Debug)]
#[must_use = "dropping it ends the span"]
pub struct TraceSpan {
    span: Span,
    started: Instant,
}

impl TraceSpan {
    fn start(parent: &Span, service: &str, name: &str, kind: SpanKind) -> Self {
        let span = tracing::info_span!(
            target: "obskit::operation",
            parent: parent,
            "operation",
            operation = name,
            component = service,
            otel.name = name,
            otel.kind = kind.as_str(),
            otel.status_code = Empty,
            duration_ms = Empty,
        );
        Self { span, started: Instant::now() }
    }

    /// The trace that it belongs to; `None` where no pipeline of obskit is installed.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        SpanIds::of(&self.span).map(|ids| ids.trace)
    }

    /// Its own id; `None` where no pipeline of obskit is installed.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        SpanIds::of(&self.span).map(|ids| ids.span)
    }

    /// The span that it is a part of, if any.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<SpanId> {
        SpanIds::of(&self.span)?.parent.map(|parent| parent.span)
    }

    /// Whether its trace is exported.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        SpanIds::of(&self.span).is_some_and(|ids| ids.sampled)
    }

    /// How long it has been open.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Sets an attribute, which later lines within have too. Those beyond `LogConfig::max_fields` are left out.
    pub fn set_attribute(&self, key: &str, value: impl Into<FieldValue>) {
        set_attribute(&self.span, key, value.into());
    }

    /// Says that something happened: a line at INFO, and where the span is exported one of its events.
    pub fn add_event(&self, event: SpanEvent) {
        let members: Vec<(&str, FieldValue)> =
            event.attributes.iter().map(|(key, value)| (&**key, value.clone())).collect();
        let members = Members(&members);
        tracing::info!(
            target: "obskit::operation",
            parent: &self.span,
            metadata = (!members.0.is_empty()).then(|| tracing::field::debug(&members)),
            "{}",
            event.name
        );
    }

    /// Marks it as failed and writes the error as a line at ERROR.
    pub fn record_error(&self, error: &(dyn StdError + 'static)) {
        self.span.record("otel.status_code", "ERROR");
        tracing::error!(target: "obskit::operation", parent: &self.span, error, "operation failed");
    }

    /// Runs `future` within it.
    pub async fn run<F: Future>(&self, future: F) -> F::Output {
        future.instrument(self.span.clone()).await
    }

    /// Runs `work` within it.
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        self.span.in_scope(work)
    }

    /// The span, for what else `tracing` can do with it.
    #[must_use]
    pub const fn as_span(&self) -> &Span {
        &self.span
    }

    /// Ends it and says how long it was open. It is exported when no span within is open any more.
    pub fn finish(self) -> Duration {
        let took = self.started.elapsed();
        self.span.record("duration_ms", milliseconds(took));
        took
    }
}

/// Something that happened within a span; see [`TraceSpan::add_event`].
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    name: Cow<'static, str>,
    attributes: Vec<(Cow<'static, str>, FieldValue)>,
}

impl SpanEvent {
    /// An event without attributes.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), attributes: Vec::new() }
    }

    /// What happened.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is said about it.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &FieldValue)> {
        self.attributes.iter().map(|(key, value)| (&**key, value))
    }

    /// This event with one more attribute.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<FieldValue>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }
}

impl fmt::Display for SpanEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}
