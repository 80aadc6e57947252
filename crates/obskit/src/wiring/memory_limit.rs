//! How much memory this process may have.

use std::fs;
use std::path::{Path, PathBuf};

/// The container's limit in bytes when there is one, else the machine's memory; nothing where neither can be read.
pub(super) fn read() -> Option<u64> {
    container(
        Path::new("/sys/fs/cgroup"),
        &fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
    )
    .or_else(|| machine(&fs::read_to_string("/proc/meminfo").ok()?))
}

/// The smallest limit on the way from the process's own control group up to the root: a group is bound by its parents
/// too. Version 2 has `memory.max` in the one hierarchy, version 1 has `memory.limit_in_bytes` in its memory hierarchy.
fn container(root: &Path, membership: &str) -> Option<u64> {
    let limits = membership.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let (top, file) = match controllers {
            "" => (root.to_path_buf(), "memory.max"),
            names if names.split(',').any(|name| name == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let own: PathBuf = top.join(group.trim_start_matches('/'));
        own.ancestors()
            .take_while(|folder| folder.starts_with(&top))
            .filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok())
            .collect::<Vec<u64>>()
    });
    // OK because version 1 writes "no limit" as a number near 2^63.
    limits.filter(|limit| *limit < 1 << 60).min()
}

/// `MemTotal` of `/proc/meminfo`, which is in KiB.
fn machine(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_up_to_the_root_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "1000\n");
        write("a/b/memory.max", "max\n");
        assert_eq!(container(root.path(), "0::/a/b\n"), Some(1_000));
        assert_eq!(container(root.path(), "0::/\n"), None);

        write("memory/docker/x/memory.limit_in_bytes", "2000\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(container(root.path(), "4:memory:/docker/x\n3:cpu:/docker/x\n"), Some(2_000));
        assert_eq!(container(root.path(), "4:memory:/\n"), None);
        assert_eq!(container(root.path(), ""), None);
    }

    #[test]
    fn the_machines_memory_is_read_in_kibibytes() {
        assert_eq!(machine("MemTotal:       24 kB\nMemFree: 1 kB\n"), Some(24_576));
        assert_eq!(machine("nothing"), None);
    }
}
