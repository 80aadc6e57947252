//! The machine: processors, memory, load, network, file systems and disks.

mod cpu;
mod disks;
mod reader;

use std::fmt;

use metrics::{Counter, Gauge};

pub use self::cpu::CpuTimes;
pub use self::disks::DiskCollector;
pub use self::reader::{
    DiskReading, FileSystem, InterfaceReading, MemoryReading, SystemReader, SystemReading,
};
use super::Collect;
use crate::error::Error;
use crate::registry::{FloatCounter, Registry};

/// How many network interfaces, file systems and disks are shown, each.
const MAX_DEVICES: usize = 64;

const LEFT_OUT: &str = "obskit_collector_left_out";

/// The machine's processors, memory, load and network, by the names that OpenTelemetry has for them in the form that
/// Prometheus gives them:
///
/// | metric | |
/// |---|---|
/// | `system_cpu_time_seconds_total{mode}` | time of all processors; modes `user`, `nice`, `system`, `idle`, `iowait`, `irq`, `softirq`, `steal`. Linux only |
/// | `system_cpu_utilization_ratio` | the share of all processors' time that was not idle since the last refresh, 0 to 1 |
/// | `system_cpu_logical_processors` | processors |
/// | `system_cpu_load_average_1m`, `…_5m`, `…_15m` | load averages; not on Windows |
/// | `system_memory_limit_bytes` | memory |
/// | `system_memory_usage_bytes{state}` | `used` and `available`, which add up to the limit |
/// | `system_paging_usage_bytes{state}` | swap space, `used` and `free` |
/// | `system_network_io_bytes_total{device,direction}` | bytes; directions `receive` and `transmit` |
/// | `system_network_packets_total{device,direction}` | packets |
/// | `system_network_errors_total{device,direction}` | packets with errors |
/// | `system_uptime_seconds` | time since the machine began |
///
/// 64 network interfaces are shown; `obskit_collector_left_out{collector}` says how many there are beyond. The loopback
/// interface is left out.
pub struct SystemCollector {
    registry: Registry,
    reader: SystemReader,
    before: Option<CpuTimes>,
    single: Single,
    cpu_times: Vec<FloatCounter>,
    interfaces: Vec<(Box<str>, [Total; 6])>,
    left_out: Gauge,
}

/// A counter that follows a total of the kernel's, which begins again when an interface is made anew.
struct Total {
    counter: Counter,
    last: u64,
}

impl Total {
    fn follow(&mut self, now: u64) {
        self.counter.increment(if now < self.last { now } else { now - self.last });
        self.last = now;
    }
}

/// The gauges without labels, made when there is something to show.
struct Single(Registry);

impl Single {
    fn set(&self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.0.gauge(name, &[]).set(value);
        }
    }
}

const HELP: [(&str, &str); 13] = [
    ("system_cpu_time_seconds_total", "Time of all processors in seconds, by mode."),
    ("system_cpu_utilization_ratio", "Share of all processors' time that was not idle."),
    ("system_cpu_logical_processors", "Logical processors of the machine."),
    ("system_cpu_load_average_1m", "Load average over one minute."),
    ("system_cpu_load_average_5m", "Load average over five minutes."),
    ("system_cpu_load_average_15m", "Load average over fifteen minutes."),
    ("system_memory_limit_bytes", "Memory of the machine in bytes."),
    ("system_memory_usage_bytes", "Memory of the machine in bytes, by state."),
    ("system_paging_usage_bytes", "Swap space of the machine in bytes, by state."),
    ("system_network_io_bytes_total", "Bytes over the network, by interface and direction."),
    ("system_network_packets_total", "Packets over the network, by interface and direction."),
    ("system_network_errors_total", "Packets with errors, by interface and direction."),
    ("system_uptime_seconds", "Time since the machine began in seconds."),
];

/// The metrics of one interface, in the order of the handles.
const OF_INTERFACE: [(&str, &str); 6] = [
    ("system_network_io_bytes_total", "receive"),
    ("system_network_io_bytes_total", "transmit"),
    ("system_network_packets_total", "receive"),
    ("system_network_packets_total", "transmit"),
    ("system_network_errors_total", "receive"),
    ("system_network_errors_total", "transmit"),
];

impl SystemCollector {
    /// The metrics of the machine in `registry`; there are none before the first refresh.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        for (name, help) in HELP {
            registry.declare(name, help, None);
        }
        Self {
            registry: registry.clone(),
            reader: SystemReader::new(),
            before: None,
            single: Single(registry.clone()),
            cpu_times: Vec::new(),
            interfaces: Vec::new(),
            left_out: left_out(registry, "system"),
        }
    }

    fn show_cpu(&mut self) {
        let cpu = self.reader.cpu();
        if let Some(times) = cpu.times {
            let registry = &self.registry;
            let counter =
                |mode| registry.float_counter("system_cpu_time_seconds_total", &[("mode", mode)]);
            if self.cpu_times.is_empty() {
                self.cpu_times = CpuTimes::MODES.map(counter).into();
            }
            for (counter, seconds) in self.cpu_times.iter().zip(times.in_order()) {
                counter.absolute(seconds);
            }
        }
        let busy = match (cpu.times, self.before) {
            (Some(times), Some(before)) => times.busy_ratio_since(&before),
            (Some(_), None) => None,
            (None, _) => cpu.busy_ratio,
        };
        self.before = cpu.times;
        self.single.set("system_cpu_utilization_ratio", busy);
        self.single.set("system_cpu_logical_processors", cpu.count.map(|count| count as f64));
        let load = self.reader.load();
        for (minutes, name) in [
            "system_cpu_load_average_1m",
            "system_cpu_load_average_5m",
            "system_cpu_load_average_15m",
        ]
        .into_iter()
        .enumerate()
        {
            self.single.set(name, load.map(|load| load[minutes]));
        }
    }

    fn show_memory(&mut self) -> Result<(), Error> {
        let memory = self
            .reader
            .memory()
            .ok_or_else(|| Error::unreadable("the machine's memory", "the system says nothing"))?;
        // OK because a float holds bytes exactly up to 8 PiB.
        self.single.set("system_memory_limit_bytes", Some(memory.total_bytes as f64));
        for (name, state, bytes) in [
            ("system_memory_usage_bytes", "used", memory.used_bytes()),
            ("system_memory_usage_bytes", "available", memory.available_bytes),
            ("system_paging_usage_bytes", "used", memory.swap_used_bytes),
            ("system_paging_usage_bytes", "free", memory.swap_free_bytes()),
        ] {
            self.registry.gauge(name, &[("state", state)]).set(bytes as f64);
        }
        Ok(())
    }

    fn show_network(&mut self) {
        let interfaces = self.reader.network();
        let shown = interfaces.len().min(MAX_DEVICES);
        self.left_out.set((interfaces.len() - shown) as f64);
        self.interfaces.retain(|(name, _)| interfaces.iter().any(|of| *of.name == **name));
        for interface in &interfaces[..shown] {
            let known = self.interfaces.iter().position(|(name, _)| **name == *interface.name);
            let index = known.unwrap_or_else(|| {
                let counters = OF_INTERFACE.map(|(name, direction)| {
                    let labels = [("device", &*interface.name), ("direction", direction)];
                    Total { counter: self.registry.counter(name, &labels), last: 0 }
                });
                self.interfaces.push((Box::from(&*interface.name), counters));
                self.interfaces.len() - 1
            });
            for (total, value) in self.interfaces[index].1.iter_mut().zip(interface.in_order()) {
                total.follow(value);
            }
        }
    }
}

impl Collect for SystemCollector {
    fn name(&self) -> &'static str {
        "system"
    }

    fn refresh(&mut self) -> Result<(), Error> {
        self.show_cpu();
        self.show_network();
        self.single.set("system_uptime_seconds", self.reader.uptime_seconds());
        self.show_memory()
    }
}

impl fmt::Debug for SystemCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemCollector").finish_non_exhaustive()
    }
}

/// The gauge of what a collector leaves out.
fn left_out(registry: &Registry, collector: &'static str) -> Gauge {
    registry.declare(
        LEFT_OUT,
        "Devices that a collector leaves out because they are too many.",
        None,
    );
    registry.gauge(LEFT_OUT, &[("collector", collector)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_that_begins_again_is_added_to_what_there_was() {
        let registry = Registry::default();
        let mut total = Total { counter: registry.counter("x_total", &[]), last: 0 };
        for (now, expected) in [(5, 5.0), (7, 7.0), (7, 7.0), (3, 10.0), (4, 11.0)] {
            total.follow(now);
            assert_eq!(registry.value("x_total", &[]), Some(expected));
        }
    }
}
