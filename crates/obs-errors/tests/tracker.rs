//! Capture, groups, statistics and counters as a user sees them.

mod recorder;
mod support;

use std::error::Error;
use std::fmt;
use std::time::Duration;

use obs_errors::{Backtraces, Details};
use obs_model::{Context, Mechanism, WithContext};
use recorder::TestRecorder;
use support::tracker;

#[derive(Debug)]
enum DbError {
    Statement(String),
    Connection(std::io::Error),
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement(what) => f.write_str(what),
            Self::Connection(_) => f.write_str("connection lost"),
        }
    }
}

impl Error for DbError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Statement(_) => None,
            Self::Connection(cause) => Some(cause),
        }
    }
}

fn statement(what: &str) -> DbError {
    DbError::Statement(what.to_owned())
}

#[test]
fn an_event_has_everything_that_is_known_about_the_failure() {
    let (tracker, clock) = tracker(|config| {
        config.environment = Some("production".into());
        config.version = Some("1.4.2".into());
    });
    clock.advance(Duration::from_secs(5));
    let context = Context::new().with_user("u").with_organization("o").with_tool("execute_sql");
    let cause = std::io::Error::other("refused, password=hunter2");
    let captured = {
        let _entered = context.clone().enter();
        let input = String::from("SELECT 1 -- token=abc");
        let details = Details { input: Some(&input), ..Details::default() };
        tracker.capture_with(&DbError::Connection(cause), details)
    };

    let events = tracker.events(captured.fingerprint);
    let event = &events[0];
    assert_eq!(event.id, captured.id);
    assert_eq!(event.timestamp.as_millis(), 1_800_000_005_000);
    assert_eq!(event.mechanism, Mechanism::Captured);
    assert_eq!(event.error_type, "tracker::DbError");
    assert_eq!(event.message, "connection lost");
    assert_eq!(event.chain, ["refused, password=[redacted]"]);
    assert_eq!(event.input.as_deref(), Some("SELECT 1 -- token=[redacted]"));
    assert_eq!(event.context, context);
    assert_eq!(event.environment.as_deref(), Some("production"));
    assert_eq!(event.version.as_deref(), Some("1.4.2"));
    assert_eq!(event.stack.len(), 1);
    assert!(event.stack[0].file.as_deref().is_some_and(|file| file.ends_with("tests/tracker.rs")));
    assert!(event.stack[0].line.is_some());
}

#[test]
fn bad_sql_sent_50_times_is_one_group_with_count_50() {
    let (tracker, clock) = tracker(|_| {});
    for number in 0..50 {
        tracker.capture(&statement(&format!("near \"SELEC{number}\": syntax error")));
        clock.advance(Duration::from_secs(1));
    }
    tracker.capture(&statement("no such table: foo"));
    tracker.capture(&statement("no such column: bar"));

    let counts: Vec<_> = tracker.groups().iter().map(|group| group.count).collect();
    assert_eq!(counts, [1, 1, 50]);
    let group = tracker.groups().pop().unwrap();
    assert_eq!(group.last_seen.since(group.first_seen), Duration::from_secs(49));
    assert_eq!(tracker.group(group.fingerprint), Some(group));
}

#[test]
fn the_latest_100_events_of_a_group_are_kept_newest_first() {
    let (tracker, _) = tracker(|_| {});
    let captured: Vec<_> = (0..130).map(|_| tracker.capture(&statement("lost"))).collect();
    let events = tracker.events(captured[0].fingerprint);
    let ids: Vec<_> = events.iter().map(|event| event.id).collect();
    let expected: Vec<_> = captured.iter().rev().take(100).map(|one| one.id).collect();
    assert_eq!(ids, expected);
    assert_eq!(tracker.groups()[0].count, 130);
}

#[test]
fn a_flood_of_different_errors_stays_within_the_bounds_and_is_counted() {
    let recorder = TestRecorder::default();
    let words = ["ab", "cd", "ef", "gh", "ij", "kl", "mn", "op", "qr", "st"];
    metrics::with_local_recorder(&recorder, || {
        let (tracker, _) = tracker(|config| {
            config.max_groups = 20;
            config.max_error_types = 3;
            config.events_per_group = 1;
        });
        for first in words {
            for second in words {
                let (message, name) = (format!("no {first} {second}"), format!("Type{first}"));
                let details = Details { error_type: Some(&name), ..Details::default() };
                tracker.capture_with(&statement(&message), details);
            }
        }
        assert_eq!(tracker.groups().len(), 20);
        let statistics = tracker.statistics();
        assert_eq!((statistics.total, statistics.unique_fingerprints), (100, 20));
        assert_eq!((statistics.evicted_groups, statistics.top.len()), (80, 10));
        tracker.capture_with(
            &statement("no st st"),
            Details { error_type: Some("Typest"), ..Details::default() },
        );
    });
    assert_eq!(
        recorder.counter("obskit_errors_total{error_type=Typeab,mechanism=captured}"),
        Some(10)
    );
    assert_eq!(
        recorder.counter("obskit_errors_total{error_type=other,mechanism=captured}"),
        Some(71)
    );
    assert_eq!(recorder.series("obskit_errors_total"), 4);
    assert_eq!(recorder.gauge("obskit_error_groups{}"), Some(20.0));
    assert_eq!(recorder.counter("obskit_error_groups_evicted_total{}"), Some(80));
    let evicted =
        |bound| recorder.counter(&format!("obskit_error_events_evicted_total{{bound={bound}}}"));
    assert_eq!((evicted("groups"), evicted("events_per_group")), (Some(80), Some(1)));
}

#[test]
fn the_memory_of_large_events_is_bounded() {
    let recorder = TestRecorder::default();
    metrics::with_local_recorder(&recorder, || {
        let (tracker, _) = tracker(|config| config.max_bytes = 256 * 1_024);
        let input = "x".repeat(100_000);
        for _ in 0..200 {
            let details = Details { input: Some(&input), ..Details::default() };
            tracker.capture_with(&statement("large"), details);
        }
        let group = &tracker.groups()[0];
        assert_eq!(group.count, 200);
        assert!((30..64).contains(&group.kept_events), "{} events are kept", group.kept_events);
        let events = tracker.events(group.fingerprint);
        assert!(events[0].input.as_ref().is_some_and(|input| input.len() < 4_100));
    });
    let evicted = recorder.counter("obskit_error_events_evicted_total{bound=memory}");
    assert!(evicted.is_some_and(|events| events > 100));
}

#[test]
fn the_last_hour_forgets_what_is_older() {
    let (tracker, clock) = tracker(|_| {});
    for hour in 0..3 {
        for _ in 0..4 {
            tracker.capture(&statement("lost"));
            clock.advance(Duration::from_secs(15 * 60));
        }
        // The four of this hour, less the one that is exactly an hour old by now.
        let statistics = tracker.statistics();
        assert_eq!((statistics.total, statistics.last_hour), (4 * (hour + 1), 3));
    }
    clock.advance(Duration::from_secs(44 * 60 + 59));
    assert_eq!(tracker.statistics().last_hour, 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(tracker.statistics().last_hour, 0);
    let statistics = tracker.statistics();
    assert_eq!((statistics.total, statistics.top[0].count), (12, 12));
    assert!(statistics.top[0].last_seen < obs_model::Clock::now(&*clock));
}

#[test]
fn wrappers_hand_results_on_untouched_and_capture_errors() {
    let (tracker, _) = tracker(|_| {});
    assert_eq!(tracker.run(|| "7".parse::<u8>()), Ok(7));
    assert_eq!(tracker.statistics().total, 0);

    let expected = "x".parse::<u8>().unwrap_err();
    assert_eq!(tracker.run(|| "x".parse::<u8>()), Err(expected));
    let group = &tracker.groups()[0];
    assert_eq!(&*group.error_type, "core::num::error::ParseIntError");

    let boxed = tracker.run_boxed(|| Err::<(), Box<dyn Error + Send + Sync>>("it failed".into()));
    assert_eq!(boxed.unwrap_err().to_string(), "it failed");
    assert_eq!(&*tracker.groups()[0].error_type, "dyn Error");
    assert_eq!(&*tracker.groups()[0].message, "it failed");
}

#[tokio::test]
async fn a_watched_future_is_captured_in_the_context_it_runs_in() {
    let (tracker, _) = tracker(|_| {});
    let line = line!() + 1;
    let watched = tracker.watch(async {
        tokio::task::yield_now().await;
        Err::<(), _>(statement("lost"))
    });
    let result = watched.in_context(Context::new().with_workflow("w-1")).await;
    assert!(matches!(result, Err(DbError::Statement(what)) if what == "lost"));
    let group = &tracker.groups()[0];
    let event = &tracker.events(group.fingerprint)[0];
    assert_eq!(event.context.workflow(), Some("w-1"));
    assert_eq!(event.stack[0].line, Some(line));

    let fine = tracker.watch(async { Ok::<_, DbError>(3) }).await;
    assert_eq!(fine.unwrap(), 3);
    let boxed = tracker.watch_boxed(async {
        Err::<(), Box<dyn Error + Send + Sync>>(Box::new(statement("boxed")))
    });
    assert_eq!(boxed.await.unwrap_err().to_string(), "boxed");
    assert_eq!(&*tracker.groups()[0].error_type, "Statement");
    assert_eq!(tracker.statistics().total, 2);
}

#[test]
fn a_group_key_decides_the_group_by_itself() {
    let (tracker, _) = tracker(|_| {});
    let details = Details { group_key: Some("nightly"), ..Details::default() };
    let first = tracker.capture_with(&statement("one thing"), details);
    let second = tracker.capture_with(&statement("another"), details);
    assert_eq!(first.fingerprint, second.fingerprint);
    assert_ne!(first.id, second.id);
}

#[test]
fn a_walked_stack_begins_where_the_error_was_captured() {
    let (tracker, _) = tracker(|config| config.backtraces = Backtraces::Always);
    #[inline(never)]
    fn load(tracker: &obs_errors::ErrorTracker) -> obs_errors::Captured {
        tracker.capture(&statement("lost"))
    }
    #[inline(never)]
    fn store(tracker: &obs_errors::ErrorTracker) -> obs_errors::Captured {
        tracker.capture(&statement("lost"))
    }
    let (loaded, stored) = (load(&tracker), store(&tracker));
    let event = tracker.event(loaded.id).unwrap();
    assert!(event.stack[0].function.contains("load"), "{:#?}", event.stack);
    assert!(event.stack.len() > 1 && event.stack.len() <= 32);
    assert_ne!(loaded.fingerprint, stored.fingerprint, "the functions tell them apart");
}

#[test]
fn an_error_whose_display_panics_is_captured_all_the_same() {
    #[derive(Debug)]
    struct Unruly;
    impl fmt::Display for Unruly {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            panic!("on purpose");
        }
    }
    impl Error for Unruly {}
    let (tracker, _) = tracker(|_| {});
    tracker.capture(&Unruly);
    assert!(tracker.groups()[0].message.starts_with("half"));
}

#[test]
fn an_endless_chain_of_sources_is_cut() {
    #[derive(Debug)]
    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("again")
        }
    }
    impl Error for Endless {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Endless)
        }
    }
    let (tracker, _) = tracker(|config| config.max_chain = 5);
    let captured = tracker.capture(&Endless);
    assert_eq!(tracker.event(captured.id).unwrap().chain.len(), 5);
}

#[test]
fn threads_capture_together_without_losing_a_count() {
    let (tracker, _) = tracker(|_| {});
    std::thread::scope(|scope| {
        for number in 0..4 {
            let tracker = tracker.clone();
            scope.spawn(move || {
                for _ in 0..250 {
                    let what = if number % 2 == 0 { "no table" } else { "no column" };
                    tracker.capture(&statement(what));
                }
            });
        }
    });
    let statistics = tracker.statistics();
    assert_eq!((statistics.total, statistics.last_hour), (1_000, 1_000));
    assert_eq!(statistics.top.iter().map(|group| group.count).collect::<Vec<_>>(), [500, 500]);
}
