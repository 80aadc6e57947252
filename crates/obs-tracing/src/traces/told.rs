//! What happened in a finished span, as it is told to whoever looks.

use std::borrow::Cow;
use std::collections::HashMap;

use obs_model::{FieldValue, SpanId, Timestamp, TraceId};
use serde_json::{Map, Value};

use super::batch::{SpanBatch, SpanHead};
use super::search::{SpanInTrace, Trace, pairs, timestamp};
use crate::fields::keys::keys_of;
use crate::fields::{FieldBuffer, FieldRules, field_value};
use crate::memory::KeptLine;

/// The name of an event that is about an error and says nothing else, and the attributes of that error: those of
/// OpenTelemetry's semantic conventions.
const EXCEPTION: &str = "exception";
const EXCEPTION_MESSAGE: &str = "exception.message";
const EXCEPTION_PARTS: [(&str, &str); 3] =
    [("name", "exception.type"), ("message", EXCEPTION_MESSAGE), ("stack", "exception.stacktrace")];

/// The members of a line that are not attributes of an event: its name and time, what stands on the span, and what is told
/// apart.
const NOT_ATTRIBUTES: [&str; 8] =
    ["timestamp", "message", "traceId", "spanId", "service", "error", "metadata", "truncated"];

/// Something that happened within a finished span. Its texts are without secrets and as long as those of a line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EventInSpan {
    /// When it happened.
    pub at: Timestamp,
    /// The message of its line; `exception` for an error without one.
    pub name: String,
    /// Its level and target, if it has a line, and its fields.
    pub attributes: Vec<(Cow<'static, str>, FieldValue)>,
}

/// A span that a finished span is linked to, as by [`tracing::Span::follows_from`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LinkedSpan {
    /// Its trace.
    pub trace: TraceId,
    /// Its own id.
    pub span: SpanId,
    /// What is said about the link, without secrets.
    pub attributes: Vec<(Cow<'static, str>, FieldValue)>,
}

/// The events that are kept with a span.
pub(super) fn events(part: &SpanBatch, head: &SpanHead, rules: &FieldRules) -> Vec<EventInSpan> {
    let told = part.events_of(head).iter().map(|event| {
        let range = event.values.0 as usize..event.values.1 as usize;
        let mut fields = FieldBuffer::default();
        if let Some(place) = event.place {
            let keys = keys_of(place, rules.owner, &rules.redactor);
            part.values.render_range(range.clone(), &mut fields, &keys, rules);
        }
        part.values.render_others(range, &mut fields, rules);
        let mut given = pairs(&fields);
        let message = given.iter().position(|(name, _)| name == "message");
        let message = message.map(|at| given.remove(at).1.to_string());
        let error = given.iter().find(|(name, _)| name == "error").map(|(_, error)| error.clone());
        if let (None, Some(error)) = (&message, &error)
            && !given.iter().any(|(name, _)| name == EXCEPTION_MESSAGE)
        {
            given.push((EXCEPTION_MESSAGE.into(), error.clone()));
        }
        let place = event.place.map(|place| {
            let level = place.level().as_str();
            [("level".into(), level.into()), ("target".into(), place.target().into())]
        });
        EventInSpan {
            at: timestamp(event.at),
            name: message.unwrap_or_else(|| match event.place {
                Some(place) if error.is_none() => place.name().to_owned(),
                _ => EXCEPTION.to_owned(),
            }),
            attributes: place.into_iter().flatten().chain(given).collect(),
        }
    });
    told.collect()
}

/// The links that are kept with a span.
pub(super) fn links(part: &SpanBatch, head: &SpanHead, rules: &FieldRules) -> Vec<LinkedSpan> {
    let told = part.links_of(head).iter().map(|link| {
        let mut fields = FieldBuffer::default();
        let range = link.values.0 as usize..link.values.1 as usize;
        part.values.render_others(range, &mut fields, rules);
        LinkedSpan { trace: link.trace, span: link.span, attributes: pairs(&fields) }
    });
    told.collect()
}

impl Trace {
    /// Makes lines of the trace events of the spans that they were written in, where a span keeps none of its own: those
    /// of a span that is not exported are in the memory of lines only. `lines` are as a search found them, the newest
    /// first.
    ///
    /// What a line has of the spans around it is left out.
    pub fn add_lines(&mut self, lines: &[KeptLine]) {
        let without =
            |one: &SpanInTrace| one.span.events.is_empty() && one.span.dropped_events == 0;
        let at: HashMap<SpanId, usize> = (self.spans.iter().enumerate())
            .filter(|(_, one)| without(one))
            .map(|(at, one)| (one.span.span, at))
            .collect();
        let of_trace = lines.iter().rev().filter(|line| line.trace == Some(self.trace));
        for line in of_trace {
            let Some(at) = line.span.and_then(|span| at.get(&span)).copied() else { continue };
            let event = event_of(line, |name, value| self.has(at, name, value));
            self.spans[at].span.events.push(event);
        }
    }

    /// Whether a span or one that it is in has this field.
    fn has(&self, at: usize, name: &str, value: &FieldValue) -> bool {
        let around = std::iter::successors(Some(at), |at| self.spans[*at].parent);
        let mut fields = around.flat_map(|at| &self.spans[at].span.fields);
        fields.any(|(given, is)| given == name && is == value)
    }
}

/// A line as an event, without what is `known` of its span.
fn event_of(line: &KeptLine, known: impl Fn(&str, &FieldValue) -> bool) -> EventInSpan {
    let members: Map<String, Value> = serde_json::from_str(&line.json).unwrap_or_default();
    let inner = |name: &str| members.get(name).and_then(Value::as_object).into_iter().flatten();
    let plain = members.iter().filter(|(name, _)| !NOT_ATTRIBUTES.contains(&name.as_str()));
    let mut attributes: Vec<(Cow<'static, str>, FieldValue)> = plain
        .chain(inner("metadata"))
        .map(|(name, value)| (name, field_value(value).unwrap_or_else(|| value.to_string().into())))
        .filter(|(name, value)| !known(name, value))
        .map(|(name, value)| (Cow::Owned(name.clone()), value))
        .collect();
    let error = inner("error").filter_map(|(part, value)| {
        let (_, name) = EXCEPTION_PARTS.iter().find(|(member, _)| member == part)?;
        let text = value.as_str().filter(|text| !text.is_empty())?;
        Some((Cow::Borrowed(*name), FieldValue::from(text.to_owned())))
    });
    attributes.extend(error);
    let message = members.get("message").and_then(Value::as_str).filter(|text| !text.is_empty());
    let otherwise = if members.contains_key("error") { EXCEPTION } else { line.target };
    EventInSpan { at: line.at, name: message.unwrap_or(otherwise).to_owned(), attributes }
}
