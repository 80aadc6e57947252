//! `obskit serve --state`: what was acknowledged is there after the process was killed.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use interop::{Point, QueryServer, binary, run, send_series};

const BASE: i64 = 1_700_000_000_000;
const STEP: i64 = 15_000;
const SERIES: usize = 50;
const BATCHES: i64 = 8;
const BATCH: i64 = 40;

fn started(folder: &Path) -> QueryServer {
    QueryServer::obskit(&["--state", folder.to_str().unwrap()])
}

/// Sends the batch of all series, and returns when it is acknowledged.
fn send(server: &QueryServer, batch: i64) {
    let names: Vec<String> = (0..SERIES).map(|number| number.to_string()).collect();
    let points: Vec<Vec<Point>> = (0..SERIES)
        .map(|series| {
            let value = |tick: i64| (tick * (series as i64 + 1)) as f64;
            (batch * BATCH..(batch + 1) * BATCH)
                .map(|tick| (BASE + tick * STEP, value(tick)))
                .collect()
        })
        .collect();
    let series = names.iter().zip(&points).map(|(name, points)| {
        ([("__name__", "kept_total"), ("number", name.as_str())], &points[..])
    });
    let answer = send_series(server.address(), series);
    assert_eq!(answer.status, 204, "{}", answer.text());
}

/// The number that a query comes to at the end of so many batches.
fn ask(server: &QueryServer, query: &str, batches: i64) -> Option<f64> {
    let at = ((BASE + batches * BATCH * STEP) / 1_000).to_string();
    let answer = server.ask("query", &[("query", query), ("time", &at)]);
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn acknowledged_writes_are_there_after_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    for batch in 0..BATCHES {
        let server = started(folder.path());
        send(&server, batch);
        let samples = (batch + 1) * BATCH * SERIES as i64;
        assert_eq!(
            ask(&server, "sum(count_over_time(kept_total[2h]))", batch + 1),
            Some(samples as f64)
        );
        server.kill();
    }
    let server = started(folder.path());
    let samples = BATCHES * BATCH * SERIES as i64;
    let kept = ask(&server, "sum(count_over_time(kept_total[2h]))", BATCHES);
    assert_eq!(kept, Some(samples as f64));
    let last = BATCHES * BATCH - 1;
    assert_eq!(ask(&server, r#"kept_total{number="49"}"#, BATCHES), Some((last * 50) as f64));
}

#[test]
fn a_damaged_state_is_set_aside_and_the_server_starts() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(folder.path());
    send(&server, 0);
    server.kill();
    let file = folder.path().join("samples.redb");
    let mut bytes = OpenOptions::new().write(true).open(&file).unwrap();
    bytes.seek(SeekFrom::Start(0)).unwrap();
    bytes.write_all(&[0x5a; 4_096]).unwrap();
    drop(bytes);
    let (sound, said) = run(Command::new(binary("obskit")).args(["store", "check"]).arg(&file));
    assert!(!sound, "{said}");

    let server = started(folder.path());
    send(&server, 1);
    assert_eq!(ask(&server, "count(kept_total)", 2), Some(SERIES as f64));
    let aside = std::fs::read_dir(folder.path()).unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        name.contains("damaged").then_some(name)
    });
    assert_eq!(aside.count(), 1);
}
