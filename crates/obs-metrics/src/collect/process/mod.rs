//! What the process itself uses: memory, CPU time, files, threads.

mod heap;
#[cfg(target_os = "linux")]
mod linux;
// Built for the tests on Linux too, so that the two ways can be compared.
#[cfg(any(test, not(target_os = "linux")))]
mod other;

use std::fmt;

use metrics::Gauge;

use super::Collect;
use crate::catalog::ResourceMetrics;
use crate::error::Error;
use crate::registry::{FloatCounter, Registry};

#[cfg(target_os = "linux")]
use self::linux::Source;
#[cfg(not(target_os = "linux"))]
use self::other::Source;

/// A process's accounts; what a system does not tell is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Accounts {
    cpu_seconds: Option<f64>,
    threads: Option<u64>,
    open_files: Option<u64>,
    /// `u64::MAX` where there is no limit.
    max_open_files: Option<u64>,
    virtual_bytes: Option<u64>,
    /// `u64::MAX` where there is no limit.
    max_virtual_bytes: Option<u64>,
    resident_bytes: Option<u64>,
    start_time_seconds: Option<f64>,
}

/// The process's figures, by the names that Prometheus's own client libraries have for them:
///
/// | metric | |
/// |---|---|
/// | `process_cpu_seconds_total` | CPU time, in user and in system mode |
/// | `process_resident_memory_bytes` | memory that is in RAM |
/// | `process_virtual_memory_bytes` | address space |
/// | `process_virtual_memory_max_bytes` | its limit; 2⁶⁴ where there is none, as in the Go client. Linux only |
/// | `process_open_fds` | open file descriptors |
/// | `process_max_fds` | their limit |
/// | `process_threads` | threads of the operating system. Linux only |
/// | `process_start_time_seconds` | when it began, in seconds since the epoch |
/// | `memory_usage_bytes{type}` | `rss`, `virtual`; with glibc `heap_in_use` and `heap_reserved`, and with a [`CountingAllocator`](super::CountingAllocator) `heap_live` |
///
/// On Linux a refresh reads two small files of `/proc`, and takes about 10 µs; elsewhere it asks `sysinfo`.
///
/// ```
/// use obs_metrics::Registry;
/// use obs_metrics::collect::{Collect, ProcessCollector};
///
/// let registry = Registry::default();
/// ProcessCollector::new(&registry).refresh()?;
/// assert!(registry.value("memory_usage_bytes", &[("type", "rss")]) > Some(100_000.0));
/// # Ok::<(), obs_metrics::Error>(())
/// ```
pub struct ProcessCollector {
    registry: Registry,
    memory: ResourceMetrics,
    source: Source,
    shown: Option<Shown>,
}

/// The handles; a metric that was never read is not shown.
struct Shown {
    cpu: FloatCounter,
    gauges: [(Read, Gauge); 7],
}

const CPU: (&str, &str) =
    ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");

type Read = fn(&Accounts) -> Option<f64>;

// OK because a float holds bytes and counts exactly up to 2^53.
const GAUGES: [(&str, &str, Read); 7] = [
    ("process_max_fds", "Maximum number of open file descriptors.", |of| {
        of.max_open_files.map(|count| count as f64)
    }),
    ("process_open_fds", "Number of open file descriptors.", |of| {
        of.open_files.map(|count| count as f64)
    }),
    ("process_resident_memory_bytes", "Resident memory size in bytes.", |of| {
        of.resident_bytes.map(|bytes| bytes as f64)
    }),
    (
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        |of| of.start_time_seconds,
    ),
    ("process_threads", "Number of OS threads in the process.", |of| {
        of.threads.map(|count| count as f64)
    }),
    ("process_virtual_memory_bytes", "Virtual memory size in bytes.", |of| {
        of.virtual_bytes.map(|bytes| bytes as f64)
    }),
    (
        "process_virtual_memory_max_bytes",
        "Maximum amount of virtual memory available in bytes.",
        |of| of.max_virtual_bytes.map(|bytes| bytes as f64),
    ),
];

impl ProcessCollector {
    /// The process metrics of `registry`; there are none before the first refresh.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        for (name, help) in GAUGES.iter().map(|(name, help, _)| (*name, *help)).chain([CPU]) {
            registry.declare(name, help, None);
        }
        let memory = ResourceMetrics::new(registry);
        Self { registry: registry.clone(), memory, source: Source::new(), shown: None }
    }
}

impl Collect for ProcessCollector {
    fn name(&self) -> &'static str {
        "process"
    }

    fn refresh(&mut self) -> Result<(), Error> {
        if let Some(heap) = heap::read() {
            self.memory.set_memory("heap_in_use", heap.in_use);
            self.memory.set_memory("heap_reserved", heap.reserved);
        }
        if let Some(live) = super::Allocations::now() {
            self.memory.set_memory("heap_live", live.live_bytes());
        }
        let accounts = self.source.read()?;
        if let Some(bytes) = accounts.resident_bytes {
            self.memory.set_memory("rss", bytes);
        }
        if let Some(bytes) = accounts.virtual_bytes {
            self.memory.set_memory("virtual", bytes);
        }
        let registry = &self.registry;
        let shown = self.shown.get_or_insert_with(|| Shown {
            cpu: registry.float_counter(CPU.0, &[]),
            gauges: GAUGES.map(|(name, _, read)| match read(&accounts) {
                Some(_) => (read, registry.gauge(name, &[])),
                None => (read, Gauge::noop()),
            }),
        });
        if let Some(seconds) = accounts.cpu_seconds {
            shown.cpu.absolute(seconds);
        }
        for (read, gauge) in &shown.gauges {
            if let Some(value) = read(&accounts) {
                gauge.set(value);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ProcessCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessCollector").finish_non_exhaustive()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn sysinfo_tells_the_same_of_this_process_as_proc_does() {
        let (direct, asked) = (Source::new().read().unwrap(), other::Source::new().read().unwrap());
        let near = |read: fn(&Accounts) -> f64, slack: f64| {
            let (direct, asked) = (read(&direct), read(&asked));
            assert!((direct - asked).abs() <= slack, "{direct} {asked}");
        };
        near(|of| of.resident_bytes.unwrap() as f64, 64e6);
        near(|of| of.virtual_bytes.unwrap() as f64, 512e6);
        near(|of| of.start_time_seconds.unwrap(), 2.0);
        near(|of| of.cpu_seconds.unwrap(), 5.0);
        near(|of| of.open_files.unwrap() as f64, 300.0);
        assert_eq!(direct.max_open_files, asked.max_open_files);
    }
}
