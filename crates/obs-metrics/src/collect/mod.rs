//! Figures that nobody records: they are read from the system, on a schedule, by a thread of their own.
//!
//! | collector | metrics | how often |
//! |---|---|---|
//! | [`ProcessCollector`] | `process_…` and `memory_usage_bytes{type}` | 10 s |
//! | [`ContainerCollector`] | `cgroup_…`: the limits of the container, and what it uses of them | 10 s |
//! | [`SystemCollector`] | `system_…`: processors, memory, network, load of the machine | 10 s |
//! | [`DiskCollector`] | `system_filesystem_…` and `system_disk_…` | 60 s |
//! | [`RuntimeCollector`] | `tokio_…`: workers, tasks, queues, and how late the runtime is | 10 s |
//! | [`AllocatorCollector`] | `allocator_…`, where [`CountingAllocator`] is the global allocator | 10 s |
//! | [`GaugeCollector`] | a gauge whose value a closure says | as it is told |
//!
//! [`Collectors::standard`] has all of them that make sense where it runs. A service adds its own by [`Collect`].
//!
//! ```
//! use obs_metrics::Registry;
//! use obs_metrics::collect::{Collectors, GaugeCollector};
//!
//! let registry = Registry::default();
//! let mut collectors = Collectors::standard(&registry)
//!     .with(GaugeCollector::new(&registry, "pool_size", "Connections of the pool.", || Some(8.0)));
//! collectors.refresh(); // A service calls `start` instead, once, and keeps what it returns.
//! assert!(registry.value("process_resident_memory_bytes", &[]) > Some(100_000.0));
//! assert_eq!(registry.value("pool_size", &[]), Some(8.0));
//! ```
//!
//! # What goes wrong
//!
//! A collector that cannot read something keeps the values that it had and is counted in
//! `obskit_collector_failures_total{collector}`; nothing is logged.
//! `obskit_collector_duration_seconds{collector}` says how long its last refresh took. A collector that panics counts
//! as one that failed, and goes on. Collectors whose reads may hang, as those of file systems may, have a thread each,
//! so that they hold up no other.

mod allocator;
mod closure;
mod container;
mod process;
mod runtime;
mod schedule;
mod system;
mod text;
#[cfg(target_os = "linux")]
mod units;

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge};

pub use self::allocator::{Allocations, AllocatorCollector, CountingAllocator};
pub use self::closure::GaugeCollector;
pub use self::container::{
    ContainerCollector, ContainerReading, memory_limit_bytes, read_container,
};
pub use self::process::ProcessCollector;
pub use self::runtime::RuntimeCollector;
pub use self::schedule::Collecting;
pub use self::system::{
    CpuTimes, DiskCollector, DiskReading, FileSystem, InterfaceReading, MemoryReading,
    SystemCollector, SystemReader, SystemReading,
};
use crate::error::Error;
use crate::registry::Registry;

/// How often a collector is refreshed that says nothing else.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// The least time between two refreshes of a collector.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);

const FAILURES: &str = "obskit_collector_failures_total";
const DURATION: &str = "obskit_collector_duration_seconds";

/// Something that reads figures from elsewhere and sets metrics to them.
///
/// ```
/// use obs_metrics::collect::{Collect, Collectors};
/// use obs_metrics::{Error, Registry};
///
/// struct Uptime(Registry, std::time::Instant);
///
/// impl Collect for Uptime {
///     fn name(&self) -> &'static str {
///         "uptime"
///     }
///
///     fn refresh(&mut self) -> Result<(), Error> {
///         self.0.gauge("uptime_seconds", &[]).set(self.1.elapsed().as_secs_f64());
///         Ok(())
///     }
/// }
///
/// let registry = Registry::default();
/// let uptime = Uptime(registry.clone(), std::time::Instant::now());
/// Collectors::none(&registry).with(uptime).refresh();
/// assert!(registry.value("uptime_seconds", &[]).is_some());
/// assert_eq!(
///     registry.value("obskit_collector_failures_total", &[("collector", "uptime")]),
///     Some(0.0),
/// );
/// ```
pub trait Collect: Send {
    /// The value of the label `collector`; each collector of one registry has another.
    fn name(&self) -> &'static str;

    /// Reads the figures now and sets the metrics.
    ///
    /// # Errors
    ///
    /// When something that should be there could not be read ([`Error::unreadable`]). What could be read is set
    /// all the same; what could not keeps its last value.
    fn refresh(&mut self) -> Result<(), Error>;

    /// How often it should be refreshed.
    fn interval(&self) -> Duration {
        REFRESH_INTERVAL
    }

    /// Whether a refresh may take long or hang, so that it needs a thread of its own.
    fn may_hang(&self) -> bool {
        false
    }
}

/// Collectors that are refreshed on a schedule.
pub struct Collectors {
    registry: Registry,
    entries: Vec<Entry>,
}

/// A collector and the metrics about it.
struct Entry {
    collector: Box<dyn Collect>,
    failures: Counter,
    duration: Gauge,
}

impl Collectors {
    /// No collectors; see [`Collectors::with`].
    #[must_use]
    pub fn none(registry: &Registry) -> Self {
        registry.declare(
            FAILURES,
            "Refreshes that failed in part or in whole, by collector.",
            None,
        );
        registry.declare(DURATION, "Duration of the last refresh in seconds, by collector.", None);
        Self { registry: registry.clone(), entries: Vec::new() }
    }

    /// Every collector that makes sense here: the container's where there is a control group, the runtime's when
    /// the caller is in a tokio runtime, the allocator's when a [`CountingAllocator`] is in use.
    #[must_use]
    pub fn standard(registry: &Registry) -> Self {
        let mut all = Self::none(registry)
            .with(ProcessCollector::new(registry))
            .with(SystemCollector::new(registry))
            .with(DiskCollector::new(registry));
        if let Some(container) = ContainerCollector::detect(registry) {
            all = all.with(container);
        }
        if let Some(runtime) = RuntimeCollector::current(registry, "main") {
            all = all.with(runtime);
        }
        if let Some(allocator) = AllocatorCollector::detect(registry) {
            all = all.with(allocator);
        }
        all
    }

    /// These collectors and one more.
    #[must_use]
    pub fn with(mut self, collector: impl Collect + 'static) -> Self {
        let labels = [("collector", collector.name())];
        let failures = self.registry.counter(FAILURES, &labels);
        let duration = self.registry.gauge(DURATION, &labels);
        // Shown from the start, so that a rate sees the first failure.
        failures.increment(0);
        self.entries.push(Entry { collector: Box::new(collector), failures, duration });
        self
    }

    /// Refreshes all of them now, one after the other.
    pub fn refresh(&mut self) {
        for entry in &mut self.entries {
            entry.refresh();
        }
    }
}

impl Entry {
    fn refresh(&mut self) {
        let started = Instant::now();
        // OK because a collector that panicked merely reads again the next time.
        let result = panic::catch_unwind(AssertUnwindSafe(|| self.collector.refresh()));
        if !matches!(result, Ok(Ok(()))) {
            self.failures.increment(1);
        }
        self.duration.set(started.elapsed().as_secs_f64());
    }

    fn interval(&self) -> Duration {
        self.collector.interval().max(LEAST_INTERVAL)
    }
}

impl fmt::Debug for Collectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.entries.iter().map(|entry| entry.collector.name());
        f.debug_list().entries(names).finish()
    }
}
