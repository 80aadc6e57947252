//! Durable embedded state in one file: key-value tables, spool queues and time-partitioned chunks.
//!
//! A [`Store`] is a file in which the parts of a process keep what has to survive it: small state by key, what is yet to
//! be sent, and samples by time. It knows nothing of what it stores. Below it is redb, a copy-on-write B-tree with
//! checksums, so a transaction is on the disk whole or not at all.
//!
//! # Concepts
//!
//! - [`Table`]: values by key. [`Queue`]: items in order, with ids that rise and are never used again, removed by
//!   acknowledging them. [`Chunks`]: bytes by series and time, the oldest of which go first.
//! - A [`Batch`] is changes to any of them that happen together or not at all.
//! - [`Durability`] says when: on the disk before the call returns, or soon.
//! - [`Opening`] says what was found when the file was opened. A damaged file is set aside, not deleted.
//!
//! ```
//! use obs_model::Timestamp;
//! use obs_store::{Batch, ChunksOptions, Durability, Opening, QueueOptions, Store, StoreOptions};
//!
//! # fn main() -> Result<(), obs_store::Error> {
//! # let folder = tempfile::tempdir().expect("a folder");
//! let path = folder.path().join("state.redb");
//! let (store, opening) = Store::open(&path, StoreOptions::default())?;
//! assert_eq!(opening, Opening::Created);
//!
//! // A log of samples that are not yet in a chunk, and the chunks: one step from the one to the other.
//! let log = store.queue("log", QueueOptions::default())?;
//! let chunks = store.chunks("samples", ChunksOptions::default())?;
//! let logged = log.push(&[b"up 1", b"up 1"], Durability::Immediate)?;
//! let mut seal = Batch::new();
//! seal.put_chunk(&chunks, b"up", Timestamp::EPOCH, b"1 1")?;
//! seal.acknowledge_through(&log, logged.ids.end - 1);
//! store.commit(seal, Durability::Immediate)?;
//! store.close()?;
//!
//! let (store, opening) = Store::open(&path, StoreOptions::default())?;
//! assert_eq!(opening, Opening::Opened);
//! let chunks = store.chunks("samples", ChunksOptions::default())?;
//! assert_eq!(chunks.get(b"up", Timestamp::EPOCH)?.as_deref(), Some(&b"1 1"[..]));
//! assert!(store.queue("log", QueueOptions::default())?.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! # What survives what
//!
//! | | [`Durability::Immediate`] | [`Durability::Eventual`] |
//! |---|---|---|
//! | `kill -9`, a panic, an abort | all that was acknowledged | all but the last [`StoreOptions::flush_interval`] |
//! | loss of power | all that was acknowledged, if the disk keeps its word | all but the last [`StoreOptions::flush_interval`] |
//! | [`Store::close`], or the last handle dropped | all | all |
//! | the disk is full, or fails for a while | all that was acknowledged; a change that fails is not made | the same: it is made again once the disk works |
//! | bytes of the file are changed by somebody else | the file is set aside as it is | as left |
//!
//! One thread of the store writes. Changes that wait for it at the same time share a transaction and its flush, so many
//! callers together commit far more often than the disk flushes. The calls that change something wait for that thread:
//! from asynchronous code, call them where blocking is allowed, or use [`Store::submit`] and [`Queue::try_push`], which
//! never wait and call back.
//!
//! # What is full
//!
//! | | what happens |
//! |---|---|
//! | a queue reaches [`QueueOptions::max_bytes`] | its oldest items are dropped and counted, or the new ones are refused: [`Overflow`] |
//! | chunks reach [`ChunksOptions::max_bytes`] | those with the oldest start are evicted and counted |
//! | the file reaches three quarters of [`StoreOptions::max_bytes`] | chunks, and queues that drop, evict twice what they take, each from its own oldest |
//! | the file is nearly full | what cannot make room for itself evicts the oldest chunks of the store; if there are none, it is refused with [`Error::is_full`], and nothing of it is stored |
//! | too much waits for the disk | callers wait, or [`Store::submit`] refuses |
//!
//! Removing always works. Space that becomes free inside the file is used again; [`Store::compact`] gives it back.
//!
//! # When the file is damaged
//!
//! Opening verifies the checksum of every page. What does not match is never used: the file is renamed to
//! `NAME.damaged-SECONDS` beside it, a new one is started, and [`Opening::SetAside`] says so. The newest
//! [`StoreOptions::keep_damaged`] of them are kept. A file of a newer version, or one that is not a store at all, is
//! refused and left as it is. [`Store::check`], and the command `obskit store check FILE`, look at a file without
//! changing it.
//!
//! # Its own state
//!
//! The store records `obskit_state_bytes{store,of}`, `obskit_state_transactions_total{store,durability}`,
//! `obskit_state_commit_duration_seconds{store}`, `obskit_state_evicted_total{store,kind}`,
//! `obskit_state_errors_total{store,kind}` and `obskit_state_openings_total{store,found}`, where `store` is the file's
//! name. They are bound to the recorder that is installed when the store is opened; [`describe`] registers their help
//! texts.
//!
//! # Limits
//!
//! One process at a time. Keys up to 16 KiB, values up to 64 MiB, 1,024 tables. The lock is advisory, so whoever writes
//! to the file without asking for it damages it, and network file systems may not have one. A build that aborts on
//! panics cannot contain those that redb has on some damage that arises while the file is open.

mod account;
mod apply;
mod backend;
mod batch;
mod check;
mod chunks;
mod disk;
mod engine;
mod error;
mod format;
mod header;
mod key;
mod kind;
mod lock;
mod opening;
mod options;
mod overlay;
mod queue;
mod scan;
mod self_metrics;
mod space;
mod state;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use account::ENTRY_BYTES;
pub use batch::{Batch, Receipt};
pub use check::{CheckReport, TableCheck};
pub use chunks::Chunks;
pub use error::Error;
pub use kind::TableKind;
pub use opening::Opening;
pub use options::{
    ChunksOptions, Durability, MAX_KEY_BYTES, MAX_VALUE_BYTES, MIN_MAX_BYTES, Overflow,
    QueueOptions, StoreOptions,
};
pub use queue::{Item, Pushed, Queue};
pub use self_metrics::describe;
pub use store::{Commit, Store, StoreStats, TableStats};
pub use table::{Pair, Table};
