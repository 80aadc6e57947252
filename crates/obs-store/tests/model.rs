//! The store against the collections of the standard library, with reopening in between.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, ControlFlow};

use obs_model::Timestamp;
use obs_store::{
    Batch, Chunks, ChunksOptions, Durability, ENTRY_BYTES, Overflow, Queue, QueueOptions, Store,
    StoreOptions, Table,
};
use proptest::prelude::*;

/// The smaller caps make the model evict often.
const QUEUE: QueueOptions = QueueOptions { max_bytes: 2_000, overflow: Overflow::DropOldest };
const STRICT: QueueOptions = QueueOptions { max_bytes: 1_000, overflow: Overflow::Refuse };
const CHUNKS: ChunksOptions = ChunksOptions { max_bytes: 3_000 };

#[derive(Clone, Debug)]
enum Step {
    Put(u8, Vec<u8>),
    Remove(u8),
    Push(Vec<Vec<u8>>),
    PushStrict(Vec<Vec<u8>>),
    Acknowledge(u64),
    /// Clears the queue and pushes in one batch.
    Renew(Vec<Vec<u8>>),
    PutChunk(u8, i64, Vec<u8>),
    RemoveBefore(i64),
    /// A put, a push and a chunk in one batch with a push that may be refused: all or none.
    Together(u8, Vec<u8>),
    Reopen,
    Compact,
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), value()).prop_map(|(key, value)| Step::Put(key % 16, value)),
        2 => any::<u8>().prop_map(|key| Step::Remove(key % 16)),
        4 => prop::collection::vec(value(), 0..6).prop_map(Step::Push),
        2 => prop::collection::vec(value(), 0..4).prop_map(Step::PushStrict),
        2 => (0_u64..12).prop_map(Step::Acknowledge),
        1 => prop::collection::vec(value(), 0..4).prop_map(Step::Renew),
        4 => (any::<u8>(), -20_i64..20, value()).prop_map(|(series, start, bytes)| Step::PutChunk(series % 4, start, bytes)),
        1 => (-20_i64..20).prop_map(Step::RemoveBefore),
        2 => (any::<u8>(), value()).prop_map(|(key, value)| Step::Together(key % 16, value)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Compact),
    ]
}

#[derive(Default)]
struct Model {
    table: BTreeMap<Vec<u8>, Vec<u8>>,
    queue: VecDeque<(u64, Vec<u8>)>,
    next_id: u64,
    dropped: u64,
    strict: VecDeque<(u64, Vec<u8>)>,
    strict_next: u64,
    chunks: BTreeMap<(i64, Vec<u8>), Vec<u8>>,
    evicted: u64,
}

fn charge(key: usize, value: &[u8]) -> u64 {
    key as u64 + value.len() as u64 + ENTRY_BYTES
}

fn queue_bytes(queue: &VecDeque<(u64, Vec<u8>)>) -> u64 {
    queue.iter().map(|(_, item)| charge(8, item)).sum()
}

impl Model {
    fn push(&mut self, items: &[Vec<u8>]) {
        for item in items {
            self.queue.push_back((self.next_id, item.clone()));
            self.next_id += 1;
        }
        while queue_bytes(&self.queue) > QUEUE.max_bytes {
            self.queue.pop_front();
            self.dropped += 1;
        }
    }

    /// Whether it was taken.
    fn push_strict(&mut self, items: &[Vec<u8>]) -> bool {
        let adding: u64 = items.iter().map(|item| charge(8, item)).sum();
        if queue_bytes(&self.strict) + adding > STRICT.max_bytes {
            return false;
        }
        for item in items {
            self.strict.push_back((self.strict_next, item.clone()));
            self.strict_next += 1;
        }
        true
    }

    fn chunk_bytes(&self) -> u64 {
        self.chunks.iter().map(|((_, series), bytes)| charge(8 + series.len(), bytes)).sum()
    }

    fn put_chunk(&mut self, series: &[u8], start: i64, bytes: &[u8]) {
        self.chunks.insert((start, series.to_vec()), bytes.to_vec());
        while self.chunk_bytes() > CHUNKS.max_bytes {
            self.chunks.pop_first();
            self.evicted += 1;
        }
    }
}

struct Real {
    store: Store,
    table: Table,
    queue: Queue,
    strict: Queue,
    chunks: Chunks,
}

impl Real {
    fn open(path: &std::path::Path) -> Self {
        let (store, opening) = Store::open(path, StoreOptions::default()).expect("opened");
        assert!(!opening.is_loss(), "{opening}");
        Self {
            table: store.table("table").expect("a table"),
            queue: store.queue("queue", QUEUE).expect("a queue"),
            strict: store.queue("strict", STRICT).expect("a queue"),
            chunks: store.chunks("chunks", CHUNKS).expect("chunks"),
            store,
        }
    }

    fn agrees_with(&self, model: &Model) -> Result<(), TestCaseError> {
        let all = self.table.range(.., usize::MAX).expect("read");
        prop_assert_eq!(&all, &model.table.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(self.table.len(), model.table.len() as u64);
        let bytes: u64 = model.table.iter().map(|(key, value)| charge(key.len(), value)).sum();
        prop_assert_eq!(self.table.bytes(), bytes);
        for (queue, expected, next) in [
            (&self.queue, &model.queue, model.next_id),
            (&self.strict, &model.strict, model.strict_next),
        ] {
            let items = queue.peek(usize::MAX, usize::MAX).expect("read");
            let items: VecDeque<_> = items.into_iter().map(|item| (item.id, item.bytes)).collect();
            prop_assert_eq!(&items, expected);
            prop_assert_eq!(
                (queue.len(), queue.bytes()),
                (expected.len() as u64, queue_bytes(expected))
            );
            prop_assert_eq!(queue.next_id(), next);
        }
        prop_assert_eq!(self.queue.dropped(), model.dropped);
        let mut chunks = BTreeMap::new();
        self.chunks
            .for_each(.., |series, start, bytes| {
                chunks.insert((start.as_millis(), series.to_vec()), bytes.to_vec());
                ControlFlow::Continue(())
            })
            .expect("read");
        prop_assert_eq!(&chunks, &model.chunks);
        prop_assert_eq!(
            (self.chunks.bytes(), self.chunks.evicted()),
            (model.chunk_bytes(), model.evicted)
        );
        Ok(())
    }
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let mut real = Real::open(&path);
    let mut model = Model::default();
    // Eventual changes are seen at once, and closing writes them.
    let now = Durability::Eventual;
    for step in steps {
        match step {
            Step::Put(key, value) => {
                real.table.put(&[key], &value, now).expect("put");
                model.table.insert(vec![key], value);
            }
            Step::Remove(key) => {
                let was = real.table.remove(&[key], now).expect("removed");
                prop_assert_eq!(was, model.table.remove(&vec![key]).is_some());
            }
            Step::Push(items) => {
                let before = (model.next_id, model.dropped);
                let pushed = real.queue.push(&items, now).expect("pushed");
                model.push(&items);
                prop_assert_eq!(pushed.ids, before.0..model.next_id);
                prop_assert_eq!(pushed.dropped, model.dropped - before.1);
            }
            Step::PushStrict(items) => {
                let result = real.strict.push(&items, now);
                prop_assert_eq!(result.is_ok(), model.push_strict(&items));
                if let Err(error) = result {
                    prop_assert!(error.is_full(), "{}", error);
                }
            }
            Step::Acknowledge(ahead) => {
                let through = model.queue.front().map_or(0, |(id, _)| *id) + ahead;
                let before = model.queue.len();
                model.queue.retain(|(id, _)| *id > through);
                let removed = real.queue.acknowledge_through(through, now).expect("acknowledged");
                prop_assert_eq!(removed, (before - model.queue.len()) as u64);
            }
            Step::Renew(items) => {
                let mut batch = Batch::new();
                batch.clear(&real.queue);
                batch.push(&real.queue, &items).expect("small enough");
                let receipt = real.store.commit(batch, now).expect("committed");
                prop_assert_eq!(receipt.removed, model.queue.len() as u64);
                model.queue.clear();
                model.push(&items);
            }
            Step::PutChunk(series, start, bytes) => {
                let mut batch = Batch::new();
                batch
                    .put_chunk(&real.chunks, &[series], Timestamp::from_millis(start), &bytes)
                    .expect("small enough");
                real.store.commit(batch, now).expect("committed");
                model.put_chunk(&[series], start, &bytes);
            }
            Step::RemoveBefore(start) => {
                real.chunks.remove_before(Timestamp::from_millis(start), now).expect("removed");
                model.chunks.retain(|(at, _), _| *at >= start);
            }
            Step::Together(key, value) => {
                let mut batch = Batch::new();
                batch.put(&real.table, &[key], &value).expect("small enough");
                batch.push(&real.queue, &[&value]).expect("small enough");
                batch.push(&real.strict, &[&value]).expect("small enough");
                batch
                    .put_chunk(&real.chunks, &[key], Timestamp::EPOCH, &value)
                    .expect("small enough");
                let result = real.store.commit(batch, now);
                prop_assert_eq!(result.is_ok(), model.push_strict(std::slice::from_ref(&value)));
                if result.is_ok() {
                    model.table.insert(vec![key], value.clone());
                    model.push(std::slice::from_ref(&value));
                    model.put_chunk(&[key], 0, &value);
                }
            }
            Step::Reopen => {
                drop(real);
                let report = Store::check(&path).expect("checked");
                prop_assert!(report.is_sound() && report.closed, "{}", report);
                real = Real::open(&path);
                real.agrees_with(&model)?;
            }
            Step::Compact => {
                real.store.compact().expect("compacted");
            }
        }
    }
    real.agrees_with(&model)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_store_is_what_the_collections_of_the_standard_library_are(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        run(steps)?;
    }

    #[test]
    fn a_range_of_keys_is_that_of_a_map_whatever_its_bounds(
        keys in prop::collection::btree_map(any::<u8>(), any::<u8>(), 0..20),
        bounds in (any::<(u8, u8)>(), any::<(u8, u8)>()),
        limit in 0_usize..12,
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = Store::open(folder.path().join("state"), StoreOptions::default()).expect("opened");
        let table = store.table("table").expect("a table");
        let mut batch = Batch::new();
        for (key, value) in &keys {
            batch.put(&table, &[*key], &[*value]).expect("small enough");
        }
        store.commit(batch, Durability::Eventual).expect("committed");
        let ((start_kind, start), (end_kind, end)) = bounds;
        let (start, end) = ([start], [end]);
        let bound = |kind: u8, key| match kind % 3 {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        };
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (bound(start_kind, &start[..]), bound(end_kind, &end[..]));
        let inside = |key: u8| {
            let key = [key];
            let after = match range.0 {
                Bound::Included(start) => &key[..] >= start,
                Bound::Excluded(start) => &key[..] > start,
                Bound::Unbounded => true,
            };
            let before = match range.1 {
                Bound::Included(end) => &key[..] <= end,
                Bound::Excluded(end) => &key[..] < end,
                Bound::Unbounded => true,
            };
            after && before
        };
        let expected: Vec<_> = keys.iter().filter(|(key, _)| inside(**key)).take(limit)
            .map(|(key, value)| (vec![*key], vec![*value])).collect();
        prop_assert_eq!(table.range(range, limit).expect("read"), expected);
    }
}
