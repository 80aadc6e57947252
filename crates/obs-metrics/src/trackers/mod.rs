//! Measurements that a service reads back itself, and metrics that a configuration names.
//!
//! - [`LatencyTracker`] keeps durations in a histogram of bounded size and answers with percentiles.
//! - [`ThroughputMonitor`] counts the requests whose path matches a pattern, over a window that moves with time.
//! - [`ResourceMonitor`] keeps a day of a system's processors, memory, disks and network, with rules on them.
//! - [`Collector`] is a counter, gauge or histogram of a [`Registry`](crate::Registry) whose type is a text.
//!
//! The first three measure for themselves and are not exposed at `/metrics`; what they lose is, where a recorder is
//! installed: `obskit_trackers_refused_timers_total`, `obskit_trackers_abandoned_timers_total` and
//! `obskit_trackers_clamped_total`.

mod collector;
mod latency;
mod resources;
mod throughput;

pub use collector::{Collector, CollectorOptions};
pub use latency::{LatencyBucket, LatencyConfig, LatencySummary, LatencyTracker, Started};
pub use resources::{
    Measure, ReadSystem, ResourceAlert, ResourceConfig, ResourceMonitor, ResourceReading,
    ResourceRule, Threshold,
};
pub use throughput::{ThroughputConfig, ThroughputMonitor, ThroughputReport};
