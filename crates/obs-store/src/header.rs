//! The first bytes of a file of redb, as its design document describes them: what they tell before it is opened.

/// How much of the file is needed.
pub(crate) const HEADER_BYTES: usize = 64 + 2 * SLOT_BYTES;

const MAGIC: [u8; 9] = [b'r', b'e', b'd', b'b', 0x1A, 0x0A, 0xA9, 0x0D, 0x0A];
const SLOT_BYTES: usize = 128;
/// The file format of redb that this version of it writes.
const FILE_FORMAT: u8 = 3;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether the file was closed in order.
    pub(crate) closed: bool,
    /// The transaction in the slot that counts.
    pub(crate) current: u64,
    /// The transaction in the other slot, normally the one before.
    pub(crate) other: u64,
    /// Whether both slots have the same tables, so that it does not matter which one counts.
    same_tables: bool,
    /// The file format of both slots, if it is the same and a newer one than is known.
    pub(crate) newer_format: Option<u8>,
}

impl Header {
    /// Reads a header; nothing when these bytes are not one.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_BYTES)?;
        if bytes[..MAGIC.len()] != MAGIC {
            return None;
        }
        let flags = bytes[MAGIC.len()];
        let (current, other) = if flags & 1 == 0 { (0, 1) } else { (1, 0) };
        let formats = [slot(bytes, 0)[0], slot(bytes, 1)[0]];
        Some(Self {
            closed: flags & 2 == 0,
            current: transaction(slot(bytes, current)),
            other: transaction(slot(bytes, other)),
            same_tables: tables(slot(bytes, 0)) == tables(slot(bytes, 1)),
            newer_format: (formats[0] == formats[1] && formats[0] > FILE_FORMAT)
                .then_some(formats[0]),
        })
    }

    /// Whether it points at a commit that is not its last: the last one was not finished, or this is damage. Commits
    /// that redb makes for itself, when it opens and closes a file, change nothing that anybody would miss.
    pub(crate) fn points_back(&self) -> bool {
        self.other > self.current && !self.same_tables
    }

    /// Whether a file of which this was the header, and now is `now`, went on from its last commit. redb makes a commit
    /// of its own when it verifies a file.
    pub(crate) fn went_on_to(&self, now: &Self) -> bool {
        let is_next = |last: u64| now.current == last || Some(now.current) == last.checked_add(1);
        is_next(self.current) || (self.other > self.current && is_next(self.other))
    }
}

fn slot(bytes: &[u8], index: usize) -> &[u8] {
    let start = 64 + index * SLOT_BYTES;
    // OK because `parse` has checked that there are two whole slots.
    &bytes[start..start + SLOT_BYTES]
}

/// The root of the tree of tables, with its checksum.
fn tables(slot: &[u8]) -> &[u8] {
    &slot[8..40]
}

fn transaction(slot: &[u8]) -> u64 {
    let mut id = [0; 8];
    id.copy_from_slice(&slot[104..112]);
    u64::from_le_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_header_is_none() {
        assert_eq!(Header::parse(b""), None);
        assert_eq!(Header::parse(&[0; HEADER_BYTES]), None);
        assert_eq!(Header::parse(b"redb"), None);
    }

    #[test]
    fn a_file_of_redb_says_whether_it_was_closed_and_counts_its_transactions() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let read = || Header::parse(&std::fs::read(&path).expect("readable")).expect("a header");
        let database = redb::Database::create(&path).expect("created");
        let table = redb::TableDefinition::<u64, u64>::new("table");
        let commit = |database: &redb::Database| {
            let transaction = database.begin_write().expect("begun");
            transaction.open_table(table).expect("opened").insert(1, 1).expect("inserted");
            transaction.commit().expect("committed");
        };
        commit(&database);
        let first = read();
        assert!(!first.closed);
        commit(&database);
        let second = read();
        assert!(second.current > first.current, "{first:?} {second:?}");
        drop(database);
        let closed = read();
        assert!(closed.closed && !closed.points_back());
        assert_eq!(closed.newer_format, None);
    }
}
