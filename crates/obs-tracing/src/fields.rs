//! Fields as JSON members: rendered once, merged by copying bytes.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use obs_model::{FieldValue, REDACTED, Redactor};
use tracing_core::Field;
use tracing_core::field::Visit;

use crate::json;
use crate::keys::{FieldKind, Key, classify};

/// What holds for every field of one layer.
#[derive(Debug)]
pub(crate) struct FieldRules {
    /// Tells this layer's rules from another's.
    pub(crate) owner: u32,
    pub(crate) redactor: Redactor,
    /// The most fields in one line or span.
    pub(crate) max_fields: usize,
    /// The most bytes of one text, escaped.
    pub(crate) max_text: usize,
    /// The most bytes of all fields of a line or span.
    pub(crate) max_bytes: usize,
}

/// The longest id of a kind that has a place of its own in the line, escaped.
const MAX_ID: usize = 512;

impl FieldRules {
    /// The start of a text that is enough to see that it is too long, so that a huge one costs no more.
    fn bounded<'a>(&self, text: &'a str) -> &'a str {
        cut(text, self.max_text + 4)
    }
}

/// Rendered fields: `"key":value` one after another, with an index.
#[derive(Debug, Default)]
pub(crate) struct FieldBuffer {
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// Whether a field was left out or a text was cut.
    pub(crate) truncated: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    kind: FieldKind,
    tag: u32,
    start: u32,
    /// Where the value starts.
    value: u32,
    end: u32,
}

impl FieldBuffer {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
        self.truncated = false;
    }

    /// How many bytes the buffer holds on to.
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Every field as `"key":value`, in the order in which they were given.
    pub(crate) fn members(&self) -> impl Iterator<Item = &[u8]> {
        self.plain().map(|entry| &self.text[entry.start as usize..entry.end as usize])
    }

    /// The fields that go to `metadata`, with key and value apart, as JSON.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.plain().map(|entry| {
            let (start, value) = (entry.start as usize, entry.value as usize);
            (&self.text[start..value - 1], &self.text[value..entry.end as usize])
        })
    }

    fn plain(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !matches!(entry.kind, FieldKind::Id(_)))
    }

    /// The field with a place of its own in the line, as `"key":"value"`.
    pub(crate) fn find(&self, kind: FieldKind) -> Option<&[u8]> {
        let entry = self.entries.iter().find(|entry| entry.kind == kind)?;
        Some(&self.text[entry.start as usize..entry.end as usize])
    }

    /// The JSON value of such a field.
    pub(crate) fn find_value(&self, kind: FieldKind) -> Option<&[u8]> {
        let entry = self.entries.iter().find(|entry| entry.kind == kind)?;
        Some(&self.text[entry.value as usize..entry.end as usize])
    }

    /// Takes the fields of an enclosing span; those that are here already keep their values.
    pub(crate) fn merge_outer(&mut self, outer: &Self, rules: &FieldRules) {
        self.truncated |= outer.truncated;
        for entry in &outer.entries {
            let member = &outer.text[entry.start as usize..entry.end as usize];
            let key = &outer.text[entry.start as usize..entry.value as usize];
            if self.position(entry.tag, key).is_some() {
                continue;
            }
            if !self.has_room(member.len(), rules) {
                self.truncated = true;
                continue;
            }
            let start = self.text.len() as u32;
            self.text.extend_from_slice(member);
            self.entries.push(Entry {
                start,
                value: start + (entry.value - entry.start),
                end: start + (entry.end - entry.start),
                ..*entry
            });
        }
    }

    /// Renders one field, in place of an earlier one with the same key.
    fn put(&mut self, key: Key<'_>, rules: &FieldRules, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.text.len();
        let cut_key = json::push_string(&mut self.text, key.name, rules.max_text);
        self.text.push(b':');
        let value = self.text.len();
        let kind = match key.kind {
            FieldKind::Id(_) => key.kind,
            _ => FieldKind::Plain,
        };
        self.truncated |= write(&mut self.text) | cut_key;
        let end = self.text.len();
        let entry =
            Entry { kind, tag: key.tag, start: start as u32, value: value as u32, end: end as u32 };
        let rendered = &self.text[start..value];
        match self.position_in(&self.entries, key.tag, rendered) {
            Some(at) if end <= rules.max_bytes => self.entries[at] = entry,
            None if end <= rules.max_bytes && self.entries.len() < rules.max_fields => {
                self.entries.push(entry);
            }
            _ => {
                self.text.truncate(start);
                self.truncated = true;
            }
        }
    }

    fn has_room(&self, bytes: usize, rules: &FieldRules) -> bool {
        self.entries.len() < rules.max_fields && self.text.len() + bytes <= rules.max_bytes
    }

    fn position(&self, tag: u32, key: &[u8]) -> Option<usize> {
        self.position_in(&self.entries, tag, key)
    }

    fn position_in(&self, entries: &[Entry], tag: u32, key: &[u8]) -> Option<usize> {
        entries.iter().position(|entry| {
            entry.tag == tag && self.text[entry.start as usize..entry.value as usize] == *key
        })
    }

    /// Adds a field whose value is text.
    pub(crate) fn put_text(&mut self, key: Key<'_>, text: &str, rules: &FieldRules) {
        let text = match key.kind {
            FieldKind::Secret => REDACTED.into(),
            _ => rules.redactor.text(rules.bounded(text)),
        };
        let budget = match key.kind {
            FieldKind::Id(_) => MAX_ID,
            _ => rules.max_text,
        };
        self.put(key, rules, |out| json::push_string(out, &text, budget));
    }

    /// Adds a field with a value of any kind.
    pub(crate) fn put_value(&mut self, key: Key<'_>, value: &FieldValue, rules: &FieldRules) {
        match value {
            FieldValue::Text(text) => self.put_text(key, text, rules),
            FieldValue::Bool(value) => self.put_bare(key, rules, |out| {
                out.extend_from_slice(if *value { b"true" } else { b"false" });
            }),
            FieldValue::I64(value) => self.put_bare(key, rules, |out| json::push_i64(out, *value)),
            FieldValue::U64(value) => self.put_bare(key, rules, |out| json::push_u64(out, *value)),
            FieldValue::F64(value) => self.put_bare(key, rules, |out| json::push_f64(out, *value)),
        }
    }

    /// Adds a field whose value needs no escaping; ids stay text and secrets stay secret.
    fn put_bare(&mut self, key: Key<'_>, rules: &FieldRules, write: impl FnOnce(&mut Vec<u8>)) {
        match key.kind {
            FieldKind::Secret => self.put_text(key, REDACTED, rules),
            FieldKind::Id(_) => self.put(key, rules, |out| {
                let from = out.len();
                write(out);
                // OK because a value that is not finite is quoted already.
                if out.get(from) != Some(&b'"') {
                    out.insert(from, b'"');
                    out.push(b'"');
                }
                false
            }),
            _ => self.put(key, rules, |out| {
                write(out);
                false
            }),
        }
    }
}

/// What an event says beside its fields.
#[derive(Debug, Default)]
pub(crate) struct EventParts {
    pub(crate) message: String,
    /// The service that a logger writes for, when it is not the process's.
    pub(crate) service: String,
    pub(crate) error: ErrorParts,
}

/// The error that an event reports; the texts are already without secrets.
#[derive(Debug, Default)]
pub(crate) struct ErrorParts {
    pub(crate) present: bool,
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) stack: String,
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

/// Renders the fields of a span or an event.
pub(crate) struct FieldVisitor<'a> {
    pub(crate) rules: &'a FieldRules,
    pub(crate) fields: &'a mut FieldBuffer,
    /// Room for a text before it is redacted.
    pub(crate) raw: &'a mut String,
    /// Where the parts of an event go; `None` for a span, which has none.
    pub(crate) event: Option<&'a mut EventParts>,
}

impl FieldVisitor<'_> {
    fn key(&self, field: &Field) -> Key<'static> {
        classify(field.name(), self.rules.owner, &self.rules.redactor)
    }

    fn text(&mut self, key: Key<'_>, text: &str) {
        let Self { rules, fields, event, .. } = self;
        let truncated = &mut fields.truncated;
        let mut redacted = |into: &mut String| {
            let bounded = rules.redactor.text(rules.bounded(text));
            let kept = cut(&bounded, rules.max_text);
            into.clear();
            into.push_str(kept);
            if kept.len() < bounded.len() {
                into.push_str(json::CUT_MARK);
                *truncated = true;
            }
        };
        match (key.kind, event) {
            (FieldKind::Hidden, _) => {}
            (FieldKind::Message, Some(event)) => redacted(&mut event.message),
            (FieldKind::Service, Some(event)) => redacted(&mut event.service),
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
                if !splice(text, fields, rules) {
                    fields.put_text(key, text, rules);
                }
            }
            _ => fields.put_text(key, text, rules),
        }
    }

    fn bare(&mut self, field: &Field, value: FieldValue) {
        let key = self.key(field);
        match key.kind {
            FieldKind::Hidden => {}
            FieldKind::Plain | FieldKind::Secret | FieldKind::Id(_) => {
                self.fields.put_value(key, &value, self.rules);
            }
            _ => self.text(key, &value.to_string()),
        }
    }

    /// Lets `write` fill the room for texts, bounded, and hands the text on.
    fn formatted(&mut self, key: Key<'_>, write: impl FnOnce(&mut Bounded<'_>) -> fmt::Result) {
        if key.kind == FieldKind::Hidden {
            return;
        }
        let mut raw = std::mem::take(self.raw);
        raw.clear();
        // OK because the only error is the bound's own: what fitted is kept.
        let _ = write(&mut Bounded { out: &mut raw, room: self.rules.max_text + 4 });
        self.text(key, &raw);
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
        self.text(self.key(field), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.formatted(self.key(field), |out| write!(out, "{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn StdError + 'static)) {
        let key = self.key(field);
        if self.event.as_ref().is_none_or(|event| event.error.present) {
            return self.formatted(key, |out| write!(out, "{value}"));
        }
        let error_key = |kind| Key { kind, ..key };
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

/// Takes text up to a bound and stops what writes more, so that no `Debug` form costs without limit.
pub(crate) struct Bounded<'a> {
    out: &'a mut String,
    room: usize,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = cut(text, self.room);
        self.out.push_str(taken);
        self.room -= taken.len();
        if taken.len() == text.len() {
            return Ok(());
        }
        self.room = 0;
        Err(fmt::Error)
    }
}

/// The longest start of `text` that has no more than `bytes` bytes and ends at a character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes { text } else { &text[..text.floor_char_boundary(bytes)] }
}
