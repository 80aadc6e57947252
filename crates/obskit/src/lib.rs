//! Production observability inside a Rust service: one dependency, nothing else to run.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let obs = obskit::init("checkout").start().await?;
//!
//! // The service runs. Every `metrics` macro, `tracing` event and panic is observed, and so is this router:
//! let router: axum::Router = axum::Router::new().layer(obskit::http::ObserveLayer::new());
//!
//! obs.shutdown().await?;
//! # let _ = router;
//! # Ok(())
//! # }
//! ```
//!
//! `curl http://127.0.0.1:9464/metrics` shows the metrics, and a browser at `http://127.0.0.1:9464/` the console.
//!
//! # Concepts
//!
//! - [`init`] gives a [`Builder`]; [`Builder::start`] wires the pillars that are compiled in and switched on, or
//!   says everything that is wrong with the settings and leaves the process as it was.
//! - [`Obskit`] is the running whole: it hands out the registry, the error tracker, the alert engine, the health
//!   checks and the profiler, and [`Obskit::shutdown`] flushes them.
//! - [`config`] describes every setting: file, environment and builder, in rising order of precedence.
//! - Each pillar is a crate of its own and re-exported here under a short name.
//!
//! # Features
//!
//! | feature | what |
//! |---|---|
//! | `metrics` | the recorder behind the `metrics` macros, the exposition, the catalogs, the series store |
//! | `tracing` | JSON logs to outputs, files and syslog servers, correlation, the tower layers, operations in flight |
//! | `otlp` | spans and log lines, and with `push` metrics, by OTLP when an endpoint is set |
//! | `loki` | log lines to Grafana Loki when an endpoint is set |
//! | `elasticsearch` | log lines to Elasticsearch and OpenSearch when an endpoint is set |
//! | `push` | metrics by Prometheus remote write when an endpoint is set |
//! | `errors` | error tracking |
//! | `alerts` | alert rules over the series store, log and webhook channels |
//! | `health` | health checks |
//! | `profiling` | CPU profiles |
//! | `server` | the admin listener and the console |
//! | `log` | lines of libraries that use the `log` crate |
//! | `syslog-tls` | log lines to syslog servers over TLS |
//! | `state` | samples, and what is not delivered, over a restart |
//! | `metrics-exporter-prometheus` | metrics through that crate's recorder, where an application has installed it |
//!
//! All but the last are on by default, and each builds alone.
//!
//! # Limits
//!
//! One obskit to a process: the recorder, the subscriber and the panic hook are global. A process that is dead
//! cannot page.

#![cfg_attr(
    not(all(
        feature = "metrics",
        feature = "otlp",
        feature = "loki",
        feature = "elasticsearch",
        feature = "errors",
        feature = "alerts",
        feature = "health",
        feature = "profiling",
        feature = "push",
        feature = "server"
    )),
    allow(unused, reason = "a build with fewer pillars leaves parts of the wiring without a user")
)]

mod builder;
pub mod config;
mod error;
#[cfg(all(feature = "push", feature = "otlp"))]
mod export;
mod running;
mod start;
mod wiring;

pub use builder::{Builder, init};
pub use error::{ShutdownError, StartError};
#[cfg(all(feature = "push", feature = "otlp"))]
pub use export::{ExportError, ExportFormat, ExportReport, Signal, TelemetryExport};
pub use running::Obskit;

#[cfg(feature = "alerts")]
pub use obs_alerts as alerts;
#[cfg(feature = "errors")]
pub use obs_errors as errors;
#[cfg(feature = "health")]
pub use obs_health as health;
#[cfg(feature = "metrics")]
pub use obs_metrics as metrics;
pub use obs_model as model;
#[cfg(feature = "profiling")]
pub use obs_profiling as profiling;
#[cfg(feature = "metrics")]
pub use obs_query as query;
#[cfg(feature = "tracing")]
pub use obs_tracing as logs;
#[cfg(feature = "tracing")]
pub use obs_tracing::{
    Telemetry, channel, client, create_logger, db, grpc, http, spawn, tools, trace_async,
    websocket, workflow,
};
