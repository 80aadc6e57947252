//! The messages held in memory, in the order in which they were taken, and by priority when room has to be made.

use std::collections::VecDeque;

use super::Held;
use super::room::Used;
use crate::Priority;

const LEVELS: usize = Priority::ALL.len();

/// A queue for each priority; the numbers of the messages give the order across them.
#[derive(Default)]
pub(crate) struct Ordered {
    levels: [Level; LEVELS],
    len: usize,
    bytes: usize,
    /// What was gathered and is not yet arranged.
    gathered: Vec<Held>,
}

#[derive(Default)]
struct Level {
    items: VecDeque<Held>,
    bytes: usize,
}

impl Ordered {
    pub(super) fn gather(&mut self, items: impl Iterator<Item = Held>) {
        self.gathered.extend(items);
    }

    /// Puts what was gathered in its places. All of it is younger than what is here already.
    pub(super) fn arrange(&mut self) {
        // Each shard's part is sorted, which is what this sort is quick with; often there is only one.
        if !self.gathered.is_sorted_by_key(|held| held.number) {
            self.gathered.sort_by_key(|held| held.number);
        }
        for held in self.gathered.drain(..) {
            let size = held.size();
            let level = &mut self.levels[held.message.priority() as usize];
            level.bytes += size;
            self.bytes += size;
            self.len += 1;
            level.items.push_back(held);
        }
        self.gathered.shrink_to(super::KEPT_CAPACITY);
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The oldest message.
    pub(crate) fn front(&self) -> Option<&Held> {
        self.front_level().and_then(|level| self.levels[level].items.front())
    }

    /// Takes the oldest message.
    pub(crate) fn pop(&mut self) -> Option<Held> {
        self.front_level().and_then(|level| self.pop_from(level))
    }

    /// Puts messages back that are older than all that are here.
    pub(crate) fn put_back(&mut self, items: Vec<Held>) {
        for held in items.into_iter().rev() {
            let size = held.size();
            let level = &mut self.levels[held.message.priority() as usize];
            level.bytes += size;
            self.bytes += size;
            self.len += 1;
            level.items.push_front(held);
        }
    }

    /// Takes the oldest of the messages of the lowest priority, if that is below `below`.
    pub(super) fn evict(&mut self, below: Priority) -> Option<Held> {
        let level =
            self.levels[..below as usize].iter().position(|level| !level.items.is_empty())?;
        self.pop_from(level)
    }

    /// Whether so much is held by messages of lower priority.
    pub(super) fn can_free(&self, below: Priority, needed: Used) -> bool {
        let lower = &self.levels[..below as usize];
        lower.iter().map(|level| level.items.len()).sum::<usize>() >= needed.items
            && lower.iter().map(|level| level.bytes).sum::<usize>() >= needed.bytes
    }

    fn front_level(&self) -> Option<usize> {
        let fronts = self.levels.iter().enumerate();
        fronts
            .filter_map(|(index, level)| Some((level.items.front()?.number, index)))
            .min()
            .map(|(_, index)| index)
    }

    fn pop_from(&mut self, level: usize) -> Option<Held> {
        let level = &mut self.levels[level];
        let held = level.items.pop_front()?;
        let size = held.size();
        level.bytes -= size;
        self.bytes -= size;
        self.len -= 1;
        if level.items.is_empty() {
            level.items.shrink_to(super::KEPT_CAPACITY);
        }
        Some(held)
    }
}
