//! Whatever is done to the file, opening it neither panics nor hangs: what is found is right, or it is set aside.

use std::ops::ControlFlow;
use std::path::Path;

use obs_model::Timestamp;
use obs_store::{Batch, ChunksOptions, Durability, Opening, QueueOptions, Store, StoreOptions};

const ROUNDS: &str = "OBS_STORE_DAMAGE_ROUNDS";

fn value(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    (0..random.usize(0..600)).map(|_| random.u8(..)).collect()
}

/// A file with some history: items 100 to 400, chunks 50 to 299, keys 0 to 199.
fn write(path: &Path, closed: bool) {
    let (store, _) = Store::open(path, StoreOptions::default()).expect("opened");
    let table = store.table("state").expect("a table");
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    let chunks = store.chunks("samples", ChunksOptions::default()).expect("chunks");
    for ten in 0..40_u64 {
        let mut batch = Batch::new();
        for number in ten * 10..ten * 10 + 10 {
            batch.push(&queue, &[value(number)]).expect("small enough");
            batch
                .put(&table, &(number % 200).to_be_bytes(), &value(number % 200))
                .expect("small enough");
            if number < 300 {
                let start = Timestamp::from_millis(number as i64);
                batch.put_chunk(&chunks, b"series", start, &value(number)).expect("small enough");
            }
        }
        store.commit(batch, Durability::Immediate).expect("committed");
    }
    let mut batch = Batch::new();
    batch.acknowledge_through(&queue, 99);
    batch.remove_chunks_before(&chunks, Timestamp::from_millis(50));
    store.commit(batch, Durability::Immediate).expect("committed");
    if closed {
        store.close().expect("closed");
    } else {
        // As after `kill -9`: the file as it is now, without what closing writes.
        std::fs::copy(path, path.with_extension("copy")).expect("copied");
        store.close().expect("closed");
        drop(store);
        std::fs::rename(path.with_extension("copy"), path).expect("renamed");
    }
}

/// Everything that is found has to be something that once was there; how much is asked for is up to the caller.
fn read_everything(store: &Store) -> (u64, u64, u64) {
    let table = store.table("state").expect("a table");
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    let chunks = store.chunks("samples", ChunksOptions::default()).expect("chunks");
    let (mut keys, mut items, mut blobs) = (0, 0, 0);
    table
        .for_each(.., |key, found| {
            let key = u64::from_be_bytes(key.try_into().expect("eight bytes"));
            assert_eq!(found, value(key));
            keys += 1;
            ControlFlow::Continue(())
        })
        .expect("read");
    let mut last = None;
    queue
        .for_each_from(0, |id, found| {
            assert_eq!(found, value(id));
            assert!(last.is_none_or(|last| id == last + 1));
            last = Some(id);
            items += 1;
            ControlFlow::Continue(())
        })
        .expect("read");
    chunks
        .for_each(.., |series, start, found| {
            assert_eq!((series, found), (&b"series"[..], &value(start.as_millis() as u64)[..]));
            blobs += 1;
            ControlFlow::Continue(())
        })
        .expect("read");
    assert_eq!((table.len(), queue.len(), chunks.len()), (keys, items, blobs));
    // It goes on from there.
    let pushed = queue.push(&[value(queue.next_id())], Durability::Immediate).expect("pushed");
    assert!(last.is_none_or(|last| pushed.ids.start > last));
    (keys, items, blobs)
}

/// Damages a copy of the file and opens it: whether it was set aside.
fn open_damaged(original: &[u8], folder: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> bool {
    let path = folder.join("state.redb");
    let mut bytes = original.to_vec();
    damage(&mut bytes);
    std::fs::write(&path, &bytes).expect("written");
    let check = Store::check(&path);
    let (store, opening) = match Store::open(&path, StoreOptions::default()) {
        Ok(opened) => opened,
        // Both version fields may come to say the same newer version.
        Err(error) => {
            assert!(error.is_newer_version(), "{error}");
            std::fs::remove_file(&path).expect("removed");
            return true;
        }
    };
    let found = read_everything(&store);
    let set_aside = match &opening {
        Opening::SetAside { path, .. } => {
            assert!(std::fs::read(path).expect("kept") == bytes, "it is kept as it was");
            std::fs::remove_file(path).expect("removed");
            true
        }
        Opening::Created => {
            assert!(bytes.is_empty(), "only an empty file is a new one");
            true
        }
        _ => false,
    };
    match check {
        Ok(report) => {
            assert!(!set_aside || !report.is_sound() || bytes.is_empty(), "{opening} but {report}")
        }
        Err(error) => panic!("{error}"),
    }
    if set_aside {
        assert_eq!(found, (0, 0, 0));
    } else if opening != (Opening::Repaired { undone: true }) {
        assert_eq!(found, (200, 300, 250), "{opening}: nothing is lost in silence");
    }
    store.close().expect("closed");
    std::fs::remove_file(&path).expect("removed");
    set_aside
}

fn rounds() -> u32 {
    std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(60)
}

fn flips(closed: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("original.redb");
    write(&path, closed);
    let original = std::fs::read(&path).expect("readable");
    let mut random = fastrand::Rng::with_seed(7);
    let mut set_aside = 0;
    for round in 0..rounds() {
        // Half of the flips hit the header and the first pages, where the damage is worst.
        let end = if round % 2 == 0 { 400 } else { original.len() };
        let count = random.usize(1..4);
        let flips: Vec<_> =
            (0..count).map(|_| (random.usize(..end), 1_u8 << random.u32(..8))).collect();
        set_aside += u32::from(open_damaged(&original, folder.path(), |bytes| {
            for (at, bit) in flips {
                bytes[at] ^= bit;
            }
        }));
    }
    assert!(set_aside > 0, "some damage matters");
}

#[test]
fn flipped_bits_in_a_closed_file_are_found_or_do_not_matter() {
    flips(true);
}

#[test]
fn flipped_bits_in_a_file_that_was_not_closed_are_found_or_do_not_matter() {
    flips(false);
}

#[test]
fn a_file_that_was_cut_short_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("original.redb");
    for closed in [true, false] {
        write(&path, closed);
        let original = std::fs::read(&path).expect("readable");
        let mut random = fastrand::Rng::with_seed(9);
        for length in [0, 1, 9, 319, 320, 4095, 4096, 8192] {
            open_damaged(&original, folder.path(), |bytes| bytes.truncate(length));
        }
        for _ in 0..rounds() / 4 {
            let length = random.usize(..original.len());
            open_damaged(&original, folder.path(), |bytes| bytes.truncate(length));
        }
    }
}

#[test]
fn pages_of_zeros_or_of_other_data_are_found_or_do_not_matter() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("original.redb");
    write(&path, true);
    let original = std::fs::read(&path).expect("readable");
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..rounds() / 2 {
        let pages = original.len() / 4096;
        let (to, from) = (random.usize(..pages) * 4096, random.usize(..pages) * 4096);
        open_damaged(&original, folder.path(), |bytes| {
            if round % 2 == 0 {
                bytes[to..to + 4096].fill(0);
            } else {
                bytes.copy_within(from..from + 4096, to);
            }
        });
    }
}
