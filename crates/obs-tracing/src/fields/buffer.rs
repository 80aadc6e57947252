//! Rendered fields: JSON members that are merged by copying bytes.

use obs_model::FieldValue;

use super::keys::{FieldKind, IdField, Key};
use super::{FieldRules, MAX_ID, Text};
use crate::line::write;

/// Rendered fields: `"key":value` one after another, with an index.
#[derive(Debug, Default)]
pub(crate) struct FieldBuffer {
    text: Vec<u8>,
    entries: Vec<Entry>,
    /// Whether a field was left out or a text was cut.
    pub(crate) truncated: bool,
    /// Which of them have a place of their own in the line, a bit for each: see [`IdField::bit`].
    ids: u16,
    /// How many bytes of the text belong to values that were replaced.
    replaced: usize,
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
        self.ids = 0;
        self.replaced = 0;
    }

    /// Drops the values that were replaced.
    fn compact(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() - self.replaced);
        for entry in &mut self.entries {
            let start = text.len() as u32;
            text.extend_from_slice(&self.text[entry.start as usize..entry.end as usize]);
            entry.value = start + (entry.value - entry.start);
            entry.end = start + (entry.end - entry.start);
            entry.start = start;
        }
        self.text = text;
        self.replaced = 0;
    }

    /// The fields with a place of their own in the line, as `"key":"value"`, in the order in which they stand there.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (IdField, &[u8])> {
        let mut left = self.ids;
        let mut next = move || {
            let field = *IdField::ALL.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(field)
        };
        std::iter::from_fn(move || {
            let field = next()?;
            self.find(FieldKind::Id(field)).map(|member| (field, member))
        })
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
        self.plain().map(|entry| self.pair(entry))
    }

    /// Every field with those that have a place of their own in the line, as `"key":value`.
    pub(crate) fn all_members(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.iter().map(|entry| &self.text[entry.start as usize..entry.end as usize])
    }

    /// The same, with key and value apart.
    pub(crate) fn all_pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries.iter().map(|entry| self.pair(entry))
    }

    fn pair(&self, entry: &Entry) -> (&[u8], &[u8]) {
        let (start, value) = (entry.start as usize, entry.value as usize);
        (&self.text[start..value - 1], &self.text[value..entry.end as usize])
    }

    fn plain(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !matches!(entry.kind, FieldKind::Id(_)))
    }

    /// The field with a place of its own in the line, as `"key":"value"`.
    pub(crate) fn find(&self, kind: FieldKind) -> Option<&[u8]> {
        let FieldKind::Id(field) = kind else { return None };
        if self.ids & field.bit() == 0 {
            return None;
        }
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
        self.ids |= outer.ids;
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
        let cut_key = key.push(&mut self.text, rules.max_text);
        let value = self.text.len();
        let kind = match key.kind {
            FieldKind::Id(field) => {
                self.ids |= field.bit();
                key.kind
            }
            _ => FieldKind::Plain,
        };
        self.truncated |= write(&mut self.text) | cut_key;
        let end = self.text.len();
        let entry =
            Entry { kind, tag: key.tag, start: start as u32, value: value as u32, end: end as u32 };
        let rendered = &self.text[start..value];
        match self.position_in(&self.entries, key.tag, rendered) {
            Some(at) if end <= rules.max_bytes => {
                let old = std::mem::replace(&mut self.entries[at], entry);
                self.replaced += (old.end - old.start) as usize;
                if self.replaced > rules.max_bytes / 4 {
                    self.compact();
                }
            }
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
        self.put_bounded(key, Text::start_of(text, rules.window()), rules);
    }

    /// Adds a field whose value is the start of a text.
    pub(super) fn put_bounded(&mut self, key: Key<'_>, text: Text<'_>, rules: &FieldRules) {
        if key.kind == FieldKind::Secret {
            let replacement = rules.redactor.replacement(text.kept);
            if !replacement.is_empty() {
                self.put(key, rules, |out| write::push_string(out, &replacement, 0, usize::MAX));
            }
            return;
        }
        let budget = match key.kind {
            FieldKind::Id(_) => MAX_ID,
            _ => rules.max_text,
        };
        let redacted = rules.redactor.text(text.kept);
        self.put(key, rules, |out| write::push_string(out, &redacted, text.lost, budget));
    }

    /// Adds a field with a value of any kind.
    pub(crate) fn put_value(&mut self, key: Key<'_>, value: &FieldValue, rules: &FieldRules) {
        match value {
            FieldValue::Text(text) => self.put_text(key, text, rules),
            FieldValue::Bool(value) => self.put_bare(key, rules, |out| {
                out.extend_from_slice(if *value { b"true" } else { b"false" });
            }),
            FieldValue::I64(value) => self.put_bare(key, rules, |out| write::push_i64(out, *value)),
            FieldValue::U64(value) => self.put_bare(key, rules, |out| write::push_u64(out, *value)),
            FieldValue::F64(value) => self.put_bare(key, rules, |out| write::push_f64(out, *value)),
        }
    }

    /// Adds a field whose value needs no escaping; ids stay text and secrets stay secret.
    fn put_bare(&mut self, key: Key<'_>, rules: &FieldRules, write: impl FnOnce(&mut Vec<u8>)) {
        match key.kind {
            FieldKind::Secret => {
                let mut secret = Vec::new();
                write(&mut secret);
                self.put_text(key, &String::from_utf8_lossy(&secret), rules);
            }
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
