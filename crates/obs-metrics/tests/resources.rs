//! The resource monitor: rates, history and rules, on readings of our own and on the real machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_metrics::Registry;
use obs_metrics::collect::{
    Collectors, CpuTimes, DiskReading, FileSystem, InterfaceReading, MemoryReading, SystemReading,
};
use obs_metrics::trackers::{Measure, ResourceConfig, ResourceMonitor, ResourceRule, Threshold};
use obs_model::{Clock, ManualClock, SystemClock};
use parking_lot::Mutex;

type Next = Arc<Mutex<SystemReading>>;

fn monitor(config: ResourceConfig) -> (ResourceMonitor, Arc<ManualClock>, Next) {
    let clock = Arc::new(ManualClock::default());
    let next = Next::default();
    let source = Arc::clone(&next);
    let monitor =
        ResourceMonitor::with_source(config, clock.clone(), move || source.lock().clone());
    (monitor, clock, next)
}

fn file_system(mount_point: &str, available_bytes: u64) -> FileSystem {
    FileSystem {
        device: Arc::from(format!("/dev{mount_point}")),
        mount_point: Arc::from(mount_point),
        kind: Arc::from("ext4"),
        total_bytes: 1_000,
        available_bytes,
    }
}

fn rule(name: &str, measure: Measure, threshold: Threshold, seconds: u64) -> ResourceRule {
    let held_for = Duration::from_secs(seconds);
    ResourceRule { name: name.to_owned(), measure, threshold, held_for }
}

#[test]
fn rates_are_about_the_time_since_the_reading_before() {
    let (monitor, clock, next) = monitor(ResourceConfig::default());
    assert!(monitor.latest().is_none());
    let disk = |read_bytes, written_bytes| DiskReading {
        device: Arc::from("sda"),
        read_bytes,
        written_bytes,
    };
    let interface = |name: &str, received_bytes, transmitted_bytes| InterfaceReading {
        name: Arc::from(name),
        received_bytes,
        transmitted_bytes,
        received_packets: 0,
        transmitted_packets: 0,
        receive_errors: 0,
        transmit_errors: 0,
    };
    let times = |user, idle| Some(CpuTimes { user, idle, ..CpuTimes::default() });
    *next.lock() = SystemReading {
        cpu_times: times(10.0, 90.0),
        disks: vec![disk(1_000, 5_000)],
        interfaces: vec![interface("a", 10, 20), interface("b", 5, 5)],
        ..SystemReading::default()
    };
    let first = monitor.collect();
    assert_eq!((first.cpu_ratio, first.disk_read_bytes_per_second), (None, None));

    clock.advance(Duration::from_secs(4));
    *next.lock() = SystemReading {
        cpu_times: times(13.0, 91.0),
        disks: vec![disk(3_000, 5_400)],
        interfaces: vec![interface("a", 410, 20), interface("b", 5, 45)],
        ..SystemReading::default()
    };
    let second = monitor.collect();
    assert_eq!(second.cpu_ratio, Some(0.75));
    assert_eq!(second.disk_read_bytes_per_second, Some(500.0));
    assert_eq!(second.disk_written_bytes_per_second, Some(100.0));
    assert_eq!(second.network_received_bytes_per_second, Some(100.0));
    assert_eq!(second.network_transmitted_bytes_per_second, Some(10.0));

    // An interface that is gone makes the total fall, which is no rate.
    clock.advance(Duration::from_secs(4));
    next.lock().interfaces.truncate(1);
    let third = monitor.collect();
    assert_eq!(third.network_transmitted_bytes_per_second, None);
    assert_eq!(third.disk_read_bytes_per_second, Some(0.0));
    // No time passed.
    assert_eq!(monitor.collect().disk_read_bytes_per_second, None);
    // The wall clock may be set; rates do not mind.
    clock.set(clock.now().minus(Duration::from_hours(1)));
    clock.advance(Duration::from_secs(1));
    assert_eq!(monitor.collect().disk_read_bytes_per_second, Some(0.0));
}

#[test]
fn a_day_is_kept_and_names_are_kept_once() {
    let (monitor, clock, next) = monitor(ResourceConfig::default());
    for tick in 0..9_000_u64 {
        *next.lock() =
            SystemReading { file_systems: vec![file_system("/", tick)], ..Default::default() };
        monitor.collect();
        clock.advance(Duration::from_secs(10));
    }
    let all = monitor.history(Duration::from_hours(48));
    assert_eq!(all.len(), 8_640);
    assert_eq!(all[0].file_systems[0].available_bytes, 360);
    assert!(all.windows(2).all(|pair| pair[0].at < pair[1].at));
    let (oldest, newest) = (&all[0].file_systems[0], &all[8_639].file_systems[0]);
    assert!(Arc::ptr_eq(&oldest.mount_point, &newest.mount_point));
    assert_eq!(monitor.history(Duration::from_secs(100)).len(), 10);
    assert_eq!(monitor.latest().unwrap(), all[8_639]);
    // Readings that are rare are still no older than a day.
    clock.advance(Duration::from_hours(23));
    monitor.collect();
    assert_eq!(monitor.history(Duration::from_hours(48)).len(), 361);
}

#[test]
fn a_rule_fires_when_every_reading_of_its_time_passes_the_threshold() {
    let (monitor, clock, next) = monitor(ResourceConfig::default());
    monitor.add_rule(rule("busy", Measure::CpuRatio, Threshold::Above(0.9), 60)).unwrap();
    assert!(monitor.check_alerts().is_empty());
    let start = clock.now();
    let read = |ratio: Option<f64>| {
        *next.lock() = SystemReading { cpu_busy_ratio: ratio, ..Default::default() };
        monitor.collect();
        let alerts = monitor.check_alerts();
        clock.advance(Duration::from_secs(20));
        alerts
    };
    for ratio in [0.95, 0.96, 0.97] {
        assert!(read(Some(ratio)).is_empty());
    }
    let alerts = read(Some(0.98));
    assert_eq!(alerts.len(), 1);
    let alert = &alerts[0];
    assert_eq!((&*alert.rule, &*alert.system, alert.value), ("busy", "local", 0.98));
    assert_eq!((alert.since, alert.subject.as_ref()), (start, None));
    assert_eq!(read(Some(0.99))[0].since, start);
    // At the threshold is not above it, and a reading without the value interrupts too.
    assert!(read(Some(0.9)).is_empty());
    for _ in 0..3 {
        assert!(read(Some(1.0)).is_empty());
    }
    assert!(read(None).is_empty());
    assert!(read(Some(1.0)).is_empty());
}

#[test]
fn every_measure_is_compared_and_each_file_system_by_itself() {
    let (monitor, clock, next) = monitor(ResourceConfig::default());
    let memory = MemoryReading {
        total_bytes: 1_000,
        available_bytes: 100,
        swap_total_bytes: 10,
        swap_used_bytes: 5,
    };
    let network = |bytes| InterfaceReading {
        name: Arc::from("a"),
        received_bytes: bytes,
        transmitted_bytes: bytes * 2,
        received_packets: 0,
        transmitted_packets: 0,
        receive_errors: 0,
        transmit_errors: 0,
    };
    let reading = |bytes| SystemReading {
        cpu_busy_ratio: Some(0.5),
        cpu_count: Some(4),
        load: Some([6.0, 1.0, 1.0]),
        memory: Some(memory),
        file_systems: vec![file_system("/", 50), file_system("/data", 900), file_system("/z", 20)],
        disks: vec![DiskReading {
            device: Arc::from("sda"),
            read_bytes: bytes * 3,
            written_bytes: bytes * 4,
        }],
        interfaces: vec![network(bytes)],
        ..SystemReading::default()
    };
    *next.lock() = reading(0);
    monitor.collect();
    clock.advance(Duration::from_secs(1));
    *next.lock() = reading(100);
    monitor.collect();
    let measures = [
        (Measure::CpuRatio, 0.5),
        (Measure::LoadPerCpu, 1.5),
        (Measure::MemoryRatio, 0.9),
        (Measure::SwapRatio, 0.5),
        (Measure::NetworkReceivedBytesPerSecond, 100.0),
        (Measure::NetworkTransmittedBytesPerSecond, 200.0),
        (Measure::DiskReadBytesPerSecond, 300.0),
        (Measure::DiskWrittenBytesPerSecond, 400.0),
    ];
    for (measure, value) in measures {
        for (threshold, expected) in [
            (Threshold::Above(value - 0.01), 1),
            (Threshold::Above(value), 0),
            (Threshold::Below(value), 0),
            (Threshold::Below(value + 0.01), 1),
        ] {
            monitor.add_rule(rule("x", measure, threshold, 0)).unwrap();
            let alerts = monitor.check_alerts();
            assert_eq!(alerts.len(), expected, "{measure:?} {threshold:?}");
            assert!(alerts.iter().all(|alert| alert.value == value));
        }
    }
    monitor.add_rule(rule("full", Measure::FileSystemRatio, Threshold::Above(0.9), 0)).unwrap();
    assert!(monitor.remove_rule("x") && !monitor.remove_rule("x"));
    let alerts = monitor.check_alerts();
    let subjects: Vec<_> =
        alerts.iter().map(|alert| (alert.subject.as_deref().unwrap(), alert.value)).collect();
    assert_eq!(subjects, [("/", 0.95), ("/z", 0.98)]);
}

#[test]
fn a_bad_rule_is_refused_with_all_its_problems() {
    let (monitor, ..) = monitor(ResourceConfig::default());
    let error =
        monitor.add_rule(rule("", Measure::CpuRatio, Threshold::Below(f64::NAN), 0)).unwrap_err();
    assert!(error.is_invalid_tracker());
    let text = error.to_string();
    assert!(text.contains("it has no name") && text.contains("the threshold is NaN"), "{text}");
    for index in 0..1_000 {
        let name = index.to_string();
        monitor.add_rule(rule(&name, Measure::CpuRatio, Threshold::Above(1.0), 0)).unwrap();
    }
    monitor.add_rule(rule("7", Measure::CpuRatio, Threshold::Above(0.5), 0)).unwrap();
    assert!(monitor.add_rule(rule("x", Measure::CpuRatio, Threshold::Above(1.0), 0)).is_err());
    assert_eq!(monitor.rules().len(), 1_000);
    assert_eq!(monitor.rules()[7].threshold, Threshold::Above(0.5));
}

#[test]
fn this_machine_is_read_on_the_schedule_of_the_collectors() {
    let config = ResourceConfig { interval: Duration::from_millis(100), ..Default::default() };
    let monitor = Arc::new(ResourceMonitor::new(config, Arc::new(SystemClock::new())));
    let collecting =
        Collectors::none(&Registry::default()).with(monitor.collector()).start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while monitor.history(Duration::from_hours(1)).len() < 3 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(collecting);
    let latest = monitor.latest().unwrap();
    assert!(latest.memory.is_some_and(|memory| memory.total_bytes > memory.available_bytes));
    assert!(latest.cpu_ratio.is_none_or(|ratio| (0.0..=1.0).contains(&ratio)));
}
