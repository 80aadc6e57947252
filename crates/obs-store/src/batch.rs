//! Several changes that happen together or not at all.

use std::ops::Range;
use std::sync::Arc;

use obs_model::Timestamp;

use crate::account::charge;
use crate::error::Kind;
use crate::options::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::state::TableState;
use crate::{Chunks, Error, Queue, Table, key};

/// Changes to any tables of one store, which happen together or not at all, in the order in which they were added.
///
/// ```
/// # fn main() -> Result<(), obs_store::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// use obs_store::{Batch, Durability, QueueOptions, Store, StoreOptions};
///
/// let (store, _) = Store::open(folder.path().join("state.redb"), StoreOptions::default())?;
/// let alerts = store.table("alerts")?;
/// let outbox = store.queue("outbox", QueueOptions::default())?;
///
/// let mut batch = Batch::new();
/// batch.put(&alerts, b"disk", b"firing")?;
/// batch.push(&outbox, &[b"disk is full"])?;
/// let receipt = store.commit(batch, Durability::Immediate)?;
/// assert_eq!(receipt.pushed, [0..1]);
/// assert_eq!(alerts.get(b"disk")?.as_deref(), Some(&b"firing"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) changes: Vec<Change>,
    /// What the changes add, as accounts count it.
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) table: Arc<TableState>,
    pub(crate) action: Action,
}

#[derive(Debug)]
pub(crate) enum Action {
    /// Puts a value or a chunk.
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
    },
    Remove {
        key: Vec<u8>,
    },
    Push {
        items: Vec<Vec<u8>>,
    },
    /// Removes what sorts before this key.
    RemoveBefore {
        end: Vec<u8>,
    },
    /// Removes everything.
    Clear,
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The ids of the items of each push, in the order of the pushes.
    pub pushed: Vec<Range<u64>>,
    /// How many entries were evicted or dropped to stay within a size cap; maybe some of this very batch.
    pub evicted: u64,
    /// How many entries were removed because the batch says so.
    pub removed: u64,
}

impl Batch {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no change in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What its changes add to the store: their keys and values, and [`ENTRY_BYTES`](crate::ENTRY_BYTES) for each.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts a value under a key, in place of the one that may be there.
    ///
    /// # Errors
    ///
    /// When the key or the value is larger than is ever taken ([`Error::is_too_large`]).
    pub fn put(&mut self, table: &Table, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.insert(table.state(), key.to_vec(), value)
    }

    /// Removes a key and its value, if they are there.
    pub fn remove(&mut self, table: &Table, key: &[u8]) {
        self.add(table.state(), Action::Remove { key: key.to_vec() });
    }

    /// Appends items to a queue, in this order.
    ///
    /// # Errors
    ///
    /// When an item is larger than is ever taken or than the queue's cap ([`Error::is_too_large`]).
    pub fn push(&mut self, queue: &Queue, items: &[impl AsRef<[u8]>]) -> Result<(), Error> {
        let mut bytes = 0;
        for item in items {
            bytes += check_entry(queue.state(), 8, item.as_ref().len())?;
        }
        self.bytes += bytes;
        let items = items.iter().map(|item| item.as_ref().to_vec()).collect();
        self.add(queue.state(), Action::Push { items });
        Ok(())
    }

    /// Removes the items of a queue up to and with this id.
    pub fn acknowledge_through(&mut self, queue: &Queue, id: u64) {
        // No item ever has the greatest id, so the end after it is never needed.
        let end = key::of_item(id.saturating_add(1)).to_vec();
        self.add(queue.state(), Action::RemoveBefore { end });
    }

    /// Removes all items that a queue has when this is done: those that were pushed before, in this batch too.
    pub fn clear(&mut self, queue: &Queue) {
        self.add(queue.state(), Action::Clear);
    }

    /// Puts a chunk of a series that starts then, in place of the one that may be there.
    ///
    /// # Errors
    ///
    /// When the series or the chunk is larger than is ever taken ([`Error::is_too_large`]).
    pub fn put_chunk(
        &mut self,
        chunks: &Chunks,
        series: &[u8],
        start: Timestamp,
        bytes: &[u8],
    ) -> Result<(), Error> {
        self.insert(chunks.state(), key::of_chunk(series, start), bytes)
    }

    /// Removes the chunk of a series that starts then, if it is there.
    pub fn remove_chunk(&mut self, chunks: &Chunks, series: &[u8], start: Timestamp) {
        self.add(chunks.state(), Action::Remove { key: key::of_chunk(series, start) });
    }

    /// Removes the chunks of all series that start before then.
    pub fn remove_chunks_before(&mut self, chunks: &Chunks, start: Timestamp) {
        self.add(chunks.state(), Action::RemoveBefore { end: key::of_start(start).to_vec() });
    }

    fn insert(&mut self, table: &Arc<TableState>, key: Vec<u8>, value: &[u8]) -> Result<(), Error> {
        self.bytes += check_entry(table, key.len(), value.len())?;
        self.add(table, Action::Put { key, value: value.to_vec() });
        Ok(())
    }

    fn add(&mut self, table: &Arc<TableState>, action: Action) {
        self.changes.push(Change { table: Arc::clone(table), action });
    }
}

/// Refuses an entry that is never taken, and says what it counts.
fn check_entry(table: &TableState, key: usize, value: usize) -> Result<u64, Error> {
    if key > MAX_KEY_BYTES {
        return Err(
            Kind::TooLarge { what: "a key", bytes: key, limit: MAX_KEY_BYTES as u64 }.into()
        );
    }
    let largest = table.limits.largest().saturating_sub(charge(key, 0)).min(MAX_VALUE_BYTES as u64);
    if value as u64 > largest {
        return Err(Kind::TooLarge { what: "a value", bytes: value, limit: largest }.into());
    }
    Ok(charge(key, value))
}
