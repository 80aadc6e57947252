//! The names of spans as values of a label, of which there is only room for so many.

use std::collections::HashSet;

use parking_lot::Mutex;

/// The name that stands for all beyond the cap.
const OTHER: &str = "other";

/// The names that have a series of their own.
pub(crate) struct CappedNames {
    most: usize,
    names: Mutex<HashSet<&'static str>>,
}

impl CappedNames {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, names: Mutex::default() }
    }

    /// The label of a name: the first so many have one of their own.
    pub(crate) fn label(&self, name: &'static str) -> &'static str {
        let mut names = self.names.lock();
        if names.contains(name) {
            return name;
        }
        if names.len() >= self.most {
            return OTHER;
        }
        names.insert(name);
        name
    }
}
