//! Verifying a file by doing all of an opening in memory, on top of it: whatever is found, the file is left as it is.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

use redb::Database;

use crate::Error;
use crate::engine::{Verify, open_database};
use crate::error::Kind;
use crate::format;
use crate::header::{HEADER_BYTES, Header};
use crate::overlay::Overlay;

/// What is wrong with a file that was closed in order and goes on from an earlier commit. After a crash that is in order.
pub(crate) const UNDONE_ALTHOUGH_CLOSED: &str =
    "it was closed in order, but its last commit is not there any more";

/// A file whose every page matches its checksum.
pub(crate) struct Verified {
    /// The database as the file has it; changes stay in memory.
    pub(crate) database: Database,
    /// Whether the file was closed in order.
    pub(crate) closed: bool,
    /// Whether its last commit was not whole or is damaged, so that the one before it counts.
    pub(crate) undone: bool,
}

/// Verifies all of a file.
pub(crate) fn verify(path: &Path, file: &File, cache_bytes: usize) -> Result<Verified, Error> {
    let failed = |error| Error::io("reading the store", path, error);
    let header = read_header(path, file)?;
    let overlay = file.try_clone().and_then(Overlay::new).map_err(failed)?;
    let top = overlay.clone();
    let (database, fell_back) = open_database(path, overlay, cache_bytes, Verify::All)?;
    // After the check, redb makes a commit of its own on top of the one that it goes on from. A slot of the header that
    // does not match its checksum is passed over without a word, which shows in the number of that commit.
    let now = top.first_page().and_then(|page| Header::parse(&page)).unwrap_or(header);
    Ok(Verified {
        database,
        closed: header.closed,
        undone: fell_back || header.points_back() || !header.went_on_to(&now),
    })
}

/// Reads the header and refuses what a later version of redb wrote: that is not damage.
fn read_header(path: &Path, mut file: &File) -> Result<Header, Error> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    file.rewind()
        .and_then(|()| file.take(HEADER_BYTES as u64).read_to_end(&mut bytes))
        .map_err(|error| Error::io("reading the store", path, error))?;
    let Some(header) = Header::parse(&bytes) else {
        return Err(Error::damaged(path, "it does not begin as a store does"));
    };
    if let Some(newer) = header.newer_format {
        let (found, known) = (u32::from(newer), format::known());
        return Err(Kind::NewerVersion { path: path.to_owned(), found, known }.into());
    }
    Ok(header)
}
