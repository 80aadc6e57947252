//! Checking a file without changing it.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTableMetadata};

use crate::account::{Account, charge};
use crate::engine::{contain, explain};
use crate::error::Kind;
use crate::format::{self, Found};
use crate::kind::TableKind;
use crate::verify::{UNDONE_ALTHOUGH_CLOSED, Verified, verify};
use crate::{Error, disk, key, lock};

/// Memory for pages of the file while it is checked.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// The most problems that are listed; a file with more is no better understood by them.
const MAX_PROBLEMS: usize = 100;

/// What a check found. Its text form is for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub file_bytes: u64,
    /// What it takes of the disk, in bytes.
    pub disk_bytes: u64,
    /// Its format, if that could be read.
    pub format: Option<u32>,
    /// Whether it was closed in order. If not, the next opening puts it in order.
    pub closed: bool,
    /// How many transactions were committed, ever.
    pub commits: u64,
    /// Its tables.
    pub tables: Vec<TableCheck>,
    /// What is noteworthy and no damage.
    pub notes: Vec<String>,
    /// What is wrong with it; nothing if it is sound.
    pub problems: Vec<String>,
}

/// What a check found in a table, by counting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableCheck {
    /// What it is.
    pub kind: TableKind,
    /// Its name.
    pub name: String,
    /// How many entries it has.
    pub entries: u64,
    /// What they count: keys, values, and [`ENTRY_BYTES`](crate::ENTRY_BYTES) for each.
    pub bytes: u64,
    /// How many entries were evicted or dropped to stay within a size cap, ever.
    pub evicted: u64,
}

impl CheckReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, file_bytes, disk_bytes, commits, .. } = self;
        writeln!(f, "{}: {}", path.display(), if self.is_sound() { "sound" } else { "damaged" })?;
        if let Some(format) = self.format {
            let closed = if self.closed { "closed in order" } else { "not closed in order" };
            writeln!(f, "  format {format}, {commits} commits, {closed}")?;
        }
        writeln!(f, "  {} on the disk, {} long", Size(*disk_bytes), Size(*file_bytes))?;
        for table in &self.tables {
            let TableCheck { kind, name, entries, bytes, evicted } = table;
            write!(f, "  {kind} {name}: {entries} entries, {}", Size(*bytes))?;
            if *evicted > 0 {
                write!(f, ", {evicted} evicted so far")?;
            }
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        for problem in &self.problems {
            writeln!(f, "  problem: {problem}")?;
        }
        Ok(())
    }
}

/// Bytes as people read them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size >= 1024.0 && unit + 1 < UNITS.len() {
            size /= 1024.0;
            unit += 1;
        }
        write!(f, "{size:.1} {}", UNITS[unit])
    }
}

/// Checks the file.
pub(crate) fn check(path: &Path) -> Result<CheckReport, Error> {
    let file = lock::acquire_for_reading(path)?;
    let mut report = CheckReport {
        path: path.to_owned(),
        file_bytes: file
            .metadata()
            .map_err(|error| Error::io("reading the store", path, error))?
            .len(),
        disk_bytes: disk::used_by(&file),
        format: None,
        closed: false,
        commits: 0,
        tables: Vec::new(),
        notes: Vec::new(),
        problems: Vec::new(),
    };
    match inspect(path, file, &mut report) {
        Ok(()) => {}
        Err(error) => match error.damage() {
            Some(reason) => report.problems.push(reason.to_owned()),
            None => return Err(error),
        },
    }
    let surplus = report.problems.len().saturating_sub(MAX_PROBLEMS);
    if surplus > 0 {
        report.problems.truncate(MAX_PROBLEMS);
        report.problems.push(format!("and {surplus} more"));
    }
    Ok(report)
}

fn inspect(path: &Path, file: File, report: &mut CheckReport) -> Result<(), Error> {
    if report.file_bytes == 0 {
        report.notes.push("it is empty: the next opening starts a new store in it".to_owned());
        return Ok(());
    }
    let Verified { database, closed, undone } = verify(path, &file, CACHE_BYTES)?;
    report.closed = closed;
    note_end(closed, undone, report);
    let known = format::known();
    let format = contain(|| format::read(&database))
        .map_err(|error| explain(path, "reading the store", error))?;
    match format {
        Found::Foreign => {
            let found = "it is a database of another program";
            return Err(Kind::Foreign { path: path.to_owned(), found }.into());
        }
        Found::Format(found) if found > known => {
            return Err(Kind::NewerVersion { path: path.to_owned(), found, known }.into());
        }
        Found::Format(found) => {
            report.format = Some(found);
            if found < known {
                report
                    .notes
                    .push(format!("the next opening brings it from format {found} to {known}"));
            }
        }
    }
    contain(|| count_tables(&database, report))
        .map_err(|error| explain(path, "reading the store", error))
}

/// Says how the file ended.
fn note_end(closed: bool, undone: bool, report: &mut CheckReport) {
    if closed && undone {
        report.problems.push(UNDONE_ALTHOUGH_CLOSED.to_owned());
    } else if undone {
        report.notes.push(
            "its last commit is not whole: the next opening goes on from the one before".to_owned(),
        );
    } else if !closed {
        report
            .notes
            .push("it was not closed in order: the next opening puts that right".to_owned());
    }
}

fn count_tables(database: &Database, report: &mut CheckReport) -> Result<(), redb::Error> {
    let transaction = database.begin_read()?;
    report.commits = format::last_commit(&transaction)?;
    let mut accounts = format::accounts(&transaction)?;
    for stored in format::table_names(&transaction)? {
        let Some((kind, name)) = TableKind::of_stored_name(&stored) else {
            report.problems.push(format!("the table {stored:?} is not one of a store"));
            continue;
        };
        let account = accounts.remove(&(kind, name.to_owned()));
        let table = count(
            &transaction,
            &stored,
            kind,
            name,
            account.unwrap_or_default(),
            &mut report.problems,
        )?;
        report.tables.push(table);
    }
    for ((kind, name), account) in accounts {
        if account.entries > 0 {
            report.problems.push(format!(
                "{kind} {name} should have {} entries and is not there",
                account.entries
            ));
        }
    }
    Ok(())
}

fn count(
    transaction: &ReadTransaction,
    stored: &str,
    kind: TableKind,
    name: &str,
    account: Account,
    problems: &mut Vec<String>,
) -> Result<TableCheck, redb::Error> {
    let table = transaction.open_table(format::definition(stored))?;
    let mut counted =
        TableCheck { kind, name: name.to_owned(), entries: 0, bytes: 0, evicted: account.evicted };
    let (mut strange, mut last) = (0_u64, None);
    for entry in table.range::<&[u8]>(..)? {
        let (key, value) = entry?;
        counted.entries += 1;
        counted.bytes += charge(key.value().len(), value.value().len());
        let understood = match kind {
            TableKind::Table => true,
            TableKind::Queue => {
                last = key::item(key.value());
                last.is_some()
            }
            TableKind::Chunks => key::chunk(key.value()).is_some(),
        };
        strange += u64::from(!understood);
    }
    if strange > 0 {
        problems.push(format!("{kind} {name} has {strange} keys that are none of a {kind}"));
    }
    if last.is_some_and(|last| last >= account.next_id) {
        problems.push(format!(
            "{kind} {name} would use ids again: it has one past {}",
            account.next_id
        ));
    }
    if table.len()? != counted.entries {
        problems.push(format!(
            "{kind} {name} says {} entries and has {}",
            table.len()?,
            counted.entries
        ));
    }
    if (account.entries, account.bytes) != (counted.entries, counted.bytes) {
        problems.push(format!(
            "{kind} {name} is accounted for with {} entries and {} bytes and has {} and {}",
            account.entries, account.bytes, counted.entries, counted.bytes
        ));
    }
    Ok(counted)
}
