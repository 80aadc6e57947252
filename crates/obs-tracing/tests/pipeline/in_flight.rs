//! Open spans: what is shown of them, and what counts as stuck or blocking.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_util::debugging::{DebuggingRecorder, Snapshotter};
use obs_model::{FieldValue, ManualClock};
use obs_tracing::{
    InFlight, InFlightConfig, InFlightTime, Operation, OperationFilter, may_block, spawn_blocking,
};
use proptest::prelude::*;
use tracing::{Instrument, Span};

use crate::support::{PATIENCE, Pipeline, series};

const SECOND: Duration = Duration::from_secs(1);

/// A pipeline whose open spans are watched, by a clock that stands.
fn watched(change: impl FnOnce(&mut InFlightConfig)) -> (Pipeline, InFlight, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let mut config = InFlightConfig::default();
    config.time = InFlightTime::Clock(Arc::clone(&clock) as _);
    change(&mut config);
    let pipeline = Pipeline::new(|log| log.in_flight = Some(config));
    let in_flight = pipeline.handle.in_flight().unwrap();
    (pipeline, in_flight, clock)
}

fn all() -> OperationFilter {
    OperationFilter::default()
}

/// Name and depth of each operation.
fn outline(operations: &[Operation]) -> Vec<(&'static str, usize)> {
    operations.iter().map(|one| (one.name, one.depth)).collect()
}

fn value(snapshotter: &Snapshotter, series_name: &str) -> Option<u64> {
    series(snapshotter).into_iter().find(|(name, _)| name == series_name).map(|(_, value)| value)
}

#[test]
fn open_spans_are_only_watched_where_that_is_asked_for() {
    assert!(Pipeline::new(|_| {}).handle.in_flight().is_none());
    let mut wrong = obs_tracing::LogConfig::new(obs_model::Resource::new("test"));
    let mut config = InFlightConfig::default();
    config.stuck_after = Duration::ZERO;
    config.max_names = 0;
    wrong.in_flight = Some(config);
    let error = obs_tracing::build(wrong).unwrap_err();
    assert!(error.is_config(), "{error}");
    for part in ["stuck_after", "max_names"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn an_operation_tells_what_a_line_would_and_no_secret() {
    let (pipeline, in_flight, _) = watched(|_| {});
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        let request = tracing::info_span!("request", correlation_id = "req-7", user_id = "u-1");
        let _request = request.entered();
        let late =
            tracing::info_span!("pay", password = "p", amount = 9.5, state = tracing::field::Empty);
        late.record("state", "sent to a@example.com");
        let shown = in_flight.tree(&all());
        assert_eq!(outline(&shown.operations), [("request", 0), ("pay", 1)]);
        let [request, pay] = &shown.operations[..] else { unreachable!() };
        assert_eq!(request.fields[0], ("correlationId".to_owned(), FieldValue::from("req-7")));
        assert_eq!(request.fields[1], ("userId".to_owned(), FieldValue::from("u-1")));
        assert_eq!(pay.correlation.as_deref(), Some("req-7"));
        assert_eq!((pay.trace, pay.parent), (request.trace, Some(request.span)));
        let text = format!("{:?}", pay.fields);
        assert!(
            text.contains("amount") && text.contains("9.5") && text.contains("sent to"),
            "{text}"
        );
        assert!(!text.contains("a@example.com") && !text.contains("\"p\""), "{text}");
        let own = std::thread::current();
        let running = request.running.as_ref().unwrap();
        assert_eq!((running.thread.as_deref(), pay.running.as_ref()), (own.name(), None));
        assert_eq!((request.polls, pay.polls, request.task), (1, 0, None));
        assert!(request.location.unwrap().0.ends_with("in_flight.rs"));
    });
    assert_eq!(in_flight.operations(&all()).open, 0);
}

proptest! {
    /// The times of spans against a model, for any order of opening, entering, leaving and closing.
    #[test]
    fn busy_and_idle_times_add_up_to_the_age(
        steps in prop::collection::vec((0_u8..5, 0_usize..6, 1_u64..50), 0..120),
    ) {
        #[derive(Default)]
        struct Model { age: u64, busy: u64, quiet: u64, polls: u64, inside: u32 }
        let (pipeline, in_flight, clock) = watched(|_| {});
        tracing::dispatcher::with_default(&pipeline.dispatch, || {
            let mut spans: Vec<Option<(Span, Model)>> = (0..6).map(|_| None).collect();
            for (step, which, time) in steps {
                match (step, &mut spans[which]) {
                    (0, empty @ None) => {
                        *empty = Some((tracing::info_span!(parent: None, "one", which), Model::default()));
                    }
                    (1, Some((span, model))) if model.inside < 3 => {
                        span.with_subscriber(|(id, dispatch)| dispatch.enter(id));
                        model.inside += 1;
                        model.polls += u64::from(model.inside == 1);
                    }
                    (2, Some((span, model))) if model.inside > 0 => {
                        span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
                        model.inside -= 1;
                        if model.inside == 0 { model.quiet = 0; }
                    }
                    (3, one) if one.as_ref().is_some_and(|(_, model)| model.inside == 0) => *one = None,
                    _ => {
                        clock.advance(Duration::from_millis(time));
                        for (_, model) in spans.iter_mut().flatten() {
                            model.age += time;
                            model.quiet += time;
                            model.busy += if model.inside > 0 { time } else { 0 };
                        }
                    }
                }
                let mut shown: HashMap<u64, Operation> = in_flight
                    .operations(&all())
                    .operations
                    .into_iter()
                    .map(|one| match one.fields[0].1 {
                        FieldValue::U64(which) => (which, one),
                        FieldValue::I64(which) => (which as u64, one),
                        _ => unreachable!(),
                    })
                    .collect();
                for (which, model) in spans.iter().enumerate() {
                    let one = shown.remove(&(which as u64));
                    prop_assert_eq!(one.is_some(), model.is_some());
                    let (Some(one), Some((_, model))) = (one, model) else { continue };
                    let ms = |time: Duration| time.as_millis() as u64;
                    prop_assert_eq!((ms(one.age), ms(one.busy)), (model.age, model.busy));
                    prop_assert_eq!(one.busy + one.idle, one.age);
                    prop_assert_eq!((one.polls, one.running.is_some()), (model.polls, model.inside > 0));
                    let quiet = if model.inside > 0 { 0 } else { model.quiet };
                    prop_assert_eq!(ms(one.since_poll), quiet);
                }
                prop_assert!(shown.is_empty());
            }
            for (span, model) in spans.into_iter().flatten() {
                for _ in 0..model.inside {
                    span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
                }
            }
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn tasks_in_tasks_are_one_tree() {
    let (pipeline, in_flight, clock) = watched(|_| {});
    let _default = tracing::dispatcher::set_default(&pipeline.dispatch);
    let (release, released) = tokio::sync::watch::channel(false);
    let wait = move || {
        let mut released = released.clone();
        async move { drop(released.wait_for(|released| *released).await) }
    };
    let leaf = wait.clone();
    let branch = move |number: u64| {
        let (own, leaf) = (leaf.clone(), leaf.clone());
        async move {
            let leaf = tokio::spawn(leaf().instrument(tracing::info_span!("leaf", number)));
            own().await;
            leaf.await.unwrap();
        }
    };
    let root = async move {
        let tasks: Vec<_> = (0..2)
            .map(|number| {
                tokio::spawn(branch(number).instrument(tracing::info_span!("branch", number)))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    };
    let root = tokio::spawn(root.instrument(tracing::info_span!("root")));
    for _ in 0..10 {
        clock.advance(Duration::from_millis(1));
        tokio::task::yield_now().await;
    }
    let tree = in_flight.tree(&all());
    let expected = [("root", 0), ("branch", 1), ("leaf", 2), ("branch", 1), ("leaf", 2)];
    assert_eq!(outline(&tree.operations), expected);
    let tasks: std::collections::HashSet<_> = tree.operations.iter().map(|one| one.task).collect();
    assert!(tasks.len() == 5 && !tasks.contains(&None), "{tasks:?}");
    assert_eq!(tree.operations[0].task.map(|id| id.to_string()), Some(root.id().to_string()));
    for one in &tree.operations {
        assert_eq!((one.trace, one.running.as_ref()), (tree.operations[0].trace, None));
        assert!(one.polls >= 1 && one.age > one.busy, "{one:?}");
    }
    let mut leaves = all();
    leaves.name = Some("leaf".to_owned());
    assert_eq!(outline(&in_flight.tree(&leaves).operations), [("leaf", 0); 2]);
    release.send(true).unwrap();
    root.await.unwrap();
    assert_eq!(in_flight.sample().open, 0);
}

#[test]
fn of_a_hundred_thousand_spans_the_oldest_are_shown_and_the_others_counted() {
    let (pipeline, in_flight, clock) = watched(|_| {});
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        let spans: Vec<_> = (0..100_000_u64)
            .map(|number| {
                if number % 100 == 0 {
                    clock.advance(Duration::from_millis(1));
                }
                tracing::info_span!(parent: None, "one", number)
            })
            .collect();
        let mut filter = all();
        filter.limit = 50;
        let shown = in_flight.operations(&filter);
        assert_eq!((shown.open, shown.matched, shown.left_out), (100_000, 100_000, 99_950));
        assert_eq!(shown.operations.len(), 50);
        assert!(shown.operations.iter().all(|one| one.age == Duration::from_millis(999)));
        filter.limit = usize::MAX;
        filter.min_age = Duration::from_millis(500);
        let shown = in_flight.tree(&filter);
        assert_eq!((shown.matched, shown.left_out), (50_000, 40_000));
        assert!(shown.operations.is_sorted_by_key(|one| std::cmp::Reverse(one.age)));
        filter.trace = shown.operations.last().map(|one| one.trace);
        assert_eq!(in_flight.operations(&filter).matched, 1);
        assert_eq!(in_flight.sample().open, 100_000);
        drop(spans);
    });
    assert_eq!(in_flight.sample(), Default::default());
}

#[test]
fn what_nothing_happens_in_or_below_is_stuck() {
    let (pipeline, in_flight, clock) = watched(|config| {
        config.waiting = vec!["consumer".to_owned()];
        config.longest = vec![("request".to_owned(), 60 * SECOND)];
    });
    let stuck = || {
        let mut filter = all();
        filter.only_stuck = true;
        let shown = in_flight.operations(&filter).operations;
        shown.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    tracing::dispatcher::with_default(&pipeline.dispatch, || {
        let _consumer = tracing::info_span!("consumer");
        let request = tracing::info_span!("request");
        let outer = tracing::info_span!(parent: &request, "outer");
        let inner = tracing::info_span!(parent: &outer, "inner");
        let lone = tracing::info_span!("lone");
        clock.advance(29 * SECOND);
        assert!(stuck().is_empty());
        inner.in_scope(|| {});
        clock.advance(SECOND);
        assert_eq!(stuck(), ["lone"], "what is above the inner one waits for it");
        let summary = in_flight.sample();
        assert_eq!((summary.open, summary.stuck, summary.oldest), (5, 1, 30 * SECOND));
        clock.advance(29 * SECOND);
        let entered = inner.enter();
        assert_eq!(stuck(), ["lone"]);
        clock.advance(SECOND);
        assert_eq!(stuck(), ["request", "lone"], "a request may not last longer than a minute");
        lone.in_scope(|| {});
        drop(entered);
        clock.advance(30 * SECOND);
        assert_eq!(stuck(), ["request", "outer", "inner", "lone"]);
    });
}

#[test]
fn what_is_open_is_counted_by_name_and_shown_as_nothing_when_it_is_gone() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let (pipeline, in_flight, clock) = watched(|config| config.max_names = 2);
    metrics::with_local_recorder(&recorder, || {
        tracing::dispatcher::with_default(&pipeline.dispatch, || {
            let spans =
                [tracing::info_span!(parent: None, "a"), tracing::info_span!(parent: None, "a")];
            in_flight.sample();
            clock.advance(40 * SECOND);
            let _more = ["b", "c", "d"].map(|_| tracing::info_span!(parent: None, "b"));
            let _other =
                [tracing::info_span!(parent: None, "c"), tracing::info_span!(parent: None, "d")];
            in_flight.sample();
            let shown = series(&snapshotter);
            for (name, expected) in [
                ("obskit_operations_in_flight{name=a}", 2),
                ("obskit_operations_in_flight{name=b}", 3),
                ("obskit_operations_in_flight{name=other}", 2),
                ("obskit_operation_oldest_seconds{name=a}", 40),
                ("obskit_operations_stuck{name=a}", 2),
                ("obskit_operations_stuck{name=b}", 0),
            ] {
                assert!(shown.contains(&(name.to_owned(), expected)), "{name} in {shown:?}");
            }
            drop(spans);
            in_flight.sample();
            assert_eq!(value(&snapshotter, "obskit_operations_in_flight{name=a}"), Some(0));
        });
    });
}

/// Runs tasks on this thread alone.
fn in_a_task<R: Send + 'static>(work: impl Future<Output = R> + Send + 'static) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { tokio::spawn(work).await.unwrap() })
}

#[test]
fn a_poll_that_holds_its_thread_is_counted_for_the_innermost_that_does() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let (pipeline, in_flight, clock) = watched(|config| config.may_block = vec!["fine".to_owned()]);
    let passes = move |milliseconds| clock.advance(Duration::from_millis(milliseconds));
    metrics::with_local_recorder(&recorder, || {
        tracing::dispatcher::with_default(&pipeline.dispatch, || {
            tracing::info_span!("no executor").in_scope(|| passes(500));
            let looking = in_flight.clone();
            in_a_task(async move {
                tracing::info_span!("outer").in_scope(|| {
                    passes(99);
                    tracing::info_span!("inner").in_scope(|| {
                        passes(100);
                        assert_eq!(looking.sample().blocking, 1);
                        let shown = looking.operations(&OperationFilter::default()).operations;
                        let blocking = shown.iter().filter(|one| one.blocking);
                        assert_eq!(blocking.map(|one| one.name).collect::<Vec<_>>(), ["inner"]);
                    });
                    assert_eq!(
                        looking.sample().blocking,
                        1,
                        "the outer one has been entered for 199 ms"
                    );
                });
                tracing::info_span!("fine").in_scope(|| passes(500));
                may_block(|| tracing::info_span!("said so").in_scope(|| passes(500)));
                tracing::info_span!("outer").in_scope(|| {
                    for _ in 0..3 {
                        tracing::info_span!("inner").in_scope(|| passes(50));
                    }
                });
            });
            in_flight.sample();
        });
    });
    let shown: Vec<_> =
        series(&snapshotter).into_iter().filter(|(name, _)| name.contains("blocking")).collect();
    let expected = [
        ("obskit_blocking_poll_duration_seconds{name=inner}", 1),
        ("obskit_blocking_poll_duration_seconds{name=outer}", 1),
        ("obskit_blocking_polls_total{name=inner}", 1),
        ("obskit_blocking_polls_total{name=outer}", 1),
        ("obskit_operations_blocking{name=inner}", 0),
        ("obskit_operations_blocking{name=outer}", 0),
    ];
    assert_eq!(shown, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn a_thread_that_is_held_up_is_found_while_it_is_and_named_once() {
    #[derive(Debug)]
    struct Stacks;
    impl obs_tracing::ThreadStacks for Stacks {
        fn stack_of(&self, _: u32) -> Option<Vec<String>> {
            Some(vec!["inner".to_owned(), "outer".to_owned()])
        }
    }
    let pipeline = Pipeline::new(|log| {
        let mut config = InFlightConfig::default();
        config.blocking_after = Duration::from_millis(20);
        config.stacks = Some(Arc::new(Stacks));
        log.in_flight = Some(config);
    });
    let (handle, lines) = (pipeline.handle.clone(), pipeline.lines.clone());
    let trace = tracing::dispatcher::with_default(&pipeline.dispatch, || {
        in_a_task(
            async move {
                // This blocks the executor until it is found out.
                let deadline = Instant::now() + PATIENCE;
                while !lines.text().contains("holds up its thread") && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
                tracing::info!("found out");
                handle.in_flight().unwrap().operations(&OperationFilter::default()).operations
            }
            .instrument(tracing::info_span!("import", file = "a.csv")),
        )
    });
    assert!(trace[0].blocking && trace[0].running.is_some(), "{trace:?}");
    let lines = pipeline.written();
    assert_eq!(lines.len(), 2, "the second line about it was withheld: {lines:?}");
    let line = &lines[0];
    assert_eq!((&line["level"], &line["target"]), (&"WARN".into(), &"obskit::in_flight".into()));
    assert_eq!(line["traceId"], trace[0].trace.to_string());
    assert_eq!(line["metadata"]["operation"], "import");
    assert_eq!(line["metadata"]["file"], "a.csv");
    assert!(line["metadata"]["held_ms"].as_u64().unwrap() >= 20, "{line}");
    assert_eq!(line["metadata"]["task"].to_string(), trace[0].task.unwrap().to_string());
    if cfg!(target_os = "linux") {
        assert_eq!(line["metadata"]["stack"], "inner\nouter");
    }
}

#[test]
fn work_on_the_threads_for_it_is_not_blamed() {
    let (pipeline, in_flight, clock) = watched(|_| {});
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _default = tracing::dispatcher::set_default(&pipeline.dispatch);
    let work = move |dispatch: tracing::Dispatch| {
        let (in_flight, clock) = (in_flight.clone(), Arc::clone(&clock));
        move || {
            let _default = tracing::dispatcher::set_default(&dispatch);
            tracing::info_span!("hash").in_scope(|| {
                clock.advance(SECOND);
                in_flight.sample().blocking
            })
        }
    };
    let (blamed, ours, tokios) = runtime.block_on(async {
        let blamed = work(pipeline.dispatch.clone())();
        let ours = spawn_blocking(work(pipeline.dispatch.clone())).await.unwrap();
        let tokios = tokio::task::spawn_blocking(work(pipeline.dispatch.clone())).await.unwrap();
        (blamed, ours, tokios)
    });
    assert_eq!((blamed, ours, tokios), (1, 0, 0));
}
