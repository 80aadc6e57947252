//! The in-process series store of obskit, and PromQL over it.
//!
//! - [`SeriesStore`] keeps the recent samples of every series in memory, compressed: bounded in time, in series, in
//!   samples and in bytes, with whatever does not fit counted. Samples are numbers or native histograms.
//! - [`SeriesId`] names a series for appends without its labels, many at a time: [`SeriesStore::append_batch`].
//! - [`SealedChunk`] is how samples leave the store to be kept, and how they come back.
//! - [`sample_on_grid`] fills it from a [`Gather`](obs_model::Gather) at exact multiples of the sample interval.
//! - `persist`, a feature, keeps them in a file over restarts.
//! - [`Selector`] and [`Matcher`] pick series, in PromQL's notation and with PromQL's meaning.
//! - [`window`] computes what PromQL's functions of the same names do: rates, averages, quantiles.
//! - [`promql`] reads, evaluates and writes queries, as Prometheus 3.5 does.
//! - [`rules`] reads and writes Prometheus' rule files, and [`template`] expands the templates in them.
//! - [`Queryable`] is what an evaluator reads through.
//! - [`promqltest`] runs test files in the language of Prometheus' own.
//!
//! ```
//! use obs_model::{Labels, Sample, Timestamp};
//! use obs_query::{Queryable, Selector, SeriesStore, StoreConfig, TimeRange, window};
//! use std::time::Duration;
//!
//! let store = SeriesStore::new(StoreConfig::default());
//! let requests = Labels::new([("__name__", "requests_total"), ("code", "200")])?;
//! for tick in 0..=12 {
//!     let sample = Sample { timestamp: Timestamp::from_millis(tick * 5_000), value: tick as f64 * 10.0 };
//!     store.append(&requests, sample)?;
//! }
//!
//! let selector: Selector = r#"requests_total{code=~"2.."}"#.parse()?;
//! let range = TimeRange::last(Timestamp::from_millis(60_000), Duration::from_secs(60));
//! let found = store.select(&selector, range);
//! assert_eq!(found.len(), 1);
//! assert_eq!(window::rate(&found[0].samples, &range), Some(2.0));
//! assert_eq!(store.latest(&selector, range.end).value_of(&requests), Some(120.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Many samples of one time go in fastest by id:
//!
//! ```
//! use obs_model::{Labels, Timestamp};
//! use obs_query::{SeriesStore, StoreConfig};
//!
//! let store = SeriesStore::new(StoreConfig::default());
//! let up = |job| Labels::new([("__name__", "up"), ("job", job)]);
//! let (a, b) = (store.resolve(&up("a")?)?, store.resolve(&up("b")?)?);
//! let report = store.append_batch(Timestamp::from_millis(5_000), &[(a, 1.0), (b, 0.0)]);
//! assert_eq!((report.appended, report.refused.len()), (2, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Concepts
//!
//! A *series* is a label set, `__name__` included; a *sample* is a value at a time in milliseconds. A label with
//! an empty value is the same as no label. Samples of one series are stored in the order of their times, each time
//! once; the same sample once more is taken for stored, as in Prometheus, and one with another value is refused. Series
//! may be far apart in time, and samples before the epoch are samples like any other: what counts as now is the
//! newest sample of all. A series that is no longer gathered gets a [stale marker](STALE): an instant reading ends there at once
//! instead of five minutes later.
//!
//! Samples are sealed in *chunks* of 120. A sealed chunk is written in whichever encoding makes it smallest: packed
//! integers for counters, buckets and decimal readings, XORed floats for others; on a grid, times cost nothing. A
//! counter takes one to two bytes a sample, everything included.
//!
//! *Exemplars*, single observations that lead to a trace, stand beside the series that counts them: see
//! [`SeriesStore::append_exemplar`] and [`SeriesStore::exemplars`].
//!
//! The store records what it does as `obskit_store_series`, `obskit_store_samples`, `obskit_store_exemplars`,
//! `obskit_store_bytes` (gauges), `obskit_store_exemplars_dropped_total{reason}`, `obskit_store_dropped_total{reason}`, `obskit_store_evicted_total{reason}`, `obskit_store_missed_ticks_total`,
//! `obskit_store_failed_ticks_total` (counters) and `obskit_store_ingest_duration_seconds` (histogram) through the `metrics` crate.
//!
//! # Limits
//!
//! The store itself writes nothing to disk: a restart starts with an empty one, unless what [`SeriesStore::take_sealed`]
//! and [`SeriesStore::take_open`] give out is kept and loaded again, as the module `persist` does; exemplars are not kept. One sample far in the
//! future makes everything before
//! it too old; who takes samples from others has to look at their times first. A wall clock that is set back makes samples
//! refused, and counted, until it has caught up. A selection is copied out whole, so a selector that accepts many
//! series over a long range costs 16 bytes a sample for as long as its result lives.

mod error;
mod grid;
#[cfg(feature = "persist")]
pub mod persist;
pub mod promql;
pub mod promqltest;
mod queryable;
mod range;
pub mod rules;
mod selector;
mod stale;
mod store;
pub mod template;
pub mod window;

pub use error::{Error, Problem};
pub use grid::sample_on_grid;
pub use queryable::{LOOK_BACK, Queryable, Scanned, Series, Snapshot};
pub use range::TimeRange;
pub use selector::{MatchOp, Matcher, Selector};
pub use stale::{STALE, is_stale};
pub use store::{
    BatchReport, ChunkStats, ExemplarSeries, Feed, IngestReport, SealedChunk, SeriesId,
    SeriesStore, StoreConfig, StoreStats, describe_metrics,
};
