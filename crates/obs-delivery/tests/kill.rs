//! A process that is killed loses nothing of which it said that it is in the spool.
//!
//! The child is this same test program, told by a variable of the environment to be one.
#![cfg(unix)]

mod support;

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use obs_delivery::{
    BatchConfig, Delivery, DeliveryConfig, Framing, Message, RetryPolicy, SendError, SendFuture,
    SpoolConfig, Spooled, Transport,
};
use support::spools::durable;

const FOLDER: &str = "OBSKIT_TEST_KILLED_FOLDER";
const FIRST: &str = "OBSKIT_TEST_KILLED_FIRST";

/// Appends what it is given to a file, which outlives the process, and fails now and then.
struct ToFile {
    file: Mutex<(File, fastrand::Rng)>,
    is_away: bool,
}

impl ToFile {
    fn new(path: PathBuf, is_away: bool) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(path).unwrap();
        Self { file: Mutex::new((file, fastrand::Rng::new())), is_away }
    }
}

impl Transport for ToFile {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        Box::pin(async move {
            let mut file = self.file.lock().unwrap();
            if self.is_away || file.1.u32(0..4) == 0 {
                return Err(SendError::passing("scripted failure"));
            }
            file.0.write_all(message.body()).unwrap();
            Ok(())
        })
    }
}

fn delivery(folder: &Path, sent: PathBuf, is_away: bool) -> Delivery {
    let config = DeliveryConfig {
        capacity: 512,
        max_message_bytes: 1_000,
        batch: BatchConfig { max_items: 16, max_age: Duration::from_millis(1), max_bytes: 1 << 20 },
        spool: SpoolConfig { window_bytes: 4_000, ..SpoolConfig::default() },
        retry: RetryPolicy {
            base_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(5),
            ..RetryPolicy::patient(Duration::from_secs(86_400))
        },
        breaker: None,
        ..DeliveryConfig::named("killed")
    };
    Delivery::builder(config)
        .encoder(Framing::lines())
        .endpoint("file", ToFile::new(sent, is_away))
        .spool(durable(folder))
        .start()
        .unwrap()
}

/// Offers numbers and prints each that is in the spool, until it is killed.
#[test]
#[ignore = "is the process that is killed, and ends only so"]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = PathBuf::from(folder);
    let first: u64 = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(async {
        let is_away = first.is_multiple_of(3);
        let delivery = delivery(&folder, folder.join(format!("sent-{first:09}")), is_away);
        let mut pipe = std::io::stderr();
        for number in first.. {
            let offered = delivery.offer_spooled(Message::new(number.to_string()));
            // Of some the answer is awaited, of others not, so that many are on their way at once.
            if number % 8 == 0 {
                let answer = offered.await;
                if answer == Spooled::Durably {
                    pipe.write_all(format!("spooled {number}\n").as_bytes()).unwrap();
                }
            }
        }
    });
}

/// Lets the child run for a moment and kills it. The answer is what it said is in the spool.
fn run_and_kill(folder: &Path, first: u64, run_for: Duration) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(FIRST, first.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    std::thread::sleep(run_for);
    // On Unix this is `kill -9`.
    child.kill().unwrap();
    let _ = child.wait().unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    line.push_str(&rest);
    line.lines().filter_map(|line| line.strip_prefix("spooled ")?.parse().ok()).collect()
}

fn sent(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

fn check(rounds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut rng = fastrand::Rng::new();
    let mut promised = Vec::new();
    for round in 0..rounds {
        let run_for = Duration::from_millis(rng.u64(0..150));
        promised.extend(run_and_kill(folder, round * 10_000_000 + round % 3, run_for));
    }
    assert!(promised.len() as u64 > rounds, "too little happened: {}", promised.len());

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let report = runtime.unwrap().block_on(async {
        let delivery = delivery(folder, folder.join("sent-last"), false);
        let flushed = delivery.flush(Duration::from_secs(60)).await;
        assert!(flushed.is_complete, "{:?}", delivery.status());
        delivery.shutdown(Duration::from_secs(10)).await
    });
    assert_eq!((report.recovered, report.spooled), (report.delivered, 0));

    let mut delivered: HashSet<u64> = HashSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("sent-") {
            let sent = sent(&path);
            assert!(sent.is_sorted_by(|a, b| a < b), "{}: out of order", path.display());
            delivered.extend(sent);
        }
    }
    let lost: Vec<&u64> = promised.iter().filter(|number| !delivered.contains(number)).collect();
    assert!(lost.is_empty(), "of {} promised these are lost: {lost:?}", promised.len());
    let _ = writeln!(
        std::io::stderr(),
        "{rounds} kills: {} promised, {} delivered, {} of them after the last kill",
        promised.len(),
        delivered.len(),
        report.delivered
    );
}

#[test]
fn what_was_said_to_be_spooled_is_delivered_after_a_kill() {
    check(5);
}

#[test]
#[ignore = "takes a minute"]
fn what_was_said_to_be_spooled_is_delivered_after_a_hundred_kills() {
    check(100);
}
