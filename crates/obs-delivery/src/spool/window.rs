//! The messages of the spool that are in memory as well, to be sent next.

use std::collections::VecDeque;

use crate::batch::Source;
use crate::queue::Held;

/// The most messages in the window, however small they are.
pub(super) const MAX_ITEMS: usize = 8_192;

/// Messages in memory that are in the spool as well.
pub(crate) struct Window {
    items: VecDeque<Held>,
    bytes: usize,
    max_bytes: usize,
}

impl Window {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { items: VecDeque::new(), bytes: 0, max_bytes }
    }

    /// Whether it takes no more of what is pushed.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= self.max_bytes || self.items.len() >= MAX_ITEMS
    }

    pub(super) fn push(&mut self, held: Held) {
        self.bytes += held.size();
        self.items.push_back(held);
    }
}

impl Source for Window {
    fn front(&self) -> Option<&Held> {
        self.items.front()
    }

    fn pop(&mut self) -> Option<Held> {
        let held = self.items.pop_front()?;
        self.bytes -= held.size();
        Some(held)
    }

    fn items(&self) -> usize {
        self.items.len()
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}
