//! What the file says about itself: its format, its tables' accounts, and the steps from one format to the next.

use std::collections::BTreeMap;
use std::path::Path;

use redb::{
    Database, ReadTransaction, ReadableDatabase, TableDefinition, TableError, TableHandle,
    WriteTransaction,
};

use crate::Error;
use crate::account::Account;
use crate::engine::explain;
use crate::error::Kind;
use crate::kind::TableKind;

/// Every table of a store, and of each its account under [`account_key`], and the two keys below.
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("obskit");

const FORMAT_KEY: &str = "format";
const COMMIT_KEY: &str = "commit";
const ACCOUNT_PREFIX: &str = "account/";

/// One step from a format to the next, within the transaction that also notes the new format.
pub(crate) type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The step at index `i` leads from format `i + 1` to `i + 2`.
pub(crate) const STEPS: &[Step] = &[];

/// A table of the store inside redb.
pub(crate) fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

/// Whether the database was written by this library.
pub(crate) enum Found {
    Format(u32),
    /// A database without the table that tells.
    Foreign,
}

/// Reads the format.
pub(crate) fn read(database: &Database) -> Result<Found, redb::Error> {
    let transaction = database.begin_read()?;
    let meta = match transaction.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => return Ok(Found::Foreign),
        Err(error) => return Err(error.into()),
    };
    let format = meta
        .get(FORMAT_KEY)?
        .and_then(|value| Some(u32::from_be_bytes(value.value().try_into().ok()?)));
    format.map(Found::Format).ok_or_else(|| redb::Error::Corrupted("no format is noted".to_owned()))
}

/// Notes the newest format in a database that is new.
pub(crate) fn create(database: &Database, steps: &[Step]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    note_format(&transaction, newest(steps))?;
    transaction.commit()?;
    Ok(())
}

/// Brings a database to the newest format in one transaction, and says from which; nothing if it has it already.
pub(crate) fn migrate(
    path: &Path,
    database: &Database,
    steps: &[Step],
) -> Result<Option<u32>, Error> {
    let found = match read(database).map_err(|error| explain(path, "reading the store", error))? {
        Found::Foreign => {
            return Err(Kind::Foreign {
                path: path.to_owned(),
                found: "it is a database of another program",
            }
            .into());
        }
        Found::Format(found) => found,
    };
    let known = newest(steps);
    if found > known {
        return Err(Kind::NewerVersion { path: path.to_owned(), found, known }.into());
    }
    if found == 0 {
        return Err(Error::damaged(path, "its format is 0, which there never was"));
    }
    if found == known {
        return Ok(None);
    }
    let failed = |error| explain(path, "migrating the store", error);
    let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
    for step in &steps[found as usize - 1..] {
        step(&transaction).map_err(failed)?;
    }
    note_format(&transaction, known).map_err(failed)?;
    transaction.commit().map_err(|error| failed(error.into()))?;
    Ok(Some(found))
}

/// The newest format that this version knows.
pub(crate) fn known() -> u32 {
    newest(STEPS)
}

fn newest(steps: &[Step]) -> u32 {
    // OK because there are a handful of steps.
    steps.len() as u32 + 1
}

fn note_format(transaction: &WriteTransaction, format: u32) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert(FORMAT_KEY, format.to_be_bytes().as_slice())?;
    Ok(())
}

/// Notes the number of the transaction that is about to be committed, and what it makes of the accounts.
pub(crate) fn note_commit<'a>(
    transaction: &WriteTransaction,
    number: u64,
    accounts: impl Iterator<Item = (TableKind, &'a str, &'a Account)>,
) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(META)?;
    meta.insert(COMMIT_KEY, number.to_be_bytes().as_slice())?;
    for (kind, name, account) in accounts {
        meta.insert(account_key(kind, name).as_str(), account.encode().as_slice())?;
    }
    Ok(())
}

/// The number of the last transaction that was committed; 0 in a new file.
pub(crate) fn last_commit(transaction: &ReadTransaction) -> Result<u64, redb::Error> {
    let meta = transaction.open_table(META)?;
    let value = meta.get(COMMIT_KEY)?;
    Ok(value
        .and_then(|value| Some(u64::from_be_bytes(value.value().try_into().ok()?)))
        .unwrap_or(0))
}

/// The accounts of all tables, by kind and name.
pub(crate) fn accounts(
    transaction: &ReadTransaction,
) -> Result<BTreeMap<(TableKind, String), Account>, redb::Error> {
    let meta = transaction.open_table(META)?;
    let mut accounts = BTreeMap::new();
    for entry in meta.range(ACCOUNT_PREFIX..)? {
        let (key, value) = entry?;
        let Some(named) = key.value().strip_prefix(ACCOUNT_PREFIX) else { break };
        let table = TableKind::of_stored_name(named);
        let account = Account::decode(value.value());
        let (Some((kind, name)), Some(account)) = (table, account) else {
            return Err(redb::Error::Corrupted(format!("the account of {named:?} cannot be read")));
        };
        accounts.insert((kind, name.to_owned()), account);
    }
    Ok(accounts)
}

/// The names of the tables inside redb, but for the one that this module keeps.
pub(crate) fn table_names(transaction: &ReadTransaction) -> Result<Vec<String>, redb::Error> {
    let names = transaction.list_tables()?.map(|table| table.name().to_owned());
    Ok(names.filter(|name| name != META.name()).collect())
}

fn account_key(kind: TableKind, name: &str) -> String {
    format!("{ACCOUNT_PREFIX}{}", kind.stored_name(name))
}

#[cfg(test)]
mod tests {
    use redb::ReadableTable;

    use super::*;

    fn database() -> Database {
        Database::builder()
            .create_with_backend(redb::backends::InMemoryBackend::new())
            .expect("a database")
    }

    const OLD: TableDefinition<'static, &str, u64> = TableDefinition::new("old");
    const NEW: TableDefinition<'static, &str, u64> = TableDefinition::new("new");

    fn rename(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        Ok(transaction.rename_table(OLD, NEW)?)
    }

    fn double(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(NEW)?;
        let value = table.get("key")?.map_or(0, |value| value.value());
        table.insert("key", value * 2)?;
        Ok(())
    }

    fn failing(_: &WriteTransaction) -> Result<(), redb::Error> {
        Err(redb::Error::Corrupted("this step fails".to_owned()))
    }

    fn of_format_1() -> Database {
        let database = database();
        create(&database, &[]).expect("created");
        let transaction = database.begin_write().expect("begun");
        transaction.open_table(OLD).expect("opened").insert("key", 21).expect("inserted");
        transaction.commit().expect("committed");
        database
    }

    #[test]
    fn the_steps_from_the_files_format_to_the_newest_run_in_order_and_once() {
        let database = of_format_1();
        let path = Path::new("state");
        assert_eq!(migrate(path, &database, &[]).expect("nothing to do"), None);
        assert_eq!(migrate(path, &database, &[rename, double]).expect("migrated"), Some(1));
        assert_eq!(migrate(path, &database, &[rename, double]).expect("nothing to do"), None);
        let table = database.begin_read().expect("begun").open_table(NEW).expect("renamed");
        assert_eq!(table.get("key").expect("read").expect("there").value(), 42);
    }

    #[test]
    fn a_step_that_fails_leaves_the_file_in_its_format() {
        let database = of_format_1();
        migrate(Path::new("state"), &database, &[rename, failing]).expect_err("a step failed");
        assert!(matches!(read(&database).expect("read"), Found::Format(1)));
        database.begin_read().expect("begun").open_table(OLD).expect("still there");
    }

    #[test]
    fn a_newer_format_is_refused_with_both_numbers() {
        let database = database();
        create(&database, &[rename, double]).expect("created");
        let error = migrate(Path::new("state"), &database, &[rename]).expect_err("newer");
        assert!(error.is_newer_version(), "{error}");
        let text = error.to_string();
        assert!(text.contains("format 3") && text.contains("up to 2"), "{text}");
    }

    #[test]
    fn a_database_of_another_program_is_refused() {
        let error = migrate(Path::new("state"), &database(), &[]).expect_err("foreign");
        assert!(error.is_foreign(), "{error}");
    }
}
