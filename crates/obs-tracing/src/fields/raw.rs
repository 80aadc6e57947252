//! The fields of a span as they were given: they become JSON when a line first needs them, which most spans never see.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::ops::Range;

use obs_model::FieldValue;
use tracing_core::Field;
use tracing_core::field::Visit;

use super::keys::Key;
use super::visitor::{put_text, put_value};
use super::{Bounded, FieldBuffer, FieldRules, Text, cut};
use crate::pipeline::thread;

#[cfg(feature = "otlp")]
mod event;
mod given;

#[cfg(feature = "otlp")]
pub(crate) use event::EventVisitor;
#[cfg(feature = "otlp")]
pub(crate) use given::{Given, GivenValue};

/// Values that are not rendered yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawFields {
    text: String,
    /// Each with the index of its field.
    values: Vec<(u32, Raw)>,
    /// Whether some did not fit.
    overflowed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Raw {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    Text { start: u32, end: u32, lost: u32 },
}

impl RawFields {
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.values.clear();
        self.overflowed = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many bytes the values hold on to.
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity() + self.values.capacity() * size_of::<(u32, Raw)>()
    }

    /// Whether so much is waiting that it should be rendered.
    pub(crate) fn is_full(&self, rules: &FieldRules) -> bool {
        self.values.len() >= rules.max_fields || self.text.len() >= rules.max_text
    }

    /// The text of the field with this index.
    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        self.values.iter().find_map(|(at, value)| match value {
            Raw::Text { start, end, .. } if *at as usize == index => {
                Some(&self.text[*start as usize..*end as usize])
            }
            _ => None,
        })
    }

    /// Adds a number for the field with this index.
    #[cfg(feature = "http")]
    pub(crate) fn put_number(&mut self, index: usize, number: u64) {
        self.values.push((index as u32, Raw::U64(number)));
    }

    /// Whether any value is this text.
    pub(crate) fn has_text(&self, text: &str) -> bool {
        self.values.iter().any(|(_, value)| self.text_of(*value) == Some(text))
    }

    /// Adds values that came later.
    pub(crate) fn append(&mut self, later: &Self) {
        let moved = self.text.len() as u32;
        self.text.push_str(&later.text);
        self.overflowed |= later.overflowed;
        self.values.extend(later.values.iter().map(|(index, value)| {
            let value = match *value {
                Raw::Text { start, end, lost } => {
                    Raw::Text { start: start + moved, end: end + moved, lost }
                }
                other => other,
            };
            (*index, value)
        }));
    }

    /// Renders the values and forgets them.
    pub(crate) fn render_into(
        &mut self,
        fields: &mut FieldBuffer,
        keys: &[Key<'static>],
        rules: &FieldRules,
    ) {
        self.render_all(fields, keys, rules);
        self.clear();
    }

    /// Renders the values.
    pub(crate) fn render_all(
        &self,
        fields: &mut FieldBuffer,
        keys: &[Key<'static>],
        rules: &FieldRules,
    ) {
        fields.truncated |= self.overflowed;
        self.render_range(0..self.values.len(), fields, keys, rules);
    }

    /// Renders some of the values.
    pub(crate) fn render_range(
        &self,
        range: Range<usize>,
        fields: &mut FieldBuffer,
        keys: &[Key<'static>],
        rules: &FieldRules,
    ) {
        for (index, value) in &self.values[range] {
            let Some(key) = keys.get(*index as usize).copied() else { continue };
            self.render(key, *value, fields, rules);
        }
    }

    fn render(&self, key: Key<'_>, value: Raw, fields: &mut FieldBuffer, rules: &FieldRules) {
        let value = match value {
            Raw::Text { start, end, lost } => {
                let text =
                    Text { kept: &self.text[start as usize..end as usize], lost: lost as usize };
                return put_text(key, text, fields, None, rules);
            }
            Raw::Bool(value) => FieldValue::Bool(value),
            Raw::I64(value) => FieldValue::I64(value),
            Raw::U64(value) => FieldValue::U64(value),
            Raw::F64(value) => FieldValue::F64(value),
        };
        put_value(key, &value, fields, None, rules);
    }

    fn text_of(&self, value: Raw) -> Option<&str> {
        match value {
            Raw::Text { start, end, .. } => Some(&self.text[start as usize..end as usize]),
            _ => None,
        }
    }
}

/// Takes the values of a span from `tracing`.
pub(crate) struct RawVisitor<'a> {
    pub(crate) rules: &'a FieldRules,
    pub(crate) raw: &'a mut RawFields,
}

impl RawVisitor<'_> {
    fn put(&mut self, field: usize, value: Raw) {
        if self.raw.values.len() < self.rules.max_fields {
            self.raw.values.push((field as u32, value));
        } else {
            self.raw.overflowed = true;
        }
    }

    /// How much of a text is kept.
    fn window(&self) -> usize {
        self.rules.window().min(self.rules.max_bytes.saturating_sub(self.raw.text.len()))
    }

    /// Takes the text of the field with this index.
    pub(crate) fn put_str(&mut self, field: usize, value: &str) {
        let (start, kept) = (self.raw.text.len(), cut(value, self.window()));
        self.raw.text.push_str(kept);
        self.put_text(field, start, value.len() - kept.len());
    }

    fn put_text(&mut self, field: usize, start: usize, lost: usize) {
        let (start, end) = (start as u32, self.raw.text.len() as u32);
        let lost = u32::try_from(lost).unwrap_or(u32::MAX);
        self.put(field, Raw::Text { start, end, lost });
    }

    fn formatted(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        let (start, window) = (self.raw.text.len(), self.window());
        let mut lost = 0;
        thread::deeper(|| {
            let mut bounded = Bounded::new(&mut self.raw.text, window);
            // OK because the only error is the bound's own, or a `Debug` form's: what was written is kept.
            let _ = bounded.write_fmt(text);
            lost = bounded.lost;
        });
        self.put_text(field.index(), start, lost);
    }
}

impl Visit for RawVisitor<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.index(), Raw::F64(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.index(), Raw::I64(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.index(), Raw::U64(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.formatted(field, format_args!("{value}")),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.formatted(field, format_args!("{value}")),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.index(), Raw::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put_str(field.index(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn StdError + 'static)) {
        self.formatted(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.formatted(field, format_args!("{value:?}"));
    }
}
