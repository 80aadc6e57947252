//! What was said about a span through OpenTelemetry's own calls, as the memory of finished spans keeps it.
//!
//! The export has it as it was said. The memory has it with the values and the story of the span: lists are texts there,
//! and there are as many bytes of it at most as of what is given otherwise.

use std::time::{SystemTime, UNIX_EPOCH};

use obs_model::{FieldValue, SpanId, TraceId};
use opentelemetry::trace::Status;
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use crate::fields::RawFields;
use crate::spans::SpanState;

/// The most bytes of attributes that are kept of a span, of an event and of a link.
const MOST_BYTES: usize = 16 * 1024;

/// What was said about one span.
pub(super) struct Said {
    name: String,
    failed: bool,
    values: RawFields,
    events: Vec<(u64, RawFields)>,
    links: Vec<(TraceId, SpanId, RawFields)>,
    dropped_events: u32,
    dropped_links: u32,
}

impl Said {
    pub(super) fn of(said: &SpanData) -> Self {
        let mut values = RawFields::default();
        match &said.status {
            Status::Unset => {}
            Status::Ok => values.put_named("otel.status_code", &FieldValue::from("OK")),
            Status::Error { description } => {
                let description = FieldValue::from(description.to_string());
                values.put_named("otel.status_code", &FieldValue::from("ERROR"));
                values.put_named("otel.status_description", &description);
            }
        }
        // The layer adds the target on its own.
        put_all(&mut values, said.attributes.iter().filter(|one| one.key.as_str() != "target"));
        let events = said.events.events.iter().map(|event| {
            let mut values = RawFields::default();
            values.put_named("message", &FieldValue::from(event.name.to_string()));
            put_all(&mut values, &event.attributes);
            (nanoseconds(event.timestamp), values)
        });
        let links = said.links.links.iter().filter_map(|link| {
            let mut values = RawFields::default();
            put_all(&mut values, &link.attributes);
            let trace = u128::from_be_bytes(link.span_context.trace_id().to_bytes());
            let span = u64::from_be_bytes(link.span_context.span_id().to_bytes());
            // OK because a link without an id leads nowhere.
            Some((TraceId::new(trace)?, SpanId::new(span)?, values))
        });
        Self {
            name: said.name.to_string(),
            failed: matches!(said.status, Status::Error { .. }),
            values,
            events: events.collect(),
            links: links.collect(),
            dropped_events: said.events.dropped_count,
            dropped_links: said.links.dropped_count,
        }
    }

    /// Adds it to the span, which nobody but the memory looks at any more.
    pub(super) fn add_to(mut self, span: &mut SpanState) {
        if span.metadata.is_some_and(|place| place.name() != self.name) {
            self.values.put_named("otel.name", &FieldValue::from(self.name));
        }
        span.add_last(&self.values);
        span.failed |= self.failed;
        for (at, values) in &self.events {
            span.story.add_event(None, *at, values);
        }
        for (trace, to, values) in &self.links {
            span.story.add_link(*trace, *to, values);
        }
        span.story.add_dropped(self.dropped_events, self.dropped_links);
    }
}

/// Adds attributes, as many as there is room for.
fn put_all<'a>(values: &mut RawFields, attributes: impl IntoIterator<Item = &'a KeyValue>) {
    for KeyValue { key, value, .. } in attributes {
        let value = match value {
            Value::Bool(value) => FieldValue::Bool(*value),
            Value::I64(value) => FieldValue::I64(*value),
            Value::F64(value) => FieldValue::F64(*value),
            other => FieldValue::from(other.as_str().into_owned()),
        };
        let mut one = RawFields::default();
        one.put_named(key.as_str(), &value);
        if values.bytes() + one.bytes() <= MOST_BYTES {
            values.append(&one);
        }
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}
