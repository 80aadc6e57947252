//! Walking over entries in the order of their keys, without holding anything that a writer waits for.

use std::ops::{Bound, ControlFlow};

use redb::{ReadTransaction, TableError};

use crate::Error;
use crate::engine::{Engine, contain};
use crate::format;
use crate::state::TableState;

/// A range of keys.
pub(crate) type Keys<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Calls `visit` with each entry in the range, in the order of the keys, until it breaks.
pub(crate) fn scan(
    engine: &Engine,
    table: &TableState,
    keys: Keys<'_>,
    mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
) -> Result<(), Error> {
    let failed = |error| engine.failed("reading the store", error);
    let transaction = engine.begin_read()?;
    let Some(entries) = contain(|| range(&transaction, table, keys)).map_err(failed)? else {
        return Ok(());
    };
    let mut entries = entries;
    // Each step is contained for itself, so that a panic of the visitor stays the visitor's.
    while let Some((key, value)) = contain(|| Ok(entries.next().transpose()?)).map_err(failed)? {
        if visit(key.value(), value.value()).is_break() {
            break;
        }
    }
    Ok(())
}

/// One entry's value.
pub(crate) fn get(
    engine: &Engine,
    table: &TableState,
    key: &[u8],
) -> Result<Option<Vec<u8>>, Error> {
    engine.read(|transaction| match transaction.open_table(format::definition(&table.stored)) {
        Ok(table) => Ok(table.get(key)?.map(|value| value.value().to_vec())),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    })
}

type Entries = redb::Range<'static, &'static [u8], &'static [u8]>;

fn range(
    transaction: &ReadTransaction,
    table: &TableState,
    keys: Keys<'_>,
) -> Result<Option<Entries>, redb::Error> {
    if is_empty(keys) {
        return Ok(None);
    }
    match transaction.open_table(format::definition(&table.stored)) {
        Ok(table) => Ok(Some(table.range::<&[u8]>(keys)?)),
        // It comes into being with its first entry.
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether nothing can be in the range, which redb takes for a mistake.
fn is_empty(keys: Keys<'_>) -> bool {
    match keys {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
