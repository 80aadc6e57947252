//! What the series store costs: a sample in, a sample kept, a sample read.
//!
//! The data are those of the comparison of stores: by default 10,000 series for 6 h at 15 s, of which half are counters
//! of requests, most others buckets of histograms, and a few gauges with fractions. Times are CPU times of one thread.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../store/data.rs"]
mod data;
#[path = "../store/queries.rs"]
mod queries;

use std::error::Error;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Parser;
use obs_model::Timestamp;
use obs_query::{Queryable, Selector, SeriesStore, StoreConfig, TimeRange};

use data::Data;

#[derive(Parser)]
struct Arguments {
    /// How many series.
    #[arg(long, default_value_t = 10_000)]
    series: usize,
    /// How many hours of them.
    #[arg(long, default_value_t = 6)]
    hours: u64,
    /// Seconds between two samples.
    #[arg(long, default_value_t = 15)]
    interval: u64,
    /// How many samples more each series has, so that its newest chunk is not all but full.
    #[arg(long, default_value_t = 8)]
    more: u64,
    /// Rounds of reading, of which the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only queries whose name contains this; the store's own figures are left out then.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let data = Data::new(arguments.series)?;
    let ticks = arguments.hours * 3_600 / arguments.interval + arguments.more;
    let samples = ticks as f64 * arguments.series as f64;
    let mut generator = data.clone();
    let mut values = Vec::new();

    let before = data::resident()?;
    let store = SeriesStore::new(StoreConfig {
        sample_interval: Duration::from_secs(arguments.interval),
        max_series: arguments.series,
        max_samples: usize::MAX,
        max_bytes: usize::MAX,
        ..StoreConfig::default()
    });
    let ids =
        data.labels().iter().map(|labels| store.resolve(labels)).collect::<Result<Vec<_>, _>>()?;
    let mut batch: Vec<_> = ids.iter().map(|id| (*id, 0.0)).collect();
    let mut spent = Duration::ZERO;
    for tick in 0..ticks {
        generator.next(&mut values);
        batch.iter_mut().zip(&values).for_each(|((_, slot), value)| *slot = *value);
        let at = Timestamp::from_millis((tick * arguments.interval * 1_000).cast_signed());
        let started = data::cpu_time()?;
        let report = store.append_batch(at, &batch);
        spent += data::cpu_time()? - started;
        if report.appended != batch.len() {
            return Err(
                format!("{} of {} samples were stored", report.appended, batch.len()).into()
            );
        }
    }
    let end = Timestamp::from_millis(((ticks - 1) * arguments.interval * 1_000).cast_signed());
    if arguments.only.is_empty() {
        let resident = data::resident()? - before;
        let stats = store.stats();
        println!("samples                        {samples:>12.0}");
        println!("ingestion, M samples/s         {:>12.1}", samples / spent.as_secs_f64() / 1e6);
        println!("resident, bytes/sample         {:>12.2}", resident as f64 / samples);
        println!("own accounting, bytes/sample   {:>12.2}", stats.bytes as f64 / samples);
        println!("labels alone, bytes/sample     {:>12.2}", data.label_bytes() as f64 / samples);
        read_all(&store, arguments.rounds)?;
    }
    queries::measure(&store, end, arguments.rounds, &arguments.only)
}

/// Prints what it costs to read every sample of some metrics.
fn read_all(store: &SeriesStore, rounds: usize) -> Result<(), Box<dyn Error>> {
    for selector in ["http_requests_total", "http_request_duration_seconds_bucket", "process_load"]
    {
        let parsed: Selector = selector.parse()?;
        let mut spent = Vec::new();
        let mut read = 0;
        for _ in 0..rounds {
            read = 0;
            let started = data::cpu_time()?;
            store.scan(&parsed, TimeRange::all(), &mut |series| {
                read += black_box(series.samples).len();
                ControlFlow::Continue(())
            });
            spent.push(data::cpu_time()? - started);
        }
        spent.sort();
        let nanos = spent[spent.len() / 2].as_secs_f64() * 1e9 / read.max(1) as f64;
        println!("read {selector:<37} {nanos:>8.2} ns/sample");
    }
    Ok(())
}
