//! What a file takes of the disk, and making the names in a folder last.

use std::fs::File;
use std::io;
use std::path::Path;

/// What the file takes of the disk, in bytes; its holes take nothing.
pub(crate) fn used_by(file: &File) -> u64 {
    let Ok(metadata) = file.metadata() else { return 0 };
    #[cfg(unix)]
    {
        // Unix counts in blocks of 512 bytes, whatever the blocks of the file system are.
        std::os::unix::fs::MetadataExt::blocks(&metadata) * 512
    }
    #[cfg(not(unix))]
    {
        metadata.len()
    }
}

/// Makes a new or changed name in the folder of this path survive a loss of power.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        Ok(())
    }
}
