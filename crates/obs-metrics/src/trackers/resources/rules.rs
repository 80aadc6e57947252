//! Rules on the resources of a system.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use obs_model::Timestamp;

use super::ResourceReading;

/// The most rules of one monitor.
const MAX_RULES: usize = 1_000;

/// What a [`ResourceRule`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// The share of the processors' time that was not idle, 0 to 1.
    CpuRatio,
    /// The load average over one minute divided by the number of processors.
    LoadPerCpu,
    /// The share of the memory that is not available, 0 to 1.
    MemoryRatio,
    /// The share of the swap space that is in use, 0 to 1; nothing where there is none.
    SwapRatio,
    /// The share of a file system that is in use, 0 to 1; of each by itself.
    FileSystemRatio,
    /// Bytes read from all disks per second.
    DiskReadBytesPerSecond,
    /// Bytes written to all disks per second.
    DiskWrittenBytesPerSecond,
    /// Bytes received over the network per second.
    NetworkReceivedBytesPerSecond,
    /// Bytes sent over the network per second.
    NetworkTransmittedBytesPerSecond,
}

/// When a value is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// When it is above this.
    Above(f64),
    /// When it is below this.
    Below(f64),
}

impl Threshold {
    fn is_passed(self, value: f64) -> bool {
        match self {
            Self::Above(limit) => value > limit,
            Self::Below(limit) => value < limit,
        }
    }
}

/// Says when a resource is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceRule {
    /// Its name, which is that of no other rule of the monitor.
    pub name: String,
    /// What is compared.
    pub measure: Measure,
    /// With what.
    pub threshold: Threshold,
    /// How long it has to be so, in every reading without an exception; zero for at once.
    pub held_for: Duration,
}

/// A resource that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceAlert {
    /// The name of the rule.
    pub rule: String,
    /// The name of the system.
    pub system: String,
    /// The mount point, if it is about one file system.
    pub subject: Option<Arc<str>>,
    /// What the last reading says.
    pub value: f64,
    /// What it was compared with.
    pub threshold: Threshold,
    /// The first of the readings in a row in which it was so.
    pub since: Timestamp,
}

impl ResourceRule {
    pub(super) fn problems(&self, count: usize, is_known: bool) -> Vec<String> {
        let mut problems = Vec::new();
        if self.name.is_empty() {
            problems.push("it has no name: a text that is not empty is accepted".to_owned());
        }
        let (Threshold::Above(limit) | Threshold::Below(limit)) = self.threshold;
        if !limit.is_finite() {
            problems.push(format!("the threshold is {limit}: a finite number is accepted"));
        }
        if count >= MAX_RULES && !is_known {
            problems.push(format!("there are {count} rules: at most {MAX_RULES} are accepted"));
        }
        problems
    }

    /// What the rule finds in the newest of `readings`, which are in order of time.
    pub(super) fn alerts(
        &self,
        system: &str,
        readings: &VecDeque<Arc<ResourceReading>>,
    ) -> Vec<ResourceAlert> {
        let Some(newest) = readings.back() else { return Vec::new() };
        let values = self.measure.of(newest);
        let passed = values.into_iter().filter(|(_, value)| self.threshold.is_passed(*value));
        passed
            .filter_map(|(subject, value)| {
                let since = self.since(subject.as_deref(), readings)?;
                (newest.at.since(since) >= self.held_for).then(|| ResourceAlert {
                    rule: self.name.clone(),
                    system: system.to_owned(),
                    subject,
                    value,
                    threshold: self.threshold,
                    since,
                })
            })
            .collect()
    }

    /// The first of the readings in a row, up to the newest, in which the threshold is passed.
    fn since(
        &self,
        subject: Option<&str>,
        readings: &VecDeque<Arc<ResourceReading>>,
    ) -> Option<Timestamp> {
        let is_passed = |reading: &&Arc<ResourceReading>| {
            self.measure
                .of(reading)
                .into_iter()
                .any(|(of, value)| of.as_deref() == subject && self.threshold.is_passed(value))
        };
        readings.iter().rev().take_while(is_passed).last().map(|reading| reading.at)
    }
}

impl Measure {
    /// The values in a reading: one, or one of each file system.
    fn of(self, reading: &ResourceReading) -> Vec<(Option<Arc<str>>, f64)> {
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let memory = reading.memory.as_ref();
        let value = match self {
            Self::CpuRatio => reading.cpu_ratio,
            Self::LoadPerCpu => reading
                .load
                .zip(reading.cpu_count)
                .map(|(load, count)| load[0] / count.max(1) as f64),
            Self::MemoryRatio => memory.and_then(|of| share(of.used_bytes(), of.total_bytes)),
            Self::SwapRatio => memory.and_then(|of| share(of.swap_used_bytes, of.swap_total_bytes)),
            Self::DiskReadBytesPerSecond => reading.disk_read_bytes_per_second,
            Self::DiskWrittenBytesPerSecond => reading.disk_written_bytes_per_second,
            Self::NetworkReceivedBytesPerSecond => reading.network_received_bytes_per_second,
            Self::NetworkTransmittedBytesPerSecond => reading.network_transmitted_bytes_per_second,
            Self::FileSystemRatio => {
                let used = |of: &crate::collect::FileSystem| {
                    let used = of.total_bytes.saturating_sub(of.available_bytes);
                    Some((Some(Arc::clone(&of.mount_point)), share(used, of.total_bytes)?))
                };
                return reading.file_systems.iter().filter_map(used).collect();
            }
        };
        value.map(|value| (None, value)).into_iter().collect()
    }
}
