//! Files whose writer is killed, or may not write on: each in a process of its own.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use obs_model::SystemClock;
use obs_tracing::sink::FileConfig;
use serde_json::Value;

use crate::support::{Logs, eventually};

const FILE: &str = "OBSKIT_TEST_FILE";

/// How many bytes the file may have while its process is limited.
const LIMIT: u64 = 8 * 1_024;

/// Starts this program again to run one of the tests that are children, behind `before`.
fn child(before: &str, name: &str, path: &Path) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{before} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn path_of_child() -> Option<std::path::PathBuf> {
    std::env::var_os(FILE).map(Into::into)
}

fn log(number: u64) {
    let filling = "x".repeat((number % 97) as usize);
    tracing::info!(number, filling, "counted");
}

/// The numbers of the lines that are whole, and how many lines are not.
fn read(path: &Path) -> (Vec<u64>, usize) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let (mut numbers, mut torn) = (Vec::new(), 0);
    for line in text.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(value) => numbers.push(value["metadata"]["number"].as_u64().unwrap()),
            Err(_) => torn += 1,
        }
    }
    (numbers, torn)
}

#[test]
#[ignore = "is the process that is killed, and ends only so"]
fn writes_until_it_is_killed() {
    let Some(path) = path_of_child() else { return };
    let first = read(&path).0.last().map_or(0, |last| last + 1);
    let logs = Logs::new(FileConfig::new(path), Arc::new(SystemClock::new()));
    std::io::stderr().write_all(b"begun\n").unwrap();
    for number in first.. {
        logs.log(|| log(number));
        if number % 500 == 0 {
            logs.handle.flush_blocking(Duration::from_secs(5)).unwrap();
        }
    }
}

#[test]
fn a_kill_tears_at_most_the_last_line_and_the_next_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    for round in 1..=8 {
        let mut child = child("", "file_crash::writes_until_it_is_killed", &path);
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "begun");
        let before = fs::metadata(&path).map_or(0, |meta| meta.len());
        eventually("writing", || (fs::metadata(&path).ok()?.len() > before + 50_000).then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
        let (numbers, torn) = read(&path);
        assert!(torn <= round, "{torn} lines are torn after {round} kills");
        assert!(
            numbers.iter().copied().eq(0..numbers.len() as u64),
            "a line is lost or out of order"
        );
    }
}

#[test]
#[ignore = "is the process whose file may not grow at first"]
fn writes_against_a_limit() {
    let Some(path) = path_of_child() else { return };
    let logs = Logs::new(FileConfig::new(&path), Arc::new(SystemClock::new()));
    logs.log(|| (0..500).for_each(log));
    let error = logs.handle.flush_blocking(Duration::from_millis(300)).unwrap_err();
    assert!(error.is_undelivered());
    let (numbers, torn) = read(&path);
    assert!(numbers.len() > 10 && torn == 0, "{} lines, {torn} torn", numbers.len());
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.ends_with('\n') && text.len() as u64 <= LIMIT, "{}", text.len());
    let pid = std::process::id().to_string();
    let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status();
    assert!(lifted.unwrap().success());
    logs.close();
}

#[test]
fn a_line_that_did_not_fit_on_the_disk_is_taken_back_and_written_whole_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.log");
    // The limit is in blocks of 512 bytes. Its signal, 25, is ignored, so that writing fails instead.
    let before = format!("trap '' 25; ulimit -S -f {};", LIMIT / 512);
    let output = child(&before, "file_crash::writes_against_a_limit", &path);
    let output = output.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(read(&path), ((0..500).collect(), 0), "nothing is lost and nothing is there twice");
}
