//! Which series there are: by labels, by slot, by label values, and in order.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use obs_model::Labels;

use super::blocks::{Block, SeriesId};
use super::heap;
use super::index::Index;
use super::list::SeriesList;
use super::selections::{Selection, Selections};
use crate::Selector;

/// About what a label set takes beside its text, in bytes: two counts, the hash, two fat pointers, two allocations.
const LABELS_BYTES: usize = 64 + 16;

/// Which series there are.
#[derive(Debug, Default)]
pub(super) struct Directory {
    by_labels: HashMap<Labels, u32, BuildHasherDefault<Precomputed>>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    index: Index,
    selections: Selections,
    /// The slots that have a rank, in order of labels; those of series that are gone may be among them.
    order: Vec<u32>,
    /// The slots that came since, in no order.
    unordered: Vec<u32>,
    /// What the label sets take, in bytes.
    label_bytes: usize,
    /// How often a series came or went.
    changes: u64,
}

/// There are series that have no rank yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unordered;

/// What is known of a slot.
#[derive(Debug, Default)]
struct Entry {
    labels: Option<Labels>,
    version: u32,
    /// Its place among all series, in order of labels, or [`UNORDERED`].
    rank: u32,
}

impl Directory {
    pub(super) fn len(&self) -> usize {
        self.by_labels.len()
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn get(&self, labels: &Labels) -> Option<SeriesId> {
        self.by_labels.get(labels).map(|slot| self.id(*slot))
    }

    /// Makes an id for labels that have none.
    pub(super) fn insert(&mut self, labels: &Labels) -> SeriesId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            // OK because there are no more slots than series, of which there are at most 2²⁴.
            (self.entries.len() - 1) as u32
        });
        let entry = &mut self.entries[slot as usize];
        entry.labels = Some(labels.clone());
        entry.rank = UNORDERED;
        self.by_labels.insert(labels.clone(), slot);
        self.index.insert(slot, labels);
        self.selections.forget(labels);
        self.label_bytes += label_bytes(labels);
        self.changes += 1;
        self.unordered.push(slot);
        // Slots that were given back and out again stand there more than once.
        if self.unordered.len() > 2 * self.entries.len() + 64 {
            self.put_in_order();
        }
        self.id(slot)
    }

    /// Forgets a series.
    pub(super) fn remove(&mut self, id: SeriesId) {
        let Some(entry) = self.entries.get_mut(id.slot as usize) else {
            return;
        };
        if entry.version != id.version {
            return;
        }
        let Some(labels) = entry.labels.take() else {
            return;
        };
        self.by_labels.remove(&labels);
        self.index.remove(id.slot, &labels);
        self.selections.forget(&labels);
        self.label_bytes -= label_bytes(&labels);
        self.changes += 1;
        self.free.push(id.slot);
        entry.version = entry.version.wrapping_add(1);
        // The slot may get other labels, so that it must not keep its place. The others keep their ranks: a gap among
        // them does no harm.
        if let Some(place) = self.order.get_mut(entry.rank as usize) {
            *place = GONE;
        }
        entry.rank = UNORDERED;
    }

    /// What `selector` accepts, if that is known.
    pub(super) fn known_selection(&self, selector: &Selector) -> Option<Selection> {
        self.selections.get(selector)
    }

    /// What `selector` accepts, in order of labels, and how often series had come or gone before; not while there
    /// are series that have no rank yet.
    pub(super) fn find(&self, selector: &Selector) -> Result<(Selection, u64), Unordered> {
        if !self.unordered.is_empty() {
            return Err(Unordered);
        }
        let mut slots = self.index.find(selector);
        slots.sort_unstable_by_key(|slot| self.entries[*slot as usize].rank);
        let series = slots
            .into_iter()
            .filter_map(|slot| Some((self.id(slot), self.entries[slot as usize].labels.clone()?)));
        Ok((Selection::new(SeriesList::new(series)), self.changes))
    }

    /// Keeps what a selector found, unless series have come or gone since; `room` is how much all of this may take, in
    /// bytes.
    pub(super) fn keep(
        &mut self,
        selector: &Selector,
        selection: &Selection,
        changes: u64,
        room: usize,
    ) {
        if self.changes == changes {
            self.selections.put(selector, selection, self.by_labels.len(), room);
        }
    }

    /// Gives every series a rank.
    pub(super) fn put_in_order(&mut self) {
        if self.unordered.is_empty() {
            return;
        }
        let entries = &self.entries;
        let labels = |slot: u32| entries.get(slot as usize).and_then(|entry| entry.labels.as_ref());
        self.order.retain(|slot| *slot != GONE);
        self.unordered.retain(|slot| labels(*slot).is_some());
        self.unordered.sort_unstable_by(|a, b| labels(*a).cmp(&labels(*b)));
        self.unordered.dedup();
        let mut merged = Vec::with_capacity(self.order.len() + self.unordered.len());
        let mut rest = &self.order[..];
        for new in &self.unordered {
            let before = rest.partition_point(|slot| labels(*slot) < labels(*new));
            merged.extend_from_slice(&rest[..before]);
            merged.push(*new);
            rest = &rest[before..];
        }
        merged.extend_from_slice(rest);
        for (rank, slot) in (0..).zip(&merged) {
            self.entries[*slot as usize].rank = rank;
        }
        self.order = merged;
        self.unordered = Vec::new();
    }

    /// The memory that it takes, in bytes, with what the slots of series take.
    pub(super) fn bytes(&self) -> usize {
        // A table of a standard map is up to seven eighths full and has a byte of its own for each place.
        let table = self.by_labels.capacity() * (size_of::<(Labels, u32)>() + 1) * 8 / 7;
        self.label_bytes
            + heap::allocation(table)
            + heap::vector(&self.entries)
            + heap::vector(&self.free)
            + heap::vector(&self.order)
            + heap::vector(&self.unordered)
            + self.index.bytes()
            + self.selections.bytes()
            + self.entries.len() * Block::SERIES_BYTES
    }

    fn id(&self, slot: u32) -> SeriesId {
        SeriesId { slot, version: self.entries[slot as usize].version }
    }
}

/// Stands in the order for a series that is gone.
const GONE: u32 = u32::MAX;
/// The rank of a series that has none yet.
const UNORDERED: u32 = u32::MAX;

/// What a label set takes, in bytes.
pub(super) fn label_bytes(labels: &Labels) -> usize {
    let text: usize = labels.iter().map(|(name, value)| name.len() + value.len()).sum();
    LABELS_BYTES + heap::allocation(text) + heap::allocation(labels.len() * 8)
}

/// Hands on the hash that a label set already has; that one is keyed, so it is safe against chosen labels.
#[derive(Debug, Default)]
pub(super) struct Precomputed(u64);

impl Hasher for Precomputed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // OK because only label sets are hashed with this, and they write one number. Anything else would still be
        // hashed, if badly (FNV-1a).
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
