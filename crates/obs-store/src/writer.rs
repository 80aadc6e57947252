//! The one thread that writes: changes that wait at the same time share a transaction, and so the flush of the disk.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::apply::{Applied, apply, make_room};
use crate::batch::{Batch, Receipt};
use crate::engine::{Engine, Room};
use crate::error::Kind;
use crate::kind::TableKind;
use crate::options::Durability;
use crate::space::Space;
use crate::state::TableState;
use crate::{Error, disk};

/// What is called with the result, on the writer's thread.
pub(crate) type Done<R> = Box<dyn FnOnce(Result<R, Error>) + Send>;

/// The most changes that wait, however small they are.
const MAX_WAITING: usize = 65_536;

/// The most changes that share a transaction.
const MAX_GROUP: usize = 8_192;

/// The most bytes that share a transaction, unless one batch alone has more.
const MAX_GROUP_BYTES: u64 = 8 * 1024 * 1024;

enum Request {
    Change { batch: Batch, durability: Durability, done: Done<Receipt> },
    Compact { done: Done<()> },
}

impl Request {
    fn bytes(&self) -> u64 {
        match self {
            Self::Change { batch, .. } => batch.bytes,
            Self::Compact { .. } => 0,
        }
    }
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: u64,
    closing: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    work: Condvar,
    room: Condvar,
    max_bytes: u64,
}

/// The handle of the thread; dropping it writes what waits, and then ends the thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    engine: Arc<Engine>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(engine: Arc<Engine>, store: u64, commits: u64) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            max_bytes: engine.options.max_pending_bytes as u64,
        });
        let mut run = Run {
            shared: Arc::clone(&shared),
            space: Space::new(engine.options.max_bytes, disk::used_by(engine.file.file())),
            engine: Arc::clone(&engine),
            store,
            commits,
            flush_at: None,
            unflushed: Vec::new(),
            reopenings: 0,
        };
        let thread = std::thread::Builder::new()
            .name("obskit-store".to_owned())
            .spawn(move || run.until_closed())
            .map_err(|error| Error::io("starting the writer of", &engine.path, error))?;
        Ok(Self { shared, engine, thread: Mutex::new(Some(thread)) })
    }

    /// Hands a batch over, waiting for room.
    pub(crate) fn change(
        &self,
        batch: Batch,
        durability: Durability,
        done: Done<Receipt>,
    ) -> Result<(), Error> {
        self.hand_over(Request::Change { batch, durability, done }, Patience::Waits)
    }

    /// Hands a batch over if there is room for it now.
    pub(crate) fn try_change(
        &self,
        batch: Batch,
        durability: Durability,
        done: Done<Receipt>,
    ) -> Result<(), Error> {
        self.hand_over(Request::Change { batch, durability, done }, Patience::None)
    }

    pub(crate) fn compact(&self, done: Done<()>) -> Result<(), Error> {
        self.hand_over(Request::Compact { done }, Patience::Waits)
    }

    fn hand_over(&self, request: Request, patience: Patience) -> Result<(), Error> {
        let mut waiting = self.shared.waiting.lock();
        loop {
            if waiting.closing {
                return Err(Kind::Closed { path: self.engine.path.clone() }.into());
            }
            let fits = waiting.requests.is_empty()
                || (waiting.requests.len() < MAX_WAITING
                    && waiting.bytes.saturating_add(request.bytes()) <= self.shared.max_bytes);
            if fits {
                break;
            }
            match patience {
                Patience::Waits => self.shared.room.wait(&mut waiting),
                Patience::None => return Err(Kind::Busy { path: self.engine.path.clone() }.into()),
            }
        }
        waiting.bytes += request.bytes();
        waiting.requests.push_back(request);
        drop(waiting);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Writes what waits, then ends the thread. What comes later is refused.
    pub(crate) fn close(&self) {
        self.shared.waiting.lock().closing = true;
        self.shared.work.notify_all();
        self.shared.room.notify_all();
        let Some(thread) = self.thread.lock().take() else { return };
        // A callback may hold the last handle of the store; its thread cannot wait for itself.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join(); // OK because the thread catches the panics of callbacks, and has none of its own.
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

#[derive(Clone, Copy)]
enum Patience {
    Waits,
    None,
}

/// The thread.
struct Run {
    shared: Arc<Shared>,
    engine: Arc<Engine>,
    space: Space,
    store: u64,
    /// The number of the last transaction.
    commits: u64,
    /// When changes that are not on the disk yet have to be.
    flush_at: Option<Instant>,
    /// The changes since the last flush, to be made again if the file has to be opened again. They are few, because
    /// many ask for a flush.
    unflushed: Vec<Batch>,
    /// How often the file had been opened again when they were made.
    reopenings: u64,
}

impl Run {
    fn until_closed(&mut self) {
        while let Some(requests) = self.next_group() {
            let mut changes = Vec::with_capacity(requests.len());
            for request in requests {
                match request {
                    Request::Change { batch, durability, done } => {
                        changes.push((batch, durability, done))
                    }
                    Request::Compact { done } => {
                        let compacted = self.engine.compact();
                        self.count(&compacted);
                        self.call(done, compacted);
                    }
                }
            }
            if !changes.is_empty() {
                self.change(changes);
            }
            self.flush_if_due();
        }
        self.flush_at = self.flush_at.map(|_| Instant::now());
        self.flush_if_due();
    }

    /// What to write together next: waits for it, but not longer than the next flush; nothing once the store closes.
    fn next_group(&self) -> Option<Vec<Request>> {
        let mut waiting = self.shared.waiting.lock();
        while waiting.requests.is_empty() {
            if waiting.closing {
                return None;
            }
            match self.flush_at {
                Some(at) => {
                    if self.shared.work.wait_until(&mut waiting, at).timed_out() {
                        break;
                    }
                }
                None => self.shared.work.wait(&mut waiting),
            }
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = waiting.requests.front() {
            let full =
                group.len() >= MAX_GROUP || (bytes > 0 && bytes + next.bytes() > MAX_GROUP_BYTES);
            // A compaction goes alone, after what was handed over before it.
            let alone = matches!(next, Request::Compact { .. }) && !group.is_empty();
            if full || alone {
                break;
            }
            let Some(next) = waiting.requests.pop_front() else { break };
            bytes += next.bytes();
            let ends = matches!(next, Request::Compact { .. });
            group.push(next);
            if ends {
                break;
            }
        }
        waiting.bytes -= bytes;
        drop(waiting);
        self.shared.room.notify_all();
        Some(group)
    }

    fn change(&mut self, changes: Vec<(Batch, Durability, Done<Receipt>)>) {
        let adding = changes.iter().map(|(batch, ..)| batch.bytes).sum();
        let immediate = changes.iter().any(|(_, durability, _)| *durability == Durability::Immediate)
            // What one transaction frees can be used only after the next flush. Near the cap that is needed at once;
            // and should the cap be hit, then what is not on the disk would be lost.
            || (self.space.asks_for_flush(adding) && changes.iter().any(|(batch, ..)| !batch.is_empty()));
        let durability = if immediate { Durability::Immediate } else { Durability::Eventual };
        let (mut batches, mut dones) =
            (Vec::with_capacity(changes.len()), Vec::with_capacity(changes.len()));
        for (batch, _, done) in changes {
            batches.push(batch);
            dones.push(done);
        }
        let nothing = batches.iter().all(Batch::is_empty)
            && (durability == Durability::Eventual || self.flush_at.is_none());
        let results = if nothing {
            batches.iter().map(|_| Ok(Receipt::default())).collect()
        } else {
            self.commit(durability, batches)
        };
        for (done, result) in dones.into_iter().zip(results) {
            self.count(&result);
            self.call(done, result);
        }
    }

    fn commit(
        &mut self,
        durability: Durability,
        batches: Vec<Batch>,
    ) -> Vec<Result<Receipt, Error>> {
        let mut result = self.replay_and_transact(durability, &batches);
        if matches!(&result, Err(error) if error.is_full()) {
            // Free pages there are, or the batches would have been refused before; but none of the sizes that are
            // needed, below the cap.
            self.space.learn_from_cap();
            self.make_room(&batches);
            if let Err(error) = self.engine.compact() {
                self.engine.metrics.error(error.label());
            }
            result = self.replay_and_transact(durability, &batches);
        }
        match result {
            Ok(results) => {
                if durability == Durability::Eventual {
                    let done =
                        batches.into_iter().zip(&results).filter(|(_, result)| result.is_ok());
                    self.unflushed.extend(done.map(|(batch, _)| batch));
                }
                results
            }
            Err(error) => batches.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Makes the changes; before them, those again that were not flushed when the file had to be opened again. They come
    /// out as they did before, ids included, because nothing was changed since the last flush but by them.
    fn replay_and_transact(
        &mut self,
        durability: Durability,
        batches: &[Batch],
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        loop {
            self.engine.revive()?;
            let reopenings = self.engine.reopenings();
            if reopenings != self.reopenings {
                let unflushed = std::mem::take(&mut self.unflushed);
                let replayed = self.transact(Durability::Immediate, reopenings, &unflushed);
                match replayed {
                    Ok(_) => self.reopenings = reopenings,
                    Err(error) => {
                        self.unflushed = unflushed;
                        if !error.is_reopened() {
                            return Err(error);
                        }
                        continue;
                    }
                }
            }
            match self.transact(durability, self.reopenings, batches) {
                Err(error) if error.is_reopened() => {}
                result => return result,
            }
        }
    }

    fn transact(
        &mut self,
        durability: Durability,
        reopenings: u64,
        batches: &[Batch],
    ) -> Result<Vec<Result<Receipt, Error>>, Error> {
        let number = self.commits + 1;
        let start = Instant::now();
        let (engine, store, space) = (&self.engine, self.store, &mut self.space);
        let grows = batches.iter().any(|batch| batch.bytes > 0);
        let room = if grows { Room::Reserved } else { Room::All };
        let chunks = chunks_of(engine);
        let applied = engine.transact(durability, number, reopenings, room, |transaction| {
            apply(transaction, number, store, &engine.path, batches, &chunks, space)
        })?;
        self.committed(durability, start, number, &applied);
        Ok(applied.results)
    }

    /// Evicts chunks, and from queues that drop and that the batches write to, in a transaction of its own: what it frees
    /// can be written to only after it.
    fn make_room(&mut self, batches: &[Batch]) {
        let mut tables = chunks_of(&self.engine);
        for change in batches.iter().flat_map(|batch| &batch.changes) {
            let evicts = change.table.limits.evicts_above().is_some();
            if evicts && !tables.iter().any(|known| Arc::ptr_eq(known, &change.table)) {
                tables.push(Arc::clone(&change.table));
            }
        }
        if tables.is_empty() {
            return;
        }
        let number = self.commits + 1;
        let start = Instant::now();
        let (engine, store, space) = (&self.engine, self.store, &mut self.space);
        let made = engine.revive().and_then(|()| {
            engine.transact(
                Durability::Immediate,
                number,
                engine.reopenings(),
                Room::All,
                |transaction| make_room(transaction, number, store, &engine.path, &tables, space),
            )
        });
        match made {
            Ok(applied) => self.committed(Durability::Immediate, start, number, &applied),
            Err(error) => self.engine.metrics.error(error.label()),
        }
    }

    fn committed(
        &mut self,
        durability: Durability,
        start: Instant,
        number: u64,
        applied: &Applied,
    ) {
        self.commits = number;
        for (table, account) in &applied.accounts {
            table.account.set(*account);
        }
        let metrics = &self.engine.metrics;
        metrics.commit_seconds.record(start.elapsed().as_secs_f64());
        metrics.evicted_queue.increment(applied.evicted_items);
        metrics.evicted_chunks.increment(applied.evicted_chunks);
        match durability {
            Durability::Immediate => {
                self.flush_at = None;
                if self.engine.reopenings() == self.reopenings {
                    self.unflushed.clear();
                }
                self.space.flushed();
                metrics.immediate.increment(1);
                metrics.disk_bytes.set(disk::used_by(self.engine.file.file()) as f64);
            }
            Durability::Eventual => {
                self.space.add_unflushed(applied.added);
                self.flush_at
                    .get_or_insert_with(|| Instant::now() + self.engine.options.flush_interval);
                metrics.eventual.increment(1);
            }
        }
        let used: u64 =
            self.engine.tables.lock().values().map(|table| table.account.get().bytes).sum();
        metrics.used_bytes.set(used as f64);
    }

    fn flush_if_due(&mut self) {
        if self.flush_at.is_some_and(|at| at <= Instant::now()) {
            self.flush();
        }
    }

    fn flush(&mut self) {
        // If it fails, the next change tries again; the disk is not kept busy by trying for nothing.
        self.flush_at = None;
        if let Err(error) = self.replay_and_transact(Durability::Immediate, &[]) {
            self.engine.metrics.error(error.label());
        }
    }

    fn count<R>(&self, result: &Result<R, Error>) {
        if let Err(error) = result {
            self.engine.metrics.error(error.label());
        }
    }

    fn call<R>(&self, done: Done<R>, result: Result<R, Error>) {
        if catch_unwind(AssertUnwindSafe(|| done(result))).is_err() {
            self.engine.metrics.error("callback");
        }
    }
}

/// The tables of chunks that are open: what is evicted for others.
fn chunks_of(engine: &Engine) -> Vec<Arc<TableState>> {
    let tables = engine.tables.lock();
    tables.values().filter(|table| table.kind == TableKind::Chunks).map(Arc::clone).collect()
}
