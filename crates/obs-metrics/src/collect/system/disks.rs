//! File systems and disks, which may not answer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use metrics::Gauge;

use super::{MAX_DEVICES, SystemReader, left_out};
use crate::collect::Collect;
use crate::error::Error;
use crate::registry::Registry;

/// File systems fill slowly, and asking them costs more than asking for the rest.
const INTERVAL: Duration = Duration::from_secs(60);

const USAGE: &str = "system_filesystem_usage_bytes";
const LIMIT: &str = "system_filesystem_limit_bytes";
const IO: &str = "system_disk_io_bytes_total";

const STATES: [&str; 2] = ["used", "free"];

/// The machine's file systems and disks:
///
/// | metric | |
/// |---|---|
/// | `system_filesystem_usage_bytes{device,mountpoint,state,type}` | `used` and `free`; `free` is what a process without privileges can use, and both add up to the limit |
/// | `system_filesystem_limit_bytes{device,mountpoint,type}` | size |
/// | `system_disk_io_bytes_total{device,direction}` | bytes that were `read` and written (`write`) |
///
/// A device that is mounted in several places is shown once, at its shortest path. File systems of the kernel, in
/// memory and on the network (NFS, CIFS, autofs) are left out. 64 are shown; `obskit_collector_left_out{collector}` says
/// how many there are beyond. The gauges of a file system that is gone are taken out.
///
/// It is refreshed once a minute, on a thread of its own, because a file system may hang.
pub struct DiskCollector {
    registry: Registry,
    reader: SystemReader,
    /// What is shown: device, mount point and type.
    shown: Vec<[Arc<str>; 3]>,
    left_out: Gauge,
}

impl DiskCollector {
    /// The metrics of file systems and disks in `registry`; there are none before the first refresh.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        registry.declare(USAGE, "Bytes of a file system, by state.", None);
        registry.declare(LIMIT, "Size of a file system in bytes.", None);
        registry.declare(IO, "Bytes that a disk read and wrote, by direction.", None);
        Self {
            registry: registry.clone(),
            reader: SystemReader::new(),
            shown: Vec::new(),
            left_out: left_out(registry, "disks"),
        }
    }

    /// Takes out the gauges of file systems that are not in `now`.
    fn forget(&mut self, now: &[[Arc<str>; 3]]) {
        for [device, mount_point, kind] in self.shown.iter().filter(|known| !now.contains(known)) {
            let labels = [("device", &**device), ("mountpoint", mount_point), ("type", kind)];
            self.registry.remove(LIMIT, &labels);
            for state in STATES {
                let [device, mount_point, kind] = labels;
                self.registry.remove(USAGE, &[device, mount_point, kind, ("state", state)]);
            }
        }
    }
}

impl Collect for DiskCollector {
    fn name(&self) -> &'static str {
        "disks"
    }

    fn refresh(&mut self) -> Result<(), Error> {
        let (file_systems, disks) = self.reader.storage();
        let count = file_systems.len().min(MAX_DEVICES);
        self.left_out.set((file_systems.len() - count) as f64);
        let mut now = Vec::with_capacity(count);
        for of in &file_systems[..count] {
            let labels =
                [("device", &*of.device), ("mountpoint", &of.mount_point), ("type", &of.kind)];
            // OK because a float holds bytes exactly up to 8 PiB.
            self.registry.gauge(LIMIT, &labels).set(of.total_bytes as f64);
            let used = of.total_bytes - of.available_bytes;
            for (state, bytes) in STATES.into_iter().zip([used, of.available_bytes]) {
                let [device, mount_point, kind] = labels;
                let labels = [device, mount_point, kind, ("state", state)];
                self.registry.gauge(USAGE, &labels).set(bytes as f64);
            }
            now.push([&of.device, &of.mount_point, &of.kind].map(Arc::clone));
        }
        self.forget(&now);
        self.shown = now;
        for disk in disks.iter().take(MAX_DEVICES) {
            for (direction, bytes) in [("read", disk.read_bytes), ("write", disk.written_bytes)] {
                let labels = [("device", &*disk.device), ("direction", direction)];
                self.registry.counter(IO, &labels).absolute(bytes);
            }
        }
        Ok(())
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn may_hang(&self) -> bool {
        true
    }
}

impl fmt::Debug for DiskCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskCollector").field("shown", &self.shown).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gauges_of_a_file_system_that_is_gone_are_taken_out() {
        let registry = Registry::default();
        let mut disks = DiskCollector::new(&registry);
        let names = ["/dev/gone", "/mnt/gone", "ext4"];
        let [device, mount_point, kind] = names;
        let labels = [("device", device), ("mountpoint", mount_point), ("type", kind)];
        registry.gauge(LIMIT, &labels).set(9.0);
        for state in STATES {
            let [device, mount_point, kind] = labels;
            registry.gauge(USAGE, &[device, mount_point, kind, ("state", state)]).set(5.0);
        }
        disks.shown = vec![names.map(Arc::from)];
        assert!(registry.render_text().contains("/mnt/gone"));
        disks.refresh().unwrap();
        assert!(!registry.render_text().contains("/mnt/gone"), "{}", registry.render_text());
    }
}
