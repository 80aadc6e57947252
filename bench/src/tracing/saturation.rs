//! A queue that gets more than its output takes: what is written, what is dropped, and that the sum is right.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics::with_local_recorder;
use obs_metrics::{Registry, RegistryConfig};
use obs_model::{Gather, MetricValue, Resource};
use obs_tracing::{LogConfig, LogOutput};

use crate::contenders::OURS;
use crate::heap;
use crate::report::Row;

const CASE: &str = "saturation";

const THREADS: u64 = 2;
const LINES: u64 = 400_000;

/// An output that takes 20 MB a second.
struct Slow(Arc<AtomicU64>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        thread::sleep(Duration::from_nanos(bytes.len() as u64 * 50));
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.0.fetch_add(lines as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn log(lines: u64) {
    for line in 0..lines {
        match line % 10 {
            0 => tracing::error!(line, "an error"),
            1 | 2 => tracing::warn!(line, "a warning"),
            _ => tracing::info!(line, "something ordinary"),
        }
    }
}

/// Logs faster than the output takes, and compares what was sent with what was written and what was dropped.
pub(crate) fn measure(only: &str, rows: &mut Vec<Row>) -> Result<(), Box<dyn Error>> {
    if !CASE.contains(only) {
        return Ok(());
    }
    let registry = Registry::new(RegistryConfig::default());
    let written = Arc::new(AtomicU64::new(0));
    let mut config = LogConfig::new(Resource::new("bench"));
    config.output = LogOutput::Writer(Box::new(Slow(Arc::clone(&written))));
    let (dispatch, handle) = obs_tracing::build(config)?;
    let started = Instant::now();
    let allocated = heap::counted(|| {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    with_local_recorder(&registry, || {
                        tracing::dispatcher::with_default(&dispatch, || log(LINES));
                    });
                });
            }
        });
    });
    let took = started.elapsed().as_secs_f64();
    handle.shutdown_blocking(Duration::from_secs(60))?;
    let written = written.load(Ordering::Relaxed);
    let sent = THREADS * LINES;
    let mut row = |what: &str, unit, value: f64| {
        rows.push(Row::new(format!("{CASE}, {what}"), unit, OURS, &[(OURS, value)]));
    };
    let mut dropped = 0.0;
    for (level, lines) in dropped_by_level(&registry) {
        row(&format!("dropped at {level}"), "lines", lines);
        dropped += lines;
    }
    row("sent", "lines", sent as f64);
    row("written", "lines", written as f64);
    row("peak heap", "KiB", allocated.peak_bytes as f64 / 1_024.0);
    row("taken by the callers", "lines/s", sent as f64 / took);
    if sent as f64 != written as f64 + dropped {
        return Err(format!("{sent} lines sent, {written} written, {dropped} dropped").into());
    }
    Ok(())
}

fn dropped_by_level(registry: &Registry) -> Vec<(String, f64)> {
    let mut dropped = Vec::new();
    registry.gather(&mut |family| {
        if &*family.name != "obskit_log_dropped_total" {
            return;
        }
        for point in &family.points {
            if let MetricValue::Counter(lines) = point.value {
                dropped.push((point.labels.get("level").unwrap_or("any level").to_owned(), lines));
            }
        }
    });
    dropped
}
