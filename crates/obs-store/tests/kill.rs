//! What was acknowledged survives `kill -9`, in order and once.
//!
//! The test starts its own binary again as a child that pushes numbered items from several threads and prints each
//! batch that was acknowledged, and kills it at a random time. Then it looks at the file.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use obs_model::Timestamp;
use obs_store::{Batch, ChunksOptions, Durability, Opening, QueueOptions, Store, StoreOptions};

const CHILD: &str = "OBS_STORE_KILL_CHILD";
const ROUNDS: &str = "OBS_STORE_KILL_ROUNDS";
const THREADS: u64 = 3;

/// The child: never returns.
fn push_until_killed(path: &Path) -> ! {
    let (store, opening) = Store::open(path, StoreOptions::default()).expect("opened");
    assert!(!opening.is_loss(), "{opening}");
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    let table = store.table("last").expect("a table");
    let chunks = store.chunks("samples", ChunksOptions::default()).expect("chunks");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, queue, table, chunks) = (&store, &queue, &table, &chunks);
            scope.spawn(move || {
                for number in 0_u64.. {
                    let text = format!("{}/{thread}/{number}", std::process::id());
                    let mut batch = Batch::new();
                    batch.push(queue, &[text.as_bytes(), &[b'.'; 300]]).expect("small enough");
                    batch.put(table, &thread.to_be_bytes(), text.as_bytes()).expect("small enough");
                    batch
                        .put_chunk(
                            chunks,
                            text.as_bytes(),
                            Timestamp::from_millis(number as i64),
                            &[1; 100],
                        )
                        .expect("small enough");
                    if number % 7 == 6 {
                        // What is old goes, so that pages are freed and used again all the time.
                        batch.remove_chunks_before(
                            chunks,
                            Timestamp::from_millis(number as i64 - 50),
                        );
                    }
                    let receipt = store.commit(batch, Durability::Immediate).expect("committed");
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "{} {text}", receipt.pushed[0].start).expect("written");
                    out.flush().expect("flushed");
                }
            });
        }
    });
    unreachable!("the threads never end")
}

/// Starts the child, kills it after a while, and returns what it had acknowledged: ids and texts.
fn run_and_kill(path: &Path, after: Duration) -> Vec<(u64, String)> {
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "acknowledged_items_survive_kill_9_in_order_and_once", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("started");
    let stdout = child.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || {
        let mut lines = Vec::new();
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("text");
            // The test harness of the child prints lines of its own.
            if let Some((id, text)) = line.split_once(' ')
                && let Ok(id) = id.parse::<u64>()
                && text.split('/').count() == 3
            {
                lines.push((id, text.to_owned()));
            }
        }
        lines
    });
    std::thread::sleep(after);
    child.kill().expect("killed");
    child.wait().expect("waited for");
    reader.join().expect("read")
}

/// Where a thread of a child stands.
fn parse(text: &str) -> (String, u64) {
    let (who, number) = text.rsplit_once('/').expect("a number");
    (who.to_owned(), number.parse().expect("a number"))
}

#[test]
fn acknowledged_items_survive_kill_9_in_order_and_once() {
    if let Some(path) = std::env::var_os(CHILD) {
        push_until_killed(Path::new(&path));
    }
    let rounds: u32 =
        std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(25);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.redb");
    let mut acknowledged = 0;
    for round in 0..rounds {
        let told = run_and_kill(&path, Duration::from_millis(fastrand::u64(20..250)));
        acknowledged += told.len();
        let report = Store::check(&path);
        let (store, opening) = Store::open(&path, StoreOptions::default()).expect("opened");
        match &opening {
            // What was being written when it was killed may be undone: nobody had been told of it.
            Opening::Created | Opening::Opened | Opening::Repaired { .. } => {}
            other => panic!("round {round}: {other}"),
        }
        if let Ok(report) = report {
            assert!(report.is_sound(), "round {round}: {report}");
        }
        verify(&store, &told);
        store.close().expect("closed");
    }
    assert!(acknowledged > rounds as usize, "only {acknowledged} pushes were acknowledged in all");
}

fn verify(store: &Store, told: &[(u64, String)]) {
    let queue = store.queue("spool", QueueOptions::default()).expect("a queue");
    let items = queue.peek(usize::MAX, usize::MAX).expect("read");
    let mut last: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    let mut next_id = None;
    for pair in items.chunks(2) {
        let [item, filler] = pair else { panic!("half a push: {pair:?}") };
        assert_eq!(filler.bytes, [b'.'; 300], "a push is whole");
        assert_eq!(filler.id, item.id + 1);
        assert!(next_id.is_none_or(|next| next == item.id), "no id is missing");
        next_id = Some(item.id + 2);
        let (who, number) = parse(std::str::from_utf8(&item.bytes).expect("text"));
        match last.insert(who, number) {
            None => {}
            Some(before) => assert_eq!(number, before + 1, "in order and once"),
        }
    }
    for (id, text) in told {
        let at =
            items.binary_search_by_key(id, |item| item.id).expect("an acknowledged item is there");
        assert_eq!(items[at].bytes, text.as_bytes());
    }
    // What else was in the same batches is as far as the queue is.
    let table = store.table("last").expect("a table");
    for (who, number) in &last {
        let thread: u64 = who.rsplit_once('/').expect("a thread").1.parse().expect("a number");
        let noted = table.get(&thread.to_be_bytes()).expect("read").expect("noted");
        let (noted_who, noted_number) = parse(std::str::from_utf8(&noted).expect("text"));
        if noted_who == *who {
            assert_eq!(noted_number, *number, "a batch is whole");
        }
    }
    if let Some(last) = items.last() {
        queue.acknowledge_through(last.id, Durability::Immediate).expect("acknowledged");
    }
    assert!(queue.is_empty());
}
