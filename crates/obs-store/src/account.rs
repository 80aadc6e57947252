//! How much a table holds: kept beside the table in the same transaction, so that nobody has to count.

use std::sync::atomic::{AtomicU64, Ordering};

/// What each entry counts on top of its key and value, for the file's own structures.
pub const ENTRY_BYTES: u64 = 16;

/// What a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) entries: u64,
    /// Keys and values, and [`ENTRY_BYTES`] for each entry.
    pub(crate) bytes: u64,
    /// Of a queue: the id of the next item.
    pub(crate) next_id: u64,
    /// What was evicted or dropped to stay within a cap, ever.
    pub(crate) evicted: u64,
}

impl Account {
    const ENCODED_BYTES: usize = 32;

    pub(crate) fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }

    pub(crate) fn subtract(&mut self, bytes: u64) {
        self.entries = self.entries.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(crate) fn encode(&self) -> [u8; Self::ENCODED_BYTES] {
        let mut encoded = [0; Self::ENCODED_BYTES];
        let fields = [self.entries, self.bytes, self.next_id, self.evicted];
        for (place, field) in encoded.chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        encoded
    }

    pub(crate) fn decode(encoded: &[u8]) -> Option<Self> {
        if encoded.len() != Self::ENCODED_BYTES {
            return None;
        }
        let mut fields =
            encoded.chunks_exact(8).map(|field| field.try_into().map_or(0, u64::from_be_bytes));
        Some(Self {
            entries: fields.next()?,
            bytes: fields.next()?,
            next_id: fields.next()?,
            evicted: fields.next()?,
        })
    }
}

/// What an entry counts.
pub(crate) fn charge(key: usize, value: usize) -> u64 {
    key as u64 + value as u64 + ENTRY_BYTES
}

/// An account that many threads read and the writer alone writes.
#[derive(Debug, Default)]
pub(crate) struct SharedAccount {
    entries: AtomicU64,
    bytes: AtomicU64,
    next_id: AtomicU64,
    evicted: AtomicU64,
}

impl SharedAccount {
    pub(crate) fn new(account: Account) -> Self {
        let shared = Self::default();
        shared.set(account);
        shared
    }

    pub(crate) fn get(&self) -> Account {
        Account {
            entries: self.entries.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            next_id: self.next_id.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn set(&self, account: Account) {
        self.entries.store(account.entries, Ordering::Relaxed);
        self.bytes.store(account.bytes, Ordering::Relaxed);
        self.next_id.store(account.next_id, Ordering::Relaxed);
        self.evicted.store(account.evicted, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_back_as_it_was_written() {
        let account = Account { entries: 1, bytes: u64::MAX, next_id: 3, evicted: 4 };
        assert_eq!(Account::decode(&account.encode()), Some(account));
        assert_eq!(Account::decode(&[0; 31]), None);
    }
}
