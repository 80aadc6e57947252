//! What an opening finds, and what it says.

use std::sync::Arc;

use obs_model::{ManualClock, Timestamp};
use obs_store::{
    Batch, ChunksOptions, Durability, Opening, QueueOptions, Store, StoreOptions, TableKind,
};

fn options() -> StoreOptions {
    StoreOptions {
        clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_000))),
        ..StoreOptions::default()
    }
}

/// A store with one of each kind of table, closed in order.
fn filled(path: &std::path::Path) {
    let (store, _) = Store::open(path, options()).expect("opened");
    store
        .table("state")
        .expect("a table")
        .put(b"key", b"value", Durability::Immediate)
        .expect("put");
    store
        .queue("spool", QueueOptions::default())
        .expect("a queue")
        .push(&[b"item"; 10], Durability::Immediate)
        .expect("pushed");
    let chunks = store.chunks("samples", ChunksOptions::default()).expect("chunks");
    let mut batch = Batch::new();
    for minute in 0..10 {
        batch
            .put_chunk(&chunks, b"up", Timestamp::from_millis(minute * 60_000), &[7; 500])
            .expect("small enough");
    }
    store.commit(batch, Durability::Immediate).expect("committed");
    store.close().expect("closed");
}

#[test]
fn folders_are_created_and_only_the_owner_may_read_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/er/state.redb");
    let (store, opening) = Store::open(&path, options()).expect("opened");
    assert_eq!(opening, Opening::Created);
    assert_eq!(store.path(), path);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &std::path::Path| {
            std::fs::metadata(path).expect("there").permissions().mode() & 0o777
        };
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a folder")), 0o700);
    }
    let others: Vec<_> =
        std::fs::read_dir(path.parent().expect("a folder")).expect("readable").collect();
    assert_eq!(others.len(), 1, "nothing else is left behind: {others:?}");
}

#[test]
fn what_was_stored_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    filled(&path);
    let (store, opening) = Store::open(&path, options()).expect("opened");
    assert_eq!(opening, Opening::Opened);
    assert!(!opening.is_loss());
    assert_eq!(
        store.table("state").expect("a table").get(b"key").expect("read").as_deref(),
        Some(&b"value"[..])
    );
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    assert_eq!((queue.len(), queue.next_id()), (10, 10));
    assert_eq!(store.chunks("samples", ChunksOptions::default()).expect("chunks").len(), 10);
}

#[test]
fn a_second_opening_is_refused_and_says_who_has_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let (first, _) = Store::open(&path, options()).expect("opened");
    let error = Store::open(&path, options()).expect_err("in use");
    assert!(error.is_locked(), "{error}");
    assert!(error.to_string().contains("state.redb is in use by"), "{error}");
    #[cfg(target_os = "linux")]
    assert!(error.to_string().contains("this very process"), "{error}");
    assert!(Store::check(&path).expect_err("in use").is_locked());
    first.close().expect("closed");
    drop(first);
    Store::open(&path, options()).expect("free again");
}

#[test]
fn a_damaged_file_is_set_aside_as_it_is_and_the_newest_three_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    for round in 0..5_u8 {
        let garbage = vec![round; 10_000];
        std::fs::write(&path, &garbage).expect("written");
        let (store, opening) = Store::open(&path, options()).expect("opened");
        assert!(opening.is_loss());
        let Opening::SetAside { path: aside, reason, deleted } = opening else {
            panic!("{opening}")
        };
        assert_eq!(std::fs::read(&aside).expect("kept"), garbage);
        assert!(aside.to_string_lossy().contains("state.redb.damaged-1700000000"), "{aside:?}");
        assert!(!reason.is_empty());
        assert_eq!(deleted.len(), usize::from(round > 2), "round {round}");
        store
            .table("state")
            .expect("a table")
            .put(b"key", b"value", Durability::Immediate)
            .expect("a new store");
        store.close().expect("closed");
    }
    let kept = std::fs::read_dir(folder.path()).expect("readable").filter(|entry| {
        entry.as_ref().expect("readable").file_name().to_string_lossy().contains("damaged")
    });
    assert_eq!(kept.count(), 3);
}

#[test]
fn a_file_that_another_program_wrote_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.redb");
    let database = redb::Database::create(&path).expect("created");
    let transaction = database.begin_write().expect("begun");
    transaction
        .open_table(redb::TableDefinition::<u64, u64>::new("theirs"))
        .expect("opened")
        .insert(1, 1)
        .expect("inserted");
    transaction.commit().expect("committed");
    drop(database);
    let error = Store::open(&path, options()).expect_err("foreign");
    assert!(error.is_foreign() && error.to_string().contains("other.redb"), "{error}");
    assert!(Store::check(&path).expect_err("foreign").is_foreign());
    redb::Database::open(&path).expect("still theirs");
    assert!(Store::open(folder.path(), options()).expect_err("a folder").is_foreign());
}

#[test]
fn a_place_that_cannot_be_written_is_named_in_the_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, b"").expect("written");
    let error = Store::open(file.join("state.redb"), options()).expect_err("below a file");
    assert!(error.is_io(), "{error}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    #[cfg(target_os = "linux")]
    {
        let error = Store::open("/proc/obskit/state.redb", options()).expect_err("not permitted");
        assert!(error.is_io() && error.to_string().contains("/proc/obskit"), "{error}");
    }
    let error = Store::check(folder.path().join("absent")).expect_err("absent");
    assert!(error.is_io() && error.to_string().contains("absent"), "{error}");
}

#[test]
fn options_that_are_not_valid_are_all_named_at_once() {
    let wrong = StoreOptions { max_bytes: 1, keep_damaged: 0, ..options() };
    let error = Store::open("state.redb", wrong).expect_err("wrong");
    let text = error.to_string();
    assert!(
        error.is_usage() && text.contains("max_bytes") && text.contains("keep_damaged"),
        "{text}"
    );
}

#[test]
fn a_check_counts_what_there_is_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    filled(&path);
    let before = std::fs::read(&path).expect("readable");
    let report = Store::check(&path).expect("checked");
    assert!(report.is_sound() && report.closed, "{report}");
    assert_eq!(report.format, Some(1));
    let tables: Vec<_> = report
        .tables
        .iter()
        .map(|table| (table.kind, table.name.as_str(), table.entries))
        .collect();
    assert_eq!(
        tables,
        [
            (TableKind::Chunks, "samples", 10),
            (TableKind::Queue, "spool", 10),
            (TableKind::Table, "state", 1)
        ]
    );
    assert!(report.to_string().contains("queue spool: 10 entries, 280 B"), "{report}");
    assert!(std::fs::read(&path).expect("readable") == before, "left as it is");
}

#[test]
fn a_check_reports_damage_without_setting_the_file_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    filled(&path);
    let mut bytes = std::fs::read(&path).expect("readable");
    let at = bytes.windows(500).position(|window| window == [7; 500]).expect("a chunk");
    bytes[at + 250] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let report = Store::check(&path).expect("checked");
    assert!(!report.is_sound(), "{report}");
    assert!(std::fs::read(&path).expect("readable") == bytes, "left as it is");
    let (_, opening) = Store::open(&path, options()).expect("opened");
    assert!(matches!(opening, Opening::SetAside { .. }), "{opening}");
}

#[test]
fn an_empty_file_is_a_new_store_and_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    std::fs::write(&path, b"").expect("written");
    assert!(Store::check(&path).expect("checked").is_sound());
    let (_, opening) = Store::open(&path, options()).expect("opened");
    assert_eq!(opening, Opening::Created);
}
