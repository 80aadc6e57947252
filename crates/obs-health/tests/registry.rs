//! Checks, probes and reports as a service uses them.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use obs_health::{Check, CheckOutcome, Criticality, HealthConfig, HealthRegistry, Probe};
use obs_model::HealthStatus::{Degraded, Healthy, Unhealthy};
use obs_model::{FieldValue, HealthStatus, ManualClock, ServiceFigures, Timestamp};

fn registry() -> (HealthRegistry, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let config = HealthConfig { version: Some("1.4.2".into()), ..HealthConfig::default() };
    (HealthRegistry::new(config, clock.clone()), clock)
}

fn finding(name: &str, status: HealthStatus) -> Check {
    Check::new(name, move || async move {
        match status {
            Healthy => CheckOutcome::healthy(),
            Degraded => CheckOutcome::degraded("slow"),
            Unhealthy => CheckOutcome::unhealthy("gone"),
        }
    })
}

/// A check that counts its runs and fails once `failing` is set.
fn counting(failing: &Arc<AtomicBool>) -> (Check, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let (counted, failing) = (Arc::clone(&runs), Arc::clone(failing));
    let check = Check::new("database", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        let failing = Arc::clone(&failing);
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if failing.load(Ordering::SeqCst) { Err("gone") } else { Ok(()) }
        }
    });
    (check, runs)
}

#[tokio::test]
async fn checks_add_up_to_the_status_of_the_service() {
    use Criticality::{Critical, NonCritical};
    for (checks, expected) in [
        (&[][..], Healthy),
        (&[(Healthy, Critical), (Healthy, NonCritical)], Healthy),
        (&[(Healthy, Critical), (Degraded, Critical)], Degraded),
        (&[(Healthy, Critical), (Degraded, NonCritical)], Degraded),
        (&[(Healthy, Critical), (Unhealthy, NonCritical)], Degraded),
        (&[(Unhealthy, Critical), (Healthy, Critical)], Unhealthy),
        (&[(Unhealthy, Critical), (Unhealthy, NonCritical)], Unhealthy),
    ] {
        let (registry, _) = registry();
        for (number, (status, criticality)) in checks.iter().enumerate() {
            let check = finding(&format!("check-{number}"), *status);
            registry.add(check.with_criticality(*criticality)).unwrap();
        }
        let report = registry.report().await;
        assert_eq!(report.status, expected, "{checks:?}");
        assert_eq!(report.checks.len(), checks.len());
        for (check, (status, criticality)) in report.checks.values().zip(checks) {
            assert_eq!((check.status, check.critical), (*status, *criticality == Critical));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn checks_that_hang_time_out_side_by_side_and_say_so() {
    let (registry, _) = registry();
    for (name, seconds) in [("slow", 2), ("slower", 3)] {
        let hanging = Check::new(name, pending::<CheckOutcome>);
        registry.add(hanging.with_timeout(Duration::from_secs(seconds))).unwrap();
    }
    registry.add(finding("fine", Healthy)).unwrap();
    let before = tokio::time::Instant::now();
    let report = registry.report().await;
    // OK to allow a little more: the timer's wheel turns in whole milliseconds.
    let took = before.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_millis(3_010)).contains(&took), "{took:?}");
    assert_eq!(report.checks["slow"].message, "it timed out after 2s");
    assert_eq!(report.checks["slower"].message, "it timed out after 3s");
    assert_eq!(report.checks["slow"].status, Unhealthy);
    assert_eq!(report.checks["fine"].status, Healthy);
}

#[tokio::test]
async fn a_check_that_panics_is_unhealthy_and_harms_no_other() {
    let (registry, _) = registry();
    registry
        .add(Check::new("future", || {
            async { panic!("on purpose, token=abc") as () }.map(Ok::<(), String>)
        }))
        .unwrap();
    let closure =
        Check::new("closure", || -> std::future::Ready<CheckOutcome> { panic!("at once") });
    registry.add(closure).unwrap();
    let thread = Check::blocking("thread", || -> CheckOutcome { std::panic::panic_any(7) });
    registry.add(thread).unwrap();
    registry.add(finding("fine", Healthy)).unwrap();
    for _ in 0..2 {
        let report = registry.report().await;
        for (name, message) in [
            ("future", "it panicked: on purpose, token=[redacted]"),
            ("closure", "it panicked: at once"),
            ("thread", "it panicked: a panic whose payload is not a text"),
        ] {
            assert_eq!(report.checks[name].message, message);
            assert_eq!(report.checks[name].status, Unhealthy);
        }
        assert_eq!(report.checks["fine"].status, Healthy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_blocking_check_times_out_and_holds_one_thread_only() {
    let (registry, clock) = registry();
    let (release, wait) = mpsc::channel::<()>();
    let (wait, runs) = (std::sync::Mutex::new(wait), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&runs);
    let check = Check::blocking("disk", move || {
        counted.fetch_add(1, Ordering::SeqCst);
        wait.lock().unwrap().recv().map_err(|gone| gone.to_string())
    });
    registry.add(check.with_timeout(Duration::from_secs(2))).unwrap();

    let asking = tokio::spawn({
        let registry = registry.clone();
        async move { registry.report().await }
    });
    while runs.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::advance(Duration::from_secs(3)).await;
    let report = asking.await.unwrap();
    assert_eq!(report.checks["disk"].message, "it timed out after 2s");

    clock.advance(Duration::from_secs(2));
    let report = registry.report().await;
    let still = "an earlier run, which timed out after 2s, has still not finished";
    assert_eq!((report.checks["disk"].message.as_str(), report.status), (still, Unhealthy));
    assert_eq!(runs.load(Ordering::SeqCst), 1);

    // The second message is for the run that follows once the first has ended.
    release.send(()).unwrap();
    release.send(()).unwrap();
    loop {
        clock.advance(Duration::from_secs(2));
        if registry.report().await.status == Healthy {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_probes_runs_each_check_once_and_hides_a_failure_no_longer_than_the_cache() {
    let (registry, clock) = registry();
    let failing = Arc::new(AtomicBool::new(false));
    let (check, runs) = counting(&failing);
    registry.add(check).unwrap();
    let storm = || join_all((0..100).map(|_| registry.ready()));

    assert!(storm().await.iter().all(|report| report.status == Healthy));
    assert_eq!(runs.load(Ordering::SeqCst), 1);

    failing.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_millis(999));
    assert_eq!(registry.ready().await.status, Healthy, "the finding is still fresh");
    assert_eq!(runs.load(Ordering::SeqCst), 1);

    clock.advance(Duration::from_millis(1));
    assert!(storm().await.iter().all(|report| report.status == Unhealthy));
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    failing.store(false, Ordering::SeqCst);
    clock.advance(Duration::from_secs(1));
    assert_eq!(registry.ready().await.status, Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_on_when_the_caller_that_began_it_goes_away() {
    let (registry, _) = registry();
    let (check, runs) = counting(&Arc::default());
    registry.add(check).unwrap();
    let impatient = tokio::time::timeout(Duration::from_millis(10), registry.ready());
    assert!(impatient.await.is_err());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(registry.ready().await.status, Healthy);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn each_probe_asks_its_own_checks() {
    let (registry, _) = registry();
    registry.add(finding("dependency", Unhealthy)).unwrap();
    registry.add(finding("deadlock", Healthy).only_on([Probe::Liveness])).unwrap();
    registry.add(finding("schema", Healthy).on(Probe::Startup)).unwrap();
    registry.add(finding("advice", Degraded).only_on([])).unwrap();

    let names = |report: obs_model::HealthReport| report.checks.into_keys().collect::<Vec<_>>();
    assert_eq!(names(registry.report().await), ["advice", "deadlock", "dependency", "schema"]);
    assert_eq!(registry.live().await.status, Healthy, "a dependency that fails kills no pod");
    assert_eq!(names(registry.live().await), ["deadlock"]);
    assert_eq!(registry.ready().await.status, Unhealthy);
    assert_eq!(names(registry.ready().await), ["dependency", "schema"]);

    let report = registry.startup().await;
    assert_eq!(report.status, Unhealthy);
    assert_eq!(report.checks["startup"].message, "the service has not finished starting");
    registry.set_started();
    let report = registry.startup().await;
    assert_eq!((report.status, names(report)), (Healthy, vec!["schema".to_owned()]));
}

#[tokio::test]
async fn what_is_shown_is_bounded_and_without_secrets() {
    let (registry, _) = registry();
    registry
        .add(Check::new("database", || async {
            let mut outcome = CheckOutcome::degraded("x".repeat(5_000))
                .with_detail("url", "postgres://app:hunter2@db/x")
                .with_detail("password", 7_u64)
                .with_detail("rows", 1_u64)
                .with_detail("rows", 2_u64);
            for number in 0..100 {
                outcome = outcome.with_detail(format!("detail-{number}"), true);
            }
            outcome
        }))
        .unwrap();
    let report = registry.report().await;
    let check = &report.checks["database"];
    assert!(check.message.len() < 1_030 && check.details.len() == 32);
    let detail = |name: &str| {
        check.details.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_string())
    };
    assert_eq!(detail("url").as_deref(), Some("postgres://app:[redacted]@db/x"));
    assert_eq!(detail("password").as_deref(), Some("[redacted]"));
    assert_eq!(detail("rows").as_deref(), Some("2"));
    assert_eq!(check.details[2].1, FieldValue::U64(2));
}

#[tokio::test]
async fn figures_come_from_their_source_and_survive_its_panic() {
    let (registry, clock) = registry();
    clock.advance(Duration::from_secs(90));
    let report = registry.report().await;
    assert_eq!(report.figures.uptime, Duration::from_secs(90));
    assert_eq!(report.figures.requests_per_minute, None);
    assert_eq!(report.timestamp, Timestamp::from_millis(1_800_000_090_000));
    assert_eq!(report.version.as_deref(), Some("1.4.2"));

    registry.set_figures(|| ServiceFigures { active_users: Some(3), ..ServiceFigures::default() });
    assert_eq!(registry.report().await.figures.active_users, Some(3));
    registry.set_figures(|| panic!("on purpose"));
    assert_eq!(registry.report().await.figures.uptime, Duration::from_secs(90));
}

#[test]
fn a_check_that_cannot_be_added_is_refused_with_the_reason() {
    let clock = Arc::new(ManualClock::default());
    let config = HealthConfig { max_checks: 1, ..HealthConfig::default() };
    let registry = HealthRegistry::new(config, clock);
    let long = "x".repeat(65);
    for name in ["", "a b", "é", long.as_str()] {
        assert!(registry.add(finding(name, Healthy)).unwrap_err().is_invalid_name(), "{name:?}");
    }
    let impatient = finding("a", Healthy).with_timeout(Duration::ZERO);
    assert!(registry.add(impatient).unwrap_err().is_zero_timeout());
    registry.add(finding("a", Healthy)).unwrap();
    let error = registry.add(finding("a", Healthy)).unwrap_err();
    assert!(error.is_duplicate());
    assert!(error.to_string().contains("\"a\""), "{error}");
    assert!(registry.add(finding("b", Healthy)).unwrap_err().is_full());
    assert!(registry.remove("a") && !registry.remove("a"));
    registry.add(finding("b", Healthy)).unwrap();
    assert_eq!(registry.names().iter().map(|name| &**name).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn without_a_runtime_a_check_is_unhealthy_and_nothing_panics() {
    let (registry, _) = registry();
    registry.add(finding("a", Healthy)).unwrap();
    let report = registry.report().now_or_never().expect("there is nothing to wait for");
    assert_eq!(report.checks["a"].message, "it cannot run: there is no tokio runtime here");
}

#[test]
fn a_run_that_died_with_its_runtime_is_begun_again_on_another() {
    let (registry, _) = registry();
    let (check, runs) = counting(&Arc::default());
    registry.add(check).unwrap();
    let runtime = || {
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("it is built")
    };
    let first = runtime();
    first.block_on(async {
        assert!(registry.ready().now_or_never().is_none());
        tokio::task::yield_now().await;
    });
    drop(first);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let second = runtime();
    // This one is not even begun before its runtime is gone.
    second.block_on(async { assert!(registry.ready().now_or_never().is_none()) });
    drop(second);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(runtime().block_on(registry.ready()).status, Healthy);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}
