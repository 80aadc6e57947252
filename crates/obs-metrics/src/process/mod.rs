//! What the process itself uses: memory, CPU time, files, threads.
//!
//! `memory_usage_bytes{type}` has the types `rss` and `virtual` everywhere, and `heap_in_use` and
//! `heap_reserved` where the C library is glibc. On Linux there are also the `process_*` metrics that
//! Prometheus's own client libraries have, so that their dashboards work.

mod heap;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod units;

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};
use tokio::time::MissedTickBehavior;

use crate::catalog::ResourceMetrics;
use crate::registry::Registry;

/// How often [`ProcessMetrics::run`] reads the figures.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// The figures of this process, as gauges that are as fresh as the last refresh.
///
/// ```
/// use obs_metrics::{Registry, process::ProcessMetrics};
///
/// let registry = Registry::default();
/// ProcessMetrics::new(&registry).refresh();
/// assert!(registry.value("memory_usage_bytes", &[("type", "rss")]) > Some(100_000.0));
/// ```
pub struct ProcessMetrics {
    memory: ResourceMetrics,
    /// Absent where the system cannot be asked.
    system: Option<Mutex<System>>,
    pid: Option<Pid>,
    #[cfg(target_os = "linux")]
    process: process_family::ProcessFamily,
}

impl ProcessMetrics {
    /// The process metrics of `registry`; there are none before the first refresh.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self {
            memory: ResourceMetrics::new(registry),
            system: System::new().ok().map(Mutex::new),
            pid: sysinfo::get_current_pid().ok(),
            #[cfg(target_os = "linux")]
            process: process_family::ProcessFamily::new(registry),
        }
    }

    /// Reads all figures now. It reads a few small files, and takes well under a millisecond unless very many
    /// files are open. What cannot be read keeps its last value.
    pub fn refresh(&self) {
        if let Some((resident, virtual_size)) = self.sizes() {
            self.memory.set_memory("rss", resident);
            self.memory.set_memory("virtual", virtual_size);
        }
        if let Some(heap) = heap::read() {
            self.memory.set_memory("heap_in_use", heap.in_use);
            self.memory.set_memory("heap_reserved", heap.reserved);
        }
        #[cfg(target_os = "linux")]
        self.process.refresh();
    }

    /// Refreshes at once and then every [`REFRESH_INTERVAL`], for ever: spawn it, and abort the task to stop.
    pub async fn run(&self) {
        let mut ticks = tokio::time::interval(REFRESH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.refresh();
        }
    }

    fn sizes(&self) -> Option<(u64, u64)> {
        let pid = self.pid?;
        let mut system = self.system.as_ref()?.lock();
        let what = ProcessRefreshKind::nothing().with_memory();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, what);
        system.process(pid).map(|process| (process.memory(), process.virtual_memory()))
    }
}

impl fmt::Debug for ProcessMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessMetrics").field("pid", &self.pid).finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
mod process_family {
    //! The `process_*` metrics of Prometheus's client libraries.

    use super::linux::{self, Units};
    use super::units;
    use crate::registry::Registry;

    const HELP: [(&str, &str); 8] = [
        ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds."),
        ("process_max_fds", "Maximum number of open file descriptors."),
        ("process_open_fds", "Number of open file descriptors."),
        ("process_resident_memory_bytes", "Resident memory size in bytes."),
        ("process_start_time_seconds", "Start time of the process since unix epoch in seconds."),
        ("process_threads", "Number of OS threads in the process."),
        ("process_virtual_memory_bytes", "Virtual memory size in bytes."),
        (
            "process_virtual_memory_max_bytes",
            "Maximum amount of virtual memory available in bytes.",
        ),
    ];

    pub(super) struct ProcessFamily {
        registry: Registry,
        units: Units,
        booted: Option<f64>,
    }

    impl ProcessFamily {
        pub(super) fn new(registry: &Registry) -> Self {
            for (name, help) in HELP {
                registry.declare(name, help, None);
            }
            let registry = registry.clone();
            Self { registry, units: units::read(), booted: linux::boot_time_seconds() }
        }

        pub(super) fn refresh(&self) {
            // OK because a float holds bytes and counts exactly up to 2^53.
            let set = |name: &str, value: u64| self.registry.gauge(name, &[]).set(value as f64);
            if let Some(accounts) = linux::accounts(self.units) {
                let cpu = self.registry.float_counter("process_cpu_seconds_total", &[]);
                cpu.absolute(accounts.cpu_seconds);
                set("process_threads", accounts.threads);
                set("process_virtual_memory_bytes", accounts.virtual_bytes);
                set("process_resident_memory_bytes", accounts.resident_bytes);
                if let Some(booted) = self.booted {
                    let start = self.registry.gauge("process_start_time_seconds", &[]);
                    start.set(booted + accounts.started_after_boot);
                }
            }
            if let Some(open) = linux::open_files() {
                set("process_open_fds", open);
            }
            let limits = linux::limits();
            if let Some(max) = limits.open_files {
                set("process_max_fds", max);
            }
            if let Some(max) = limits.address_space_bytes {
                set("process_virtual_memory_max_bytes", max);
            }
        }
    }
}
