//! Health checks and reports of obskit.
//!
//! A [`HealthRegistry`] holds [`Check`]s: each has a name, says whether the service works without it, how long it
//! may take and to which [`Probe`]s it belongs. A report runs its checks side by side. One that times out or
//! panics is unhealthy and harms no other.
//!
//! ```
//! use std::sync::Arc;
//! use obs_health::{Check, CheckOutcome, Criticality, HealthConfig, HealthRegistry, Probe, json};
//! use obs_model::{HealthStatus, SystemClock};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let health = HealthRegistry::new(HealthConfig::default(), Arc::new(SystemClock::new()));
//! health.add(Check::new("database", || async {
//!     CheckOutcome::healthy().with_detail("connections", 3_u64)
//! }))?;
//! health.add(
//!     Check::blocking("mail", || Err::<(), _>("relay refused the connection"))
//!         .with_criticality(Criticality::NonCritical)
//!         .only_on([Probe::Readiness]),
//! )?;
//!
//! let report = health.ready().await;
//! assert_eq!(report.status, HealthStatus::Degraded);
//! assert_eq!(report.checks["mail"].message, "relay refused the connection");
//! assert_eq!(json::http_status(report.status), 200);
//! assert!(json::to_string(&report).starts_with(r#"{"status":"degraded","#));
//!
//! // No check says that a restart would help.
//! assert_eq!(health.live().await.status, HealthStatus::Healthy);
//! // The service has not said that it has started.
//! assert_eq!(health.startup().await.status, HealthStatus::Unhealthy);
//! # Ok::<(), obs_health::Error>(())
//! # }).unwrap();
//! ```
//!
//! # What a status means
//!
//! | a check is | critical | the service is | HTTP |
//! |---|---|---|---|
//! | healthy | either | healthy | 200 |
//! | degraded | either | degraded | 200 |
//! | unhealthy | no | degraded | 200 |
//! | unhealthy | yes | unhealthy | 503 |
//!
//! # Many probes at once
//!
//! A check runs once at a time. Whoever asks meanwhile gets the result of that run, and whoever asks within
//! [`cache_for`](HealthConfig::cache_for) of its beginning gets it again; a failure is not hidden for longer. The
//! run goes on when the caller that began it goes away.
//!
//! # Metrics
//!
//! | metric | labels | |
//! |---|---|---|
//! | `obskit_health_status` | `check` | 1 healthy, 0.5 degraded, 0 unhealthy, NaN removed; as of the last run |
//! | `obskit_health_check_duration_seconds` | `check` | how long each run took |
//!
//! # Limits
//!
//! Checks run only when a report is asked for. The number of checks, the length of messages and the number and
//! length of details are bounded, and secrets are removed from them. A blocking check that never returns holds one
//! thread for ever, and only one. An asynchronous check that blocks its thread cannot be timed out: use
//! [`Check::blocking`].

mod check;
mod error;
pub mod json;
mod registry;
mod run;

pub use check::{Check, CheckOutcome, Criticality, Probe};
pub use error::Error;
pub use registry::{HealthConfig, HealthRegistry};
