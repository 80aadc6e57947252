//! Keys and values.

use std::ops::{Bound, ControlFlow, RangeBounds};
use std::sync::Arc;

use crate::batch::Batch;
use crate::options::Durability;
use crate::state::TableState;
use crate::{Error, Store, scan};

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Keys and values, in the order of the keys as bytes. A clone is another handle of the same table.
///
/// ```
/// # fn main() -> Result<(), obs_store::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// use obs_store::{Durability, Store, StoreOptions};
///
/// let (store, _) = Store::open(folder.path().join("state.redb"), StoreOptions::default())?;
/// let silences = store.table("silences")?;
/// silences.put(b"7", b"until noon", Durability::Immediate)?;
/// assert_eq!(silences.get(b"7")?.as_deref(), Some(&b"until noon"[..]));
/// assert!(silences.remove(b"7", Durability::Eventual)?);
/// assert!(silences.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    store: Store,
    state: Arc<TableState>,
}

impl Table {
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

    /// How many keys it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.state.account.get().entries
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it counts: keys, values, and [`ENTRY_BYTES`](crate::ENTRY_BYTES) for each.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.account.get().bytes
    }

    /// The value of a key.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        scan::get(self.store.engine(), &self.state, key)
    }

    /// Puts a value under a key, in place of the one that may be there.
    ///
    /// # Errors
    ///
    /// When the key or the value is too large, the store is full or closed, or the file cannot be written.
    pub fn put(&self, key: &[u8], value: &[u8], durability: Durability) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.put(self, key, value)?;
        self.store.commit(batch, durability).map(|_| ())
    }

    /// Removes a key, and says whether it was there.
    ///
    /// # Errors
    ///
    /// When the store is closed, or the file cannot be written.
    pub fn remove(&self, key: &[u8], durability: Durability) -> Result<bool, Error> {
        let mut batch = Batch::new();
        batch.remove(self, key);
        Ok(self.store.commit(batch, durability)?.removed > 0)
    }

    /// The keys in a range with their values, in order, at most so many.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn range<'k>(
        &self,
        keys: impl RangeBounds<&'k [u8]>,
        limit: usize,
    ) -> Result<Vec<Pair>, Error> {
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.for_each(keys, |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(found)
    }

    /// Calls `visit` with the keys in a range and their values, in order, until it breaks. It sees one state of the
    /// table, whatever is written meanwhile.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn for_each<'k>(
        &self,
        keys: impl RangeBounds<&'k [u8]>,
        visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let keys: (Bound<&[u8]>, Bound<&[u8]>) =
            (keys.start_bound().cloned(), keys.end_bound().cloned());
        scan::scan(self.store.engine(), &self.state, keys, visit)
    }
}
