//! The files of a control group, in versions 1 and 2.

use std::path::{Component, Path, PathBuf};

use super::ContainerReading;
use crate::collect::text::{Text, entry};

/// Version 1 writes "no limit" as a number near 2⁶³.
const NO_LIMIT: u64 = 1 << 60;

/// Divided by, because a quotient of whole numbers is the nearest float.
const MICROS_PER_SECOND: f64 = 1e6;
const NANOS_PER_SECOND: f64 = 1e9;

/// The folders of the group that a process is in, by controller: its own first, then its parents up to the root.
#[derive(Debug)]
pub(super) struct Group {
    version: Version,
    memory: Folders,
    cpu: Folders,
    /// Where version 1 counts CPU time; with version 2 the same as `cpu`.
    accounting: Folders,
    pids: Folders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Folders(Vec<PathBuf>);

impl Group {
    /// The group that `membership` (the text of `/proc/PID/cgroup`) names, below `mount`.
    ///
    /// Where both versions are mounted, the one counts that has the controllers: that is version 2 only if its root
    /// is at `mount`.
    pub(super) fn find(mount: &Path, membership: &str) -> Option<Self> {
        let group_of = |controller: &str| {
            membership.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let (controllers, group) = (parts.next()?, parts.next()?);
                controllers.split(',').any(|name| name == controller).then_some(group)
            })
        };
        if mount.join("cgroup.controllers").exists() {
            // Its line has an empty list of controllers.
            let all = Folders::new(mount, group_of("")?);
            return Some(Self {
                version: Version::Two,
                memory: all.clone(),
                cpu: all.clone(),
                accounting: all.clone(),
                pids: all,
            });
        }
        let folders = |controller: &str| {
            let group = group_of(controller)?;
            Some(Folders::new(&mount.join(controller), group))
        };
        let found = [folders("memory"), folders("cpu"), folders("cpuacct"), folders("pids")];
        if found.iter().flatten().all(|folders| folders.0.is_empty()) {
            return None;
        }
        let [memory, cpu, accounting, pids] =
            found.map(|folders| folders.unwrap_or(Folders(Vec::new())));
        Some(Self { version: Version::One, memory, cpu, accounting, pids })
    }

    pub(super) fn read(&self, text: &mut Text) -> ContainerReading {
        let mut reading = ContainerReading {
            pids: self.pids.own_number(text, "pids.current"),
            pids_limit: self.pids.least(text, "pids.max"),
            ..ContainerReading::default()
        };
        match self.version {
            Version::One => self.read_one(text, &mut reading),
            Version::Two => self.read_two(text, &mut reading),
        }
        reading
    }

    fn read_one(&self, text: &mut Text, reading: &mut ContainerReading) {
        reading.memory_limit_bytes = self.memory.least(text, "memory.limit_in_bytes");
        reading.memory_usage_bytes = self.memory.own_number(text, "memory.usage_in_bytes");
        let inactive = self.memory.own_entry(text, "memory.stat", "total_inactive_file");
        reading.set_working_set(inactive);
        reading.oom_kills = self.memory.own_entry(text, "memory.oom_control", "oom_kill");
        let quotas = self.cpu.0.iter().filter_map(|folder| {
            // A quota of -1, which is none, is no natural number.
            let quota = text.number(&folder.join("cpu.cfs_quota_us"))?;
            Some((quota, text.number(&folder.join("cpu.cfs_period_us"))?))
        });
        reading.set_tightest(quotas.collect());
        let nanoseconds = |count: u64| count as f64 / NANOS_PER_SECOND;
        reading.cpu_usage_seconds =
            self.accounting.own_number(text, "cpuacct.usage").map(nanoseconds);
        let mut stat = |key| self.cpu.own_entry(text, "cpu.stat", key);
        reading.cpu_periods = stat("nr_periods");
        reading.cpu_throttled_periods = stat("nr_throttled");
        reading.cpu_throttled_seconds = stat("throttled_time").map(nanoseconds);
    }

    fn read_two(&self, text: &mut Text, reading: &mut ContainerReading) {
        reading.memory_limit_bytes = self.memory.least(text, "memory.max");
        reading.memory_usage_bytes = self.memory.own_number(text, "memory.current");
        let inactive = self.memory.own_entry(text, "memory.stat", "inactive_file");
        reading.set_working_set(inactive);
        reading.oom_kills = self.memory.own_entry(text, "memory.events", "oom_kill");
        let quotas = self.cpu.0.iter().filter_map(|folder| {
            // The quota is `max` where there is none, which is no number.
            let mut parts = text.read(&folder.join("cpu.max")).ok()?.split_ascii_whitespace();
            Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
        });
        reading.set_tightest(quotas.collect());
        let microseconds = |count: u64| count as f64 / MICROS_PER_SECOND;
        let mut stat = |key| self.cpu.own_entry(text, "cpu.stat", key);
        reading.cpu_usage_seconds = stat("usage_usec").map(microseconds);
        reading.cpu_periods = stat("nr_periods");
        reading.cpu_throttled_periods = stat("nr_throttled");
        reading.cpu_throttled_seconds = stat("throttled_usec").map(microseconds);
    }
}

impl ContainerReading {
    fn set_working_set(&mut self, inactive: Option<u64>) {
        let usage = self.memory_usage_bytes;
        self.memory_working_set_bytes =
            usage.zip(inactive).map(|(usage, inactive)| usage.saturating_sub(inactive));
    }

    /// Takes the quota that allows the least, of pairs of a quota and its period in microseconds.
    fn set_tightest(&mut self, quotas: Vec<(u64, u64)>) {
        let share = |(quota, period): &(u64, u64)| *quota as f64 / *period as f64;
        let tightest = quotas
            .into_iter()
            .filter(|(_, period)| *period > 0)
            .min_by(|left, right| share(left).total_cmp(&share(right)));
        if let Some((quota, period)) = tightest {
            self.cpu_quota_seconds = Some(quota as f64 / MICROS_PER_SECOND);
            self.cpu_period_seconds = Some(period as f64 / MICROS_PER_SECOND);
        }
    }
}

impl Folders {
    /// The folders of `group` below `top` that exist. In a container the group's path may be the one that it has
    /// outside, of which only the root is there.
    fn new(top: &Path, group: &str) -> Self {
        let is_inside = |part: &Component<'_>| matches!(part, Component::Normal(_));
        let below: PathBuf =
            Path::new(group).components().filter(|part| *part != Component::RootDir).collect();
        let own = if below.components().all(|part| is_inside(&part)) {
            top.join(below)
        } else {
            // A path with `..` leads out of what the process can see.
            top.to_path_buf()
        };
        let folders = own
            .ancestors()
            .take_while(|folder| folder.starts_with(top))
            .filter(|folder| folder.is_dir());
        Self(folders.map(Path::to_path_buf).collect())
    }

    /// The number in a file of the own group.
    fn own_number(&self, text: &mut Text, file: &str) -> Option<u64> {
        text.number(&self.0.first()?.join(file))
    }

    /// The number beside `key` in a file of the own group.
    fn own_entry(&self, text: &mut Text, file: &str, key: &str) -> Option<u64> {
        entry(text.read(&self.0.first()?.join(file)).ok()?, key)
    }

    /// The least of the numbers in a file of each group up to the root.
    fn least(&self, text: &mut Text, file: &str) -> Option<u64> {
        let numbers = self.0.iter().filter_map(|folder| text.number(&folder.join(file)));
        numbers.filter(|number| *number < NO_LIMIT).min()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What a process of `membership` reads from a tree of these files.
    fn check(files: &[(&str, &str)], membership: &str, expected: Option<ContainerReading>) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let group = Group::find(root.path(), membership);
        assert_eq!(group.map(|group| group.read(&mut Text::default())), expected, "{membership}");
    }

    #[test]
    fn version_two_is_read_with_the_tightest_limits_up_to_the_root() {
        let files = [
            ("cgroup.controllers", "cpu memory pids\n"),
            ("cpu.stat", "usage_usec 99\n"),
            ("pod/memory.max", "1000\n"),
            ("pod/cpu.max", "50000 100000\n"),
            ("pod/pids.max", "max\n"),
            ("pod/app/memory.max", "max\n"),
            ("pod/app/memory.current", "700\n"),
            ("pod/app/memory.stat", "anon 300\nfile 400\ninactive_file 150\n"),
            ("pod/app/memory.events", "low 0\nhigh 0\nmax 4\noom 2\noom_kill 1\n"),
            ("pod/app/cpu.max", "400000 200000\n"),
            (
                "pod/app/cpu.stat",
                "usage_usec 2500000\nuser_usec 1\nnr_periods 40\nnr_throttled 10\nthrottled_usec 1500000\n",
            ),
            ("pod/app/pids.current", "12\n"),
            ("pod/app/pids.max", "64\n"),
        ];
        let reading = ContainerReading {
            memory_limit_bytes: Some(1_000),
            memory_usage_bytes: Some(700),
            memory_working_set_bytes: Some(550),
            oom_kills: Some(1),
            cpu_quota_seconds: Some(0.05),
            cpu_period_seconds: Some(0.1),
            cpu_usage_seconds: Some(2.5),
            cpu_periods: Some(40),
            cpu_throttled_periods: Some(10),
            cpu_throttled_seconds: Some(1.5),
            pids: Some(12),
            pids_limit: Some(64),
        };
        check(&files, "0::/pod/app\n", Some(reading));
        assert_eq!(reading.cpu_limit_cores(), Some(0.5));
        // In the root there is next to nothing.
        let root =
            ContainerReading { cpu_usage_seconds: Some(0.000_099), ..ContainerReading::default() };
        check(&files, "0::/\n", Some(root));
        // A path that leads out, or that only the outside has, is read from the nearest group that is there.
        check(&files, "0::/../pod/app\n", Some(root));
        check(&files, "0::/outside/name\n", Some(root));
        let pod = ContainerReading {
            memory_limit_bytes: Some(1_000),
            cpu_quota_seconds: Some(0.05),
            cpu_period_seconds: Some(0.1),
            ..ContainerReading::default()
        };
        check(&files, "0::/pod/unknown\n", Some(ContainerReading { ..pod }));
        check(&files, "", None);
        check(&files, "nonsense\n", None);
    }

    #[test]
    fn version_one_is_read_from_the_hierarchy_of_each_controller() {
        let files = [
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/docker/x/memory.limit_in_bytes", "2000\n"),
            ("memory/docker/x/memory.usage_in_bytes", "900\n"),
            ("memory/docker/x/memory.stat", "inactive_file 1\ntotal_inactive_file 1000\n"),
            ("memory/docker/x/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
            ("cpu/docker/cpu.cfs_quota_us", "-1\n"),
            ("cpu/docker/cpu.cfs_period_us", "100000\n"),
            ("cpu/docker/x/cpu.cfs_quota_us", "150000\n"),
            ("cpu/docker/x/cpu.cfs_period_us", "100000\n"),
            ("cpu/docker/x/cpu.stat", "nr_periods 5\nnr_throttled 1\nthrottled_time 250000000\n"),
            ("cpuacct/docker/x/cpuacct.usage", "1250000000\n"),
            ("pids/docker/x/pids.current", "3\n"),
            ("unified/cgroup.controllers", ""),
        ];
        let reading = ContainerReading {
            memory_limit_bytes: Some(2_000),
            memory_usage_bytes: Some(900),
            memory_working_set_bytes: Some(0),
            oom_kills: Some(3),
            cpu_quota_seconds: Some(0.15),
            cpu_period_seconds: Some(0.1),
            cpu_usage_seconds: Some(1.25),
            cpu_periods: Some(5),
            cpu_throttled_periods: Some(1),
            cpu_throttled_seconds: Some(0.25),
            pids: Some(3),
            pids_limit: None,
        };
        let membership =
            "5:pids:/docker/x\n4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/docker/x\n";
        check(&files, membership, Some(reading));
        let memory = ContainerReading {
            memory_limit_bytes: Some(2_000),
            memory_usage_bytes: Some(900),
            memory_working_set_bytes: Some(0),
            oom_kills: Some(3),
            ..ContainerReading::default()
        };
        check(&files, "4:memory:/docker/x\n", Some(memory));
        check(&files, "4:memory:/\n", Some(ContainerReading::default()));
        check(&files, "1:name=systemd:/docker/x\n", None);
    }

    #[test]
    fn files_that_say_nonsense_say_nothing() {
        let files = [
            ("cgroup.controllers", ""),
            ("a/memory.max", "-5\n"),
            ("a/memory.current", "much\n"),
            ("a/cpu.max", "5 0\n"),
            ("a/cpu.stat", "usage_usec\nnr_periods x\n"),
        ];
        check(&files, "0::/a\n", Some(ContainerReading::default()));
    }
}
