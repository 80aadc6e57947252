//! Chunks of bytes by series and time.

use std::ops::{Bound, ControlFlow, RangeBounds};
use std::sync::Arc;

use obs_model::Timestamp;

use crate::batch::Batch;
use crate::engine::explain;
use crate::options::Durability;
use crate::state::TableState;
use crate::{Error, Store, key, scan};

/// Chunks of bytes, each of a series (any bytes) and with the time at which it starts, in the order of these times. A
/// clone is another handle of the same chunks.
///
/// Many are put at once through a [`Batch`]. Those that start first are evicted to stay within
/// [`ChunksOptions::max_bytes`](crate::ChunksOptions::max_bytes).
///
/// ```
/// # fn main() -> Result<(), obs_store::Error> {
/// # let folder = tempfile::tempdir().expect("a folder");
/// use obs_model::Timestamp;
/// use obs_store::{Batch, ChunksOptions, Durability, Store, StoreOptions};
///
/// let (store, _) = Store::open(folder.path().join("state.redb"), StoreOptions::default())?;
/// let chunks = store.chunks("samples", ChunksOptions::default())?;
/// let mut batch = Batch::new();
/// batch.put_chunk(&chunks, b"up", Timestamp::from_millis(60_000), b"bytes")?;
/// batch.put_chunk(&chunks, b"up", Timestamp::from_millis(0), b"bytes")?;
/// store.commit(batch, Durability::Immediate)?;
///
/// assert_eq!(chunks.remove_before(Timestamp::from_millis(1), Durability::Eventual)?, 1);
/// assert_eq!(chunks.oldest_start()?, Some(Timestamp::from_millis(60_000)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Chunks {
    store: Store,
    state: Arc<TableState>,
}

impl Chunks {
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

    /// How many chunks there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.state.account.get().entries
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they count: their own bytes, the series, eight for the time, and [`ENTRY_BYTES`](crate::ENTRY_BYTES) for
    /// each.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.account.get().bytes
    }

    /// How many were evicted to make room, ever.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.state.account.get().evicted
    }

    /// The chunk of a series that starts at exactly that time.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn get(&self, series: &[u8], start: Timestamp) -> Result<Option<Vec<u8>>, Error> {
        scan::get(self.store.engine(), &self.state, &key::of_chunk(series, start))
    }

    /// Calls `visit` with the series, the start and the bytes of the chunks that start within a range of times, in the
    /// order of their starts and then of their series, until it breaks. It sees one state, whatever is written
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn for_each(
        &self,
        starts: impl RangeBounds<Timestamp>,
        mut visit: impl FnMut(&[u8], Timestamp, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let Some((start, end)) = prefixes(&starts) else { return Ok(()) };
        let keys = (
            start.as_ref().map_or(Bound::Unbounded, |start| Bound::Included(start.as_slice())),
            end.as_ref().map_or(Bound::Unbounded, |end| Bound::Excluded(end.as_slice())),
        );
        let mut strange = false;
        scan::scan(self.store.engine(), &self.state, keys, |key, bytes| match key::chunk(key) {
            Some((start, series)) => visit(series, start, bytes),
            None => {
                strange = true;
                ControlFlow::Break(())
            }
        })?;
        if strange {
            let reason = redb::Error::Corrupted(format!(
                "{:?} has a key that is no chunk's",
                self.state.name
            ));
            return Err(explain(self.store.path(), "reading the store", reason));
        }
        Ok(())
    }

    /// When the first chunk starts.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the store is closed.
    pub fn oldest_start(&self) -> Result<Option<Timestamp>, Error> {
        let mut oldest = None;
        self.for_each(.., |_, start, _| {
            oldest = Some(start);
            ControlFlow::Break(())
        })?;
        Ok(oldest)
    }

    /// Removes the chunks that start before then, and says how many there were.
    ///
    /// # Errors
    ///
    /// When the store is closed, or the file cannot be written.
    pub fn remove_before(&self, start: Timestamp, durability: Durability) -> Result<u64, Error> {
        let mut batch = Batch::new();
        batch.remove_chunks_before(self, start);
        Ok(self.store.commit(batch, durability)?.removed)
    }
}

/// Where keys of these starts begin and where those after them do, the latter excluded; nothing if there are no such
/// keys, `None` within for no bound.
type Prefixes = (Option<[u8; 8]>, Option<[u8; 8]>);

fn prefixes(starts: &impl RangeBounds<Timestamp>) -> Option<Prefixes> {
    let next = |time: Timestamp| time.as_millis().checked_add(1).map(Timestamp::from_millis);
    let first = match starts.start_bound() {
        Bound::Included(start) => Some(key::of_start(*start)),
        Bound::Excluded(start) => Some(key::of_start(next(*start)?)),
        Bound::Unbounded => None,
    };
    let end = match starts.end_bound() {
        Bound::Included(end) => next(*end).map(key::of_start),
        Bound::Excluded(end) => Some(key::of_start(*end)),
        Bound::Unbounded => None,
    };
    Some((first, end))
}
