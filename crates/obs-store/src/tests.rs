//! What only tests inside the crate can provoke: a disk that is full, and a file that disappears.

use std::time::{Duration, Instant};

use crate::{Batch, Durability, Opening, QueueOptions, Store, StoreOptions};

fn open(path: &std::path::Path) -> Store {
    Store::open(path, StoreOptions::default()).expect("opened").0
}

#[test]
fn after_a_full_disk_the_store_goes_on_and_nothing_is_half_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let store = open(&path);
    let table = store.table("state").expect("a table");
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    let mut done = 0_u64;
    let mut failures = 0;
    for fail_after in (0..12).chain([14, 17, 25, 40]) {
        store.engine().file.faults.fail_after(fail_after);
        let mut batch = Batch::new();
        batch.put(&table, b"count", &(done + 1).to_be_bytes()).expect("small enough");
        batch.push(&queue, &[vec![7; 5_000], vec![8; 50]]).expect("small enough");
        match store.commit(batch, Durability::Immediate) {
            Ok(_) => done += 1,
            Err(error) => {
                assert!(
                    error.is_disk_full() && error.to_string().contains("state.redb"),
                    "{error}"
                );
                failures += 1;
            }
        }
        store.engine().file.faults.stop();
        // The file could not be opened again while the disk was full, and is soon after.
        let deadline = Instant::now() + Duration::from_secs(5);
        let count = loop {
            match table.get(b"count") {
                Ok(count) => break count,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let count =
            count.map_or(0, |count| u64::from_be_bytes(count.try_into().expect("eight bytes")));
        assert!(count == done || count == done + 1, "all or nothing");
        // A failure that is reported may turn out to be a success only while the disk stays full.
        done = count;
        assert_eq!(queue.peek(usize::MAX, usize::MAX).expect("read").len() as u64, 2 * done);
        assert_eq!((queue.len(), queue.next_id()), (2 * done, 2 * done));
    }
    assert!(failures > 5, "{failures}");
    store.close().expect("closed");
    assert!(Store::check(&path).expect("checked").is_sound());
}

#[test]
fn a_file_that_was_removed_takes_no_more_changes_until_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let elsewhere = folder.path().join("elsewhere.redb");
    let store = open(&path);
    let table = store.table("state").expect("a table");
    table.put(b"key", b"before", Durability::Immediate).expect("put");
    std::fs::rename(&path, &elsewhere).expect("moved");
    let error = table.put(b"key", b"lost", Durability::Immediate).expect_err("vanished");
    assert!(error.is_vanished() && error.to_string().contains("state.redb"), "{error}");
    assert_eq!(table.get(b"key").expect("read").as_deref(), Some(&b"before"[..]));
    std::fs::rename(&elsewhere, &path).expect("moved back");
    table.put(b"key", b"after", Durability::Immediate).expect("put");
    assert_eq!(table.get(b"key").expect("read").as_deref(), Some(&b"after"[..]));
}

#[test]
fn what_is_eventual_is_on_the_disk_after_the_flush_interval() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let copy = folder.path().join("copy.redb");
    let options =
        StoreOptions { flush_interval: Duration::from_millis(50), ..StoreOptions::default() };
    let (store, _) = Store::open(&path, options).expect("opened");
    let table = store.table("state").expect("a table");
    table.put(b"key", b"value", Durability::Eventual).expect("put");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        // What a crash at this moment would leave.
        std::fs::copy(&path, &copy).expect("copied");
        if let Ok((copied, Opening::Repaired { .. })) = Store::open(&copy, StoreOptions::default())
            && copied.table("state").expect("a table").get(b"key").expect("read").is_some()
        {
            break;
        }
        assert!(Instant::now() < deadline, "it never came to the disk");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_was_not_flushed_when_the_disk_failed_is_written_once_it_works_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let store = open(&path);
    let table = store.table("state").expect("a table");
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    table.put(b"early", b"value", Durability::Eventual).expect("put");
    assert_eq!(queue.push(&[b"early"], Durability::Eventual).expect("pushed").ids, 0..1);
    store.engine().file.faults.fail_after(0);
    table.put(b"refused", b"value", Durability::Immediate).expect_err("the disk is full");
    store.engine().file.faults.stop();
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Err(error) = table.put(b"late", b"value", Durability::Immediate) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let keys: Vec<_> = table.range(.., 10).expect("read").into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [b"early".to_vec(), b"late".to_vec()]);
    assert_eq!(queue.push(&[b"late"], Durability::Immediate).expect("pushed").ids, 1..2);
}
