//! What keeps a registry small: idle series expire, label rules fold series together, floods stay out.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use metrics::{counter, gauge, histogram, with_local_recorder};
use obs_metrics::{LabelRules, Registry, RegistryConfig};
use obs_model::ManualClock;

const TIMEOUT: Duration = Duration::from_secs(60);

fn expiring() -> (Registry, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let config = RegistryConfig { idle_timeout: Some(TIMEOUT), ..RegistryConfig::default() };
    (Registry::with_clock(config, clock.clone()), clock)
}

/// Lets so much time pass, with the calls that a service makes meanwhile.
fn pass(registry: &Registry, clock: &ManualClock, time: Duration) -> usize {
    (0..4)
        .map(|_| {
            clock.advance(time / 4);
            registry.expire_idle()
        })
        .sum()
}

#[test]
fn a_series_that_nobody_records_into_expires_and_starts_again_at_zero() {
    let (registry, clock) = expiring();
    let record = || {
        counter!("x_total", "id" => "1").increment(5);
        gauge!("depth", "id" => "1").set(2.0);
        histogram!("wait_seconds", "id" => "1").record(0.5);
    };
    with_local_recorder(&registry, record);
    registry.expire_idle();
    assert_eq!(pass(&registry, &clock, TIMEOUT - Duration::from_secs(1)), 0);
    assert_eq!(pass(&registry, &clock, Duration::from_secs(4)), 3);
    assert_eq!(registry.value("x_total", &[("id", "1")]), None);
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(0.0));
    assert!(!registry.render_text().contains("wait_seconds_count"));

    with_local_recorder(&registry, record);
    assert_eq!(registry.value("x_total", &[("id", "1")]), Some(5.0));
    assert_eq!(registry.value("wait_seconds_count", &[("id", "1")]), Some(1.0));
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(3.0));
}

#[test]
fn a_series_that_is_recorded_into_stays_also_a_gauge_that_is_set_to_the_same_value() {
    let (registry, clock) = expiring();
    for _ in 0..10 {
        with_local_recorder(&registry, || {
            counter!("busy_total").increment(1);
            gauge!("up").set(1.0);
            histogram!("zero_ms").record(0.0);
            counter!("idle_total").increment(0);
        });
        pass(&registry, &clock, TIMEOUT / 2);
    }
    assert_eq!(registry.value("busy_total", &[]), Some(10.0));
    assert_eq!(registry.value("up", &[]), Some(1.0));
    assert_eq!(registry.value("zero_ms_count", &[]), Some(10.0));
    pass(&registry, &clock, TIMEOUT * 2);
    assert_eq!(registry.value("busy_total", &[]), None);
}

#[test]
fn a_series_with_a_handle_that_somebody_holds_stays() {
    let (registry, clock) = expiring();
    let direct = registry.counter("direct_total", &[]);
    let of_macro = with_local_recorder(&registry, || counter!("macro_total"));
    // This one leaves the cache of its thread when the thread ends, and is still held.
    let of_other = thread::scope(|scope| {
        let make = || with_local_recorder(&registry, || histogram!("other_ms"));
        scope.spawn(make).join().unwrap()
    });
    with_local_recorder(&registry, || counter!("loose_total").increment(1));
    assert_eq!(pass(&registry, &clock, TIMEOUT * 3), 1);
    direct.increment(1);
    of_macro.increment(2);
    of_other.record(3.0);
    assert_eq!(registry.value("direct_total", &[]), Some(1.0));
    assert_eq!(registry.value("macro_total", &[]), Some(2.0));
    assert_eq!(registry.value("other_ms_sum", &[]), Some(3.0));
    drop((direct, of_macro, of_other));
    assert_eq!(pass(&registry, &clock, TIMEOUT * 3), 3);
}

#[test]
fn handles_in_the_caches_of_idle_threads_hold_nothing_up() {
    let (registry, clock) = expiring();
    let (ready, wait) = std::sync::mpsc::channel::<()>();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    thread::scope(|scope| {
        let of_thread = registry.clone();
        scope.spawn(move || {
            with_local_recorder(&of_thread, || counter!("x_total").increment(1));
            ready.send(()).unwrap();
            ended.recv().unwrap();
            with_local_recorder(&of_thread, || counter!("x_total").increment(2));
        });
        wait.recv().unwrap();
        assert_eq!(pass(&registry, &clock, TIMEOUT * 2), 1);
        assert_eq!(registry.value("x_total", &[]), None);
        done.send(()).unwrap();
    });
    assert_eq!(registry.value("x_total", &[]), Some(2.0));
}

#[test]
fn room_that_expired_series_leave_is_given_to_new_ones() {
    let clock = Arc::new(ManualClock::default());
    let config =
        RegistryConfig { idle_timeout: Some(TIMEOUT), max_series: 10, ..RegistryConfig::default() };
    let registry = Registry::with_clock(config, clock.clone());
    for round in 0..20 {
        for id in 0..10 {
            registry.counter("x_total", &[("id", &format!("{round} {id}"))]).increment(1);
        }
        assert_eq!(registry.value("obskit_metrics_series", &[]), Some(10.0), "{round}");
        assert_eq!(registry.value("x_total", &[("otel_metric_overflow", "true")]), None);
        assert_eq!(pass(&registry, &clock, TIMEOUT * 2), 10);
        // The second call lets go of what the first one took out.
        registry.expire_idle();
    }
}

#[test]
fn threads_that_record_while_series_expire_lose_nothing() {
    let clock = Arc::new(ManualClock::default());
    let config =
        RegistryConfig { idle_timeout: Some(Duration::from_millis(1)), ..Default::default() };
    let registry = Registry::with_clock(config, clock.clone());
    // The overflow series and the held ones of other tests aside, a total that expired is gone from the
    // registry, so each thread keeps a handle for as long as it counts on a total.
    thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let registry = registry.clone();
                scope.spawn(move || {
                    with_local_recorder(&registry, || {
                        let id = worker.to_string();
                        let kept = counter!("kept_total", "id" => id.clone());
                        for _ in 0..20_000 {
                            counter!("kept_total", "id" => id.clone()).increment(1);
                            kept.increment(1);
                            counter!("loose_total", "id" => id.clone()).increment(1);
                        }
                        kept
                    })
                })
            })
            .collect();
        while !workers.iter().all(thread::ScopedJoinHandle::is_finished) {
            clock.advance(Duration::from_millis(1));
            registry.expire_idle();
        }
        let kept: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        registry.expire_idle();
        for worker in 0..4_u32 {
            let labels = [("id", &*worker.to_string())];
            assert_eq!(registry.value("kept_total", &labels), Some(40_000.0));
        }
        drop(kept);
    });
}

#[test]
fn series_that_differ_only_in_a_label_that_is_left_out_are_one() {
    let label_rules = LabelRules::new().deny("user").pseudonyms(b"key", &["organization_id"]);
    let registry = Registry::new(RegistryConfig { label_rules, ..RegistryConfig::default() });
    with_local_recorder(&registry, || {
        for user in 0..100 {
            counter!("x_total", "user" => user.to_string(), "organization_id" => "acme")
                .increment(1);
        }
    });
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(1.0));
    let text = registry.render_text();
    assert!(text.contains("x_total{organization_id=\"") && text.contains("} 100\n"), "{text}");
    assert!(!text.contains("acme") && !text.contains("user"));
}

fn flood(registry: &Registry, count: u64) {
    with_local_recorder(registry, || {
        for id in 0..count {
            counter!("flood_total", "id" => id.to_string()).increment(1);
        }
    });
}

#[test]
fn a_flood_of_label_sets_stays_within_the_cap_and_every_increment_is_counted() {
    let registry =
        Registry::new(RegistryConfig { max_series_per_metric: 1_000, ..RegistryConfig::default() });
    flood(&registry, 50_000);
    let overflow = [("otel_metric_overflow", "true")];
    assert_eq!(registry.value("flood_total", &overflow), Some(49_000.0));
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(1_000.0));
}

#[cfg(target_os = "linux")]
fn check_that_label_sets_cannot_exhaust_the_memory(label_sets: u64) {
    let resident = || -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    };
    let registry = Registry::default();
    flood(&registry, 100_000);
    let full = resident();
    flood(&registry, label_sets);
    let grown = resident().saturating_sub(full);
    assert!(grown < 1_024, "{grown} KiB more after the caps were reached");
    let overflow = [("otel_metric_overflow", "true")];
    let beyond = (100_000 - 10_000 + label_sets) as f64;
    assert_eq!(registry.value("flood_total", &overflow), Some(beyond - 10_000.0));
}

#[cfg(target_os = "linux")]
#[test]
fn half_a_million_label_sets_cannot_exhaust_the_memory() {
    check_that_label_sets_cannot_exhaust_the_memory(500_000);
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes long in a debug build: run it with --release"]
fn ten_million_label_sets_cannot_exhaust_the_memory() {
    check_that_label_sets_cannot_exhaust_the_memory(10_000_000);
}

#[test]
fn a_series_is_removed_at_once_unless_somebody_holds_it_and_makes_room() {
    let config = RegistryConfig { max_series: 2, ..RegistryConfig::default() };
    let registry = Registry::new(config);
    for round in 0..5 {
        let path = round.to_string();
        registry.gauge("mounted", &[("path", &path)]).set(1.0);
        assert_eq!(registry.value("mounted", &[("path", &path)]), Some(1.0));
        assert!(registry.remove("mounted", &[("path", &path)]));
        assert_eq!(registry.value("mounted", &[("path", &path)]), None);
    }
    assert_eq!(registry.value("obskit_metrics_series", &[]), Some(0.0));

    let held = registry.counter("jobs_total", &[]);
    held.increment(3);
    assert!(!registry.remove("jobs_total", &[]));
    drop(held);
    assert!(registry.remove("jobs_total", &[]));
    registry.counter("jobs_total", &[]).increment(1);
    assert_eq!(registry.value("jobs_total", &[]), Some(1.0));

    assert!(!registry.remove("unknown", &[]));
    assert!(!registry.remove("obskit_metrics_series", &[]));
}
