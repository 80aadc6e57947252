//! A log line as sinks see it.

use std::borrow::Cow;
use std::cell::OnceCell;

use obs_model::{Level, SpanId, Timestamp, TraceId};
use serde_json::{Map, Value};

/// What is known of a line without reading its text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineHead {
    pub(crate) at: Timestamp,
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) trace: Option<TraceId>,
    pub(crate) span: Option<SpanId>,
    /// Whether its span is exported.
    pub(crate) sampled: bool,
}

/// One log line, redacted and within its limits.
#[derive(Debug)]
pub struct Line<'a> {
    head: LineHead,
    json: &'a [u8],
    /// The members, read when somebody wants them.
    members: OnceCell<Map<String, Value>>,
}

impl<'a> Line<'a> {
    pub(crate) const fn new(head: LineHead, json: &'a [u8]) -> Self {
        Self { head, json, members: OnceCell::new() }
    }

    pub(crate) const fn head(&self) -> LineHead {
        self.head
    }

    /// When it was written.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.head.at
    }

    /// How important it is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.head.level
    }

    /// The module or name that it was written under.
    #[must_use]
    pub const fn target(&self) -> &'static str {
        self.head.target
    }

    /// The trace that it belongs to.
    #[must_use]
    pub const fn trace(&self) -> Option<TraceId> {
        self.head.trace
    }

    /// The span that it was written in.
    #[must_use]
    pub const fn span(&self) -> Option<SpanId> {
        self.head.span
    }

    /// Whether the span that it was written in is exported; false for a span of another process.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.head.sampled
    }

    /// The whole line as one JSON object without a line end; the crate documentation lists its members.
    #[must_use]
    pub const fn json(&self) -> &'a [u8] {
        self.json
    }

    /// The members of the object. They are read once, when they are first asked for.
    #[must_use]
    pub fn members(&self) -> &Map<String, Value> {
        // OK because the pipeline writes nothing but objects.
        self.members.get_or_init(|| serde_json::from_slice(self.json).unwrap_or_default())
    }

    /// What it says.
    #[must_use]
    pub fn message(&self) -> &str {
        self.members().get("message").and_then(Value::as_str).unwrap_or_default()
    }

    /// The service that wrote it.
    #[must_use]
    pub fn service(&self) -> &str {
        self.members().get("service").and_then(Value::as_str).unwrap_or_default()
    }

    /// The members of `metadata`: what was said beside the fixed members.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &Value)> {
        let metadata = self.members().get("metadata").and_then(Value::as_object);
        metadata.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }

    /// The field of this name: a member of the line, or else of its `metadata`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        let members = self.members();
        let top = members.get(name).filter(|value| !value.is_object());
        top.or_else(|| members.get("metadata")?.as_object()?.get(name))
    }

    /// The field of this name as text: strings without their quotes, all else as in JSON.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        self.field(name).map(|value| match value {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        })
    }
}
