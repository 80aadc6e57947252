//! Values beyond those of a place's fields, and all of them read back: for what is kept of a span after it closed.

use std::ops::Range;

use obs_model::FieldValue;

use super::{Raw, RawFields};
use crate::fields::keys::{FieldKind, IdField, Key};
use crate::fields::{FieldBuffer, FieldRules};

/// The first index that is no field's: what comes from the context stands there, see [`RawFields::put_context`].
const CONTEXT: u32 = u32::MAX - 64;

/// The index of the name of a field that is only known at run time; its value follows.
const NAME: u32 = u32::MAX - 1;

/// The index of the value of such a field.
const NAMED: u32 = u32::MAX;

/// What a value that was given belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given<'a> {
    /// The field with this index.
    Field(usize),
    /// No field: the context in which the span was opened.
    Context(IdField),
    /// A field whose name is only known at run time.
    Named(&'a str),
}

/// A value that was given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum GivenValue<'a> {
    Bool(bool),
    I64(i64),
    U64(u64),
    F64(f64),
    /// The start of a text, and how many bytes are missing after it.
    Text {
        kept: &'a str,
        lost: u32,
    },
}

/// What is kept of spans that have closed: the values as they were given.
impl RawFields {
    /// Renders those of some values that belong to no field of the place.
    pub(crate) fn render_others(
        &self,
        range: Range<usize>,
        fields: &mut FieldBuffer,
        rules: &FieldRules,
    ) {
        let mut name = None;
        for (index, value) in &self.values[range] {
            match *index {
                NAME => name = self.text_of(*value),
                NAMED => {
                    if let Some(name) = name.take() {
                        self.render(Key::new(name, &rules.redactor), *value, fields, rules);
                    }
                }
                _ => {
                    if let Some(field) = context_field(*index)
                        && fields.find(FieldKind::Id(field)).is_none()
                    {
                        self.render(Key::id(field), *value, fields, rules);
                    }
                }
            }
        }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// How many bytes the values take.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.values.len() * size_of::<(u32, Raw)>()
    }

    /// Whether there is more than so many values or bytes of text.
    pub(crate) fn exceeds(&self, values: usize, bytes: usize) -> bool {
        self.values.len() > values || self.text.len() > bytes
    }

    /// Drops the last values until there are so many and so many bytes of text.
    pub(crate) fn shorten(&mut self, values: usize, bytes: usize) {
        while self.exceeds(values, bytes)
            && let Some((_, last)) = self.values.pop()
        {
            if let Raw::Text { start, .. } = last {
                self.text.truncate(start as usize);
            }
            self.overflowed = true;
        }
    }

    /// Makes room for as much as `more` takes, in steps of `step` bytes, so that little is held for nothing, unless it
    /// would then hold on to more than `most` bytes.
    pub(crate) fn make_room(&mut self, more: &[&Self], step: usize, most: usize) -> bool {
        let sum = |of: fn(&Self) -> usize| more.iter().map(|more| of(more)).sum::<usize>();
        let steps = step / size_of::<(u32, Raw)>();
        let text = wanted(self.text.len(), self.text.capacity(), sum(|more| more.text.len()), step);
        let values =
            wanted(self.values.len(), self.values.capacity(), sum(|more| more.values.len()), steps);
        let capacity =
            self.text.len() + text + (self.values.len() + values) * size_of::<(u32, Raw)>();
        if capacity > most {
            return false;
        }
        self.text.reserve_exact(text);
        self.values.reserve_exact(values);
        true
    }

    /// Adds what the context says, beside the values of the fields.
    pub(crate) fn put_context(&mut self, field: IdField, value: &str) {
        self.push_text(CONTEXT + field as u32, value, 0);
    }

    /// Adds a field whose name is only known at run time.
    pub(crate) fn put_named(&mut self, name: &str, value: &FieldValue) {
        self.push_text(NAME, name, 0);
        match value {
            FieldValue::Bool(value) => self.values.push((NAMED, Raw::Bool(*value))),
            FieldValue::I64(value) => self.values.push((NAMED, Raw::I64(*value))),
            FieldValue::U64(value) => self.values.push((NAMED, Raw::U64(*value))),
            FieldValue::F64(value) => self.values.push((NAMED, Raw::F64(*value))),
            FieldValue::Text(value) => self.push_text(NAMED, value, 0),
        }
    }

    fn push_text(&mut self, index: u32, text: &str, lost: u32) {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        self.values.push((index, Raw::Text { start, end: self.text.len() as u32, lost }));
    }

    /// Some of the values, with what they belong to, in the order in which they were given.
    pub(crate) fn given(
        &self,
        range: Range<usize>,
    ) -> impl Iterator<Item = (Given<'_>, GivenValue<'_>)> {
        let mut name = None;
        self.values[range].iter().filter_map(move |(index, value)| {
            let of = match *index {
                NAME => {
                    name = self.text_of(*value);
                    return None;
                }
                NAMED => Given::Named(name.take()?),
                index => match context_field(index) {
                    Some(field) => Given::Context(field),
                    None => Given::Field(index as usize),
                },
            };
            let value = match *value {
                Raw::Bool(value) => GivenValue::Bool(value),
                Raw::I64(value) => GivenValue::I64(value),
                Raw::U64(value) => GivenValue::U64(value),
                Raw::F64(value) => GivenValue::F64(value),
                Raw::Text { start, end, lost } => {
                    GivenValue::Text { kept: &self.text[start as usize..end as usize], lost }
                }
            };
            Some((of, value))
        })
    }

    /// Keeps the last value of each field, so that one that is set again and again takes no more room.
    pub(crate) fn forget_replaced(&mut self) {
        let mut kept = Self { overflowed: self.overflowed, ..Self::default() };
        let all: Vec<_> = self.given(0..self.values.len()).collect();
        for (at, (of, value)) in all.iter().enumerate() {
            if all[at + 1..].iter().any(|(later, _)| later == of) {
                continue;
            }
            let index = match of {
                Given::Field(index) => *index as u32,
                Given::Context(field) => CONTEXT + *field as u32,
                Given::Named(name) => {
                    kept.push_text(NAME, name, 0);
                    NAMED
                }
            };
            match *value {
                GivenValue::Bool(value) => kept.values.push((index, Raw::Bool(value))),
                GivenValue::I64(value) => kept.values.push((index, Raw::I64(value))),
                GivenValue::U64(value) => kept.values.push((index, Raw::U64(value))),
                GivenValue::F64(value) => kept.values.push((index, Raw::F64(value))),
                GivenValue::Text { kept: text, lost } => kept.push_text(index, text, lost),
            }
        }
        *self = kept;
    }
}

/// How much room there should be beyond `length`: what there is, if `more` fits, else a step.
fn wanted(length: usize, capacity: usize, more: usize, step: usize) -> usize {
    if capacity - length >= more { capacity - length } else { more.max(step) }
}

/// The field of the context that an index stands for.
fn context_field(index: u32) -> Option<IdField> {
    IdField::ALL.get(index.checked_sub(CONTEXT)? as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            any::<bool>().prop_map(FieldValue::Bool),
            any::<i64>().prop_map(FieldValue::I64),
            any::<u64>().prop_map(FieldValue::U64),
            (-1e9..1e9).prop_map(FieldValue::F64),
            ".{0,12}".prop_map(FieldValue::from),
        ]
    }

    fn read(raw: &RawFields) -> Vec<(String, FieldValue)> {
        let owned = |value: GivenValue<'_>| match value {
            GivenValue::Bool(value) => FieldValue::Bool(value),
            GivenValue::I64(value) => FieldValue::I64(value),
            GivenValue::U64(value) => FieldValue::U64(value),
            GivenValue::F64(value) => FieldValue::F64(value),
            GivenValue::Text { kept, .. } => FieldValue::from(kept.to_owned()),
        };
        raw.given(0..raw.len())
            .filter_map(|(of, value)| match of {
                Given::Named(name) => Some((name.to_owned(), owned(value))),
                Given::Field(_) | Given::Context(_) => None,
            })
            .collect()
    }

    proptest! {
        #[test]
        fn values_are_read_back_as_they_were_given_and_the_last_one_of_a_name_stays(
            given in prop::collection::vec(("[a-e]", value()), 0..20),
            half in 0_usize..20,
        ) {
            let (mut all, mut later) = (RawFields::default(), RawFields::default());
            all.put_context(IdField::User, "u-1");
            for (at, (name, value)) in given.iter().enumerate() {
                let into = if at < half { &mut all } else { &mut later };
                into.put_named(name, value);
            }
            all.append(&later);
            prop_assert_eq!(&read(&all), &given);
            all.forget_replaced();
            let last: Vec<_> = given
                .iter()
                .enumerate()
                .filter(|(at, (name, _))| given[at + 1..].iter().all(|(later, _)| later != name))
                .map(|(_, one)| one.clone())
                .collect();
            prop_assert_eq!(read(&all), last);
            let user = all.given(0..all.len()).find(|(of, _)| *of == Given::Context(IdField::User));
            let is_kept = matches!(user, Some((_, GivenValue::Text { kept: "u-1", lost: 0 })));
            prop_assert!(is_kept);
            all.shorten(3, 8);
            prop_assert!(all.len() <= 3);
        }
    }
}
