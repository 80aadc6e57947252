//! The free slots that each thread keeps, so that opening and closing a span touch nothing that threads share.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use super::table::SpanTable;

/// The most that a thread keeps; beyond, half of them are given back.
const KEPT: usize = 64;

struct Kept {
    table: Weak<SpanTable>,
    owner: u32,
    slots: Vec<u32>,
}

impl Kept {
    /// Makes these the slots of `table`.
    fn belong_to(&mut self, table: &Arc<SpanTable>) {
        if self.owner != table.owner {
            self.give_back();
            self.table = Arc::downgrade(table);
            self.owner = table.owner;
        }
    }

    fn give_back(&mut self) {
        if let Some(table) = self.table.upgrade() {
            table.give_back(&mut self.slots, 0);
        }
        self.slots.clear();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.give_back();
    }
}

thread_local! {
    static KEPT_SLOTS: RefCell<Kept> =
        const { RefCell::new(Kept { table: Weak::new(), owner: 0, slots: Vec::new() }) };
}

/// A free slot that was used before, if there is one.
pub(super) fn take(table: &Arc<SpanTable>) -> Option<u32> {
    KEPT_SLOTS
        .try_with(|kept| {
            let mut kept = kept.try_borrow_mut().ok()?;
            kept.belong_to(table);
            if kept.slots.is_empty() {
                table.hand_out(&mut kept.slots, KEPT / 2);
            }
            kept.slots.pop()
        })
        .ok()
        .flatten()
}

/// Frees a slot.
pub(super) fn give(table: &Arc<SpanTable>, slot: u32) {
    let kept = KEPT_SLOTS.try_with(|kept| {
        let Ok(mut kept) = kept.try_borrow_mut() else { return false };
        kept.belong_to(table);
        if kept.slots.len() >= KEPT {
            table.give_back(&mut kept.slots, KEPT / 2);
        }
        kept.slots.push(slot);
        true
    });
    if !matches!(kept, Ok(true)) {
        // OK because a thread whose locals are gone keeps nothing.
        table.give_back(&mut vec![slot], 0);
    }
}
