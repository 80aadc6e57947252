//! The file below the database: nothing is written past the cap, and tests can make it fail.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use crate::disk;
use crate::options::MIN_MAX_BYTES;

/// Why a write past the cap did not happen; inside an [`io::Error`] on its way through redb.
#[derive(Debug, thiserror::Error)]
#[error("the store's cap of {0} bytes is reached")]
pub(crate) struct CapReached(pub(crate) u64);

impl CapReached {
    /// The cap, if this is why the operation failed.
    pub(crate) fn within(error: &io::Error) -> Option<u64> {
        error.get_ref()?.downcast_ref::<Self>().map(|reached| reached.0)
    }
}

/// The file of one opening of the database. The lock on the file belongs to the handle that this one was cloned from,
/// so it outlives the opening.
#[derive(Debug)]
pub(crate) struct CappedFile {
    inner: FileBackend,
    limit: Arc<Limit>,
    #[cfg(test)]
    faults: Arc<Faults>,
}

/// Up to where the file may be written.
#[derive(Debug)]
struct Limit {
    max_bytes: u64,
    /// How much of it is kept free for what makes room.
    reserved: AtomicU64,
}

/// The part of the cap that is kept free for what makes room.
const RESERVE: u64 = 16;

/// A locked file that the database can be opened on again and again.
#[derive(Debug)]
pub(crate) struct StoreFile {
    file: File,
    limit: Arc<Limit>,
    #[cfg(test)]
    pub(crate) faults: Arc<Faults>,
}

impl StoreFile {
    /// A file that may take this much of the disk. If it is larger already, because the cap was lowered, it does not
    /// grow any more.
    pub(crate) fn new(file: File, max_bytes: u64) -> Self {
        let max_bytes = max_bytes.max(disk::used_by(&file));
        Self {
            file,
            limit: Arc::new(Limit { max_bytes, reserved: AtomicU64::new(0) }),
            #[cfg(test)]
            faults: Arc::default(),
        }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Keeps the last part of the cap free while `work` runs. What only removes may use it, and so may opening and
    /// closing: that takes room at first, too, because pages are changed by copying them.
    pub(crate) fn growing<R>(&self, work: impl FnOnce() -> R) -> R {
        self.limit.reserved.store(self.limit.max_bytes / RESERVE, Ordering::SeqCst);
        let result = work();
        self.limit.reserved.store(0, Ordering::SeqCst);
        result
    }

    /// What the database writes to.
    pub(crate) fn backend(&self, path: &Path) -> Result<CappedFile, crate::Error> {
        let failed = |error| crate::Error::io("opening the store", path, error);
        let file = self.file.try_clone().map_err(failed)?;
        let inner = FileBackend::new(file).map_err(|error| failed(io::Error::other(error)))?;
        Ok(CappedFile {
            inner,
            limit: Arc::clone(&self.limit),
            #[cfg(test)]
            faults: Arc::clone(&self.faults),
        })
    }
}

impl CappedFile {
    #[cfg(test)]
    fn fault(&self) -> io::Result<()> {
        self.faults.check()
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "only tests make it fail")]
    fn fault(&self) -> io::Result<()> {
        Ok(())
    }
}

impl StorageBackend for CappedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fault()?;
        // redb doubles a file that has grown too small. What is not written yet is a hole that takes no disk, so the
        // length may pass the cap, but not without a bound.
        let max_bytes = self.limit.max_bytes;
        if len > max_bytes.saturating_mul(2).saturating_add(MIN_MAX_BYTES) {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, CapReached(max_bytes)));
        }
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fault()?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fault()?;
        let Limit { max_bytes, reserved } = &*self.limit;
        if offset.saturating_add(data.len() as u64) > max_bytes - reserved.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, CapReached(*max_bytes)));
        }
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}

/// Failures that a test asks for: the disk is full once `writes_left` writes have happened, until it is reset.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Faults {
    writes_left: AtomicU64,
}

#[cfg(test)]
impl Default for Faults {
    fn default() -> Self {
        Self { writes_left: AtomicU64::new(u64::MAX) }
    }
}

#[cfg(test)]
impl Faults {
    pub(crate) fn fail_after(&self, writes: u64) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    pub(crate) fn stop(&self) {
        self.fail_after(u64::MAX);
    }

    fn check(&self) -> io::Result<()> {
        let ordering = Ordering::SeqCst;
        let left = self.writes_left.fetch_update(ordering, ordering, |left| match left {
            u64::MAX => Some(u64::MAX),
            left => left.checked_sub(1),
        });
        left.map(|_| ()).map_err(|_| io::Error::from(io::ErrorKind::StorageFull))
    }
}
