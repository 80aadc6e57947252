//! Names that Prometheus did not always accept, kept beside the ones that everybody accepts.
//!
//! A series is known by its legacy names everywhere in the process. What it was given as is kept only to be shown to
//! readers that ask for UTF-8 names or for an escaping that can be undone.

use std::borrow::Cow;

use obs_model::{Labels, is_valid_label_name};

use super::escape::{Escaping, label_text};
use crate::registry::{Family, Series};

/// The label names of one series as they were given.
#[derive(Debug)]
pub(crate) struct GivenLabels {
    /// Legacy name and given name, of those that differ.
    names: Box<[(Box<str>, Box<str>)]>,
    /// The labels as a line has them that may contain UTF-8 names; rendered once, here.
    text: Box<str>,
}

/// The label names of one recording that cannot stay as they were given.
#[derive(Debug, Default)]
pub(crate) struct GivenNames<'a>(Vec<(String, &'a str)>);

impl<'a> GivenNames<'a> {
    /// Takes in a name as it was given and as everybody accepts it.
    #[inline]
    pub(crate) fn note(&mut self, given: &'a str, legacy: &str) {
        // Of names that become the same, the last one counts, as its value does.
        self.0.retain(|(known, _)| known != legacy);
        if given != legacy && !given.is_empty() && !is_valid_label_name(given) {
            self.0.push((legacy.to_owned(), given));
        }
    }
}

impl GivenLabels {
    fn new(labels: &Labels, names: &GivenNames<'_>) -> Self {
        let names: Box<[(Box<str>, Box<str>)]> = names
            .0
            .iter()
            .map(|(legacy, given)| (legacy.as_str().into(), (*given).into()))
            .collect();
        let text = label_text(labels.iter().map(|(name, value)| (given_name(&names, name), value)));
        Self { names, text: text.into() }
    }
}

fn given_name<'a>(names: &'a [(Box<str>, Box<str>)], legacy: &'a str) -> &'a str {
    names.iter().find(|(known, _)| **known == *legacy).map_or(legacy, |(_, given)| given)
}

impl Family {
    /// Remembers the name as it was given, if it could not stay so.
    #[inline]
    pub(crate) fn note_given(&self, name: &str) {
        if *name != *self.name && !name.is_empty() {
            self.given_name.get_or_init(|| name.into());
        }
    }

    /// The name that a reader of names in this scheme gets.
    pub(super) fn shown_name(&self, escaping: Escaping) -> Cow<'_, str> {
        match (escaping, self.given_name.get()) {
            (Escaping::Underscores, _) | (_, None) => Cow::Borrowed(&self.name),
            (_, Some(given)) => escaping.apply(given),
        }
    }
}

impl Series {
    /// Remembers the label names as they were given, if one of them could not stay so.
    #[inline]
    pub(crate) fn note_given(&self, names: GivenNames<'_>) {
        if !names.0.is_empty() {
            self.given_labels.get_or_init(|| Box::new(GivenLabels::new(&self.labels, &names)));
        }
    }

    /// The labels' text that a reader of names in this scheme gets.
    #[inline]
    pub(super) fn shown_labels(&self, escaping: Escaping) -> Cow<'_, str> {
        if escaping == Escaping::Underscores {
            return Cow::Borrowed(&self.label_text);
        }
        match (escaping, self.given_labels.get()) {
            (_, None) => Cow::Borrowed(&self.label_text),
            (Escaping::AllowUtf8, Some(given)) => Cow::Borrowed(&given.text),
            (_, Some(_)) => {
                let pairs: Vec<_> = self.shown_pairs(escaping).collect();
                Cow::Owned(label_text(pairs.iter().map(|(name, value)| (&**name, *value))))
            }
        }
    }

    /// The labels that a reader of names in this scheme gets.
    pub(super) fn shown_pairs(
        &self,
        escaping: Escaping,
    ) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        let names = match self.given_labels.get() {
            Some(given) if escaping != Escaping::Underscores => &*given.names,
            _ => &[],
        };
        self.labels
            .iter()
            .map(move |(name, value)| (escaping.apply(given_name(names, name)), value))
    }
}
