//! The collectors on the real machine: what they show is there, plausible and follows what happens.

use std::fs::File;
use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use obs_metrics::Registry;
use obs_metrics::collect::{
    Collect, Collectors, ContainerCollector, DiskCollector, ProcessCollector, SystemCollector,
    memory_limit_bytes, read_container,
};
use obs_model::Gather;

fn value(registry: &Registry, name: &str, labels: &[(&str, &str)]) -> f64 {
    registry.value(name, labels).unwrap_or_else(|| panic!("no {name}{labels:?}"))
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_described_by_prometheus_own_names_with_plausible_values() {
    let registry = Registry::default();
    let mut process = ProcessCollector::new(&registry);
    process.refresh().unwrap();
    let value = |name: &str| value(&registry, name, &[]);
    let memory = |of: &str| registry.value("memory_usage_bytes", &[("type", of)]).unwrap();
    assert!(value("process_resident_memory_bytes") > 500_000.0);
    assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
    assert!(value("process_virtual_memory_max_bytes") >= value("process_virtual_memory_bytes"));
    assert!(memory("virtual") >= memory("rss") && memory("rss") > 500_000.0);
    assert!(value("process_threads") >= 2.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age = now.as_secs_f64() - value("process_start_time_seconds");
    assert!((-2.0..600.0).contains(&age), "{age}");

    let open = value("process_open_fds");
    let files: Vec<_> = (0..200).map(|_| File::open("/proc/self/stat").unwrap()).collect();
    process.refresh().unwrap();
    // OK because other tests of this process open and close files too, but far fewer.
    assert!(value("process_open_fds") > open + 100.0);
    drop(files);

    let cpu = value("process_cpu_seconds_total");
    let deadline = Instant::now() + Duration::from_secs(20);
    while value("process_cpu_seconds_total") <= cpu {
        assert!(Instant::now() < deadline);
        black_box((0..1_000_000_u64).sum::<u64>());
        process.refresh().unwrap();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_machine_is_described_with_plausible_values() {
    let registry = Registry::default();
    let mut system = SystemCollector::new(&registry);
    system.refresh().unwrap();
    let value = |name: &str, labels: &[(&str, &str)]| value(&registry, name, labels);
    assert!(value("system_cpu_logical_processors", &[]) >= 1.0);
    assert_eq!(registry.value("system_cpu_utilization_ratio", &[]), None);
    assert!(value("system_cpu_time_seconds_total", &[("mode", "user")]) > 0.0);
    assert!(value("system_cpu_load_average_1m", &[]) >= 0.0);
    assert!(value("system_uptime_seconds", &[]) > 0.0);
    let limit = value("system_memory_limit_bytes", &[]);
    let states =
        ["used", "available"].map(|of| value("system_memory_usage_bytes", &[("state", of)]));
    assert!(states.iter().all(|bytes| *bytes > 0.0) && states.iter().sum::<f64>() == limit);
    assert!(memory_limit_bytes().unwrap() as f64 <= limit);

    let deadline = Instant::now() + Duration::from_secs(20);
    while registry.value("system_cpu_utilization_ratio", &[]).is_none_or(|ratio| ratio <= 0.0) {
        assert!(Instant::now() < deadline);
        let until = Instant::now() + Duration::from_millis(50);
        while Instant::now() < until {
            black_box((0..10_000_u64).sum::<u64>());
        }
        system.refresh().unwrap();
    }
    assert!(value("system_cpu_utilization_ratio", &[]) <= 1.0);
}

#[test]
fn file_systems_add_up_and_each_device_is_shown_once() {
    let registry = Registry::default();
    DiskCollector::new(&registry).refresh().unwrap();
    let mut devices = Vec::new();
    registry.gather(&mut |family| {
        if &*family.name == "system_filesystem_limit_bytes" {
            for point in &family.points {
                let label = |name| point.labels.get(name).unwrap();
                let limits = [
                    ("device", label("device")),
                    ("mountpoint", label("mountpoint")),
                    ("type", label("type")),
                ];
                let states = ["used", "free"].map(|state| {
                    let [device, mount_point, kind] = limits;
                    let labels = [device, mount_point, kind, ("state", state)];
                    value(&registry, "system_filesystem_usage_bytes", &labels)
                });
                let limit = value(&registry, "system_filesystem_limit_bytes", &limits);
                assert_eq!(states.iter().sum::<f64>(), limit);
                devices.push(label("device").to_owned());
            }
        }
    });
    let count = devices.len();
    devices.sort();
    devices.dedup();
    assert_eq!(devices.len(), count);
    assert_eq!(registry.value("obskit_collector_left_out", &[("collector", "disks")]), Some(0.0));
}

#[test]
fn a_container_shows_what_is_limited_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("cgroup.controllers", "cpu memory");
    write("pod/memory.max", "4096\n");
    write("pod/memory.current", "1024\n");
    write("pod/cpu.max", "max 100000\n");
    write("pod/cpu.stat", "usage_usec 1500000\n");
    let registry = Registry::default();
    let mut container = ContainerCollector::of(&registry, root.path(), "0::/pod\n").unwrap();
    container.refresh().unwrap();
    assert_eq!(value(&registry, "cgroup_memory_limit_bytes", &[]), 4_096.0);
    assert_eq!(value(&registry, "cgroup_memory_usage_bytes", &[]), 1_024.0);
    assert_eq!(value(&registry, "cgroup_cpu_usage_seconds_total", &[]), 1.5);
    for absent in ["cgroup_cpu_limit_cores", "cgroup_pids_limit", "cgroup_oom_kills_total"] {
        assert_eq!(registry.value(absent, &[]), None, "{absent}");
    }
    // A limit that is set while the process runs shows with the next refresh.
    write("pod/cpu.max", "25000 100000\n");
    container.refresh().unwrap();
    assert_eq!(value(&registry, "cgroup_cpu_limit_cores", &[]), 0.25);

    std::fs::remove_dir_all(root.path().join("pod")).unwrap();
    assert!(container.refresh().unwrap_err().is_unreadable());
    assert_eq!(value(&registry, "cgroup_memory_usage_bytes", &[]), 1_024.0);
    assert!(ContainerCollector::of(&registry, root.path(), "nonsense").is_none());
}

#[tokio::test]
async fn all_collectors_together_fail_nowhere_and_leave_nothing_without_help() {
    let registry = Registry::default();
    let mut collectors = Collectors::standard(&registry);
    collectors.refresh();
    let text = registry.render_text();
    for prefix in ["process_", "system_", "tokio_", "memory_usage_bytes", "obskit_collector_"] {
        assert!(text.lines().any(|line| line.starts_with(prefix)), "{prefix}");
    }
    if read_container().is_some() {
        assert!(text.contains("\ncgroup_"));
    }
    let failures = "obskit_collector_failures_total{";
    let failed = text.lines().filter(|line| line.starts_with(failures) && !line.ends_with(" 0"));
    assert_eq!(failed.collect::<Vec<_>>(), Vec::<&str>::new());
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}

/// Run with `--ignored --nocapture` in a release build to see what a refresh costs.
#[tokio::test]
#[ignore = "it measures; it asserts nothing"]
#[expect(clippy::print_stdout, reason = "the figures are for reading")]
async fn what_a_refresh_costs() {
    let registry = Registry::default();
    let mut collectors: Vec<Box<dyn Collect>> = vec![
        Box::new(ProcessCollector::new(&registry)),
        Box::new(SystemCollector::new(&registry)),
        Box::new(DiskCollector::new(&registry)),
        Box::new(obs_metrics::collect::RuntimeCollector::current(&registry, "main").unwrap()),
    ];
    if let Some(container) = ContainerCollector::detect(&registry) {
        collectors.push(Box::new(container));
    }
    for collector in &mut collectors {
        let mut times: Vec<_> = (0..201)
            .map(|_| {
                let started = Instant::now();
                collector.refresh().unwrap();
                started.elapsed()
            })
            .collect();
        times.sort();
        println!("{}: median {:?}, worst {:?}", collector.name(), times[100], times[200]);
    }
}

#[tokio::test]
#[ignore = "needs promtool, from Debian's package prometheus"]
async fn promtool_finds_nothing_wrong_with_the_collectors() {
    use std::process::{Command, Stdio};

    let registry = Registry::default();
    Collectors::standard(&registry).refresh();
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    registry.write_text(&mut child.stdin.take().unwrap()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}
