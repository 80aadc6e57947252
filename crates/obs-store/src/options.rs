//! The settings of a store, and of a change.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, SystemClock};

use crate::Error;
use crate::error::Kind;

/// The smallest cap of a store: below it, the file's own structures would be most of it.
pub const MIN_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 16 * 1024;

/// The longest value, item or chunk, in bytes.
pub const MAX_VALUE_BYTES: usize = 64 * 1024 * 1024;

/// When a change is on the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Before the call returns: what was acknowledged survives `kill -9` and a loss of power. It costs a flush of the
    /// disk's cache, in the order of 0.1 to 10 ms, which changes that are made at the same time share.
    #[default]
    Immediate,
    /// Within [`StoreOptions::flush_interval`], or with the next immediate change, whichever is first: reads see it at
    /// once, and `kill -9` loses at most that long. It costs some microseconds and no flush of its own.
    Eventual,
}

/// The settings of a store.
///
/// ```
/// use obs_store::StoreOptions;
///
/// let options = StoreOptions { max_bytes: 64 << 20, ..StoreOptions::default() };
/// assert_eq!(options.keep_damaged, 3);
/// ```
#[derive(Clone)]
pub struct StoreOptions {
    /// How much of the disk the file may take, in bytes: at least 4 MiB; 512 MiB by default. Nothing is ever written
    /// past it. The file's *length* may show up to twice as much, because the file has holes.
    pub max_bytes: u64,
    /// Memory for pages of the file that were read or are about to be written, in bytes: 16 MiB by default.
    pub cache_bytes: usize,
    /// How many bytes of changes may wait for the disk before callers wait too: 16 MiB by default. A single batch may
    /// be larger; it then waits alone.
    pub max_pending_bytes: usize,
    /// How long an [`Eventual`](Durability::Eventual) change may stay off the disk: one second by default.
    pub flush_interval: Duration,
    /// How many damaged files are kept beside the store, the newest first: three by default.
    pub keep_damaged: usize,
    /// What time a damaged file was set aside.
    pub clock: Arc<dyn Clock>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            max_bytes: 512 * 1024 * 1024,
            cache_bytes: 16 * 1024 * 1024,
            max_pending_bytes: 16 * 1024 * 1024,
            flush_interval: Duration::from_secs(1),
            keep_damaged: 3,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl fmt::Debug for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreOptions")
            .field("max_bytes", &self.max_bytes)
            .field("cache_bytes", &self.cache_bytes)
            .field("max_pending_bytes", &self.max_pending_bytes)
            .field("flush_interval", &self.flush_interval)
            .field("keep_damaged", &self.keep_damaged)
            .finish_non_exhaustive()
    }
}

impl StoreOptions {
    pub(crate) fn validate(&self, path: &Path) -> Result<(), Error> {
        let mut problems = Vec::new();
        if self.max_bytes < MIN_MAX_BYTES {
            problems.push(format!(
                "max_bytes is {}: expected at least {MIN_MAX_BYTES}",
                self.max_bytes
            ));
        }
        if self.max_pending_bytes == 0 {
            problems.push("max_pending_bytes is 0: expected at least 1".to_owned());
        }
        if self.flush_interval.is_zero() {
            problems.push("flush_interval is zero: expected more".to_owned());
        }
        if self.keep_damaged == 0 {
            problems.push("keep_damaged is 0: expected at least 1".to_owned());
        }
        if path.file_name().is_none() {
            problems.push("the path has no file name".to_owned());
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Kind::Options { path: path.to_owned(), problems }.into())
        }
    }
}

/// What a queue does with an item that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// Drops the oldest items to make room, and counts them.
    #[default]
    DropOldest,
    /// Refuses the new items with [`Error::is_full`].
    Refuse,
}

/// The settings of a [`Queue`](crate::Queue).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// The most bytes it holds: the items' own and [`ENTRY_BYTES`](crate::ENTRY_BYTES) for each; 64 MiB by default.
    pub max_bytes: u64,
    /// What happens to what does not fit.
    pub overflow: Overflow,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024 * 1024, overflow: Overflow::default() }
    }
}

/// The settings of [`Chunks`](crate::Chunks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunksOptions {
    /// The most bytes they take: the chunks' own, their keys' and [`ENTRY_BYTES`](crate::ENTRY_BYTES) for each. The
    /// chunks with the oldest start are evicted to stay within; 256 MiB by default.
    pub max_bytes: u64,
}

impl Default for ChunksOptions {
    fn default() -> Self {
        Self { max_bytes: 256 * 1024 * 1024 }
    }
}
