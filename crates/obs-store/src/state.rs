//! What all handles of one table share.

use crate::account::SharedAccount;
use crate::kind::TableKind;
use crate::options::{ChunksOptions, Overflow, QueueOptions};

/// A table that is open.
#[derive(Debug)]
pub(crate) struct TableState {
    /// Tells the stores of one process apart.
    pub(crate) store: u64,
    pub(crate) kind: TableKind,
    pub(crate) name: String,
    /// The name inside the file.
    pub(crate) stored: String,
    pub(crate) limits: Limits,
    pub(crate) account: SharedAccount,
}

/// The size cap of a table, by its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limits {
    Table,
    Queue(QueueOptions),
    Chunks(ChunksOptions),
}

impl Limits {
    /// The cap whose overflow pushes the oldest entries out.
    pub(crate) fn evicts_above(self) -> Option<u64> {
        match self {
            Self::Queue(QueueOptions { max_bytes, overflow: Overflow::DropOldest })
            | Self::Chunks(ChunksOptions { max_bytes }) => Some(max_bytes),
            Self::Table | Self::Queue(_) => None,
        }
    }

    /// The cap whose overflow refuses what is new.
    pub(crate) fn refuses_above(self) -> Option<u64> {
        match self {
            Self::Queue(QueueOptions { max_bytes, overflow: Overflow::Refuse }) => Some(max_bytes),
            Self::Table | Self::Queue(_) | Self::Chunks(_) => None,
        }
    }

    /// The most bytes that one entry may count.
    pub(crate) fn largest(self) -> u64 {
        match self {
            Self::Table => u64::MAX,
            Self::Queue(QueueOptions { max_bytes, .. })
            | Self::Chunks(ChunksOptions { max_bytes }) => max_bytes,
        }
    }
}
