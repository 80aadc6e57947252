//! The database on the file: opened with a check, reopened after a failure, and never left half changed.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, StorageBackend, WriteTransaction,
};

use crate::account::Account;
use crate::backend::{CapReached, StoreFile};
use crate::error::Kind;
use crate::format;
use crate::kind::TableKind;
use crate::options::{Durability, StoreOptions};
use crate::self_metrics::SelfMetrics;
use crate::state::TableState;
use crate::{Error, lock};

/// How long after a failure to open the file again the next try comes.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// How long a reopening waits for calls that are just beginning to read.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database of a store, and what all its handles share.
pub(crate) struct Engine {
    pub(crate) path: PathBuf,
    pub(crate) options: StoreOptions,
    pub(crate) metrics: SelfMetrics,
    pub(crate) tables: Mutex<BTreeMap<(TableKind, String), Arc<TableState>>>,
    pub(crate) file: StoreFile,
    /// How often the file was opened again.
    reopenings: AtomicU64,
    state: RwLock<State>,
}

/// How much of the file's cap a transaction may use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Room {
    /// Not the last part of it, which is for transactions that make room.
    Reserved,
    All,
}

enum State {
    Open(Database),
    /// An operation failed, and redb goes on only after the file was opened again.
    Failed {
        error: Error,
        retry_at: Instant,
    },
    Closed,
}

impl Engine {
    pub(crate) fn new(
        path: PathBuf,
        options: StoreOptions,
        metrics: SelfMetrics,
        file: StoreFile,
        database: Database,
    ) -> Self {
        Self {
            path,
            options,
            metrics,
            tables: Mutex::default(),
            file,
            reopenings: AtomicU64::new(0),
            state: RwLock::new(State::Open(database)),
        }
    }

    /// Reads from one state of the file that no later change touches.
    pub(crate) fn read<R>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<R, redb::Error>,
    ) -> Result<R, Error> {
        let transaction = self.begin_read()?;
        contain(|| work(&transaction)).map_err(|error| self.failed("reading the store", error))
    }

    /// Begins to read; what is done with the transaction belongs into [`contain`].
    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, Error> {
        // The guard is held only until here, so that nothing waits for a long scan, and a scan's callback may write.
        let begun = contain(|| Ok(self.live().map(|database| database.begin_read())));
        match begun {
            Ok(Ok(Ok(transaction))) => Ok(transaction),
            Ok(Ok(Err(error))) => Err(self.failed("reading the store", error.into())),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(self.failed("reading the store", error)),
        }
    }

    /// Changes the file in one transaction with the given number, which `work` notes in it, unless it was opened again
    /// more often than is expected.
    ///
    /// After a failure the file is opened again at once, and its last number tells what became of the transaction.
    pub(crate) fn transact<R>(
        &self,
        durability: Durability,
        number: u64,
        reopenings: u64,
        room: Room,
        work: impl FnOnce(&WriteTransaction) -> Result<R, redb::Error>,
    ) -> Result<R, Error> {
        if !lock::same_file(&self.path, self.file.file()) {
            return Err(Kind::Vanished { path: self.path.clone() }.into());
        }
        let mut done = None;
        let result = {
            let database = self.live()?;
            if self.reopenings() != reopenings {
                return Err(Kind::Reopened { path: self.path.clone() }.into());
            }
            let commit = || {
                let mut transaction = database.begin_write()?;
                if durability == Durability::Eventual {
                    transaction
                        .set_durability(redb::Durability::None)
                        .map_err(redb::Error::from)?;
                }
                done = Some(work(&transaction)?);
                transaction.commit()?;
                Ok(())
            };
            match room {
                Room::Reserved => self.file.growing(|| contain(commit)),
                Room::All => contain(commit),
            }
        };
        let error = match (result, done) {
            (Ok(()), Some(done)) => return Ok(done),
            (Err(error), done) => {
                let error = self.failed("writing to the store", error);
                let committed = self.read(format::last_commit).is_ok_and(|last| last == number);
                if let (true, Some(done)) = (committed, done) {
                    return Ok(done);
                }
                error
            }
            (Ok(()), None) => unreachable!("a transaction is committed after its work is done"),
        };
        Err(error)
    }

    /// Makes the file as short as it can be. Fails while somebody reads.
    pub(crate) fn compact(&self) -> Result<(), Error> {
        self.revive()?;
        let mut state = self.state.write();
        let State::Open(database) = &mut *state else {
            return Err(Kind::Busy { path: self.path.clone() }.into());
        };
        let compacted = contain(|| Ok(database.compact()));
        drop(state);
        match compacted {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(redb::CompactionError::TransactionInProgress)) => {
                Err(Kind::Busy { path: self.path.clone() }.into())
            }
            Ok(Err(error)) => Err(self.failed("compacting the store", error.into())),
            Err(error) => Err(self.failed("compacting the store", error)),
        }
    }

    /// Closes the file in order; every later call is refused.
    pub(crate) fn close(&self) -> Result<(), Error> {
        let state = std::mem::replace(&mut *self.state.write(), State::Closed);
        let State::Open(database) = state else { return Ok(()) };
        let closed = contain(|| Ok(database.close()?));
        // Handles of tables may live on; the file is free for others all the same.
        let unlocked = self.file.file().unlock();
        closed.map_err(|error| explain(&self.path, "closing the store", error))?;
        unlocked.map_err(|error| Error::io("unlocking the store", &self.path, error))
    }

    /// How often the file was opened again after a failure; each time, what had not been flushed was gone.
    pub(crate) fn reopenings(&self) -> u64 {
        self.reopenings.load(Ordering::SeqCst)
    }

    /// Opens the file again if it has to be.
    pub(crate) fn revive(&self) -> Result<(), Error> {
        self.live().map(drop)
    }

    fn live(&self) -> Result<MappedRwLockReadGuard<'_, Database>, Error> {
        loop {
            let guard = self.state.read();
            match RwLockReadGuard::try_map(guard, |state| match state {
                State::Open(database) => Some(database),
                State::Failed { .. } | State::Closed => None,
            }) {
                Ok(database) => return Ok(database),
                Err(guard) => {
                    if matches!(*guard, State::Closed) {
                        return Err(Kind::Closed { path: self.path.clone() }.into());
                    }
                }
            }
            self.reopen()?;
        }
    }

    /// Takes the database away if it cannot go on after this error, and says what the error means.
    pub(crate) fn failed(&self, action: &'static str, error: redb::Error) -> Error {
        let error = explain(&self.path, action, error);
        if let Some(mut state) = self.state.try_write_for(PATIENCE)
            && matches!(*state, State::Open(_))
        {
            let failed = State::Failed { error: error.clone(), retry_at: Instant::now() };
            let database = std::mem::replace(&mut *state, failed);
            // Dropping a database that failed may find more that is wrong; what counts is the error that was first.
            let _ = contain(|| {
                drop(database);
                Ok(())
            });
        }
        error
    }

    fn reopen(&self) -> Result<(), Error> {
        let Some(mut state) = self.state.try_write_for(PATIENCE) else {
            return Err(Kind::Busy { path: self.path.clone() }.into());
        };
        let State::Failed { error, retry_at } = &mut *state else { return Ok(()) };
        if Instant::now() < *retry_at {
            return Err(error.clone());
        }
        match self.reopened() {
            Ok(database) => {
                *state = State::Open(database);
                self.reopenings.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            Err(failure) => {
                *error = failure.clone();
                *retry_at = Instant::now() + RETRY_AFTER;
                Err(failure)
            }
        }
    }

    fn reopened(&self) -> Result<Database, Error> {
        let backend = self.file.backend(&self.path)?;
        let (database, _) =
            open_database(&self.path, backend, self.options.cache_bytes, Verify::All)?;
        let accounts = contain(|| format::accounts(&database.begin_read()?))
            .map_err(|error| explain(&self.path, "reading the store", error))?;
        for (key, table) in &*self.tables.lock() {
            table.account.set(accounts.get(key).copied().unwrap_or_default());
        }
        Ok(database)
    }

    /// The account of a table that may not exist yet.
    pub(crate) fn account(&self, kind: TableKind, name: &str) -> Result<Account, Error> {
        let accounts = self.read(format::accounts)?;
        Ok(accounts.get(&(kind, name.to_owned())).copied().unwrap_or_default())
    }
}

/// How much of a file is read when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    /// All, against its checksums.
    All,
    /// What is needed, because all has just been verified.
    Nothing,
}

/// Opens a database, and says whether its last commit did not match its checksums, so that the one before it counts.
pub(crate) fn open_database(
    path: &Path,
    backend: impl StorageBackend,
    cache_bytes: usize,
    verify: Verify,
) -> Result<(Database, bool), Error> {
    let undone = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&undone);
    let mut builder = Builder::new();
    builder
        .set_cache_size(cache_bytes)
        .set_check_integrity_on_open(verify == Verify::All)
        // redb reports three tenths exactly when the newest commit does not match its checksums and it goes on with
        // the one before it.
        .set_repair_callback(move |session| {
            if (0.25..0.35).contains(&session.progress()) {
                seen.store(true, Ordering::Relaxed);
            }
        });
    let opened = contain(|| Ok(builder.create_with_backend(backend)?));
    let database = opened.map_err(|error| match error {
        redb::Error::Io(source)
            if matches!(
                source.kind(),
                std::io::ErrorKind::InvalidData
                    | std::io::ErrorKind::InvalidInput
                    | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            Error::damaged(path, source.to_string())
        }
        error => explain(path, "opening the store", error),
    })?;
    Ok((database, undone.load(Ordering::Relaxed)))
}

/// Runs a piece of work on the database and turns a panic of it into an error.
///
/// redb checks what it reads when a file is opened, and then trusts it. If the file changes under it afterwards, or
/// its checks miss something, it may panic rather than report. (The panic hook still sees it; in a build that aborts
/// on panics there is no way back.) Whatever redb leaves locked or half done is dropped with the database.
pub(crate) fn contain<R>(work: impl FnOnce() -> Result<R, redb::Error>) -> Result<R, redb::Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("for an unknown reason");
        Err(redb::Error::Corrupted(format!("the database could not go on: {said}")))
    })
}

/// Says what an error of redb means for this file.
pub(crate) fn explain(path: &Path, action: &'static str, error: redb::Error) -> Error {
    match error {
        redb::Error::Io(source) => match CapReached::within(&source) {
            Some(limit) => {
                Kind::Full { what: format!("the store {}", path.display()), limit }.into()
            }
            None => Error::io(action, path, source),
        },
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
            Error::io(action, path, std::io::Error::other("an operation before it failed"))
        }
        redb::Error::Corrupted(reason) => Error::damaged(path, reason),
        other => Error::damaged(path, other.to_string()),
    }
}
