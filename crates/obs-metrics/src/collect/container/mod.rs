//! The container that the process runs in: its limits, and what it uses of them.

mod group;

use std::fmt;
use std::fs;
use std::path::Path;

use metrics::Gauge;

use self::group::Group;
use super::Collect;
use super::text::Text;
use crate::error::Error;
use crate::registry::{FloatCounter, Registry};

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// What a control group says; what it does not say, or does not limit, is absent.
///
/// Limits are the tightest on the way from the process's own group up to the root, because a group is bound by its
/// parents too; usage is that of its own group.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ContainerReading {
    /// The most memory that it may use, in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// Memory that it uses, the page cache included, in bytes.
    pub memory_usage_bytes: Option<u64>,
    /// The same without pages of files that were not used lately, in bytes: what Kubernetes compares with the limit.
    pub memory_working_set_bytes: Option<u64>,
    /// How often a process of it was killed because the memory was used up.
    pub oom_kills: Option<u64>,
    /// CPU time that it may use in each [`cpu_period_seconds`](Self::cpu_period_seconds).
    pub cpu_quota_seconds: Option<f64>,
    /// The period that the quota is for.
    pub cpu_period_seconds: Option<f64>,
    /// CPU time that it has used.
    pub cpu_usage_seconds: Option<f64>,
    /// Periods in which it could have used its quota up.
    pub cpu_periods: Option<u64>,
    /// Periods in which it did, and had to wait.
    pub cpu_throttled_periods: Option<u64>,
    /// How long its threads had to wait.
    pub cpu_throttled_seconds: Option<f64>,
    /// Processes and threads in it.
    pub pids: Option<u64>,
    /// The most that it may have.
    pub pids_limit: Option<u64>,
}

impl ContainerReading {
    /// How many processors' time it may use: the quota divided by its period.
    #[must_use]
    pub fn cpu_limit_cores(&self) -> Option<f64> {
        Some(self.cpu_quota_seconds? / self.cpu_period_seconds?)
    }
}

/// What the control group of this process says now; nothing where there is none.
#[must_use]
pub fn read_container() -> Option<ContainerReading> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    Some(Group::find(Path::new(MOUNT), &membership)?.read(&mut Text::default()))
}

/// How much memory this process may use, in bytes: the container's limit or the machine's memory, whichever is
/// less; nothing where neither can be read.
#[must_use]
pub fn memory_limit_bytes() -> Option<u64> {
    let container = read_container().and_then(|reading| reading.memory_limit_bytes);
    let machine = super::SystemReader::new().memory().map(|memory| memory.total_bytes);
    container.into_iter().chain(machine).min()
}

/// The container's figures. The names are not those of cAdvisor, so that a sum over the containers of a cluster does
/// not count what a service says of itself for a second time:
///
/// | metric | |
/// |---|---|
/// | `cgroup_memory_limit_bytes` | the most memory it may use |
/// | `cgroup_memory_usage_bytes` | memory that it uses, page cache included |
/// | `cgroup_memory_working_set_bytes` | the same without file pages that were not used lately |
/// | `cgroup_oom_kills_total` | processes killed because the memory was used up |
/// | `cgroup_cpu_quota_seconds` | CPU time that it may use in a period |
/// | `cgroup_cpu_period_seconds` | the period |
/// | `cgroup_cpu_limit_cores` | the quota divided by the period |
/// | `cgroup_cpu_usage_seconds_total` | CPU time that it has used |
/// | `cgroup_cpu_periods_total` | periods in which it ran |
/// | `cgroup_cpu_throttled_periods_total` | periods in which it used its quota up |
/// | `cgroup_cpu_throttled_seconds_total` | how long its threads had to wait for the next period |
/// | `cgroup_pids` | processes and threads in it |
/// | `cgroup_pids_limit` | the most it may have |
///
/// Versions 1 and 2 of control groups are read, and the hybrid of both. What is not limited is not shown.
pub struct ContainerCollector {
    group: Group,
    text: Text,
    gauges: [(Read, Lazy<Gauge>); 8],
    counters: [(Read, Lazy<FloatCounter>); 5],
}

type Read = fn(&ContainerReading) -> Option<f64>;

/// A handle that is made when there is something to show.
struct Lazy<H> {
    registry: Registry,
    name: &'static str,
    handle: Option<H>,
}

const GAUGES: [(&str, &str, Read); 8] = [
    ("cgroup_memory_limit_bytes", "Most memory that the container may use in bytes.", |of| {
        of.memory_limit_bytes.map(float)
    }),
    ("cgroup_memory_usage_bytes", "Memory that the container uses in bytes.", |of| {
        of.memory_usage_bytes.map(float)
    }),
    (
        "cgroup_memory_working_set_bytes",
        "Memory that the container uses in bytes, without inactive file pages.",
        |of| of.memory_working_set_bytes.map(float),
    ),
    ("cgroup_cpu_quota_seconds", "CPU time that the container may use in a period.", |of| {
        of.cpu_quota_seconds
    }),
    ("cgroup_cpu_period_seconds", "Period of the container's CPU quota.", |of| {
        of.cpu_period_seconds
    }),
    ("cgroup_cpu_limit_cores", "Processors that the container may use.", |of| of.cpu_limit_cores()),
    ("cgroup_pids", "Processes and threads in the container.", |of| of.pids.map(float)),
    ("cgroup_pids_limit", "Most processes and threads that the container may have.", |of| {
        of.pids_limit.map(float)
    }),
];

const COUNTERS: [(&str, &str, Read); 5] = [
    ("cgroup_oom_kills_total", "Processes of the container killed for lack of memory.", |of| {
        of.oom_kills.map(float)
    }),
    ("cgroup_cpu_usage_seconds_total", "CPU time that the container used.", |of| {
        of.cpu_usage_seconds
    }),
    ("cgroup_cpu_periods_total", "Periods of the CPU quota that passed.", |of| {
        of.cpu_periods.map(float)
    }),
    (
        "cgroup_cpu_throttled_periods_total",
        "Periods in which the container used its CPU quota up.",
        |of| of.cpu_throttled_periods.map(float),
    ),
    ("cgroup_cpu_throttled_seconds_total", "Time that threads waited for CPU quota.", |of| {
        of.cpu_throttled_seconds
    }),
];

fn float(value: u64) -> f64 {
    // OK because a float holds bytes and counts exactly up to 2^53.
    value as f64
}

impl ContainerCollector {
    /// The container metrics of `registry`; nothing where there is no control group.
    #[must_use]
    pub fn detect(registry: &Registry) -> Option<Self> {
        let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
        Self::of(registry, Path::new(MOUNT), &membership)
    }

    /// As [`ContainerCollector::detect`], of a process whose `/proc/PID/cgroup` reads as `membership` and which sees
    /// the control groups below `mount`.
    #[must_use]
    pub fn of(registry: &Registry, mount: &Path, membership: &str) -> Option<Self> {
        let group = Group::find(mount, membership)?;
        for (name, help, _) in GAUGES.iter().chain(&COUNTERS) {
            registry.declare(name, help, None);
        }
        Some(Self {
            group,
            text: Text::default(),
            gauges: GAUGES.map(|(name, _, read)| (read, Lazy::new(registry, name))),
            counters: COUNTERS.map(|(name, _, read)| (read, Lazy::new(registry, name))),
        })
    }
}

impl<H> Lazy<H> {
    fn new(registry: &Registry, name: &'static str) -> Self {
        Self { registry: registry.clone(), name, handle: None }
    }

    fn get(&mut self, make: fn(&Registry, &str) -> H) -> &H {
        self.handle.get_or_insert_with(|| make(&self.registry, self.name))
    }
}

impl Collect for ContainerCollector {
    fn name(&self) -> &'static str {
        "container"
    }

    fn refresh(&mut self) -> Result<(), Error> {
        let reading = self.group.read(&mut self.text);
        if reading == ContainerReading::default() {
            return Err(Error::unreadable("the control group", "none of its files can be read"));
        }
        for (read, gauge) in &mut self.gauges {
            if let Some(value) = read(&reading) {
                gauge.get(|registry, name| registry.gauge(name, &[])).set(value);
            }
        }
        for (read, counter) in &mut self.counters {
            if let Some(value) = read(&reading) {
                counter.get(|registry, name| registry.float_counter(name, &[])).absolute(value);
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ContainerCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerCollector").field("group", &self.group).finish_non_exhaustive()
    }
}
