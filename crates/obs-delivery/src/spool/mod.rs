//! Messages on disk, so that they outlive the process.
//!
//! With a spool every message is written to it before it is sent, and acknowledged there when its fate is settled. The
//! worker gives the spool one *turn* at a time, on a thread where it may block: acknowledge, push what was
//! offered meanwhile, read what is sent next.

mod flow;
mod record;
#[cfg(feature = "spool")]
mod store;
mod turn;
mod window;

use std::ops::Range;

use bytes::Bytes;
use obs_model::DropReason;

pub(crate) use flow::Flow;
pub(crate) use record::OVERHEAD as RECORD_OVERHEAD;
#[cfg(feature = "spool")]
pub use store::StoreSpool;

/// Records in order, on disk.
///
/// Its methods may block: all but [`len`](Self::len) and [`bytes`](Self::bytes) are called on a thread for that, one
/// at a time. Ids rise from record to record, and are never used again.
///
/// # Panics
///
/// A panic is caught, and taken for an error.
pub trait Spool: Send + Sync + 'static {
    /// Appends records, all or none. When it returns they survive the end of the process, whatever ends it. The
    /// answer is their ids, one after another.
    ///
    /// # Errors
    ///
    /// If they cannot be written. [`SpoolError::full`] if there is no room for them now.
    fn push(&self, records: &[&[u8]]) -> Result<Range<u64>, SpoolError>;

    /// The oldest records whose ids are not below `id`, in order: at most so many, and together at most so many
    /// bytes, but one in any case. None if there is none.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    fn peek_from(
        &self,
        id: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<SpoolRecord>, SpoolError>;

    /// Removes the records up to and with this id. It need not be on disk at once: what is forgotten is sent
    /// again.
    ///
    /// # Errors
    ///
    /// If they cannot be removed.
    fn acknowledge_through(&self, id: u64) -> Result<(), SpoolError>;

    /// How many records there are. It does not block.
    fn len(&self) -> u64;

    /// What they take, in bytes. It does not block.
    fn bytes(&self) -> u64;

    /// Whether there is no record. It does not block.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: Spool + ?Sized> Spool for std::sync::Arc<S> {
    fn push(&self, records: &[&[u8]]) -> Result<Range<u64>, SpoolError> {
        (**self).push(records)
    }

    fn peek_from(
        &self,
        id: u64,
        max_items: usize,
        max_bytes: usize,
    ) -> Result<Vec<SpoolRecord>, SpoolError> {
        (**self).peek_from(id, max_items, max_bytes)
    }

    fn acknowledge_through(&self, id: u64) -> Result<(), SpoolError> {
        (**self).acknowledge_through(id)
    }

    fn len(&self) -> u64 {
        (**self).len()
    }

    fn bytes(&self) -> u64 {
        (**self).bytes()
    }
}

/// A record of a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolRecord {
    /// Its place in the order.
    pub id: u64,
    /// What was pushed.
    pub bytes: Bytes,
}

/// Why a spool could not be written or read. It ends up in the status, so it must not hold secrets.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SpoolError {
    message: String,
    is_full: bool,
}

impl SpoolError {
    /// A failure of the disk, or of what is on it.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_full: false }
    }

    /// There is no room now, and will be when records are acknowledged.
    #[must_use]
    pub fn full(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_full: true }
    }

    /// Whether there was no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }
}

/// What became of a message that was offered to be spooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message that is not in the spool is lost with the process"]
pub enum Spooled {
    /// It is in the spool: if the process ends now it is delivered after the next start.
    Durably,
    /// It was taken or even delivered, but never was in the spool: there is none, or it failed.
    InMemory,
    /// It was dropped and counted.
    Dropped(DropReason),
}
