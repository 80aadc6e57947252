//! The admin listener of obskit: metrics, health, profiles, errors, alerts and series over HTTP, and the
//! console, on a port of their own.
//!
//! - [`AdminState`] holds handles to the parts of obskit that run in the process.
//! - [`bind`] opens the port that [`ServerConfig`] names; [`Bound::serve`] answers until it is told to stop.
//!
//! ```
//! use std::sync::Arc;
//! use obs_model::{Resource, SystemClock};
//! use obs_server::{AdminState, ServerConfig};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = obs_metrics::Registry::default();
//! registry.counter("jobs_total", &[]).increment(3);
//!
//! let resource = Resource::new("checkout").with_version("1.4.2");
//! let state = AdminState::new(resource, Arc::new(SystemClock::new())).with_registry(registry);
//! let listen = "127.0.0.1:0".parse()?; // port 0 picks a free one
//! let bound = obs_server::bind(ServerConfig { listen, ..ServerConfig::default() }).await?;
//!
//! let address = bound.local_addr();
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let serving = tokio::spawn(bound.serve(state, async { stopped.await.unwrap_or_default() }));
//!
//! let mut client = tokio::net::TcpStream::connect(address).await?;
//! client.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer).await?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK"));
//! assert!(answer.contains("jobs_total 3"));
//!
//! drop(stop);
//! assert_eq!(serving.await?.connections_cut, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Paths
//!
//! | path | what | feature |
//! |---|---|---|
//! | `/metrics` | the exposition, text format 0.0.4 | |
//! | `/api/health`, `/api/health/ready`, `…/live`, `…/startup` | 200 or 503, JSON | `health` |
//! | `/debug/pprof/` | what can be profiled | |
//! | `/debug/pprof/profile?seconds=N&hz=N` | a CPU profile in pprof form, gzipped, as Go's | `profiling` |
//! | `/api/obskit/v1/errors`, `…/{fingerprint}`, `…/statistics` | error groups and events | `errors` |
//! | `/api/obskit/v1/alerts`, `…/history?hours=N`, `…/rules` | alerts and rules | `alerts` |
//! | `POST /api/obskit/v1/alerts/test?channel=NAME` | sends a test alert | `alerts` |
//! | `/api/obskit/v1/spans/finished`, `/api/obskit/v1/traces/{id}` | the spans that finished last with their events and links, searched and as trees | `tracing` |
//! | `/api/obskit/v1/spans?name=TEXT&min_age=5s&trace=ID&stuck=true&limit=N` | the tree of operations in flight | `tracing` |
//! | `/api/obskit/v1/loglevel`, PUT and DELETE | the levels of log lines | `tracing` |
//! | `/api/obskit/v1/series?match=SELECTOR&minutes=N` | samples from the store | |
//! | `/api/v1/query`, `query_range`, `query_exemplars`, `series`, `labels`, `label/{name}/values`, `metadata`, `targets`, `parse_query`, `format_query`, `status/…` | the Prometheus HTTP API | |
//! | `/api/v1/rules`, `/api/v1/alerts` | rules in code and of rule files, and their alerts | `alerts` |
//! | `POST /api/v1/write` | remote write 1.0, off unless [`PrometheusConfig::remote_write`] is set | |
//! | `/api/obskit/v1/logs?text=…&level=…&trace=…` | the log lines in memory, searched; `count_by=FIELD` counts them | `tracing` |
//! | `/api/obskit/v1/self` | build, uptime, state of the store | |
//! | `/`, `/errors/{fingerprint}`, `/traces`, `/traces/{id}`, `/logs`, `/login` | the console | |
//!
//! Log lines are searched by `level`, `target`, `text`, `trace`, `correlation`, `user`, `field=NAME:VALUE` and
//! `min=NAME:NUMBER` (both as often as wanted), `since`, `until` and `minutes`; `limit` is 1,000 at most, `before` and
//! `after` are numbers of lines.
//! | `/`, `/operations`, `/errors/{fingerprint}`, `/login` | the console | |
//!
//! HEAD works wherever GET does. A refusal is JSON, `{"error":{"code","message"}}`. A path whose part of obskit
//! was not handed over answers 404 with the code `not_enabled`.
//!
//! # Log levels
//!
//! `GET /api/obskit/v1/loglevel` shows the filter, the levels that were set for a while, and what both come to. A PUT of JSON
//! changes them: `{"target":"checkout::db","level":"debug","for":"10m"}` sets one level, for 24 hours at most and, without
//! `for`, until it is reset; without `target` it is that of all targets that have none of their own; `{"filter":"info,db=warn"}`
//! exchanges the filter. `DELETE …?target=checkout::db` takes one level back, `DELETE …?target=` the one without a target, and
//! DELETE without a parameter all of them.
//!
//! # Queries
//!
//! Paths under `/api/v1` answer as Prometheus 3.5 does, so that Grafana's Prometheus data source and `promtool query`
//! work against this listener; errors there are `{"status":"error","errorType","error"}`. Queries run on threads of their
//! own, [`PrometheusConfig::max_concurrent_queries`] at once, within the limits of [`PrometheusConfig::engine`]; a query
//! ends when its client hangs up. Answers of more than some megabytes are written while they are sent.
//!
//! # Who may read what
//!
//! `/metrics` and health are open. For all else:
//!
//! | token | listener | a request needs |
//! |---|---|---|
//! | set | anywhere | `Authorization: Bearer TOKEN`, or HTTP Basic with the token as password, or the session cookie of `/login` |
//! | none | loopback | a `Host` that names loopback, against DNS rebinding |
//! | none | elsewhere | nothing helps: the listener refuses to start |
//!
//! A request other than GET or HEAD is refused when its `Origin` is not this listener. Tokens are compared in
//! constant time, wrong ones are limited by address and counted in `obskit_admin_auth_failures_total{reason}`.
//!
//! # Metrics
//!
//! [`describe`] registers their help texts.
//!
//! | metric | labels | |
//! |---|---|---|
//! | `obskit_admin_requests_total` | `path`, `status` | requests by route; unknown paths are `unmatched` |
//! | `obskit_admin_auth_failures_total` | `reason` | `wrong_token` or `rate_limited` |
//! | `obskit_queries` | | queries that are under way |
//! | `obskit_query_duration_seconds` | | how long queries took, the time in line included |
//! | `obskit_query_failures_total` | `reason` | queries without a result, by type of error |
//! | `obskit_remote_write_samples_total` | | samples that were stored |
//! | `obskit_remote_write_refused_total` | `reason` | samples that were refused |
//!
//! # Limits
//!
//! HTTP/1.1 without TLS: put a proxy in front where the network is not trusted. Requests, bodies, connections
//! and their durations are bounded by [`ServerConfig`]. Sessions at the console live in memory and end with the
//! process. One profile is taken at a time.

mod api;
mod config;
mod console;
mod error;
mod guard;
mod params;
mod reply;
mod router;
mod server;
mod state;

/// Registers the help texts of this crate's metrics with the recorder that is installed.
pub fn describe() {
    metrics::describe_counter!(
        "obskit_admin_requests_total",
        "Requests to the admin listener, by route and status"
    );
    metrics::describe_counter!(
        "obskit_admin_auth_failures_total",
        "Wrong or refused tokens that were presented to the admin listener"
    );
    metrics::describe_gauge!("obskit_queries", "Queries that are under way");
    metrics::describe_histogram!(
        "obskit_query_duration_seconds",
        "How long queries took, the time in line included"
    );
    metrics::describe_counter!(
        "obskit_query_failures_total",
        "Queries without a result, by type of error"
    );
    metrics::describe_counter!(
        "obskit_remote_write_samples_total",
        "Samples that were stored by remote write"
    );
    metrics::describe_counter!(
        "obskit_remote_write_refused_total",
        "Samples of remote writes that were refused, by reason"
    );
}

pub use config::{DEFAULT_PORT, PrometheusConfig, RemoteWriteConfig, Secret, ServerConfig};
pub use error::Error;
pub use server::{Bound, ServeReport, bind};
pub use state::AdminState;
