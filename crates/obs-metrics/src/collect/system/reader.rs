//! Asking the machine: `/proc/stat` where there is one, `sysinfo` for all else.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use sysinfo::{DiskRefreshKind, Disks, MemoryRefreshKind, Networks, System};

use super::cpu::CpuTimes;
use crate::collect::text::Text;

/// What the machine said at one time. What a system does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemReading {
    /// Time of the processors by mode; Linux only.
    pub cpu_times: Option<CpuTimes>,
    /// The share of the processors' time that was not idle since the last reading, 0 to 1, where the system tells
    /// that and not the times.
    pub cpu_busy_ratio: Option<f64>,
    /// Logical processors.
    pub cpu_count: Option<usize>,
    /// Load averages over 1, 5 and 15 minutes; not on Windows.
    pub load: Option<[f64; 3]>,
    /// Memory and swap space.
    pub memory: Option<MemoryReading>,
    /// File systems, by mount point: each device once, without those that only exist in memory or on the network.
    pub file_systems: Vec<FileSystem>,
    /// Disks, by name.
    pub disks: Vec<DiskReading>,
    /// Network interfaces, by name, without the loopback interface.
    pub interfaces: Vec<InterfaceReading>,
}

/// The machine's memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryReading {
    /// All there is.
    pub total_bytes: u64,
    /// What programs can still get without swapping.
    pub available_bytes: u64,
    /// Swap space.
    pub swap_total_bytes: u64,
    /// Swap space in use.
    pub swap_used_bytes: u64,
}

impl MemoryReading {
    /// What is not available.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.total_bytes.saturating_sub(self.available_bytes)
    }

    /// Swap space that is not in use.
    #[must_use]
    pub fn swap_free_bytes(&self) -> u64 {
        self.swap_total_bytes.saturating_sub(self.swap_used_bytes)
    }
}

/// One file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// What is mounted, such as `/dev/sda1`.
    pub device: Arc<str>,
    /// Where it is mounted; the shortest path if in several places.
    pub mount_point: Arc<str>,
    /// Its type, such as `ext4`.
    pub kind: Arc<str>,
    /// Its size in bytes.
    pub total_bytes: u64,
    /// What a process without privileges can still use, in bytes.
    pub available_bytes: u64,
}

/// What one disk has read and written since the machine began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskReading {
    /// The device, as in [`FileSystem::device`].
    pub device: Arc<str>,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

/// What went over one network interface since it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceReading {
    /// Its name, such as `eth0`.
    pub name: Arc<str>,
    /// Bytes received.
    pub received_bytes: u64,
    /// Bytes sent.
    pub transmitted_bytes: u64,
    /// Packets received.
    pub received_packets: u64,
    /// Packets sent.
    pub transmitted_packets: u64,
    /// Packets that arrived broken.
    pub receive_errors: u64,
    /// Packets that could not be sent.
    pub transmit_errors: u64,
}

impl InterfaceReading {
    /// Bytes, packets and errors, received before sent.
    pub(super) fn in_order(&self) -> [u64; 6] {
        [
            self.received_bytes,
            self.transmitted_bytes,
            self.received_packets,
            self.transmitted_packets,
            self.receive_errors,
            self.transmit_errors,
        ]
    }
}

/// The processors.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cpu {
    pub(super) times: Option<CpuTimes>,
    pub(super) busy_ratio: Option<f64>,
    pub(super) count: Option<usize>,
}

/// Asks the machine, and keeps what it needs for the next time.
///
/// ```
/// use obs_metrics::collect::SystemReader;
///
/// let reading = SystemReader::new().read();
/// let memory = reading.memory.ok_or("the machine has memory")?;
/// assert!(memory.used_bytes() + memory.available_bytes == memory.total_bytes);
/// # Ok::<(), &str>(())
/// ```
pub struct SystemReader {
    system: Option<System>,
    networks: Option<Networks>,
    disks: Option<Disks>,
    text: Text,
    ticks_per_second: f64,
}

impl SystemReader {
    /// A reader that has read nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            system: System::new().ok(),
            networks: Networks::new().ok(),
            disks: Disks::new().ok(),
            text: Text::default(),
            ticks_per_second: ticks_per_second(),
        }
    }

    /// Reads everything. It asks file systems for their size, which may take long if one of them does not answer.
    #[must_use]
    pub fn read(&mut self) -> SystemReading {
        let cpu = self.cpu();
        let (file_systems, disks) = self.storage();
        SystemReading {
            cpu_times: cpu.times,
            cpu_busy_ratio: cpu.busy_ratio,
            cpu_count: cpu.count,
            load: self.load(),
            memory: self.memory(),
            file_systems,
            disks,
            interfaces: self.network(),
        }
    }

    pub(super) fn cpu(&mut self) -> Cpu {
        let stat = std::path::Path::new("/proc/stat");
        let text = self.text.read(stat).ok();
        if let Some((times, count)) =
            text.and_then(|text| CpuTimes::parse(text, self.ticks_per_second))
        {
            return Cpu { times: Some(times), busy_ratio: None, count: Some(count) };
        }
        let Some(system) = &mut self.system else { return Cpu::default() };
        system.refresh_cpu_usage();
        let count = system.cpus().len();
        Cpu {
            times: None,
            busy_ratio: (count > 0).then(|| f64::from(system.global_cpu_usage()) / 100.0),
            count: (count > 0).then_some(count),
        }
    }

    pub(super) fn load(&self) -> Option<[f64; 3]> {
        let load = System::load_average().ok()?;
        Some([load.one, load.five, load.fifteen])
    }

    pub(super) fn uptime_seconds(&self) -> Option<f64> {
        // OK because a float holds seconds exactly.
        System::uptime().ok().map(|seconds| seconds as f64)
    }

    pub(crate) fn memory(&mut self) -> Option<MemoryReading> {
        let system = self.system.as_mut()?;
        system.refresh_memory_specifics(MemoryRefreshKind::everything());
        let reading = MemoryReading {
            total_bytes: system.total_memory(),
            available_bytes: system.available_memory().min(system.total_memory()),
            swap_total_bytes: system.total_swap(),
            swap_used_bytes: system.used_swap(),
        };
        (reading.total_bytes > 0).then_some(reading)
    }

    pub(super) fn network(&mut self) -> Vec<InterfaceReading> {
        let Some(networks) = &mut self.networks else { return Vec::new() };
        networks.refresh(true);
        let mut all: Vec<_> = networks
            .iter()
            .map(|(name, data)| InterfaceReading {
                name: Arc::from(name.to_string_lossy()),
                received_bytes: data.total_received(),
                transmitted_bytes: data.total_transmitted(),
                received_packets: data.total_packets_received(),
                transmitted_packets: data.total_packets_transmitted(),
                receive_errors: data.total_errors_on_received(),
                transmit_errors: data.total_errors_on_transmitted(),
            })
            .filter(|interface| !matches!(&*interface.name, "lo" | "lo0"))
            .collect();
        all.sort_by(|left, right| left.name.cmp(&right.name));
        all
    }

    /// File systems and disks.
    pub(super) fn storage(&mut self) -> (Vec<FileSystem>, Vec<DiskReading>) {
        let Some(disks) = &mut self.disks else { return Default::default() };
        let what = DiskRefreshKind::nothing().with_storage().with_io_usage();
        disks.refresh_specifics(true, what);
        // A device may be mounted in several places, as in containers.
        let mut by_device: BTreeMap<Arc<str>, (FileSystem, DiskReading)> = BTreeMap::new();
        for disk in disks.iter().filter(|disk| disk.total_space() > 0) {
            let device: Arc<str> = Arc::from(disk.name().to_string_lossy());
            let mount_point: Arc<str> = Arc::from(disk.mount_point().to_string_lossy());
            let is_known = by_device.get(&device).is_some_and(|(known, _)| {
                (known.mount_point.len(), &known.mount_point) <= (mount_point.len(), &mount_point)
            });
            if is_known {
                continue;
            }
            let usage = disk.usage();
            let file_system = FileSystem {
                device: Arc::clone(&device),
                mount_point,
                kind: Arc::from(disk.file_system().to_string_lossy()),
                total_bytes: disk.total_space(),
                available_bytes: disk.available_space().min(disk.total_space()),
            };
            let reading = DiskReading {
                device: Arc::clone(&device),
                read_bytes: usage.total_read_bytes,
                written_bytes: usage.total_written_bytes,
            };
            by_device.insert(device, (file_system, reading));
        }
        let (mut file_systems, disks): (Vec<_>, Vec<_>) = by_device.into_values().unzip();
        file_systems.sort_by(|left, right| left.mount_point.cmp(&right.mount_point));
        (file_systems, disks)
    }
}

impl Default for SystemReader {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SystemReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemReader").finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
fn ticks_per_second() -> f64 {
    crate::collect::units::Units::read().ticks_per_second
}

/// Only Linux counts in ticks.
#[cfg(not(target_os = "linux"))]
fn ticks_per_second() -> f64 {
    100.0
}
