//! `obskit store check` as somebody runs it who wonders about a file.

use std::path::Path;
use std::process::Command;

use obs_store::{Durability, QueueOptions, Store, StoreOptions};

/// Runs the command, and returns its exit status, standard output and standard error.
fn check(file: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_obskit"))
        .args(["store", "check"])
        .arg(file)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_sound_file_is_described_a_damaged_one_explained_and_an_absent_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    let (store, _) = Store::open(&path, StoreOptions::default()).unwrap();
    let queue = store.queue("spool", QueueOptions::default()).unwrap();
    queue.push(&[[7; 1000]], Durability::Immediate).unwrap();

    let (status, out, error) = check(&path);
    assert_eq!((status, out.as_str()), (Some(2), ""), "it is in use");
    assert!(error.contains(&format!("in use by process {}", std::process::id())), "{error}");

    store.close().unwrap();
    let (status, out, error) = check(&path);
    assert_eq!((status, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with(&format!("{}: sound\n  format 1,", path.display())), "{out}");
    assert!(out.contains("  queue spool: 1 entries, 1.0 KiB\n"), "{out}");

    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(1000).position(|window| window == [7; 1000]).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let (status, out, error) = check(&path);
    assert_eq!((status, error.as_str()), (Some(1), "1 problem\n"));
    assert!(out.contains("damaged") && out.contains("  problem: "), "{out}");

    let (status, out, error) = check(&folder.path().join("absent"));
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(error.contains("absent"), "{error}");
}
