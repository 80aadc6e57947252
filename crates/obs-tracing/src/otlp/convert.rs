//! Spans as OpenTelemetry has them, made of what the pipeline kept.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing_core::Metadata;

use crate::fields::{Given, GivenValue, RawFields};
use crate::traces::{EventHead, SpanBatch, SpanHead};

/// What is known of an error that an event reports, as the semantic conventions name it.
pub(crate) const EXCEPTION_MESSAGE: &str = "exception.message";
pub(crate) const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";

/// Makes the span of one head of a batch.
pub(super) fn span_data(
    batch: &SpanBatch,
    head: &SpanHead,
    scope: &InstrumentationScope,
) -> SpanData {
    let mut parts = Parts { name: head.place.name().into(), ..Parts::default() };
    parts.attributes.push(KeyValue::new("target", head.place.target()));
    for (of, value) in batch.values.given(head.values()) {
        if let Some(name) = name_of(of, Some(head.place)) {
            parts.put(name, value);
        }
    }
    if let Some(kept) = head.kept {
        put(&mut parts.attributes, KeyValue::new("obskit.sampled", "tail"));
        put(&mut parts.attributes, KeyValue::new("obskit.reason", kept.as_str()));
    }
    let mut events = SpanEvents::default();
    events.dropped_count = head.story.dropped_events;
    for event in batch.events_of(head) {
        events.events.push(parts.event(event, &batch.values));
    }
    let mut links = SpanLinks::default();
    links.dropped_count = head.story.dropped_links;
    links.links.extend(batch.links_of(head).iter().map(|link| {
        let context = SpanContext::new(
            TraceId::from(link.trace.get()),
            SpanId::from(link.span.get()),
            TraceFlags::default(),
            false,
            TraceState::default(),
        );
        let values = batch.values.given(link.values.0 as usize..link.values.1 as usize);
        let named = values.filter_map(|(of, value)| match of {
            Given::Named(name) => Some(KeyValue::new(name.to_owned(), attribute(value))),
            Given::Field(_) | Given::Context(_) => None,
        });
        Link::new(context, named.collect(), 0)
    }));
    let ids = head.ids;
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(ids.trace.get()),
            SpanId::from(ids.span.get()),
            if ids.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() },
            false,
            TraceState::default(),
        ),
        parent_span_id: ids.parent.map_or(SpanId::INVALID, |parent| parent.span.get().into()),
        parent_span_is_remote: ids.parent.is_some_and(|parent| parent.remote),
        status: parts.status(head.failed),
        span_kind: parts.kind,
        name: parts.name,
        start_time: time(head.start),
        end_time: time(head.end()),
        attributes: parts.attributes,
        dropped_attributes_count: 0,
        events,
        links,
        instrumentation_scope: scope.clone(),
    }
}

/// Adds what was said about a span through OpenTelemetry's own calls.
pub(super) fn add_stand_in(span: &mut SpanData, place: &Metadata<'_>, said: SpanData) {
    if said.name != place.name() {
        span.name = said.name;
    }
    if said.status != Status::Unset {
        span.status = said.status;
    }
    for attribute in said.attributes {
        // The layer adds the target on its own.
        if attribute.key.as_str() != "target" {
            put(&mut span.attributes, attribute);
        }
    }
    span.events.events.extend(said.events.events);
    span.events.dropped_count += said.events.dropped_count;
    span.links.links.extend(said.links.links);
    span.links.dropped_count += said.links.dropped_count;
}

/// What the fields of a span say.
struct Parts {
    name: Cow<'static, str>,
    kind: SpanKind,
    ok: bool,
    error: Option<String>,
    attributes: Vec<KeyValue>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            name: Cow::Borrowed(""),
            kind: SpanKind::Internal,
            ok: false,
            error: None,
            attributes: Vec::with_capacity(8),
        }
    }
}

impl Parts {
    /// Takes a field; of those with the same name the last counts.
    fn put(&mut self, name: Cow<'static, str>, value: GivenValue<'_>) {
        match (&*name, value) {
            ("otel.name", GivenValue::Text { kept, .. }) => self.name = kept.to_owned().into(),
            ("otel.kind", GivenValue::Text { kept, .. }) => {
                self.kind = kind_of(kept).unwrap_or(SpanKind::Internal);
            }
            ("otel.status_code", GivenValue::Text { kept, .. }) => {
                self.ok |= kept.eq_ignore_ascii_case("ok");
                if kept.eq_ignore_ascii_case("error") {
                    self.error.get_or_insert_default();
                }
            }
            ("otel.status_description", GivenValue::Text { kept, .. }) => {
                self.error = Some(kept.to_owned());
            }
            _ => put(&mut self.attributes, KeyValue::new(name, attribute(value))),
        }
    }

    fn event(&mut self, head: &EventHead, values: &RawFields) -> Event {
        let mut name: Option<Cow<'static, str>> = None;
        let mut attributes = Vec::with_capacity(4);
        if let Some(place) = head.place {
            attributes.push(KeyValue::new("level", place.level().as_str()));
            attributes.push(KeyValue::new("target", place.target()));
        }
        for (of, value) in values.given(head.values.0 as usize..head.values.1 as usize) {
            let Some(field) = name_of(of, head.place) else { continue };
            match (&*field, value) {
                ("message", value) if name.is_none() => name = Some(text(value).into()),
                // An event that has an error in place of a message is about that error.
                ("error", GivenValue::Text { kept, .. }) if name.is_none() => {
                    name = Some("exception".into());
                    self.error = Some(kept.to_owned());
                    put(&mut attributes, KeyValue::new(EXCEPTION_MESSAGE, kept.to_owned()));
                    put(&mut attributes, KeyValue::new("error", kept.to_owned()));
                }
                (EXCEPTION_MESSAGE | EXCEPTION_STACKTRACE, value) if head.place.is_some() => {
                    let pair = KeyValue::new(field, attribute(value));
                    put(&mut self.attributes, pair.clone());
                    put(&mut attributes, pair);
                }
                _ => put(&mut attributes, KeyValue::new(field, attribute(value))),
            }
        }
        let name = name.or_else(|| head.place.map(|place| place.name().into()));
        let name = name.unwrap_or_default();
        Event::new(name, time(head.at), attributes, 0)
    }

    fn status(&mut self, failed: bool) -> Status {
        match self.error.take() {
            _ if self.ok => Status::Ok,
            Some(description) => Status::error(description),
            None if failed => Status::error(""),
            None => Status::Unset,
        }
    }
}

/// Adds an attribute, in place of one with the same name.
fn put(attributes: &mut Vec<KeyValue>, attribute: KeyValue) {
    match attributes.iter_mut().find(|one| one.key == attribute.key) {
        Some(one) => one.value = attribute.value,
        None => attributes.push(attribute),
    }
}

fn name_of(of: Given<'_>, place: Option<&'static Metadata<'static>>) -> Option<Cow<'static, str>> {
    match of {
        Given::Field(index) => place?.fields().iter().nth(index).map(|field| field.name().into()),
        Given::Named(name) => Some(name.to_owned().into()),
        // OK because the ids of the context stand on the request's span, and in the log.
        Given::Context(_) => None,
    }
}

fn attribute(value: GivenValue<'_>) -> Value {
    match value {
        GivenValue::Bool(value) => value.into(),
        GivenValue::I64(value) => value.into(),
        GivenValue::F64(value) => value.into(),
        GivenValue::U64(whole) => match i64::try_from(whole) {
            Ok(value) => value.into(),
            Err(_) => whole.to_string().into(),
        },
        GivenValue::Text { .. } => text(value).into(),
    }
}

fn text(value: GivenValue<'_>) -> String {
    match value {
        GivenValue::Bool(value) => value.to_string(),
        GivenValue::I64(value) => value.to_string(),
        GivenValue::U64(value) => value.to_string(),
        GivenValue::F64(value) => value.to_string(),
        GivenValue::Text { kept, lost: 0 } => kept.to_owned(),
        GivenValue::Text { kept, lost } => format!("{kept}…[truncated {lost} bytes]"),
    }
}

fn kind_of(text: &str) -> Option<SpanKind> {
    [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
        ("internal", SpanKind::Internal),
    ]
    .into_iter()
    .find_map(|(name, kind)| text.eq_ignore_ascii_case(name).then_some(kind))
}

fn time(nanoseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}
