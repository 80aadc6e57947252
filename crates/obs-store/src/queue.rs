//! Items in order: a spool.

use std::ops::{Bound, ControlFlow, Range};
use std::sync::Arc;

use crate::batch::Batch;
use crate::engine::explain;
use crate::options::Durability;
use crate::state::TableState;
use crate::{Error, Store, key, scan};

/// Items in the order in which they were pushed. A clone is another handle of the same queue.
///
/// What was pushed with [`Durability::Immediate`] survives `kill -9` and a loss of power once [`push`](Self::push) has
/// returned, and stays until it is acknowledged: a consumer [peeks](Self::peek), does its work, and then
/// [acknowledges](Self::acknowledge_through). Whoever dies in between finds the items again, so they are handled at
/// least once and in order. Ids rise by one with each item and are never used again.
///
/// ```
/// # fn main() -> Result<(), obs_store::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// use obs_store::{Durability, QueueOptions, Store, StoreOptions};
///
/// let (store, _) = Store::open(folder.path().join("state.redb"), StoreOptions::default())?;
/// let spool = store.queue("spool", QueueOptions::default())?;
/// assert_eq!(spool.push(&[b"one", b"two"], Durability::Immediate)?.ids, 0..2);
///
/// let items = spool.peek(10, 1 << 20)?;
/// assert_eq!(items[1].bytes, b"two");
/// spool.acknowledge_through(items[0].id, Durability::Immediate)?;
/// assert_eq!(spool.peek(10, 1 << 20)?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Queue {
    store: Store,
    state: Arc<TableState>,
}

/// An item of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its place in the order, never used for another item.
    pub id: u64,
    /// What was pushed.
    pub bytes: Vec<u8>,
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The ids of the items, in their order.
    pub ids: Range<u64>,
    /// How many of the oldest items of the queue were dropped to make room, of a queue that does so.
    pub dropped: u64,
}

impl Queue {
    pub(crate) fn new(store: Store, state: Arc<TableState>) -> Self {
        Self { store, state }
    }

    pub(crate) fn state(&self) -> &Arc<TableState> {
        &self.state
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// How many items it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.state.account.get().entries
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What its items count: their own bytes, eight for the id, and [`ENTRY_BYTES`](crate::ENTRY_BYTES) for each.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.account.get().bytes
    }

    /// How many items were dropped to make room, ever.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.state.account.get().evicted
    }

    /// The id of the item that is pushed next.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.state.account.get().next_id
    }

    /// Appends items, all or none, and waits until they are as durable as is asked for.
    ///
    /// # Errors
    ///
    /// When an item is too large, the queue refuses what does not fit and is full, the store is full or closed, or the
    /// file cannot be written.
    pub fn push(
        &self,
        items: &[impl AsRef<[u8]>],
        durability: Durability,
    ) -> Result<Pushed, Error> {
        let mut batch = Batch::new();
        batch.push(self, items)?;
        let receipt = self.store.commit(batch, durability)?;
        Ok(pushed(receipt))
    }

    /// Appends items without ever waiting; `done` is called with what became of them, on the store's own thread: see
    /// [`Store::submit`].
    ///
    /// # Errors
    ///
    /// When an item is too large, too much is waiting already ([`Error::is_busy`]), or the store is closed.
    pub fn try_push(
        &self,
        items: &[impl AsRef<[u8]>],
        durability: Durability,
        done: impl FnOnce(Result<Pushed, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.push(self, items)?;
        self.store.submit(batch, durability, move |result| done(result.map(pushed)))
    }

    /// The oldest items, in order: at most so many, and together at most so many bytes, but one in any case.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn peek(&self, max_items: usize, max_bytes: usize) -> Result<Vec<Item>, Error> {
        self.peek_from(0, max_items, max_bytes)
    }

    /// As [`peek`](Self::peek), beginning with this id: for a consumer that is further than what it has acknowledged.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn peek_from(
        &self,
        id: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        let mut bytes = 0_usize;
        self.for_each_from(id, |id, item| {
            bytes = bytes.saturating_add(item.len());
            if items.len() >= max_items || (bytes > max_bytes && !items.is_empty()) {
                return ControlFlow::Break(());
            }
            items.push(Item { id, bytes: item.to_vec() });
            ControlFlow::Continue(())
        })?;
        Ok(items)
    }

    /// Calls `visit` with the items from this id on, in order, until it breaks. It sees one state of the queue,
    /// whatever is pushed or acknowledged meanwhile.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn for_each_from(
        &self,
        id: u64,
        mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let start = key::of_item(id);
        let mut strange = false;
        let keys = (Bound::Included(start.as_slice()), Bound::Unbounded);
        scan::scan(self.store.engine(), &self.state, keys, |key, item| match key::item(key) {
            Some(id) => visit(id, item),
            None => {
                strange = true;
                ControlFlow::Break(())
            }
        })?;
        if strange {
            let reason = redb::Error::Corrupted(format!(
                "the queue {:?} has a key that is no id",
                self.state.name
            ));
            return Err(explain(self.store.path(), "reading the store", reason));
        }
        Ok(())
    }

    /// Removes the items up to and with this id, and says how many there were. Whoever dies before an
    /// [`Eventual`](Durability::Eventual) acknowledgment is on the disk finds the items again.
    ///
    /// # Errors
    ///
    /// When the store is closed, or the file cannot be written.
    pub fn acknowledge_through(&self, id: u64, durability: Durability) -> Result<u64, Error> {
        let mut batch = Batch::new();
        batch.acknowledge_through(self, id);
        Ok(self.store.commit(batch, durability)?.removed)
    }
}

fn pushed(receipt: crate::Receipt) -> Pushed {
    let ids = receipt.pushed.into_iter().next().unwrap_or_default();
    Pushed { ids, dropped: receipt.evicted }
}
