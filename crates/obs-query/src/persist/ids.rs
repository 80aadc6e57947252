//! The numbers that stand for series on the disk.

use std::collections::HashMap;

use obs_model::Labels;

/// What is known of a series that has a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) id: u64,
    /// The time up to which its samples are on the disk, or on their way.
    pub(super) saved: i64,
    /// The last segment that has a chunk of it, by the time that it is kept under.
    pub(super) segment: i64,
}

impl Known {
    pub(super) fn new(id: u64) -> Self {
        Self { id, saved: i64::MIN, segment: i64::MIN }
    }
}

/// The numbers of series. None is used for another as long as anything on the disk has it.
#[derive(Debug, Default)]
pub(super) struct Ids {
    by_labels: HashMap<Labels, Known>,
    next: u64,
}

impl Ids {
    /// Takes over a number that the file has.
    pub(super) fn restore(&mut self, labels: Labels, known: Known) {
        self.next = self.next.max(known.id.saturating_add(1));
        self.by_labels.insert(labels, known);
    }

    /// A series, which gets a number if it has none; then `made` is called with it.
    pub(super) fn get_or_make(&mut self, labels: &Labels, made: impl FnOnce(u64)) -> &mut Known {
        let next = &mut self.next;
        self.by_labels.entry(labels.clone()).or_insert_with(|| {
            let id = *next;
            *next += 1;
            made(id);
            Known::new(id)
        })
    }

    pub(super) fn remove(&mut self, labels: &Labels) {
        self.by_labels.remove(labels);
    }

    /// The series of which everything is older than `floor`.
    pub(super) fn older_than(&self, floor: i64) -> Vec<(Labels, u64)> {
        let old = self.by_labels.iter().filter(|(_, known)| known.saved.max(known.segment) < floor);
        old.map(|(labels, known)| (labels.clone(), known.id)).collect()
    }
}
