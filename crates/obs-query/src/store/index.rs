//! The inverted index: from a label's value to the series that have it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use obs_model::Labels;

use super::heap;
use crate::{MatchOp, Matcher, Selector};

/// What an entry of a map costs beside what it holds: its share of nodes or of empty places.
const ENTRY_BYTES: usize = 16;

/// The slots of series, rising. Most values of labels such as `id` have one series only.
#[derive(Debug)]
enum Postings {
    One(u32),
    Many(Vec<u32>),
}

/// From a label's name and value to the series that have it.
#[derive(Debug, Default)]
pub(super) struct Index {
    labels: HashMap<Box<str>, BTreeMap<Box<str>, Postings>>,
    all: Vec<u32>,
    /// What names, values and postings take, in bytes.
    bytes: usize,
}

impl Index {
    pub(super) fn insert(&mut self, slot: u32, labels: &Labels) {
        insert_sorted(&mut self.all, slot);
        for (name, value) in labels.iter() {
            if !self.labels.contains_key(name) {
                self.bytes += text_bytes(name) + size_of::<BTreeMap<Box<str>, Postings>>();
                self.labels.insert(name.into(), BTreeMap::new());
            }
            let Some(values) = self.labels.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(postings) => {
                    self.bytes -= postings.bytes();
                    postings.insert(slot);
                    self.bytes += postings.bytes();
                }
                None => {
                    self.bytes += text_bytes(value) + size_of::<Postings>();
                    values.insert(value.into(), Postings::One(slot));
                }
            }
        }
    }

    pub(super) fn remove(&mut self, slot: u32, labels: &Labels) {
        remove_sorted(&mut self.all, slot);
        for (name, value) in labels.iter() {
            let Some(values) = self.labels.get_mut(name) else { continue };
            if let Some(postings) = values.get_mut(value) {
                self.bytes -= postings.bytes();
                if postings.remove(slot) {
                    self.bytes += postings.bytes();
                } else {
                    values.remove(value);
                    self.bytes -= text_bytes(value) + size_of::<Postings>();
                }
            }
            if values.is_empty() {
                self.labels.remove(name);
                self.bytes -= text_bytes(name) + size_of::<BTreeMap<Box<str>, Postings>>();
            }
        }
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + heap::vector(&self.all)
    }

    /// The label names in use, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.keys().map(|name| &**name)
    }

    /// The values of a label in use, sorted.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.labels.get(name).into_iter().flatten().map(|(value, _)| &**value)
    }

    /// The series that `selector` accepts, by rising slot.
    ///
    /// A matcher that an absent label fails keeps the series with a value that meets it; one that an absent label
    /// meets removes the series with a value that fails it. The first kind goes first, the smallest set foremost.
    pub(super) fn find(&self, selector: &Selector) -> Vec<u32> {
        let (removing, keeping): (Vec<_>, Vec<_>) =
            selector.matchers().iter().partition(|matcher| matcher.matches(""));
        let mut sets: Vec<_> =
            keeping.iter().map(|matcher| self.with_value(matcher, true)).collect();
        sets.sort_by_key(|set| set.len());
        let mut sets = sets.into_iter();
        let mut found = sets.next().map_or_else(|| self.all.clone(), Cow::into_owned);
        for set in sets {
            keep(&mut found, &set, true);
        }
        for matcher in removing {
            if found.is_empty() {
                break;
            }
            keep(&mut found, &self.with_value(matcher, false), false);
        }
        found
    }

    /// The series that have a value of the matcher's label that meets it, or fails it.
    fn with_value(&self, matcher: &Matcher, meets: bool) -> Cow<'_, [u32]> {
        let Some(values) = self.labels.get(matcher.label()) else {
            return Cow::Borrowed(&[]);
        };
        let exact =
            matches!((matcher.op(), meets), (MatchOp::Equal, true) | (MatchOp::NotEqual, false));
        if exact {
            return Cow::Borrowed(values.get(matcher.value()).map_or(&[], Postings::slots));
        }
        let by_pattern =
            matches!((matcher.op(), meets), (MatchOp::Regex, true) | (MatchOp::NotRegex, false));
        match matcher.pattern() {
            Some(pattern) if by_pattern => {
                if let Some(words) = pattern.words() {
                    return union(words.iter().filter_map(|word| values.get(word)));
                }
                let prefix = pattern.prefix();
                let range = values.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
                let begun = range.take_while(|(value, _)| value.starts_with(prefix));
                union(begun.filter(|(value, _)| pattern.is_match(value)).map(|(_, slots)| slots))
            }
            _ => {
                let accepted = values.iter().filter(|(value, _)| matcher.matches(value) == meets);
                union(accepted.map(|(_, slots)| slots))
            }
        }
    }
}

/// The series of several values of one label; a series has one of them, so no slot stands twice.
fn union<'p>(mut postings: impl Iterator<Item = &'p Postings>) -> Cow<'p, [u32]> {
    let (Some(first), second) = (postings.next(), postings.next()) else {
        return Cow::Borrowed(&[]);
    };
    let Some(second) = second else {
        return Cow::Borrowed(first.slots());
    };
    let mut slots = [first.slots(), second.slots()].concat();
    postings.for_each(|more| slots.extend_from_slice(more.slots()));
    // Stable, because this sort makes use of runs that rise already.
    slots.sort();
    Cow::Owned(slots)
}

impl Postings {
    fn slots(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }

    fn insert(&mut self, slot: u32) {
        match self {
            Self::One(known) if *known == slot => {}
            Self::One(known) => *self = Self::Many(vec![slot.min(*known), slot.max(*known)]),
            Self::Many(slots) => insert_sorted(slots, slot),
        }
    }

    /// Takes a slot out and says whether any is left.
    fn remove(&mut self, slot: u32) -> bool {
        match self {
            Self::One(known) => *known != slot,
            Self::Many(slots) => {
                remove_sorted(slots, slot);
                if let [last] = slots[..] {
                    *self = Self::One(last);
                } else if slots.capacity() > 64 && slots.len() < slots.capacity() / 4 {
                    slots.shrink_to(slots.len() * 2);
                }
                true
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many(slots) => heap::vector(slots),
        }
    }
}

fn text_bytes(text: &str) -> usize {
    size_of::<Box<str>>() + heap::allocation(text.len()) + ENTRY_BYTES
}

fn insert_sorted(postings: &mut Vec<u32>, slot: u32) {
    if postings.last().is_none_or(|last| *last < slot) {
        postings.push(slot);
    } else if let Err(position) = postings.binary_search(&slot) {
        postings.insert(position, slot);
    }
}

fn remove_sorted(postings: &mut Vec<u32>, slot: u32) {
    if let Ok(position) = postings.binary_search(&slot) {
        postings.remove(position);
    }
}

/// Keeps of `found` what is in `set`, or what is not; both rise.
fn keep(found: &mut Vec<u32>, set: &[u32], contained: bool) {
    if set.len() / 16 > found.len() {
        found.retain(|slot| set.binary_search(slot).is_ok() == contained);
        return;
    }
    let mut rest = set;
    found.retain(|slot| {
        while rest.first().is_some_and(|first| first < slot) {
            rest = &rest[1..];
        }
        (rest.first() == Some(slot)) == contained
    });
}
