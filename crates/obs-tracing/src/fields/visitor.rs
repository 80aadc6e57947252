//! Takes the fields of a span or an event from `tracing` and renders them.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use obs_model::FieldValue;
use tracing_core::Field;
use tracing_core::field::Visit;

use super::keys::{self, FieldKind, Key};
use super::{Bounded, FieldBuffer, FieldRules, Text, cut};
use crate::line::write;

/// What an event says beside its fields.
#[derive(Debug, Default)]
pub(crate) struct EventParts {
    pub(crate) message: EventText,
    /// The service that a logger writes for, when it is not the process's.
    pub(crate) service: String,
    pub(crate) error: ErrorParts,
}

/// The error that an event reports; the texts are already without secrets.
#[derive(Debug, Default)]
pub(crate) struct ErrorParts {
    pub(crate) present: bool,
    pub(crate) name: EventText,
    pub(crate) message: EventText,
    pub(crate) stack: EventText,
}

/// A text of an event, already without secrets and cut.
#[derive(Debug, Default)]
pub(crate) struct EventText {
    pub(crate) text: String,
    /// How many bytes are missing after it.
    pub(crate) lost: usize,
}

impl EventText {
    fn clear(&mut self) {
        self.text.clear();
        self.lost = 0;
    }

    /// The text, with the mark that it was cut.
    pub(crate) fn marked(&self) -> String {
        let mut marked = self.text.clone().into_bytes();
        if self.lost > 0 {
            write::push_cut_mark(&mut marked, self.lost);
        }
        // OK because the mark is UTF-8.
        String::from_utf8_lossy(&marked).into_owned()
    }
}

impl EventParts {
    pub(crate) fn clear(&mut self) {
        self.message.clear();
        self.service.clear();
        self.error.present = false;
        self.error.name.clear();
        self.error.message.clear();
        self.error.stack.clear();
    }
}

/// Renders the fields of an event.
pub(crate) struct FieldVisitor<'a> {
    pub(crate) rules: &'a FieldRules,
    /// What the fields of the event are for.
    pub(crate) keys: &'a [Key<'static>],
    pub(crate) fields: &'a mut FieldBuffer,
    /// Room for a text before it is redacted.
    pub(crate) raw: &'a mut String,
    /// Where the parts of the event go.
    pub(crate) event: &'a mut EventParts,
}

/// Adds a text where it belongs.
pub(super) fn put_text(
    key: Key<'_>,
    text: Text<'_>,
    fields: &mut FieldBuffer,
    event: Option<&mut EventParts>,
    rules: &FieldRules,
) {
    let redacted = |into: &mut EventText| {
        let redacted = rules.redactor.text(text.kept);
        let kept = cut(&redacted, rules.max_text);
        into.lost = text.lost + redacted.len() - kept.len();
        into.text.clear();
        into.text.push_str(kept);
    };
    match (key.kind, event) {
        (FieldKind::Hidden, _) => {}
        (FieldKind::Message, Some(event)) => redacted(&mut event.message),
        (FieldKind::Service, Some(event)) => {
            event.service.clear();
            event.service.push_str(&rules.redactor.text(text.kept));
        }
        (FieldKind::Error | FieldKind::ErrorMessage, Some(event)) => {
            event.error.present = true;
            redacted(&mut event.error.message);
        }
        (FieldKind::ErrorName, Some(event)) => {
            event.error.present = true;
            redacted(&mut event.error.name);
        }
        (FieldKind::ErrorStack, Some(event)) => {
            event.error.present = true;
            redacted(&mut event.error.stack);
        }
        (FieldKind::Metadata, _) => {
            if text.lost > 0 || !splice(text.kept, fields, rules) {
                fields.put_bounded(key, text, rules);
            }
        }
        _ => fields.put_bounded(key, text, rules),
    }
}

/// Adds a value where it belongs.
pub(super) fn put_value(
    key: Key<'_>,
    value: &FieldValue,
    fields: &mut FieldBuffer,
    event: Option<&mut EventParts>,
    rules: &FieldRules,
) {
    match key.kind {
        FieldKind::Hidden => {}
        FieldKind::Plain | FieldKind::Secret | FieldKind::Id(_) => {
            fields.put_value(key, value, rules);
        }
        _ => {
            let text = value.to_string();
            put_text(key, Text { kept: &text, lost: 0 }, fields, event, rules);
        }
    }
}

impl FieldVisitor<'_> {
    fn key(&self, field: &Field) -> Key<'static> {
        keys::at(self.keys, field, &self.rules.redactor)
    }

    fn text(&mut self, key: Key<'_>, text: Text<'_>) {
        put_text(key, text, self.fields, Some(self.event), self.rules);
    }

    fn bare(&mut self, field: &Field, value: FieldValue) {
        put_value(self.key(field), &value, self.fields, Some(self.event), self.rules);
    }

    /// Lets `write` fill the room for texts, bounded, and hands the text on.
    fn formatted(&mut self, key: Key<'_>, write: impl FnOnce(&mut Bounded<'_>) -> fmt::Result) {
        if key.kind == FieldKind::Hidden {
            return;
        }
        let mut raw = std::mem::take(self.raw);
        raw.clear();
        let mut bounded = Bounded::new(&mut raw, self.rules.window());
        // OK because the only error is the bound's own, or a `Debug` form's: what was written is kept.
        let _ = write(&mut bounded);
        let lost = bounded.lost;
        self.text(key, Text { kept: &raw, lost });
        *self.raw = raw;
    }
}

impl Visit for FieldVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.bare(field, FieldValue::F64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, FieldValue::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, FieldValue::U64(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            // OK because readers of JSON lose digits beyond 64 bits, so that such numbers travel as text.
            Err(_) => self.formatted(self.key(field), |out| write!(out, "{value}")),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.formatted(self.key(field), |out| write!(out, "{value}")),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, FieldValue::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let text = Text::start_of(value, self.rules.window());
        self.text(self.key(field), text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.formatted(self.key(field), |out| write!(out, "{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn StdError + 'static)) {
        let key = self.key(field);
        if self.event.error.present {
            return self.formatted(key, |out| write!(out, "{value}"));
        }
        let error_key = |kind| key.as_kind(kind);
        self.formatted(error_key(FieldKind::ErrorName), |out| write_name(out, value));
        self.formatted(error_key(FieldKind::ErrorMessage), |out| write!(out, "{value}"));
        if value.source().is_some() {
            self.formatted(error_key(FieldKind::ErrorStack), |out| {
                let chain = std::iter::successors(value.source(), |error| (*error).source());
                chain.take(32).enumerate().try_for_each(|(depth, error)| {
                    out.write_str(if depth == 0 { "" } else { "\n" })?;
                    write!(out, "caused by: {error}")
                })
            });
        }
    }
}

/// Adds the members of a JSON object as fields; `false` when the text is not an object.
fn splice(text: &str, fields: &mut FieldBuffer, rules: &FieldRules) -> bool {
    if !text.starts_with('{') {
        return false;
    }
    let Ok(members) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text)
    else {
        return false;
    };
    for (name, value) in &members {
        let key = Key::new(name, &rules.redactor);
        match field_value(value) {
            Some(value) => fields.put_value(key, &value, rules),
            None => fields.put_text(key, &value.to_string(), rules),
        }
    }
    true
}

/// A JSON value as a field's value; lists and objects are none.
pub(crate) fn field_value(value: &serde_json::Value) -> Option<FieldValue> {
    use serde_json::Value;
    Some(match value {
        Value::Null => FieldValue::from("null"),
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(value), _, _) => FieldValue::I64(value),
            (_, Some(value), _) => FieldValue::U64(value),
            (_, _, Some(value)) => FieldValue::F64(value),
            _ => return None,
        },
        Value::String(text) => FieldValue::from(text.clone()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// Writes the name of an error's type.
///
/// The type behind `dyn Error` is not known, so this is the word that its `Debug` form starts with: the name
/// of a struct, or the variant of an enum.
fn write_name(out: &mut Bounded<'_>, error: &(dyn StdError + 'static)) -> fmt::Result {
    if error.is::<std::io::Error>() {
        return out.write_str("io::Error");
    }
    let mut word = String::new();
    // OK because an error here only says that the word ended.
    let _ = write!(FirstWord(&mut word), "{error:?}");
    out.write_str(if word.starts_with(|c: char| c.is_ascii_uppercase()) { &word } else { "Error" })
}

/// Keeps the first word of what is written and stops the rest.
struct FirstWord<'a>(&'a mut String);

impl fmt::Write for FirstWord<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            if !(character.is_ascii_alphanumeric() || character == '_') || self.0.len() >= 128 {
                return Err(fmt::Error);
            }
            self.0.push(character);
        }
        Ok(())
    }
}
