//! The metrics of obskit: the recorder behind the `metrics` macros, the text that a scrape reads, and the
//! catalogs of metrics that services in this field need.
//!
//! - [`Registry`] is a [`metrics::Recorder`] and an [`obs_model::Gather`]: what records, what `/metrics` shows and
//!   what the series store samples are one thing. A clone is another handle on it.
//! - Histograms count observations into fixed buckets and keep no samples. Which buckets a metric gets is decided
//!   by its exact name ([`Registry::set_buckets`]), else by the first [`BucketPattern`] that matches
//!   ([`Registry::set_buckets_for`]), else by its unit: [`SECONDS_BUCKETS`], [`MILLISECONDS_BUCKETS`],
//!   [`BYTES_BUCKETS`], else [`GENERAL_BUCKETS`]. [`Registry::set_native_buckets`] adds exponential ones, and
//!   [`RegistryConfig::exemplars`] keeps observations that lead to their traces.
//! - [`expose`] writes the text format 0.0.4, OpenMetrics 1.0 and Prometheus's protobuf format, as a scrape asks
//!   for, and reads both text formats back.
//! - [`catalog`] has typed handles for workflows, tools, databases, language models, business and resources, and
//!   wrappers that count work however it ends: well, with an error, cancelled or in a panic.
//! - [`business`] records what the service does for its users, and sums it up for any window.
//! - [`typed`] has handles for the hot path: `static` metrics and families with typed labels.
//! - [`trackers`] measure latencies and throughput in process, keep a day of the machine's resources with rules on
//!   them, and make metrics from names in a configuration.
//! - [`collect`] reads what the process, its container, the machine, the runtime and the allocator say, on a schedule.
//! - `push` (feature) sends metrics where they cannot be scraped: by Prometheus remote write, by OTLP, and to a
//!   Pushgateway.
//! - `backend` (feature) puts a registry in front of the recorder of `metrics-exporter-prometheus`.
//!
//! ```
//! use metrics::{counter, histogram};
//! use obs_metrics::Registry;
//!
//! let registry = Registry::default();
//! registry.describe("jobs_total", "Jobs that ended.");
//! registry.set_buckets("job_seconds", &[0.1, 1.0])?;
//!
//! // A service calls `registry.install()?` once; a test can record into a registry of its own.
//! metrics::with_local_recorder(&registry, || {
//!     counter!("jobs_total", "kind" => "mail").increment(1);
//!     histogram!("job_seconds").record(0.25);
//! });
//!
//! let text = registry.render_text();
//! assert!(text.contains("# HELP jobs_total Jobs that ended.\n"));
//! assert!(text.contains("jobs_total{kind=\"mail\"} 1\n"));
//! assert!(text.contains("job_seconds_bucket{le=\"1\"} 1\n"));
//! assert_eq!(registry.value("jobs_total", &[("kind", "mail")]), Some(1.0));
//! # Ok::<(), obs_metrics::Error>(())
//! ```
//!
//! # The registry's own metrics
//!
//! | metric | |
//! |---|---|
//! | `obskit_metrics_series` | series that it holds |
//! | `obskit_metrics_overflow_total{metric}` | recordings that went into a metric's overflow series |
//! | `obskit_metrics_dropped_total{reason}` | recordings that were refused; the reasons are listed at [`Registry`] |
//!
//! # Features
//!
//! - `push`: remote write and the Pushgateway, through `obs-delivery` (reqwest with rustls).
//! - `otlp`: `push`, and OTLP over HTTP.
//! - `metrics-exporter-prometheus`: [`Registry`] over the recorder of that crate, for applications that have installed it.
//!
//! # Limits
//!
//! - Names, series and label sets have caps: see [`RegistryConfig`]. What is over the cap of series is recorded in
//!   one series per metric with the label `otel_metric_overflow="true"`: increments and
//!   observations add up there, so totals over all labels stay right; of values that are set, one stands.
//! - A series stays for as long as the registry lives, as in Prometheus's own client libraries, unless
//!   [`RegistryConfig::idle_timeout`] says how long an idle one may stay. [`LabelRules`] leave labels out, and show
//!   pseudonyms in place of values.
//! - Counters and histograms are counted by each thread for itself and added up when they are read, so threads never
//!   wait for each other. That takes 512 bytes per thread for each 64 counters it uses (a histogram takes the room of
//!   as many counters as it has bounds, and two), and at most 64 MiB in all; beyond that threads share cells, which is
//!   as exact but slower. When a thread ends, what it counted stays.
//! - A macro called with a key that the thread knows neither locks nor allocates. Each thread knows up to 512 keys,
//!   all threads together up to 262,144; other keys are looked up in a shared table.
//! - A signal handler must not record: it may interrupt its thread between the reading and the writing of a cell.
//! - A histogram refuses NaN, which would make its sum NaN for ever; infinities count in the outermost buckets
//!   and go into the sum. A gauge holds whatever it is given.
//! - Of counters that several threads set with `absolute`, the largest value stands.
//! - While other threads record, the `_sum` of a histogram may be a few observations ahead of or behind its counts;
//!   `_count` always agrees with the buckets.
//! - No format has timestamps, which are the scraper's business; the text format 0.0.4 has no place for exemplars.

#[cfg(feature = "metrics-exporter-prometheus")]
pub mod backend;
#[cfg(not(feature = "metrics-exporter-prometheus"))]
mod backend;
mod buckets;
pub mod business;
pub mod catalog;
mod cells;
pub mod collect;
mod error;
pub mod expose;
mod names;
mod native;
mod number;
#[cfg(feature = "push")]
pub mod push;
mod registry;
mod rules;
mod sync;
mod track;
pub mod trackers;
pub mod typed;

pub use buckets::{
    BYTES_BUCKETS, BucketPattern, GENERAL_BUCKETS, MILLISECONDS_BUCKETS, SECONDS_BUCKETS,
};
pub use error::Error;
pub use expose::TEXT_CONTENT_TYPE;
pub use native::NativeHistogram;
pub use registry::{Exemplars, FloatCounter, Registry, RegistryConfig};
pub use rules::LabelRules;
pub use track::{ActiveGuard, Outcome};

/// Records `value` into the metric `name` of the installed registry, as [`catalog::record_metric`] says; nothing when
/// none is installed.
///
/// ```
/// use obs_metrics::{Registry, record_metric};
///
/// record_metric("queue_depth", 3.0, &[("queue", "mail")]); // Nothing is installed yet.
/// let registry = Registry::default();
/// registry.install()?;
/// record_metric("queue_depth", 4.0, &[("queue", "mail")]);
/// assert_eq!(registry.value("queue_depth", &[("queue", "mail")]), Some(4.0));
/// # Ok::<(), obs_metrics::Error>(())
/// ```
pub fn record_metric(name: &str, value: f64, labels: &[(&str, &str)]) {
    if let Some(registry) = typed::installed() {
        catalog::record_metric(registry, name, value, labels);
    }
}
