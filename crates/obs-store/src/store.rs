//! The store: one file, its tables, and what is done with the whole.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use crate::batch::{Batch, Receipt};
use crate::check::CheckReport;
use crate::engine::Engine;
use crate::error::Kind;
use crate::kind::{TableKind, check_name};
use crate::opening::{self, Opened, Opening};
use crate::options::{ChunksOptions, Durability, QueueOptions, StoreOptions};
use crate::self_metrics::SelfMetrics;
use crate::state::{Limits, TableState};
use crate::writer::{Done, Writer};
use crate::{Chunks, Error, Queue, Table, disk, format};

/// The most tables of all kinds that a store has open.
const MAX_TABLES: usize = 1_024;

/// Tells the stores of one process apart.
static NEXT_STORE: AtomicU64 = AtomicU64::new(1);

/// One file with tables, queues and chunks in it. A clone is another handle of the same store.
///
/// The last handle closes it, those of tables counting too; [`close`](Self::close) does so at once and says whether it
/// worked.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Arc<Engine>,
    writer: Writer,
    number: u64,
}

/// A batch that was handed over. Dropping it does not take it back.
#[derive(Debug)]
#[must_use = "what became of the batch is known only by waiting for it"]
pub struct Commit {
    store: Store,
    outcome: mpsc::Receiver<Result<Receipt, Error>>,
}

impl Commit {
    /// Waits until the batch is done.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`].
    pub fn wait(self) -> Result<Receipt, Error> {
        self.outcome.recv().unwrap_or_else(|_| Err(self.store.closed()))
    }
}

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// What the file takes of the disk, free space inside it included, in bytes.
    pub disk_bytes: u64,
    /// What it may take, in bytes.
    pub max_bytes: u64,
    /// The tables that are open, by kind and name.
    pub tables: Vec<TableStats>,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableStats {
    /// What it is.
    pub kind: TableKind,
    /// Its name.
    pub name: String,
    /// How many entries it has.
    pub entries: u64,
    /// What they count: keys, values, and [`ENTRY_BYTES`](crate::ENTRY_BYTES) for each.
    pub bytes: u64,
    /// How many were evicted or dropped to stay within a size cap, ever.
    pub evicted: u64,
}

impl Store {
    /// Opens the file, or creates it with its folders, and checks all of it.
    ///
    /// What was found is in the [`Opening`], which the caller should log: a damaged file is set aside and a new one is
    /// started, and that is no error. Opening reads the whole file once, at some hundred megabytes a second.
    ///
    /// # Errors
    ///
    /// When an option is not valid ([`Error::is_usage`]), another process has the file ([`Error::is_locked`]), a newer
    /// version wrote it ([`Error::is_newer_version`]), it is not a store ([`Error::is_foreign`]), or the operating
    /// system refuses ([`Error::is_io`]).
    pub fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<(Self, Opening), Error> {
        let path = path.as_ref();
        options.validate(path)?;
        let metrics = SelfMetrics::bind(path);
        let Opened { file, database, opening } =
            opening::open(path, &options).inspect_err(|error| {
                metrics.error(error.label());
            })?;
        metrics.opened(opening.label());
        metrics.limit_bytes.set(options.max_bytes as f64);
        metrics.disk_bytes.set(disk::used_by(file.file()) as f64);
        let engine = Arc::new(Engine::new(path.to_owned(), options, metrics, file, database));
        let commits = engine.read(format::last_commit)?;
        let number = NEXT_STORE.fetch_add(1, Ordering::Relaxed);
        let writer = Writer::start(Arc::clone(&engine), number, commits)?;
        Ok((Self { inner: Arc::new(Inner { engine, writer, number }) }, opening))
    }

    /// Checks a file without changing it: all its checksums, and every table against its account.
    ///
    /// # Errors
    ///
    /// When the file cannot be read ([`Error::is_io`]), is in use ([`Error::is_locked`]), is not a store
    /// ([`Error::is_foreign`]) or of a newer version ([`Error::is_newer_version`]). Damage is not an error but in the
    /// report.
    pub fn check(path: impl AsRef<Path>) -> Result<CheckReport, Error> {
        crate::check::check(path.as_ref())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.engine.path
    }

    /// A table of keys and values, empty if there was none of that name.
    ///
    /// # Errors
    ///
    /// When the name is not valid or there are too many tables ([`Error::is_usage`]), or the file cannot be read.
    pub fn table(&self, name: &str) -> Result<Table, Error> {
        Ok(Table::new(self.clone(), self.state(TableKind::Table, name, Limits::Table)?))
    }

    /// A queue, empty if there was none of that name.
    ///
    /// # Errors
    ///
    /// When the name is not valid, there are too many tables, or it is open with other options ([`Error::is_usage`]),
    /// or the file cannot be read.
    pub fn queue(&self, name: &str, options: QueueOptions) -> Result<Queue, Error> {
        Ok(Queue::new(self.clone(), self.state(TableKind::Queue, name, Limits::Queue(options))?))
    }

    /// Chunks by time, none if there were none of that name.
    ///
    /// # Errors
    ///
    /// As [`queue`](Self::queue).
    pub fn chunks(&self, name: &str, options: ChunksOptions) -> Result<Chunks, Error> {
        Ok(Chunks::new(self.clone(), self.state(TableKind::Chunks, name, Limits::Chunks(options))?))
    }

    /// Makes the changes of a batch, all or none, and waits until that is done.
    ///
    /// Batches of several threads share a transaction. From asynchronous code, call it on a thread that may block, or
    /// use [`submit`](Self::submit).
    ///
    /// # Errors
    ///
    /// When a size cap is reached ([`Error::is_full`]), the store is closed, or the file cannot be written. Then
    /// nothing of the batch was done.
    pub fn commit(&self, batch: Batch, durability: Durability) -> Result<Receipt, Error> {
        self.start(batch, durability)?.wait()
    }

    /// Hands a batch over and returns before it is done: [`Commit::wait`] waits for that.
    ///
    /// Batches are done in the order in which they were handed over. A lock that keeps that order right need not be
    /// held while the disk works. If too much waits already, this waits for room.
    ///
    /// # Errors
    ///
    /// When the store is closed.
    pub fn start(&self, batch: Batch, durability: Durability) -> Result<Commit, Error> {
        let (done, outcome) = reply();
        self.inner.writer.change(batch, durability, done)?;
        Ok(Commit { store: self.clone(), outcome })
    }

    /// Hands a batch over without ever waiting; `done` is called with what became of it.
    ///
    /// It is called on the store's own thread, exactly once unless this returns an error: it should hand the result
    /// on and return. It must not call what waits for that thread, as [`commit`](Self::commit) does.
    ///
    /// # Errors
    ///
    /// When too much is waiting already ([`Error::is_busy`]), or the store is closed.
    pub fn submit(
        &self,
        batch: Batch,
        durability: Durability,
        done: impl FnOnce(Result<Receipt, Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.inner.writer.try_change(batch, durability, Box::new(done)).inspect_err(|error| {
            self.inner.engine.metrics.error(error.label());
        })
    }

    /// Waits until everything that was done before is on the disk.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn flush(&self) -> Result<(), Error> {
        self.commit(Batch::new(), Durability::Immediate).map(|_| ())
    }

    /// Gives space that is free inside the file back to the disk, and says how much.
    ///
    /// Free space is used again without this; it is for after a large removal. Nothing can be read or written
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// When somebody is reading just then ([`Error::is_busy`]), or the file cannot be written.
    pub fn compact(&self) -> Result<u64, Error> {
        let before = disk::used_by(self.inner.engine.file.file());
        let (done, outcome) = reply();
        self.inner.writer.compact(done)?;
        outcome.recv().unwrap_or_else(|_| Err(self.closed()))?;
        Ok(before.saturating_sub(disk::used_by(self.inner.engine.file.file())))
    }

    /// What it holds.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let engine = &self.inner.engine;
        let tables = engine.tables.lock();
        let tables = tables.values().map(|table| {
            let account = table.account.get();
            TableStats {
                kind: table.kind,
                name: table.name.clone(),
                entries: account.entries,
                bytes: account.bytes,
                evicted: account.evicted,
            }
        });
        StoreStats {
            disk_bytes: disk::used_by(engine.file.file()),
            max_bytes: engine.options.max_bytes,
            tables: tables.collect(),
        }
    }

    /// Writes what waits and closes the file in order. Every later call through any handle is refused.
    ///
    /// # Errors
    ///
    /// When the file cannot be written. It is closed all the same.
    pub fn close(&self) -> Result<(), Error> {
        self.inner.writer.close();
        self.inner.engine.close()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    fn state(&self, kind: TableKind, name: &str, limits: Limits) -> Result<Arc<TableState>, Error> {
        check_name(name)?;
        let engine = &self.inner.engine;
        let key = (kind, name.to_owned());
        // Read before the lock is taken, because a reading that finds the file broken reopens it and takes it too.
        let account = engine.account(kind, name)?;
        let mut tables = engine.tables.lock();
        if let Some(state) = tables.get(&key) {
            if state.limits != limits {
                return Err(Kind::OtherOptions {
                    path: engine.path.clone(),
                    table: state.stored.clone(),
                }
                .into());
            }
            return Ok(Arc::clone(state));
        }
        if tables.len() >= MAX_TABLES {
            return Err(Kind::TooManyTables { path: engine.path.clone(), limit: MAX_TABLES }.into());
        }
        let state = Arc::new(TableState {
            store: self.inner.number,
            kind,
            name: name.to_owned(),
            stored: kind.stored_name(name),
            limits,
            account: crate::account::SharedAccount::new(account),
        });
        tables.insert(key, Arc::clone(&state));
        Ok(state)
    }

    fn closed(&self) -> Error {
        Kind::Closed { path: self.inner.engine.path.clone() }.into()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.writer.close();
        if let Err(error) = self.engine.close() {
            self.engine.metrics.error(error.label());
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.engine.path).finish_non_exhaustive()
    }
}

/// A callback, and where its caller waits for it.
fn reply<R: Send + 'static>() -> (Done<R>, mpsc::Receiver<Result<R, Error>>) {
    let (sender, receiver) = mpsc::sync_channel(1);
    let done = move |result| {
        let _ = sender.send(result); // OK because nobody gives up waiting but by ending the thread.
    };
    (Box::new(done), receiver)
}
