//! Opening a file: creating it, checking it, bringing it to the newest format, or setting it aside.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use redb::Database;

use crate::backend::StoreFile;
use crate::engine::{Verify, contain, explain, open_database};
use crate::options::StoreOptions;
use crate::verify::{UNDONE_ALTHOUGH_CLOSED, verify};
use crate::{Error, disk, format, lock};

/// How often a file may turn out to be damaged in one opening: once normally, and never often.
const ATTEMPTS: usize = 3;

/// What an opening found and did: for the log, and for a decision whether somebody has to look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Opening {
    /// There was no file, and now there is one.
    Created,
    /// The file was in order, and closed in order before.
    Opened,
    /// The file was not closed in order, as after `kill -9` or a loss of power, and is in order again.
    Repaired {
        /// Whether its last commit was not whole, so that the one before it counts. Normally it was just being written,
        /// and nobody had been told that it is done. (Damage to just that commit looks the same.)
        undone: bool,
    },
    /// The file was of an older format, and is of the newest now.
    Migrated {
        /// The format it had.
        from: u32,
    },
    /// The file was damaged. It was renamed, not deleted, and a new one was started in its place.
    SetAside {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// Which files that were set aside earlier were deleted, so that there are not ever more of them.
        deleted: Vec<PathBuf>,
    },
}

impl Opening {
    /// Whether what had been stored is not there any more.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::SetAside { .. })
    }

    /// The value of the label `found` of `obskit_state_openings_total`.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Created => "none",
            Self::Opened => "in_order",
            Self::Repaired { undone: false } => "not_closed",
            Self::Repaired { undone: true } => "undone",
            Self::Migrated { .. } => "older_format",
            Self::SetAside { .. } => "damaged",
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("created"),
            Self::Opened => f.write_str("opened"),
            Self::Repaired { undone: false } => f.write_str("opened after it had not been closed in order"),
            Self::Repaired { undone: true } => {
                f.write_str("opened after it had not been closed in order; its last commit was not whole and is undone")
            }
            Self::Migrated { from } => write!(f, "brought from format {from} to the newest"),
            Self::SetAside { path, reason, deleted } => {
                write!(f, "started anew; the file was damaged ({reason}) and is now {}", path.display())?;
                for path in deleted {
                    write!(f, "; {} was deleted", path.display())?;
                }
                Ok(())
            }
        }
    }
}

/// A file that is open, and how that came about.
pub(crate) struct Opened {
    pub(crate) file: StoreFile,
    pub(crate) database: Database,
    pub(crate) opening: Opening,
}

/// Opens the file, whatever there is.
pub(crate) fn open(path: &Path, options: &StoreOptions) -> Result<Opened, Error> {
    let mut set_aside = None;
    for _ in 0..ATTEMPTS {
        let file = lock::acquire(path)?;
        let length =
            file.metadata().map_err(|error| Error::io("reading the store", path, error))?.len();
        let opened =
            if length == 0 { create(path, options) } else { open_existing(path, options, file) };
        match opened {
            Ok(opened) => {
                return Ok(Opened { opening: set_aside.unwrap_or(opened.opening), ..opened });
            }
            Err(error) => {
                let Some(reason) = error.damage() else { return Err(error) };
                set_aside = Some(move_aside(path, options, reason)?);
            }
        }
    }
    Err(Error::damaged(
        path,
        "a new file is damaged at once: the disk, or its driver, is not sound",
    ))
}

/// Makes a new file beside and moves it over the empty one, so that no crash leaves half of one.
///
/// Nobody else does so at the same time, because the caller has the lock on the empty file.
fn create(path: &Path, options: &StoreOptions) -> Result<Opened, Error> {
    let beside = with_suffix(path, "new");
    let failed = |error| Error::io("creating the store", &beside, error);
    let file = lock::private().create(true).truncate(true).open(&beside).map_err(failed)?;
    file.try_lock().map_err(|error| failed(error.into()))?;
    let file = StoreFile::new(file, options.max_bytes);
    let backend = file.backend(path)?;
    let (database, _) = open_database(path, backend, options.cache_bytes, Verify::Nothing)?;
    contain(|| format::create(&database, format::STEPS))
        .map_err(|error| explain(path, "creating the store", error))?;
    fs::rename(&beside, path).map_err(|error| Error::io("creating the store", path, error))?;
    disk::sync_folder(path).map_err(|error| Error::io("creating the store", path, error))?;
    Ok(Opened { file, database, opening: Opening::Created })
}

fn open_existing(path: &Path, options: &StoreOptions, file: fs::File) -> Result<Opened, Error> {
    let verified = verify(path, &file, options.cache_bytes)?;
    let checked =
        migrate(path, &verified.database).and_then(|_| check_tables(path, &verified.database));
    // Closing it writes to the pages in memory, so it may find damage too.
    contain(|| Ok(verified.database.close()?))
        .map_err(|error| explain(path, "reading the store", error))?;
    checked?;
    if verified.closed && verified.undone {
        return Err(Error::damaged(path, UNDONE_ALTHOUGH_CLOSED));
    }
    let file = StoreFile::new(file, options.max_bytes);
    let backend = file.backend(path)?;
    let (database, _) = open_database(path, backend, options.cache_bytes, Verify::Nothing)?;
    let opening = match migrate(path, &database)? {
        Some(from) => Opening::Migrated { from },
        None if !verified.closed => Opening::Repaired { undone: verified.undone },
        None => Opening::Opened,
    };
    Ok(Opened { file, database, opening })
}

fn migrate(path: &Path, database: &Database) -> Result<Option<u32>, Error> {
    contain(|| Ok(format::migrate(path, database, format::STEPS)))
        .map_err(|error| explain(path, "opening the store", error))?
}

/// Opens every table once, so that one of the wrong type shows here.
fn check_tables(path: &Path, database: &Database) -> Result<(), Error> {
    use redb::ReadableDatabase;

    let work = || {
        let transaction = database.begin_read()?;
        format::accounts(&transaction)?;
        format::last_commit(&transaction)?;
        for name in format::table_names(&transaction)? {
            transaction.open_table(format::definition(&name))?;
        }
        Ok(())
    };
    contain(work).map_err(|error| explain(path, "opening the store", error))
}

/// Renames a damaged file and deletes the oldest of those that were set aside before.
fn move_aside(path: &Path, options: &StoreOptions, reason: &str) -> Result<Opening, Error> {
    let failed = |error| Error::io("setting aside the damaged store", path, error);
    let seconds = options.clock.now().as_millis().max(0) / 1000;
    let mut target = with_suffix(path, &format!("damaged-{seconds}"));
    for again in 1.. {
        if !target.try_exists().map_err(failed)? {
            break;
        }
        target = with_suffix(path, &format!("damaged-{seconds}.{again}"));
    }
    fs::rename(path, &target).map_err(failed)?;
    disk::sync_folder(path).map_err(failed)?;
    let deleted = delete_oldest(path, &target, options.keep_damaged).map_err(failed)?;
    Ok(Opening::SetAside { path: target, reason: reason.to_owned(), deleted })
}

fn delete_oldest(path: &Path, newest: &Path, keep: usize) -> std::io::Result<Vec<PathBuf>> {
    let prefix = with_suffix(path, "damaged-");
    let Some(prefix) = prefix.file_name().map(|name| name.to_string_lossy().into_owned()) else {
        return Ok(Vec::new());
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    let mut damaged = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix)
            && entry.file_name() != newest.file_name().unwrap_or_default()
        {
            damaged.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    damaged.sort_unstable();
    let surplus = (damaged.len() + 1).saturating_sub(keep);
    let mut deleted = Vec::with_capacity(surplus);
    for (_, path) in damaged.drain(..surplus.min(damaged.len())) {
        fs::remove_file(&path)?;
        deleted.push(path);
    }
    Ok(deleted)
}

/// `state.redb` with the suffix `new` is `state.redb.new`.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}
