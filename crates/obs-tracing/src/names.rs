//! Names that become labels: as many as a cap allows, the rest under one name.

use std::collections::HashSet;
use std::sync::Arc;

use metrics::SharedString;
use parking_lot::{Mutex, RwLock};

/// The name that stands for all beyond the cap.
pub(crate) const OTHER: &str = "other";

/// The longest name that becomes a label, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// The first so many names that were seen.
#[derive(Debug)]
pub(crate) struct NameCap {
    most: usize,
    seen: RwLock<HashSet<Arc<str>>>,
}

impl NameCap {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, seen: RwLock::default() }
    }

    /// The label of a name that counts only if it was seen before: for names that anybody can make up.
    #[cfg(feature = "http")]
    pub(crate) fn known(&self, name: &str) -> SharedString {
        let known = self.seen.read().get(name).map(Arc::clone);
        known.map_or(SharedString::const_str(OTHER), SharedString::from)
    }

    /// The label of a name: the name itself, or `other` when it is too long or there are too many.
    pub(crate) fn label(&self, name: &str) -> SharedString {
        if let Some(known) = self.seen.read().get(name) {
            return SharedString::from(Arc::clone(known));
        }
        if name.len() > MAX_NAME_BYTES {
            return SharedString::const_str(OTHER);
        }
        let mut seen = self.seen.write();
        if let Some(known) = seen.get(name) {
            return SharedString::from(Arc::clone(known));
        }
        if seen.len() >= self.most {
            return SharedString::const_str(OTHER);
        }
        let name: Arc<str> = Arc::from(name);
        seen.insert(Arc::clone(&name));
        SharedString::from(name)
    }
}

/// The first so many names that the code has for something, such as those of spans.
pub(crate) struct CodeNames {
    most: usize,
    names: Mutex<HashSet<&'static str>>,
}

impl CodeNames {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, names: Mutex::default() }
    }

    /// The label of a name: the name itself, or `other` when there are too many.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_labels_and_later_or_long_ones_are_others() {
        let cap = NameCap::new(2);
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let labels = ["a", &long, "b", "c", "a", "b", "d"].map(|name| cap.label(name));
        let labels: Vec<&str> = labels.iter().map(|label| &**label).collect();
        assert_eq!(labels, ["a", OTHER, "b", OTHER, "a", "b", OTHER]);
    }
}
