//! The inverted index: from a label's value to the series that have it.

use std::collections::{BTreeMap, HashMap};

use obs_model::Labels;

use crate::{MatchOp, Matcher, Selector};

/// The slots of series, rising.
type Postings = Vec<u32>;

/// From a label's name and value to the series that have it.
#[derive(Debug, Default)]
pub(super) struct Index {
    labels: HashMap<Box<str>, BTreeMap<Box<str>, Postings>>,
    all: Postings,
}

impl Index {
    pub(super) fn insert(&mut self, slot: u32, labels: &Labels) {
        insert_sorted(&mut self.all, slot);
        for (name, value) in labels.iter() {
            if !self.labels.contains_key(name) {
                self.labels.insert(name.into(), BTreeMap::new());
            }
            let Some(values) = self.labels.get_mut(name) else { continue };
            match values.get_mut(value) {
                Some(postings) => insert_sorted(postings, slot),
                None => {
                    values.insert(value.into(), vec![slot]);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, slot: u32, labels: &Labels) {
        remove_sorted(&mut self.all, slot);
        for (name, value) in labels.iter() {
            let Some(values) = self.labels.get_mut(name) else { continue };
            if let Some(postings) = values.get_mut(value) {
                remove_sorted(postings, slot);
                if postings.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.labels.remove(name);
            }
        }
    }

    /// The label names in use, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.labels.keys().map(|name| &**name)
    }

    /// The values of a label in use, sorted.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.labels.get(name).into_iter().flatten().map(|(value, _)| &**value)
    }

    /// The series that `selector` accepts, rising.
    ///
    /// A matcher that an absent label fails keeps the series with a value that meets it; one that an absent label
    /// meets removes the series with a value that fails it. The first kind goes first, because it makes the set small.
    pub(super) fn find(&self, selector: &Selector) -> Postings {
        let (removing, keeping): (Vec<_>, Vec<_>) =
            selector.matchers().iter().partition(|matcher| matcher.matches(""));
        let mut found: Option<Postings> = None;
        for matcher in keeping {
            let these = self.with_value(matcher, true);
            found = Some(match found {
                Some(found) => intersect(&found, &these),
                None => these,
            });
            if found.as_ref().is_some_and(Vec::is_empty) {
                return Postings::new();
            }
        }
        let mut found = found.unwrap_or_else(|| self.all.clone());
        for matcher in removing {
            let these = self.with_value(matcher, false);
            found.retain(|slot| these.binary_search(slot).is_err());
        }
        found
    }

    /// The series that have a value of the matcher's label that meets it, or fails it.
    fn with_value(&self, matcher: &Matcher, meets: bool) -> Postings {
        let Some(values) = self.labels.get(matcher.label()) else {
            return Postings::new();
        };
        let exact =
            matches!((matcher.op(), meets), (MatchOp::Equal, true) | (MatchOp::NotEqual, false));
        if exact {
            return values.get(matcher.value()).cloned().unwrap_or_default();
        }
        let mut slots: Postings = values
            .iter()
            .filter(|(value, _)| matcher.matches(value) == meets)
            .flat_map(|(_, postings)| postings)
            .copied()
            .collect();
        // A series has one value of a label, so no slot stands twice.
        slots.sort_unstable();
        slots
    }
}

fn insert_sorted(postings: &mut Postings, slot: u32) {
    if let Err(position) = postings.binary_search(&slot) {
        postings.insert(position, slot);
    }
}

fn remove_sorted(postings: &mut Postings, slot: u32) {
    if let Ok(position) = postings.binary_search(&slot) {
        postings.remove(position);
    }
}

/// What is in both: each member of the shorter is looked up in the longer.
fn intersect(a: &Postings, b: &Postings) -> Postings {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    short.iter().copied().filter(|slot| long.binary_search(slot).is_ok()).collect()
}
