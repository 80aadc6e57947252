//! The in-process series store of obskit, and PromQL over it.
//!
//! - [`SeriesStore`] keeps the recent samples of every series in memory: bounded in time, in series and in
//!   samples, with whatever does not fit counted.
//! - [`sample_on_grid`] fills it from a [`Gather`](obs_model::Gather) at exact multiples of the sample interval.
//! - [`Selector`] and [`Matcher`] pick series, in PromQL's notation and with PromQL's meaning.
//! - [`window`] computes what PromQL's functions of the same names do: rates, averages, quantiles.
//! - [`promql`] reads, evaluates and writes queries, as Prometheus 3.5 does.
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
//! # Concepts
//!
//! A *series* is a label set, `__name__` included; a *sample* is a value at a time in milliseconds. A label with
//! an empty value is the same as no label. Samples of one series are stored in the order of their times, each time
//! once. A series that is no longer gathered gets a [stale marker](STALE): an instant reading ends there at once
//! instead of five minutes later.
//!
//! The store records what it does as `obskit_store_series`, `obskit_store_samples`, `obskit_store_bytes` (gauges),
//! `obskit_store_dropped_total{reason}`, `obskit_store_evicted_total{reason}`, `obskit_store_missed_ticks_total`,
//! `obskit_store_failed_ticks_total` (counters) and `obskit_store_ingest_duration_seconds` (histogram) through the `metrics` crate.
//!
//! # Limits
//!
//! Nothing is written to disk: a restart starts with an empty store. A wall clock that is set back makes samples
//! refused, and counted, until it has caught up. A selection is copied out whole, so a selector that accepts many
//! series over a long range costs 16 bytes a sample for as long as its result lives.

mod error;
mod grid;
pub mod promql;
pub mod promqltest;
mod queryable;
mod range;
mod selector;
mod stale;
mod store;
pub mod window;

pub use error::{Error, Problem};
pub use grid::sample_on_grid;
pub use queryable::{LOOK_BACK, Queryable, Series, Snapshot};
pub use range::TimeRange;
pub use selector::{MatchOp, Matcher, Selector};
pub use stale::{STALE, is_stale};
pub use store::{Feed, IngestReport, SeriesStore, StoreConfig, StoreStats, describe_metrics};
