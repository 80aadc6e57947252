//! One process at a time: the lock on the file, and who holds it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use crate::Error;
use crate::error::Kind;

/// How often the file may be replaced under the opening before it gives up.
const ATTEMPTS: usize = 16;

/// Opens the file for reading and writing and locks it, creating it and its folders if there are none.
pub(crate) fn acquire(path: &Path) -> Result<File, Error> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_folders(folder)?;
    }
    for _ in 0..ATTEMPTS {
        refuse_special(path)?;
        let file = private()
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|error| Error::io("opening the store", path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path, &file)),
            Err(TryLockError::Error(error)) => {
                return Err(Error::io("locking the store", path, error));
            }
        }
        // Between the opening and the locking, another process may have set the file aside.
        if same_file(path, &file) {
            return Ok(file);
        }
    }
    Err(Kind::Vanished { path: path.to_owned() }.into())
}

/// Opens the file for reading and locks it against writers.
pub(crate) fn acquire_for_reading(path: &Path) -> Result<File, Error> {
    refuse_special(path)?;
    let file = File::open(path).map_err(|error| Error::io("reading the store", path, error))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(held(path, &file)),
        Err(TryLockError::Error(error)) => Err(Error::io("locking the store", path, error)),
    }
}

/// Options that make files that only their owner may read and write.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Whether the path still leads to this file.
pub(crate) fn same_file(path: &Path, file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        match (fs::metadata(path), file.metadata()) {
            (Ok(named), Ok(open)) => named.dev() == open.dev() && named.ino() == open.ino(),
            _ => false,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        path.exists()
    }
}

fn create_folders(folder: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| Error::io("creating the folder", folder, error))
}

/// Refuses what is there and is no file: opening a pipe would wait for ever, and a device is not ours to write to.
fn refuse_special(path: &Path) -> Result<(), Error> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) => {
            let found = if metadata.is_dir() { "it is a folder" } else { "it is a special file" };
            Err(Kind::Foreign { path: path.to_owned(), found }.into())
        }
        Err(_) => Ok(()), // OK because opening it says what is wrong, or creates it.
    }
}

fn held(path: &Path, file: &File) -> Error {
    let holder = match holder(file) {
        Some(process) if process == std::process::id() => "this very process".to_owned(),
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    };
    Kind::Locked { path: path.to_owned(), holder }.into()
}

/// The process that holds the lock, where the system tells.
#[cfg(target_os = "linux")]
fn holder(file: &File) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    let inode = file.metadata().ok()?.ino().to_string();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    holder_among(&locks, &inode)
}

#[cfg(not(target_os = "linux"))]
fn holder(_file: &File) -> Option<u32> {
    None
}

/// The process of the first lock in a listing such as `1: FLOCK  ADVISORY  WRITE 708 00:15:1221 0 EOF`.
#[cfg(target_os = "linux")]
fn holder_among(locks: &str, inode: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        if fields.next() != Some("FLOCK") {
            return None;
        }
        let process = fields.nth(2)?;
        let of = fields.next()?.rsplit(':').next()?;
        if of == inode { process.parse().ok().filter(|process| *process > 0) } else { None }
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_the_process_of_the_lock_on_that_inode() {
        let locks = "1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 708 00:15:12213 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 709 00:15:1221 0 EOF\n";
        assert_eq!(holder_among(locks, "1221"), Some(709));
        assert_eq!(holder_among(locks, "2531452"), None);
        assert_eq!(holder_among("garbage\n2: FLOCK\n", "1"), None);
    }
}
