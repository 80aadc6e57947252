//! Removes secrets from spans before they leave the process.

use std::borrow::Cow;

use obs_model::Redactor;
use opentelemetry::trace::Status;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::SpanData;

/// Removes secrets from the attributes, events, links and status of a span. It runs on the exporting thread.
pub(super) fn redact(span: &mut SpanData, redactor: &Redactor) {
    attributes(&mut span.attributes, redactor);
    for event in &mut span.events.events {
        attributes(&mut event.attributes, redactor);
        text_in_place(&mut event.name, redactor);
    }
    for link in &mut span.links.links {
        attributes(&mut link.attributes, redactor);
    }
    text_in_place(&mut span.name, redactor);
    if let Status::Error { description } = &mut span.status {
        text_in_place(description, redactor);
    }
}

fn text_in_place(text: &mut Cow<'static, str>, redactor: &Redactor) {
    if let Cow::Owned(redacted) = redactor.text(text) {
        *text = Cow::Owned(redacted);
    }
}

fn attributes(attributes: &mut Vec<KeyValue>, redactor: &Redactor) {
    for attribute in &mut *attributes {
        if redactor.is_secret_key(attribute.key.as_str()) {
            let replacement = redactor.replacement(&attribute.value.as_str());
            attribute.value = Value::from(replacement.into_owned());
            continue;
        }
        let redacted = match &attribute.value {
            Value::String(text) => owned(text, redactor).map(Value::String),
            Value::Array(Array::String(texts)) => {
                let texts =
                    texts.iter().map(|text| owned(text, redactor).unwrap_or_else(|| text.clone()));
                Some(Value::Array(Array::String(texts.collect())))
            }
            _ => None,
        };
        if let Some(value) = redacted {
            attribute.value = value;
        }
    }
    // A secret that is dropped leaves nothing behind.
    attributes.retain(|attribute| {
        attribute.value != Value::from("") || !redactor.is_secret_key(attribute.key.as_str())
    });
}

fn owned(text: &StringValue, redactor: &Redactor) -> Option<StringValue> {
    match redactor.text(text.as_str()) {
        Cow::Owned(redacted) => Some(redacted.into()),
        Cow::Borrowed(_) => None,
    }
}
