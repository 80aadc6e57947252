//! Making changes inside a transaction: what is refused, what is evicted, and what each table then holds.

use std::ops::{Bound, Range};
use std::sync::Arc;

use redb::WriteTransaction;

use crate::account::{Account, charge};
use crate::batch::{Action, Batch, Change, Receipt};
use crate::error::Kind;
use crate::kind::TableKind;
use crate::space::Space;
use crate::state::TableState;
use crate::{Error, format, key};

type RawTable<'t> = redb::Table<'t, &'static [u8], &'static [u8]>;

/// What a group of batches made of the store, once it is committed.
pub(crate) struct Applied {
    pub(crate) results: Vec<Result<Receipt, Error>>,
    pub(crate) accounts: Vec<(Arc<TableState>, Account)>,
    pub(crate) added: u64,
    pub(crate) evicted_items: u64,
    pub(crate) evicted_chunks: u64,
}

/// Applies batches one after another and notes the transaction's number. A batch that is refused changes nothing.
pub(crate) fn apply(
    transaction: &WriteTransaction,
    number: u64,
    store: u64,
    path: &std::path::Path,
    batches: &[Batch],
    chunks: &[Arc<TableState>],
    space: &mut Space,
) -> Result<Applied, redb::Error> {
    let adding = batches.iter().map(|batch| batch.bytes).sum();
    if space.is_due(adding) {
        space.measured(measure(transaction)?);
    }
    let mut applying = Applying {
        transaction,
        store,
        path,
        space,
        open: Vec::new(),
        evicted_items: 0,
        evicted_chunks: 0,
    };
    let mut results = Vec::with_capacity(batches.len());
    for batch in batches {
        results.push(match applying.check(batch, chunks)? {
            Ok(room) => {
                let evicted = applying.evict_oldest(chunks, room)?;
                let mut receipt = applying.batch(batch)?;
                receipt.evicted += evicted;
                Ok(receipt)
            }
            Err(refused) => Err(refused),
        });
    }
    let Applying { open, evicted_items, evicted_chunks, .. } = applying;
    let accounts: Vec<_> = open.into_iter().map(|open| (open.state, open.account)).collect();
    let noted = accounts.iter().map(|(state, account)| (state.kind, state.name.as_str(), account));
    format::note_commit(transaction, number, noted)?;
    Ok(Applied { results, accounts, added: adding, evicted_items, evicted_chunks })
}

/// Evicts a tenth of each of these tables, to make room in a file whose free pages do not suffice.
pub(crate) fn make_room(
    transaction: &WriteTransaction,
    number: u64,
    store: u64,
    path: &std::path::Path,
    tables: &[Arc<TableState>],
    space: &mut Space,
) -> Result<Applied, redb::Error> {
    let mut applying = Applying {
        transaction,
        store,
        path,
        space,
        open: Vec::new(),
        evicted_items: 0,
        evicted_chunks: 0,
    };
    for table in tables {
        let index = applying.open(table)?;
        let tenth = applying.open[index].account.bytes / 10;
        applying.evict_bytes(index, tenth)?;
    }
    let Applying { open, evicted_items, evicted_chunks, .. } = applying;
    let accounts: Vec<_> = open.into_iter().map(|open| (open.state, open.account)).collect();
    let noted = accounts.iter().map(|(state, account)| (state.kind, state.name.as_str(), account));
    format::note_commit(transaction, number, noted)?;
    Ok(Applied { results: Vec::new(), accounts, added: 0, evicted_items, evicted_chunks })
}

/// What the pages take that are in use.
fn measure(transaction: &WriteTransaction) -> Result<u64, redb::Error> {
    let stats = transaction.stats()?;
    Ok(stats.allocated_pages().saturating_mul(stats.page_size() as u64))
}

struct Applying<'t> {
    transaction: &'t WriteTransaction,
    store: u64,
    path: &'t std::path::Path,
    space: &'t mut Space,
    /// The tables that were needed so far: a handful, so a search in order is quickest.
    open: Vec<Open<'t>>,
    evicted_items: u64,
    evicted_chunks: u64,
}

struct Open<'t> {
    state: Arc<TableState>,
    table: RawTable<'t>,
    account: Account,
}

impl<'t> Applying<'t> {
    fn open(&mut self, state: &Arc<TableState>) -> Result<usize, redb::Error> {
        if let Some(index) = self.open.iter().position(|open| Arc::ptr_eq(&open.state, state)) {
            return Ok(index);
        }
        let table = self.transaction.open_table(format::definition(&state.stored))?;
        let account = state.account.get();
        self.open.push(Open { state: Arc::clone(state), table, account });
        Ok(self.open.len() - 1)
    }

    /// Refuses the batch as a whole, or says how many bytes of chunks have to go for it.
    fn check(
        &mut self,
        batch: &Batch,
        chunks: &[Arc<TableState>],
    ) -> Result<Result<u64, Error>, redb::Error> {
        let mut refusing: Vec<(usize, u64)> = Vec::new();
        for Change { table, action } in &batch.changes {
            if table.store != self.store {
                return Ok(Err(Kind::OtherStore {
                    path: self.path.to_owned(),
                    table: table.stored.clone(),
                }
                .into()));
            }
            let Action::Push { items } = action else { continue };
            let adding: u64 = items.iter().map(|item| charge(8, item.len())).sum();
            let index = self.open(table)?;
            match refusing.iter_mut().find(|(known, _)| *known == index) {
                Some((_, bytes)) => *bytes += adding,
                None => refusing.push((index, adding)),
            }
        }
        for (index, adding) in refusing {
            let Open { state, account, .. } = &self.open[index];
            if let Some(limit) = state.limits.refuses_above()
                && account.bytes.saturating_add(adding) > limit
            {
                let what = format!(
                    "the {} {:?} of the store {}",
                    state.kind,
                    state.name,
                    self.path.display()
                );
                return Ok(Err(Kind::Full { what, limit }.into()));
            }
        }
        let grows = batch.bytes.saturating_sub(self.cleared_by(batch)?);
        if grows == 0 || !self.space.refuses(grows) || self.makes_room_itself(batch)? {
            return Ok(Ok(0));
        }
        let mut there = 0_u64;
        for table in chunks {
            let index = self.open(table)?;
            there = there.saturating_add(self.open[index].account.bytes);
        }
        if there < grows {
            let what = format!("the store {}", self.path.display());
            return Ok(Err(Kind::Full { what, limit: self.space.max_bytes() }.into()));
        }
        Ok(Ok(grows.saturating_mul(2)))
    }

    /// Evicts so many bytes of the oldest chunks, from one table after the other.
    fn evict_oldest(&mut self, chunks: &[Arc<TableState>], bytes: u64) -> Result<u64, redb::Error> {
        let (mut left, mut evicted) = (bytes, 0);
        for table in chunks {
            if left == 0 {
                break;
            }
            let index = self.open(table)?;
            let before = self.open[index].account.bytes;
            evicted += self.evict_bytes(index, left)?;
            left = left.saturating_sub(before - self.open[index].account.bytes);
        }
        Ok(evicted)
    }

    /// How much the batch removes by clearing.
    fn cleared_by(&mut self, batch: &Batch) -> Result<u64, redb::Error> {
        let mut cleared = 0;
        for Change { table, .. } in
            batch.changes.iter().filter(|change| matches!(change.action, Action::Clear))
        {
            let index = self.open(table)?;
            cleared += self.open[index].account.bytes;
        }
        Ok(cleared)
    }

    /// Whether everything that the batch adds goes to tables that can evict as much.
    fn makes_room_itself(&mut self, batch: &Batch) -> Result<bool, redb::Error> {
        for Change { table, action } in &batch.changes {
            if !matches!(action, Action::Put { .. } | Action::Push { .. }) {
                continue;
            }
            let index = self.open(table)?;
            if table.limits.evicts_above().is_none() || self.open[index].account.bytes < batch.bytes
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn batch(&mut self, batch: &Batch) -> Result<Receipt, redb::Error> {
        let mut receipt = Receipt::default();
        for Change { table, action } in &batch.changes {
            let index = self.open(table)?;
            match action {
                Action::Put { key, value } => {
                    let adding = charge(key.len(), value.len());
                    receipt.evicted += self.room_in_file(index, adding)?;
                    self.put(index, key, value)?;
                    receipt.evicted += self.evict_above_cap(index)?;
                }
                Action::Remove { key } => receipt.removed += self.remove(index, key)?,
                Action::Push { items } => {
                    let adding = items.iter().map(|item| charge(8, item.len())).sum();
                    receipt.evicted += self.room_in_file(index, adding)?;
                    receipt.pushed.push(self.push(index, items)?);
                    receipt.evicted += self.evict_above_cap(index)?;
                }
                Action::RemoveBefore { end } => {
                    receipt.removed +=
                        self.remove_before(index, Bound::Excluded(end.as_slice()))?;
                }
                Action::Clear => receipt.removed += self.remove_before(index, Bound::Unbounded)?,
            }
        }
        self.space.add(batch.bytes);
        Ok(receipt)
    }

    fn put(&mut self, index: usize, key: &[u8], value: &[u8]) -> Result<(), redb::Error> {
        let Open { table, account, .. } = &mut self.open[index];
        if let Some(old) = table.insert(key, value)? {
            let charged = charge(key.len(), old.value().len());
            account.subtract(charged);
            self.space.remove(charged);
        }
        account.add(charge(key.len(), value.len()));
        Ok(())
    }

    fn push(&mut self, index: usize, items: &[Vec<u8>]) -> Result<Range<u64>, redb::Error> {
        let Open { table, account, .. } = &mut self.open[index];
        let first = account.next_id;
        for item in items {
            table.insert(key::of_item(account.next_id).as_slice(), item.as_slice())?;
            account.next_id += 1;
            account.add(charge(8, item.len()));
        }
        Ok(first..account.next_id)
    }

    fn remove(&mut self, index: usize, key: &[u8]) -> Result<u64, redb::Error> {
        let Open { table, account, .. } = &mut self.open[index];
        let Some(old) = table.remove(key)? else { return Ok(0) };
        let charged = charge(key.len(), old.value().len());
        account.subtract(charged);
        self.space.remove(charged);
        Ok(1)
    }

    fn remove_before(&mut self, index: usize, end: Bound<&[u8]>) -> Result<u64, redb::Error> {
        let Open { table, account, .. } = &mut self.open[index];
        let (mut removed, mut freed) = (0, 0);
        table.retain_in::<&[u8], _>((Bound::Unbounded, end), |key, value| {
            removed += 1;
            freed += charge(key.len(), value.len());
            account.subtract(charge(key.len(), value.len()));
            false
        })?;
        self.space.remove(freed);
        Ok(removed)
    }

    /// Evicts twice what is about to be added when the file is nearly full, so that it becomes less so.
    fn room_in_file(&mut self, index: usize, adding: u64) -> Result<u64, redb::Error> {
        let evicts = self.open[index].state.limits.evicts_above().is_some();
        if evicts && self.space.asks_for_room(adding) {
            self.evict_bytes(index, adding.saturating_mul(2))
        } else {
            Ok(0)
        }
    }

    fn evict_above_cap(&mut self, index: usize) -> Result<u64, redb::Error> {
        let Open { state, account, .. } = &self.open[index];
        match state.limits.evicts_above() {
            Some(limit) if account.bytes > limit => self.evict_bytes(index, account.bytes - limit),
            _ => Ok(0),
        }
    }

    /// Evicts the first entries, which are the oldest, until so many bytes are gone.
    fn evict_bytes(&mut self, index: usize, bytes: u64) -> Result<u64, redb::Error> {
        let Open { state, table, account } = &mut self.open[index];
        let (mut freed, mut evicted) = (0, 0);
        while freed < bytes {
            let Some((key, value)) = table.pop_first()? else { break };
            let charged = charge(key.value().len(), value.value().len());
            account.subtract(charged);
            freed += charged;
            evicted += 1;
        }
        account.evicted += evicted;
        self.space.remove(freed);
        match state.kind {
            TableKind::Queue => self.evicted_items += evicted,
            TableKind::Chunks => self.evicted_chunks += evicted,
            TableKind::Table => {}
        }
        Ok(evicted)
    }
}
