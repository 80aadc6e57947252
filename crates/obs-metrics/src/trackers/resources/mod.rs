//! The resources of a system: what they are now, what they were, and rules on them.

mod rules;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, Timestamp};
use parking_lot::{Mutex, RwLock};

pub use self::rules::{Measure, ResourceAlert, ResourceRule, Threshold};
use crate::collect::{Collect, CpuTimes, FileSystem, MemoryReading, SystemReader, SystemReading};
use crate::error::{Error, Kind};

/// The most readings that a monitor keeps.
const MAX_READINGS: usize = 100_000;

/// The most file systems of one reading.
const MAX_FILE_SYSTEMS: usize = 64;

/// What a [`ResourceMonitor`] watches, and how much it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceConfig {
    /// The name of the system, which alerts carry; `local` by default.
    pub system: String,
    /// How long readings are kept; 24 hours by default.
    pub history: Duration,
    /// How often [`ResourceMonitor::collect`] is called; 10 s by default. As many readings are kept as fit into the
    /// history, 100,000 at most.
    pub interval: Duration,
}

impl Default for ResourceConfig {
    fn default() -> Self {
        Self {
            system: "local".to_owned(),
            history: Duration::from_hours(24),
            interval: Duration::from_secs(10),
        }
    }
}

/// The resources of a system at one time. What the system does not tell is absent; rates are absent in the first
/// reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceReading {
    /// When they were read.
    pub at: Timestamp,
    /// The share of the processors' time that was not idle since the reading before, 0 to 1.
    pub cpu_ratio: Option<f64>,
    /// Logical processors.
    pub cpu_count: Option<usize>,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: Option<[f64; 3]>,
    /// Memory and swap space.
    pub memory: Option<MemoryReading>,
    /// File systems, by mount point.
    pub file_systems: Vec<FileSystem>,
    /// Bytes read from all disks per second since the reading before.
    pub disk_read_bytes_per_second: Option<f64>,
    /// Bytes written to all disks per second since the reading before.
    pub disk_written_bytes_per_second: Option<f64>,
    /// Bytes received over all network interfaces per second since the reading before.
    pub network_received_bytes_per_second: Option<f64>,
    /// Bytes sent over all network interfaces per second since the reading before.
    pub network_transmitted_bytes_per_second: Option<f64>,
}

/// Where a [`ResourceMonitor`] reads: this machine, or whatever a closure says.
pub trait ReadSystem: Send {
    /// What the system says now.
    fn read_system(&mut self) -> SystemReading;
}

impl ReadSystem for SystemReader {
    fn read_system(&mut self) -> SystemReading {
        self.read()
    }
}

impl<F: FnMut() -> SystemReading + Send> ReadSystem for F {
    fn read_system(&mut self) -> SystemReading {
        self()
    }
}

/// Watches the processors, memory, disks and network of a system.
///
/// [`collect`](Self::collect) takes a reading and keeps it; somebody has to call it, such as
/// [`Collectors`](crate::collect::Collectors) with the monitor's [`collector`](Self::collector). A day of readings takes
/// about 2 MB, and 64 bytes more for each file system and reading.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use obs_metrics::collect::{MemoryReading, SystemReading};
/// use obs_metrics::trackers::{Measure, ResourceConfig, ResourceMonitor, ResourceRule, Threshold};
/// use obs_model::ManualClock;
///
/// // A service has `ResourceMonitor::new(config, clock)`, which reads this machine.
/// let full = MemoryReading { total_bytes: 100, available_bytes: 5, ..MemoryReading::default() };
/// let read = move || SystemReading { memory: Some(full), ..SystemReading::default() };
/// let clock = Arc::new(ManualClock::default());
/// let monitor = ResourceMonitor::with_source(ResourceConfig::default(), clock.clone(), read);
/// monitor.add_rule(ResourceRule {
///     name: "memory is short".to_owned(),
///     measure: Measure::MemoryRatio,
///     threshold: Threshold::Above(0.9),
///     held_for: Duration::from_secs(60),
/// })?;
///
/// monitor.collect();
/// assert!(monitor.check_alerts().is_empty());
/// clock.advance(Duration::from_secs(60));
/// monitor.collect();
/// assert_eq!(monitor.check_alerts()[0].value, 0.95);
/// assert_eq!(monitor.history(Duration::from_hours(24)).len(), 2);
/// # Ok::<(), obs_metrics::Error>(())
/// ```
pub struct ResourceMonitor {
    config: ResourceConfig,
    clock: Arc<dyn Clock>,
    /// Held while the system is asked, which may take long; nothing else waits for it.
    source: Mutex<Source>,
    readings: RwLock<VecDeque<Arc<ResourceReading>>>,
    rules: RwLock<Vec<ResourceRule>>,
}

struct Source {
    read: Box<dyn ReadSystem>,
    /// What rates are about: the last reading, and when it was on the clock that never goes back.
    before: Option<(Duration, Before)>,
}

/// The totals of a reading.
struct Before {
    cpu: Option<CpuTimes>,
    disks: Option<[u64; 2]>,
    network: Option<[u64; 2]>,
}

impl ResourceMonitor {
    /// A monitor of this machine.
    #[must_use]
    pub fn new(config: ResourceConfig, clock: Arc<dyn Clock>) -> Self {
        Self::with_source(config, clock, SystemReader::new())
    }

    /// A monitor of another system, or of a part of this one.
    #[must_use]
    pub fn with_source(
        config: ResourceConfig,
        clock: Arc<dyn Clock>,
        source: impl ReadSystem + 'static,
    ) -> Self {
        let source = Mutex::new(Source { read: Box::new(source), before: None });
        Self { config, clock, source, readings: RwLock::default(), rules: RwLock::default() }
    }

    /// Reads the resources now and keeps the reading.
    pub fn collect(&self) -> Arc<ResourceReading> {
        let mut source = self.source.lock();
        let mut system = source.read.read_system();
        let (at, elapsed) = (self.clock.now(), self.clock.monotonic());
        system.file_systems.truncate(MAX_FILE_SYSTEMS);
        if let Some(last) = self.latest() {
            share_names(&mut system.file_systems, &last.file_systems);
        }
        let now = Before::of(&system);
        let before = source.before.as_ref();
        let mut reading = ResourceReading {
            at,
            cpu_ratio: system.cpu_busy_ratio,
            cpu_count: system.cpu_count,
            load: system.load,
            memory: system.memory,
            file_systems: system.file_systems,
            ..ResourceReading::default()
        };
        if let Some((then, before)) = before {
            let seconds = elapsed.saturating_sub(*then).as_secs_f64();
            if let (Some(times), Some(before)) = (now.cpu, before.cpu) {
                reading.cpu_ratio = times.busy_ratio_since(&before);
            }
            let disks = rates(now.disks, before.disks, seconds);
            reading.disk_read_bytes_per_second = disks.map(|rates| rates[0]);
            reading.disk_written_bytes_per_second = disks.map(|rates| rates[1]);
            let network = rates(now.network, before.network, seconds);
            reading.network_received_bytes_per_second = network.map(|rates| rates[0]);
            reading.network_transmitted_bytes_per_second = network.map(|rates| rates[1]);
        }
        source.before = Some((elapsed, now));
        // Kept while the source is held, so that readings are in order.
        self.keep(Arc::new(reading))
    }

    fn keep(&self, reading: Arc<ResourceReading>) -> Arc<ResourceReading> {
        let interval = self.config.interval.max(Duration::from_millis(1));
        let fit = self.config.history.as_millis().div_ceil(interval.as_millis());
        let most = usize::try_from(fit).unwrap_or(usize::MAX).clamp(1, MAX_READINGS);
        let mut readings = self.readings.write();
        while readings.len() >= most {
            readings.pop_front();
        }
        let oldest = reading.at.minus(self.config.history);
        while readings.pop_front_if(|first| first.at < oldest).is_some() {}
        readings.push_back(Arc::clone(&reading));
        reading
    }

    /// The last reading.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<ResourceReading>> {
        self.readings.read().back().cloned()
    }

    /// The readings of the last `window`, oldest first.
    #[must_use]
    pub fn history(&self, window: Duration) -> Vec<Arc<ResourceReading>> {
        let from = self.clock.now().minus(window);
        self.readings.read().iter().filter(|reading| reading.at >= from).cloned().collect()
    }

    /// Adds a rule, in place of the one of its name if there is one.
    ///
    /// # Errors
    ///
    /// When it has no name, its threshold is not a number, or there are 1,000 rules already; all problems are told at
    /// once ([`Error::is_invalid_tracker`]).
    pub fn add_rule(&self, rule: ResourceRule) -> Result<(), Error> {
        let mut rules = self.rules.write();
        let known = rules.iter().position(|known| known.name == rule.name);
        let problems = rule.problems(rules.len(), known.is_some());
        if !problems.is_empty() {
            let target = format!("the resource rule {:?}", rule.name);
            return Err(Kind::InvalidTracker { target, problems: problems.join("; ") }.into());
        }
        match known {
            Some(index) => rules[index] = rule,
            None => rules.push(rule),
        }
        Ok(())
    }

    /// Takes a rule out; whether there was one of this name.
    pub fn remove_rule(&self, name: &str) -> bool {
        let mut rules = self.rules.write();
        let before = rules.len();
        rules.retain(|rule| rule.name != name);
        rules.len() < before
    }

    /// The rules, in the order in which they were added.
    #[must_use]
    pub fn rules(&self) -> Vec<ResourceRule> {
        self.rules.read().clone()
    }

    /// What the rules find in the last reading, and in those before it as far as a rule asks for them. Nothing when
    /// there is no reading.
    #[must_use]
    pub fn check_alerts(&self) -> Vec<ResourceAlert> {
        let readings = self.readings.read();
        let rules = self.rules.read();
        rules.iter().flat_map(|rule| rule.alerts(&self.config.system, &readings)).collect()
    }

    /// Calls [`collect`](Self::collect) every [`ResourceConfig::interval`], as one of the
    /// [`Collectors`](crate::collect::Collectors).
    #[must_use]
    pub fn collector(self: &Arc<Self>) -> impl Collect + use<> {
        MonitorCollector(Arc::clone(self))
    }
}

/// Takes the readings of a monitor.
struct MonitorCollector(Arc<ResourceMonitor>);

impl Collect for MonitorCollector {
    fn name(&self) -> &'static str {
        "resources"
    }

    fn refresh(&mut self) -> Result<(), Error> {
        self.0.collect();
        Ok(())
    }

    fn interval(&self) -> Duration {
        self.0.config.interval
    }

    fn may_hang(&self) -> bool {
        true
    }
}

impl Before {
    fn of(system: &SystemReading) -> Self {
        let sum = |all: &mut dyn Iterator<Item = [u64; 2]>| {
            all.reduce(|left, right| {
                [left[0].saturating_add(right[0]), left[1].saturating_add(right[1])]
            })
        };
        let mut disks = system.disks.iter().map(|disk| [disk.read_bytes, disk.written_bytes]);
        let mut network =
            system.interfaces.iter().map(|of| [of.received_bytes, of.transmitted_bytes]);
        Self { cpu: system.cpu_times, disks: sum(&mut disks), network: sum(&mut network) }
    }
}

/// How fast totals grew; nothing when no time passed, or when one of them fell because a device is gone.
fn rates(now: Option<[u64; 2]>, before: Option<[u64; 2]>, seconds: f64) -> Option<[f64; 2]> {
    let (now, before) = now.zip(before).filter(|_| seconds > 0.0)?;
    let grown = [now[0].checked_sub(before[0])?, now[1].checked_sub(before[1])?];
    Some(grown.map(|bytes| bytes as f64 / seconds))
}

/// Makes file systems share their names with those of the reading before, so that a history holds each name once.
fn share_names(file_systems: &mut [FileSystem], before: &[FileSystem]) {
    for file_system in file_systems {
        let is_same = |known: &&FileSystem| {
            (&known.device, &known.mount_point, &known.kind)
                == (&file_system.device, &file_system.mount_point, &file_system.kind)
        };
        if let Some(known) = before.iter().find(is_same) {
            file_system.device = Arc::clone(&known.device);
            file_system.mount_point = Arc::clone(&known.mount_point);
            file_system.kind = Arc::clone(&known.kind);
        }
    }
}

impl fmt::Debug for ResourceMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceMonitor").field("config", &self.config).finish_non_exhaustive()
    }
}
