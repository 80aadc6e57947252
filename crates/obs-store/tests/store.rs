//! Caps, callbacks and what is shared: the store as its callers see it.

use std::sync::mpsc;
use std::sync::{Arc, Barrier};

use obs_model::Timestamp;
use obs_store::{
    Batch, ChunksOptions, Durability, MIN_MAX_BYTES, Overflow, QueueOptions, Store, StoreOptions,
    TableKind,
};

fn store(max_bytes: u64) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let options = StoreOptions { max_bytes, ..StoreOptions::default() };
    let (store, _) = Store::open(folder.path().join("state.redb"), options).expect("opened");
    (folder, store)
}

fn on_disk(store: &Store) -> u64 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(store.path()).expect("there").blocks() * 512
    }
    #[cfg(not(unix))]
    {
        std::fs::metadata(store.path()).expect("there").len()
    }
}

#[test]
fn the_file_stays_within_its_cap_however_much_is_put_into_chunks() {
    let (_folder, store) = store(MIN_MAX_BYTES);
    let chunks = store.chunks("samples", ChunksOptions { max_bytes: u64::MAX }).expect("chunks");
    let mut random = fastrand::Rng::with_seed(3);
    let mut put = 0_u64;
    let mut evicted = 0;
    for round in 0..400_i64 {
        let mut batch = Batch::new();
        for series in 0..20_u8 {
            // Sizes from below to far above a page, so that free pages are scattered.
            let bytes = vec![series; random.usize(0..9_000)];
            batch
                .put_chunk(&chunks, &[series], Timestamp::from_millis(round), &bytes)
                .expect("small enough");
            put += 1;
        }
        evicted += store.commit(batch, Durability::Eventual).expect("the oldest make room").evicted;
        assert!(on_disk(&store) <= MIN_MAX_BYTES, "{} in round {round}", on_disk(&store));
    }
    assert!(evicted > 0);
    assert_eq!(chunks.len() + chunks.evicted(), put);
    assert!(
        chunks.bytes() > MIN_MAX_BYTES / 4,
        "{} bytes are kept, which is too few",
        chunks.bytes()
    );
    let oldest = chunks.oldest_start().expect("read").expect("some");
    assert!(oldest.as_millis() > 300, "the oldest went first: {oldest}");
    // State still fits, because chunks leave room for it.
    let table = store.table("state").expect("a table");
    table.put(b"key", &[1; 10_000], Durability::Immediate).expect("put");
    store.close().expect("closed");
    assert!(Store::check(store.path()).expect("checked").is_sound());
}

#[test]
fn a_table_that_fills_the_file_is_refused_and_can_be_emptied() {
    let (_folder, store) = store(MIN_MAX_BYTES);
    let table = store.table("state").expect("a table");
    let mut key = 0_u64;
    let error = loop {
        match table.put(&key.to_be_bytes(), &[5; 20_000], Durability::Eventual) {
            Ok(()) => key += 1,
            Err(error) => break error,
        }
        assert!(key < 1_000, "it never is full");
    };
    assert!(error.is_full() && error.to_string().contains("state.redb"), "{error}");
    assert_eq!(table.len(), key, "what was refused is not there");
    assert!(on_disk(&store) <= MIN_MAX_BYTES);
    let mut batch = Batch::new();
    for key in 0..key {
        batch.remove(&table, &key.to_be_bytes());
    }
    store.commit(batch, Durability::Immediate).expect("removing always works");
    for key in 0..key / 2 {
        table
            .put(&key.to_be_bytes(), &[6; 20_000], Durability::Eventual)
            .expect("free space is used again");
    }
}

#[test]
fn compacting_gives_free_space_back() {
    let (_folder, store) = store(64 << 20);
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    for _ in 0..40 {
        queue.push(&[vec![9; 100_000]], Durability::Eventual).expect("pushed");
    }
    store.flush().expect("flushed");
    queue.acknowledge_through(38, Durability::Immediate).expect("acknowledged");
    let before = store.stats().disk_bytes;
    let freed = store.compact().expect("compacted");
    assert!(freed > 2_000_000, "{freed} of {before}");
    assert_eq!(queue.peek(10, usize::MAX).expect("read")[0].bytes, [9; 100_000]);
}

#[test]
fn an_item_that_never_fits_is_refused_before_it_is_written() {
    let (_folder, store) = store(64 << 20);
    let small = store
        .queue("small", QueueOptions { max_bytes: 100, overflow: Overflow::DropOldest })
        .expect("a queue");
    let error = small.push(&[[0; 100]], Durability::Immediate).expect_err("too large");
    assert!(error.is_too_large(), "{error}");
    small.push(&[[0; 76]], Durability::Immediate).expect("just small enough");
    let table = store.table("state").expect("a table");
    let error = table
        .put(&vec![0; obs_store::MAX_KEY_BYTES + 1], b"", Durability::Immediate)
        .expect_err("too large");
    assert!(error.is_too_large(), "{error}");
}

#[test]
fn peeking_is_bounded_in_items_and_bytes_and_never_empty_handed() {
    let (_folder, store) = store(64 << 20);
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    queue.push(&[vec![1; 50], vec![2; 50], vec![3; 50]], Durability::Eventual).expect("pushed");
    let peek = |items, bytes| queue.peek(items, bytes).expect("read").len();
    assert_eq!(
        [peek(2, 1000), peek(10, 100), peek(10, 99), peek(10, 1), peek(0, 1000)],
        [2, 2, 1, 1, 0]
    );
    assert_eq!(queue.peek_from(2, 10, 1000).expect("read")[0].bytes, [3; 50]);
}

#[test]
fn a_table_is_shared_by_its_handles_and_its_options_do_not_change() {
    let (_folder, store) = store(64 << 20);
    let options = QueueOptions { max_bytes: 1_000, overflow: Overflow::Refuse };
    let one = store.queue("spool", options).expect("a queue");
    let two = store.queue("spool", options).expect("the same queue");
    one.push(&[b"item"], Durability::Eventual).expect("pushed");
    assert_eq!(two.len(), 1);
    let error = store.queue("spool", QueueOptions::default()).expect_err("other options");
    assert!(error.is_usage(), "{error}");
    store.table("spool").expect("another kind is another table");
    let stats = store.stats();
    let of = |kind| stats.tables.iter().find(|table| table.kind == kind).expect("open").entries;
    assert_eq!((of(TableKind::Queue), of(TableKind::Table)), (1, 0));
}

#[test]
fn a_batch_for_another_store_is_refused() {
    let (_folder, one) = store(64 << 20);
    let (_other_folder, two) = store(64 << 20);
    let table = one.table("state").expect("a table");
    let mut batch = Batch::new();
    batch.put(&table, b"key", b"value").expect("small enough");
    let error = two.commit(batch, Durability::Eventual).expect_err("not its table");
    assert!(error.is_usage(), "{error}");
    assert!(table.is_empty());
}

#[test]
fn a_push_that_does_not_wait_calls_back_when_it_is_on_the_disk() {
    let (_folder, store) = store(64 << 20);
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    let (sender, receiver) = mpsc::channel();
    for number in 0..100_u64 {
        let sender = sender.clone();
        queue
            .try_push(&[number.to_be_bytes()], Durability::Immediate, move |result| {
                sender.send((number, result)).expect("the test waits");
            })
            .expect("there is room");
    }
    // A callback that panics is its caller's fault and nobody else's.
    queue
        .try_push(&[b"last"], Durability::Immediate, |_| panic!("a careless callback"))
        .expect("there is room");
    for expected in 0..100 {
        let (number, result) = receiver.recv().expect("called back");
        assert_eq!(number, expected);
        assert_eq!(result.expect("pushed").ids, expected..expected + 1);
    }
    store.flush().expect("the thread goes on");
    assert_eq!(queue.len(), 101);
}

#[test]
fn what_waits_is_bounded_and_a_call_that_does_not_wait_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = StoreOptions { max_pending_bytes: 1_000, ..StoreOptions::default() };
    let (store, _) = Store::open(folder.path().join("state.redb"), options).expect("opened");
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    // The thread of the store waits in a callback, so that nothing is taken from what waits.
    let barrier = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&barrier);
    queue
        .try_push(&[b"first"], Durability::Eventual, move |_| {
            inside.wait();
            inside.wait();
        })
        .expect("there is room");
    barrier.wait();
    queue.try_push(&[[1; 900]], Durability::Eventual, |_| {}).expect("there is room");
    let error =
        queue.try_push(&[[2; 900]], Durability::Eventual, |_| {}).expect_err("too much waits");
    assert!(error.is_busy(), "{error}");
    let pushing = std::thread::spawn({
        let queue = queue.clone();
        move || queue.push(&[[3; 900]], Durability::Eventual).expect("waits for room")
    });
    barrier.wait();
    assert_eq!(pushing.join().expect("pushed").ids, 2..3);
}

#[test]
fn many_threads_share_commits_and_each_gets_its_own_ids() {
    let (_folder, store) = store(64 << 20);
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    let mut ids: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    (0..20)
                        .flat_map(|_| {
                            queue.push(&[b"a", b"b"], Durability::Immediate).expect("pushed").ids
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("pushed")).collect()
    });
    ids.sort_unstable();
    assert_eq!(ids, (0..320).collect::<Vec<_>>());
}

#[test]
fn a_visitor_may_write_to_the_table_that_it_visits() {
    let (_folder, store) = store(64 << 20);
    let table = store.table("state").expect("a table");
    for key in 0..10_u8 {
        table.put(&[key], b"old", Durability::Eventual).expect("put");
    }
    let mut seen = 0;
    table
        .for_each(.., |key, value| {
            assert_eq!(value, b"old", "it sees one state");
            table.put(key, b"new", Durability::Eventual).expect("put");
            table.put(&[key[0] + 100], b"new", Durability::Eventual).expect("put");
            seen += 1;
            std::ops::ControlFlow::Continue(())
        })
        .expect("read");
    assert_eq!((seen, table.len()), (10, 20));
}

#[test]
fn a_closed_store_refuses_everything_and_says_so() {
    let (_folder, store) = store(64 << 20);
    let table = store.table("state").expect("a table");
    table.put(b"key", b"value", Durability::Eventual).expect("put");
    store.close().expect("closed");
    assert!(table.put(b"key", b"value", Durability::Eventual).expect_err("closed").is_closed());
    assert!(table.get(b"key").expect_err("closed").is_closed());
    store.close().expect("closing twice is fine");
    let (again, _) =
        Store::open(store.path(), StoreOptions::default()).expect("its lock is gone too");
    assert_eq!(again.table("state").expect("a table").len(), 1);
}
