//! Measures persistence: `cargo run --release -p obs-query --features persist --example persist_speed`.
//!
//! First 10,000 series over six hours at 15 s: the size on the disk, and how long a start takes after a crash. Then
//! remote writes of several senders at once that are acknowledged when they are on the disk.
#![expect(clippy::print_stdout, reason = "an example tells what it has found")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use obs_model::{Labels, Sample, Timestamp};
use obs_query::persist::{PersistConfig, Persistence, Written};
use obs_query::{SeriesStore, StoreConfig};
use obs_store::{Store, StoreOptions};

type Failure = Box<dyn std::error::Error>;

const SERIES: usize = 10_000;
const TICKS: i64 = 6 * 240;
const INTERVAL_MS: i64 = 15_000;
/// Ticks that come with no saving in between, so that a run takes seconds.
const TICKS_A_SAVE: i64 = 10;

fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let crashed = fill(folder.path())?;
    start(&crashed)?;
    remote_writes(folder.path())
}

fn config() -> StoreConfig {
    StoreConfig { sample_interval: Duration::from_secs(15), ..StoreConfig::default() }
}

fn labels(series: usize) -> Result<Labels, obs_model::LabelsError> {
    let text = |at: usize| format!("{}", series / at % 10);
    Labels::new([
        ("__name__", "http_requests_total".to_owned()),
        ("instance", text(1_000)),
        ("method", text(100)),
        ("route", format!("/api/v1/{}", text(10))),
        ("status", format!("20{}", text(1))),
    ])
}

/// Writes the data and leaves the file as a crash would; says where.
fn fill(folder: &std::path::Path) -> Result<std::path::PathBuf, Failure> {
    let path = folder.join("samples.redb");
    let (file, _) = Store::open(&path, StoreOptions::default())?;
    let series = Arc::new(SeriesStore::new(config()));
    let (persistence, _) = Persistence::open(Arc::clone(&series), &file, PersistConfig::default())?;
    let ids = (0..SERIES)
        .map(|number| Ok(series.resolve(&labels(number)?)?))
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut values = vec![0.0; SERIES];
    let (mut saving, mut slowest) = (Duration::ZERO, Duration::ZERO);
    for tick in 0..TICKS {
        let samples: Vec<_> = ids
            .iter()
            .zip(&mut values)
            .map(|(id, value)| {
                *value += f64::from(fastrand::u8(0..100));
                (*id, *value)
            })
            .collect();
        let at = Timestamp::from_millis(1_700_000_000_000 + tick * INTERVAL_MS);
        series.append_batch(at, &samples);
        if tick % TICKS_A_SAVE == 0 {
            let begun = Instant::now();
            persistence.save()?;
            saving += begun.elapsed();
            slowest = slowest.max(begun.elapsed());
        }
    }
    let stats = file.stats();
    println!(
        "{SERIES} series × {TICKS} samples: {:.1} MiB on the disk; {:.0} ms of saving in all, the slowest {:.0} ms",
        stats.disk_bytes as f64 / 1_048_576.0,
        saving.as_secs_f64() * 1e3,
        slowest.as_secs_f64() * 1e3,
    );
    for table in stats.tables {
        println!(
            "  {} {}: {} entries, {:.1} MiB",
            table.kind,
            table.name,
            table.entries,
            table.bytes as f64 / 1_048_576.0
        );
    }
    let crashed = folder.join("crashed.redb");
    std::fs::copy(&path, &crashed)?;
    Ok(crashed)
}

fn start(path: &std::path::Path) -> Result<(), Failure> {
    for _ in 0..3 {
        let begun = Instant::now();
        let (file, opening) = Store::open(path, StoreOptions::default())?;
        let opened = begun.elapsed();
        let series = Arc::new(SeriesStore::new(config()));
        let (_persistence, recovery) = Persistence::open(series, &file, PersistConfig::default())?;
        println!(
            "start: {opening} in {:.0} ms, {} samples of {} series loaded in {:.0} ms, {:.0} ms in all",
            opened.as_secs_f64() * 1e3,
            recovery.samples,
            recovery.series,
            recovery.took.as_secs_f64() * 1e3,
            begun.elapsed().as_secs_f64() * 1e3,
        );
    }
    Ok(())
}

fn remote_writes(folder: &std::path::Path) -> Result<(), Failure> {
    const SENDERS: usize = 4;
    const SERIES_A_WRITE: usize = 2_000;
    let path = folder.join("written.redb");
    let (file, _) =
        Store::open(&path, StoreOptions { max_bytes: 4 << 30, ..StoreOptions::default() })?;
    let series = Arc::new(SeriesStore::new(config()));
    let persist = PersistConfig { max_bytes: 1 << 30, ..PersistConfig::default() };
    let (persistence, _) = Persistence::open(Arc::clone(&series), &file, persist)?;
    let (written, writes) = (AtomicU64::new(0), AtomicU64::new(0));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (series, persistence, written, writes) = (&series, &persistence, &written, &writes);
            scope.spawn(move || -> Result<(), String> {
                let all = (0..SERIES_A_WRITE)
                    .map(|number| labels(sender * SERIES_A_WRITE + number))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| error.to_string())?;
                let mut time = 0;
                while begun.elapsed() < Duration::from_secs(10) {
                    time += INTERVAL_MS;
                    let sample = Sample {
                        timestamp: Timestamp::from_millis(time),
                        value: (time / 100) as f64,
                    };
                    for labels in &all {
                        series.append(labels, sample).map_err(|error| error.to_string())?;
                    }
                    let samples = std::slice::from_ref(&sample);
                    let request: Vec<_> = all
                        .iter()
                        .map(|labels| Written { labels, samples, histograms: &[] })
                        .collect();
                    persistence.log(&request).map_err(|error| error.to_string())?;
                    written.fetch_add(all.len() as u64, Ordering::Relaxed);
                    writes.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        scope.spawn(|| {
            while begun.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_secs(1));
                let at = Instant::now();
                if let Err(error) = persistence.save() {
                    println!("saving failed: {error}");
                }
                println!("  saving took {:.0} ms", at.elapsed().as_secs_f64() * 1e3);
            }
        });
    });
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{SENDERS} senders: {:.0} samples/s acknowledged on the disk, {:.0} writes/s of {SERIES_A_WRITE}",
        written.load(Ordering::Relaxed) as f64 / seconds,
        writes.load(Ordering::Relaxed) as f64 / seconds,
    );
    Ok(())
}
