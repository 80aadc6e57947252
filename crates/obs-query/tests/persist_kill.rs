//! Samples whose write was acknowledged survive `kill -9`.
#![cfg(all(unix, feature = "persist"))]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Labels, Sample, Timestamp};
use obs_query::persist::{PersistConfig, Persistence, Written};
use obs_query::{Selector, SeriesStore, StoreConfig, TimeRange};
use obs_store::{Store, StoreOptions};

const CHILD: &str = "OBS_QUERY_KILL_CHILD";
const ROUNDS: &str = "OBS_QUERY_KILL_ROUNDS";
const SENDERS: usize = 3;

fn labels(sender: usize, series: usize) -> Labels {
    Labels::new([
        ("__name__", "written".to_owned()),
        ("sender", sender.to_string()),
        ("series", series.to_string()),
    ])
    .expect("valid")
}

fn open(path: &Path) -> (Arc<SeriesStore>, Persistence) {
    let (file, opening) = Store::open(path, StoreOptions::default()).expect("opened");
    assert!(!opening.is_loss(), "{opening}");
    let series = Arc::new(SeriesStore::new(StoreConfig::default()));
    // Small, so that logs are written anew in the middle of everything.
    let config = PersistConfig { checkpoint_bytes: 20_000, ..PersistConfig::default() };
    let (persistence, recovery) =
        Persistence::open(Arc::clone(&series), &file, config).expect("loaded");
    assert_eq!(recovery.skipped, 0);
    (series, persistence)
}

/// The value that a sample has to have.
fn value(time: i64) -> f64 {
    (time * 3) as f64
}

/// The newest sample of each series of a sender.
fn newest(series: &SeriesStore) -> HashMap<Labels, Vec<Sample>> {
    let selector: Selector = "written".parse().expect("valid");
    let range = TimeRange {
        start: Timestamp::from_millis(i64::MIN),
        end: Timestamp::from_millis(i64::MAX),
    };
    series
        .select(&selector, range)
        .into_iter()
        .map(|series| (series.labels, series.samples))
        .collect()
}

/// The child: never returns.
fn write_until_killed(path: &Path) -> ! {
    let (series, persistence) = open(path);
    let before = newest(&series);
    let start =
        before.values().flatten().map(|sample| sample.timestamp.as_millis()).max().unwrap_or(0) + 1;
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (series, persistence) = (&series, &persistence);
            scope.spawn(move || {
                for time in start.. {
                    // A new series now and then, and the same ones all the time.
                    let which = [0, 1, 2 + (time as usize / 50)];
                    let sample =
                        Sample { timestamp: Timestamp::from_millis(time), value: value(time) };
                    let all: Vec<_> = which.iter().map(|number| labels(sender, *number)).collect();
                    for labels in &all {
                        series.append(labels, sample).expect("appended");
                    }
                    let written: Vec<_> = all
                        .iter()
                        .map(|labels| Written {
                            labels,
                            samples: std::slice::from_ref(&sample),
                            histograms: &[],
                        })
                        .collect();
                    persistence.log(&written).expect("logged");
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {sender} {time}").expect("written");
                    out.flush().expect("flushed");
                }
            });
        }
        scope.spawn(|| {
            loop {
                std::thread::sleep(Duration::from_millis(5));
                persistence.save().expect("saved");
            }
        });
    });
    unreachable!("the threads never end")
}

#[test]
fn acknowledged_samples_survive_kill_9() {
    if let Some(path) = std::env::var_os(CHILD) {
        write_until_killed(Path::new(&path));
    }
    let rounds: u32 =
        std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("samples.redb");
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .args(["--exact", "acknowledged_samples_survive_kill_9", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let stdout = child.stdout.take().expect("piped");
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map(|line| line.expect("text"));
            let acks = lines.filter_map(|line| {
                let (sender, time) = line.strip_prefix("ack ")?.split_once(' ')?;
                Some((sender.parse::<usize>().ok()?, time.parse::<i64>().ok()?))
            });
            acks.collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_millis(fastrand::u64(50..400)));
        child.kill().expect("killed");
        child.wait().expect("waited for");
        acknowledged.extend(reader.join().expect("read"));

        let (series, _persistence) = open(&path);
        let found = newest(&series);
        for (sender, time) in &acknowledged {
            for number in [0, 1, 2 + (*time as usize / 50)] {
                let samples = &found[&labels(*sender, number)];
                let at = samples.binary_search_by_key(time, |sample| sample.timestamp.as_millis());
                let at = at.unwrap_or_else(|_| {
                    panic!("round {round}: sample {time} of {sender}/{number} is lost")
                });
                assert_eq!(samples[at].value, value(*time));
            }
        }
        let report = series.stats();
        assert!(report.samples >= acknowledged.len());
    }
    assert!(
        acknowledged.len() > rounds as usize,
        "only {} writes were acknowledged in all",
        acknowledged.len()
    );
}
