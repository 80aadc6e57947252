//! Error capture, fingerprints and groups of obskit.
//!
//! An [`ErrorTracker`] takes errors that the code hands over, log lines at level ERROR and panics. Each becomes
//! an [`ErrorEvent`](obs_model::ErrorEvent) with an id of its own, the current
//! [`Context`](obs_model::Context), its chain of sources, its place, environment and version; secrets are
//! removed from every text. Events with the same *fingerprint* are one [`ErrorGroup`] with a count. A captured
//! error or panic is counted through the `metrics` crate and written as one `tracing` line at level ERROR with
//! the target [`LOG_TARGET`].
//!
//! ```
//! use std::sync::Arc;
//! use obs_errors::{Details, ErrorConfig, ErrorTracker};
//! use obs_model::{Context, SystemClock};
//!
//! let tracker = ErrorTracker::new(ErrorConfig::default(), Arc::new(SystemClock::new()));
//! let _entered = Context::new().with_user("u-17").enter();
//!
//! let parse = |text: &str| tracker.run(|| text.parse::<u16>());
//! assert_eq!(parse("80"), Ok(80));
//! assert!(parse("eighty").is_err()); // captured, and handed on untouched
//! assert!(parse("70000").is_err());
//!
//! let error = "x".parse::<f64>().unwrap_err();
//! let captured = tracker.capture_with(
//!     &error,
//!     Details { input: Some(&"amount=x token=abc"), ..Details::default() },
//! );
//! let event = tracker.event(captured.id).expect("the latest events are kept");
//! assert_eq!(event.input.as_deref(), Some("amount=x token=[redacted]"));
//! assert_eq!(event.context.user(), Some("u-17"));
//!
//! let statistics = tracker.statistics();
//! assert_eq!((statistics.total, statistics.unique_fingerprints), (3, 3));
//! ```
//!
//! # Which errors are one group
//!
//! The fingerprint is a stable hash of 128 bits over the error's type, its message and those of its sources, and
//! the source file of the capture; for a walked stack, also the three innermost functions of the service itself.
//! Messages count by their words: quoted texts, numbers, ids, addresses, URLs and paths in them do not count, so
//! `near "SELEC": syntax error` is one group whatever was quoted, while `no such table: users` and
//! `no such column: name` are two. Line numbers, versions, build folders and hosts do not count either. A caller
//! who knows better names the group with [`Details::group_key`].
//!
//! Panics depend on function names: builds with and without debug information may group them differently,
//! because the compiler inlines functions that only debug information still names.
//!
//! # Metrics
//!
//! | metric | labels | |
//! |---|---|---|
//! | `obskit_errors_total` | `error_type`, `mechanism` | errors taken; types beyond [`ErrorConfig::max_error_types`] are `other` |
//! | `obskit_error_groups` | | groups kept |
//! | `obskit_error_groups_evicted_total` | | groups evicted to make room |
//! | `obskit_error_events_evicted_total` | `bound` | events evicted, by the bound that asked for it |
//!
//! # Limits
//!
//! Groups, events, their size and their memory are bounded by [`ErrorConfig`]; what is beyond is evicted, oldest
//! first, and counted. Capturing formats the error on the calling thread, once, up to those bounds; an error
//! whose `Display` panics is captured with what it had written. An error that is captured twice on its way up is
//! counted twice. A panic of a process that aborts is captured and logged, but kept nowhere that outlives it.

mod config;
mod error;
mod fingerprint;
mod global;
mod groups;
mod log_sink;
mod names;
mod normalise;
mod panic_hook;
mod stack;
mod statistics;
mod text;
mod tracker;
mod watch;

pub use config::{Backtraces, ErrorConfig};
pub use error::Error;
pub use global::{capture, capture_with, global, run, set_global, watch};
pub use groups::ErrorGroup;
pub use statistics::Statistics;
pub use tracker::{Captured, Details, ErrorTracker, LOG_TARGET};
