//! The crate's error: why a store could not be opened, or a change was not made.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a store could not be opened, or a change was not made.
///
/// A change that ended in an error was not made at all. Only when the operating system fails ([`Error::is_io`]) in such
/// a way that the file cannot even be read again at once, it may turn out later that it was made, and then wholly.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Arc<Kind>);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error("options of the store {} are not valid: {}", path.display(), problems.join("; "))]
    Options { path: PathBuf, problems: Vec<String> },
    #[error(
        "table name {name:?} is not valid: expected 1 to 64 of the characters a-z, 0-9, '_', '-', '.' and '/'"
    )]
    Name { name: String },
    #[error("{table} of the store {} is open with other options: open it once, or with the same", path.display())]
    OtherOptions { path: PathBuf, table: String },
    #[error("the store {} already has {limit} tables, its limit", path.display())]
    TooManyTables { path: PathBuf, limit: usize },
    #[error("{what} of {bytes} bytes is too large for the store: expected at most {limit}")]
    TooLarge { what: &'static str, bytes: usize, limit: u64 },
    #[error("a batch has a change for {table}, which belongs to another store than {}", path.display())]
    OtherStore { path: PathBuf, table: String },
    #[error("{what} is full at {limit} bytes: nothing was stored")]
    Full { what: String, limit: u64 },
    #[error("the store {} is in use by {holder}: stop it, or give this process a file of its own", path.display())]
    Locked { path: PathBuf, holder: String },
    #[error("the store {} has format {found}, and this version knows up to {known}: use a newer version, or move the file away", path.display())]
    NewerVersion { path: PathBuf, found: u32, known: u32 },
    #[error("{} is not a store: {found}; expected a file that was written by this library, or none", path.display())]
    Foreign { path: PathBuf, found: &'static str },
    #[error("the store {} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("the store {} was removed or replaced while it is open: put it back, or open it again", path.display())]
    Vanished { path: PathBuf },
    #[error("{action} {} failed: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the store {} has more changes waiting than it takes: try again later", path.display())]
    Busy { path: PathBuf },
    /// For the writer alone, which then makes the changes again that were not flushed.
    #[error("the store {} was opened again", path.display())]
    Reopened { path: PathBuf },
    #[error("the store {} is closed", path.display())]
    Closed { path: PathBuf },
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(Arc::new(kind))
    }
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Kind::Io { action, path: path.to_owned(), source }.into()
    }

    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Kind::Damaged { path: path.to_owned(), reason: reason.into() }.into()
    }

    pub(crate) fn is_reopened(&self) -> bool {
        matches!(*self.0, Kind::Reopened { .. })
    }

    pub(crate) fn damage(&self) -> Option<&str> {
        match &*self.0 {
            Kind::Damaged { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The value of the label `kind` of `obskit_state_errors_total`.
    pub(crate) fn label(&self) -> &'static str {
        match &*self.0 {
            Kind::Full { .. } => "full",
            Kind::Locked { .. } => "locked",
            Kind::Damaged { .. } => "damaged",
            Kind::Vanished { .. } => "vanished",
            Kind::Io { .. } => "io",
            Kind::Busy { .. } | Kind::Reopened { .. } => "busy",
            Kind::Closed { .. } => "closed",
            Kind::NewerVersion { .. } | Kind::Foreign { .. } => "format",
            Kind::Options { .. }
            | Kind::Name { .. }
            | Kind::OtherOptions { .. }
            | Kind::TooManyTables { .. }
            | Kind::TooLarge { .. }
            | Kind::OtherStore { .. } => "refused",
        }
    }

    /// Whether an option or a name is outside what is accepted, or a table is used against its options.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(
            *self.0,
            Kind::Options { .. }
                | Kind::Name { .. }
                | Kind::OtherOptions { .. }
                | Kind::OtherStore { .. }
                | Kind::TooManyTables { .. }
        )
    }

    /// Whether another process, or another opening in this one, holds the file.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(*self.0, Kind::Locked { .. })
    }

    /// Whether a newer version of this library wrote the file.
    #[must_use]
    pub fn is_newer_version(&self) -> bool {
        matches!(*self.0, Kind::NewerVersion { .. })
    }

    /// Whether the path leads to something else than a store.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(*self.0, Kind::Foreign { .. })
    }

    /// Whether what the file holds is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        matches!(*self.0, Kind::Damaged { .. })
    }

    /// Whether a size cap (of the store, or of a table that refuses what does not fit) is reached.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(*self.0, Kind::Full { .. })
    }

    /// Whether a key, a value or an item is larger than is ever taken.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(*self.0, Kind::TooLarge { .. })
    }

    /// Whether the disk, or the user's quota on it, is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self.io_kind(), Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    /// Whether the operating system does not permit the access.
    #[must_use]
    pub fn is_permission_denied(&self) -> bool {
        matches!(
            self.io_kind(),
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
        )
    }

    /// Whether the operating system reported a failure, of whatever kind.
    #[must_use]
    pub fn is_io(&self) -> bool {
        self.io_kind().is_some()
    }

    /// Whether the file was removed or replaced while the store was open.
    #[must_use]
    pub fn is_vanished(&self) -> bool {
        matches!(*self.0, Kind::Vanished { .. })
    }

    /// Whether too many changes wait already: the answer of the calls that never wait.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(*self.0, Kind::Busy { .. })
    }

    /// Whether the store was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(*self.0, Kind::Closed { .. })
    }

    fn io_kind(&self) -> Option<io::ErrorKind> {
        match &*self.0 {
            Kind::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }
}
