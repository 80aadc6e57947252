//! The engine as its users see it: rules come and go, fail, and tell channels.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::support::{Bench, Counts, Memory, START, labels, names};
use obs_alerts::{
    AlertConfig, AlertEngine, Finding, Operator, Rule, Signal, ThresholdRule, Verdict,
};
use obs_model::{
    Accepted, AlertEvent, AlertState, DropReason, ManualClock, Severity, Sink, Timestamp,
};
use obs_query::{Selector, SeriesStore, StoreConfig};
use parking_lot::Mutex;

/// A rule that holds while the flag is set.
fn flagged(id: &str, severity: Severity) -> (Rule, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&flag);
    (Rule::closure(id, id, severity, move |_| Ok(seen.load(Ordering::SeqCst))), flag)
}

#[test]
fn a_rule_that_panics_or_fails_is_reported_and_stops_nothing_else() {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || {
        let (bench, memory) = Bench::with_channel();
        let panics: Rule = Rule::closure("panics", "Panics", Severity::Low, |context| {
            if context.now() > START { panic!("out of {}", "cheese") } else { Ok(true) }
        });
        let fails = Rule::closure("fails", "Fails", Severity::Low, |_| -> Result<bool, _> {
            Err(std::io::Error::other("no such table").into())
        });
        let (works, _) = flagged("works", Severity::Low);
        bench.engine.add_rules([panics, fails, works]).expect("valid rules");

        assert_eq!(names(&bench.evaluate()), ["panics:firing", "works:firing"]);
        bench.seconds(60);
        assert_eq!(names(&bench.evaluate()), [""; 0]);
        // What fired before the failure still fires.
        assert_eq!(bench.engine.active().len(), 2);
        assert_eq!(memory.names(), ["panics:firing", "works:firing"]);

        let rules = bench.engine.rules();
        let errors: Vec<Option<&str>> =
            rules.iter().map(|status| status.health.last_error.as_deref()).collect();
        assert_eq!(errors, [Some("panicked: out of cheese"), Some("no such table"), None]);
        let failures: Vec<u64> = rules.iter().map(|status| status.health.failures).collect();
        assert_eq!(failures, [1, 2, 0]);
        assert!(rules.iter().all(|status| status.health.evaluations == 2));
    });
    assert_eq!(counts.counter(r#"obskit_rule_failures_total{rule="panics"}"#), 1);
    assert_eq!(counts.counter(r#"obskit_rule_failures_total{rule="fails"}"#), 2);
    assert_eq!(counts.counter("obskit_rule_evaluations_total{}"), 6);
    assert_eq!(counts.counter("obskit_rule_evaluation_duration_seconds{}"), 6);
}

#[test]
fn an_error_whose_text_panics_is_reported_too() {
    #[derive(Debug)]
    struct Rude;
    impl std::fmt::Display for Rude {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("no comment")
        }
    }
    impl std::error::Error for Rude {}
    let bench = Bench::new();
    let rule =
        Rule::closure("rude", "Rude", Severity::Low, |_| -> Result<bool, _> { Err(Rude.into()) });
    bench.engine.add_rule(rule).expect("a valid rule");
    bench.evaluate();
    let error = bench.engine.rules()[0].health.last_error.clone();
    assert_eq!(error.as_deref(), Some("panicked: no comment"));
}

#[test]
fn two_findings_with_the_same_labels_are_a_failure() {
    let bench = Bench::new();
    let rule = Rule::closure("twice", "Twice", Severity::Low, |_| {
        Ok(Verdict::active([Finding::of(1.0), Finding::of(2.0)]))
    });
    bench.engine.add_rule(rule).expect("a valid rule");
    assert_eq!(bench.evaluate(), []);
    let error = bench.engine.rules()[0].health.last_error.clone().expect("it failed");
    assert!(error.contains("same labels"), "{error}");
}

#[test]
fn removing_or_disabling_a_rule_resolves_its_alerts() {
    let (bench, memory) = Bench::with_channel();
    let (first, _) = flagged("first", Severity::Low);
    let (second, _) = flagged("second", Severity::Low);
    bench.engine.add_rules([first, second]).expect("valid rules");
    bench.evaluate();
    bench.seconds(5);

    let ended = bench.engine.remove_rule("first").expect("it is there");
    assert_eq!(names(&ended), ["first:resolved"]);
    assert_eq!(ended[0].resolved_at, Some(START.plus(Duration::from_secs(5))));
    assert_eq!(
        names(&bench.engine.disable_rule("second").expect("it is there")),
        ["second:resolved"]
    );
    assert_eq!(bench.engine.active(), []);
    assert_eq!(bench.evaluate(), []);
    let told = ["first:firing", "second:firing", "first:resolved", "second:resolved"];
    assert_eq!(memory.names(), told);

    bench.engine.enable_rule("second").expect("it is there");
    assert_eq!(names(&bench.evaluate()), ["second:firing"]);
    for error in [
        bench.engine.remove_rule("first").unwrap_err(),
        bench.engine.disable_rule("first").unwrap_err(),
        bench.engine.enable_rule("first").unwrap_err(),
    ] {
        assert!(error.is_unknown_rule() && error.to_string().contains("\"first\""));
    }
}

#[test]
fn a_rule_that_starts_disabled_is_not_evaluated() {
    let bench = Bench::new();
    let (rule, _) = flagged("off", Severity::Low);
    bench.engine.add_rule(rule.disabled()).expect("a valid rule");
    assert_eq!(bench.evaluate(), []);
    assert!(!bench.engine.rules()[0].enabled);
}

#[test]
fn every_problem_of_every_rule_is_reported_and_none_is_added() {
    let bench = Bench::new();
    let threshold = |id: &str, seconds, threshold| {
        let signal = Signal::rate(Selector::metric("x"), Duration::from_secs(seconds));
        ThresholdRule::new(id, "X", signal, Operator::Greater, threshold)
    };
    let unequal = ThresholdRule::new(
        "unequal",
        "X",
        Signal::ratio(Selector::metric("a"), Selector::metric("b"), Duration::from_secs(60)),
        Operator::NotEqual,
        0.0,
    );
    let (nameless, _) = flagged(" ", Severity::Low);
    let (lost, _) = flagged("lost", Severity::Low);
    let error = bench
        .engine
        .add_rules([
            threshold("good", 60, 1.0).into(),
            threshold("good", 60, 1.0).into(),
            threshold("bad", 9, f64::NAN).into(),
            unequal.into(),
            nameless,
            lost.with_channels(["pager", "pager"]),
        ])
        .unwrap_err();
    assert!(error.is_invalid());
    let expected = [
        ("good", "the id is taken"),
        ("bad", "the window 9s is too short: expected at least two sample intervals, 10s"),
        ("bad", "the threshold is NaN"),
        ("unequal", "NaN without traffic"),
        (" ", "the id is empty"),
        (" ", "the name is empty"),
        ("lost", "unknown channel \"pager\""),
    ];
    assert_eq!(error.problems().len(), expected.len(), "{error}");
    for (problem, (rule, text)) in error.problems().iter().zip(expected) {
        assert!(problem.starts_with(&format!("rule {rule:?}: ")), "{problem}");
        assert!(problem.contains(text), "{problem} does not say {text:?}");
    }
    assert!(error.to_string().starts_with("7 problems: "), "{error}");
    assert_eq!(bench.engine.rules().len(), 0);
}

#[test]
fn a_bad_configuration_is_refused_with_every_problem() {
    let config = AlertConfig {
        check_interval: Duration::ZERO,
        max_rules: 0,
        max_alerts_per_rule: 0,
        ..AlertConfig::default()
    };
    let store = Arc::new(SeriesStore::new(StoreConfig::default()));
    let error = AlertEngine::new(config, store, Arc::new(ManualClock::default())).unwrap_err();
    assert_eq!(error.problems().len(), 3, "{error}");
}

#[test]
fn there_are_at_most_as_many_rules_as_configured() {
    let bench = Bench::with(AlertConfig { max_rules: 1, ..AlertConfig::default() });
    bench.engine.add_rule(flagged("one", Severity::Low).0).expect("room for one");
    assert!(bench.engine.add_rule(flagged("two", Severity::Low).0).unwrap_err().is_invalid());
}

#[test]
fn alerts_beyond_the_limit_of_a_rule_are_counted() {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || {
        let bench = Bench::with(AlertConfig { max_alerts_per_rule: 2, ..AlertConfig::default() });
        let rule = Rule::closure("many", "Many", Severity::Low, |_| {
            Ok((0..5)
                .map(|n| Finding::default().with_labels(labels(&format!("n={n}"))))
                .collect::<Vec<_>>())
        });
        bench.engine.add_rule(rule).expect("a valid rule");
        assert_eq!(bench.evaluate().len(), 2);
    });
    assert_eq!(counts.counter(r#"obskit_alerts_dropped_total{rule="many"}"#), 3);
    assert_eq!(counts.gauge(r#"obskit_alerts{state="firing"}"#), 2.0);
}

#[test]
fn the_gauges_show_how_many_alerts_there_are() {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || {
        let bench = Bench::new();
        let (now, _) = flagged("now", Severity::Low);
        let (later, _) = flagged("later", Severity::Low);
        bench
            .engine
            .add_rules([now, later.holding_for(Duration::from_secs(60))])
            .expect("valid rules");
        bench.evaluate();
        let read = || {
            (
                counts.gauge(r#"obskit_alerts{state="pending"}"#),
                counts.gauge(r#"obskit_alerts{state="firing"}"#),
            )
        };
        assert_eq!(read(), (1.0, 1.0));
        bench.engine.remove_rule("now").expect("it is there");
        assert_eq!(read(), (1.0, 0.0));
    });
}

#[test]
fn history_is_newest_first_within_the_window_and_bounded() {
    let bench = Bench::with(AlertConfig { history_capacity: 2, ..AlertConfig::default() });
    let (rule, flag) = flagged("flapping", Severity::Low);
    bench.engine.add_rule(rule).expect("a valid rule");
    for holds in [true, false, true, false, true, false, true] {
        flag.store(holds, Ordering::SeqCst);
        bench.evaluate();
        bench.seconds(60);
    }
    // It fired after 0, 2, 4 and 6 minutes, and it is 7 minutes now; the first is gone from the history.
    let minutes = |window: u64| -> Vec<u64> {
        bench
            .engine
            .history(Duration::from_secs(window * 60))
            .iter()
            .map(|alert| alert.fired_at.expect("it fired").since(START).as_secs() / 60)
            .collect()
    };
    assert_eq!(minutes(60), [6, 4, 2]);
    assert_eq!(minutes(3), [6, 4]);
    // The one resolved exactly two minutes ago is out, the one that still fires is in.
    assert_eq!(minutes(2), [6]);
    let newest = bench.engine.history(Duration::from_secs(60)).remove(0);
    assert_eq!((newest.state, newest.resolved_at), (AlertState::Firing, None));
}

#[test]
fn active_alerts_are_listed_the_worst_first() {
    let bench = Bench::new();
    for (id, severity) in [("a", Severity::Low), ("b", Severity::Critical), ("c", Severity::Medium)]
    {
        bench.engine.add_rule(flagged(id, severity).0).expect("a valid rule");
    }
    bench.evaluate();
    let order: Vec<String> =
        bench.engine.active().iter().map(|alert| alert.rule_id.to_string()).collect();
    assert_eq!(order, ["b", "c", "a"]);
}

#[test]
fn a_rule_tells_the_channels_it_names_and_all_if_it_names_none() {
    let bench = Bench::new();
    let channels: Vec<Arc<Memory>> = ["mail", "pager"]
        .map(|name| {
            let memory = Arc::new(Memory::default());
            bench.engine.add_channel(name, Arc::clone(&memory) as _).expect("a new name");
            memory
        })
        .into();
    let (everywhere, _) = flagged("everywhere", Severity::Low);
    let (paged, _) = flagged("paged", Severity::Low);
    bench
        .engine
        .add_rules([everywhere, paged.with_channels(["pager", "pager"])])
        .expect("valid rules");
    bench.evaluate();
    assert_eq!(channels[0].names(), ["everywhere:firing"]);
    assert_eq!(channels[1].names(), ["everywhere:firing", "paged:firing"]);
    let taken = bench.engine.add_channel("mail", Arc::new(Memory::default())).unwrap_err();
    assert!(taken.is_invalid());
}

struct Broken;

impl Sink<AlertEvent> for Broken {
    fn accept(&self, _: AlertEvent) -> Accepted {
        panic!("the channel is broken")
    }
}

struct Full;

impl Sink<AlertEvent> for Full {
    fn accept(&self, _: AlertEvent) -> Accepted {
        Accepted::Dropped(DropReason::QueueFull)
    }
}

#[test]
fn a_channel_or_an_action_that_panics_keeps_nobody_from_being_told() {
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || {
        let (bench, memory) = Bench::with_channel();
        bench.engine.add_channel("broken", Arc::new(Broken)).expect("a new name");
        bench.engine.add_channel("full", Arc::new(Full)).expect("a new name");
        let (rule, flag) = flagged("rule", Severity::Low);
        bench.engine.add_rule(rule.on_firing(|_| panic!("the action is broken"))).expect("valid");
        bench.evaluate();
        flag.store(false, Ordering::SeqCst);
        bench.evaluate();
        assert_eq!(memory.names(), ["rule:firing", "rule:resolved"]);
    });
    for (series, expected) in [
        (r#"obskit_notifications_total{channel="memory",outcome="taken"}"#, 2),
        (r#"obskit_notifications_total{channel="broken",outcome="panicked"}"#, 2),
        (r#"obskit_notifications_total{channel="full",outcome="queue_full"}"#, 2),
        (r#"obskit_alert_action_failures_total{rule="rule"}"#, 1),
    ] {
        assert_eq!(counts.counter(series), expected, "{series}");
    }
}

#[test]
fn an_action_runs_once_when_its_rule_fires() {
    let bench = Bench::new();
    let (rule, flag) = flagged("rule", Severity::High);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    bench
        .engine
        .add_rule(rule.on_firing(move |event| kept.lock().push(event.clone())))
        .expect("valid");
    bench.evaluate();
    bench.evaluate();
    flag.store(false, Ordering::SeqCst);
    bench.evaluate();
    assert_eq!(names(&seen.lock()), ["rule:firing"]);
}

/// Removes the rule of every alert that it is told of.
struct OneShot(Mutex<Weak<AlertEngine>>);

impl Sink<AlertEvent> for OneShot {
    fn accept(&self, event: AlertEvent) -> Accepted {
        if event.state == AlertState::Firing
            && let Some(engine) = self.0.lock().upgrade()
        {
            engine.remove_rule(&event.rule_id).expect("it is there");
        }
        Accepted::Taken
    }
}

#[test]
fn a_channel_may_call_the_engine_and_everybody_hears_the_changes_in_order() {
    let bench = Bench::new();
    let one_shot = Arc::new(OneShot(Mutex::new(Arc::downgrade(&bench.engine))));
    // Channels are told in order of name: the first one changes things before the second has heard.
    bench.engine.add_channel("a", one_shot).expect("a new name");
    let memory = Arc::new(Memory::default());
    bench.engine.add_channel("b", Arc::clone(&memory) as _).expect("a new name");
    bench.engine.add_rule(flagged("rule", Severity::Low).0).expect("a valid rule");
    bench.evaluate();
    assert_eq!(memory.names(), ["rule:firing", "rule:resolved"]);
    assert!(bench.engine.rules().is_empty());
}

#[test]
fn a_rule_that_removes_itself_while_it_is_evaluated_raises_nothing() {
    let bench = Bench::new();
    let engine = Arc::downgrade(&bench.engine);
    let rule = Rule::closure("gone", "Gone", Severity::Low, move |_| {
        engine.upgrade().expect("the engine lives").remove_rule("gone")?;
        Ok(true)
    });
    bench.engine.add_rule(rule).expect("a valid rule");
    assert_eq!(bench.evaluate(), []);
    assert_eq!(bench.engine.active(), []);
}

#[test]
fn an_evaluation_that_began_earlier_does_not_undo_a_later_one() {
    let bench = Bench::new();
    let (engine, calls) = (Arc::downgrade(&bench.engine), AtomicUsize::new(0));
    // The first evaluation starts a second one, which ends before it and finds something else.
    let rule = Rule::closure("slow", "Slow", Severity::Low, move |context| {
        if calls.fetch_add(1, Ordering::SeqCst) > 0 {
            return Ok(true);
        }
        let engine = engine.upgrade().expect("the engine lives");
        assert_eq!(engine.evaluate(context.now()).len(), 1);
        Ok(false)
    });
    bench.engine.add_rule(rule).expect("a valid rule");
    assert_eq!(bench.evaluate(), []);
    assert_eq!(bench.engine.active().len(), 1);
    assert_eq!(bench.engine.rules()[0].health.evaluations, 1);
}

#[test]
fn a_test_alert_reaches_one_channel_and_leaves_nothing_open() {
    let (bench, memory) = Bench::with_channel();
    bench.engine.add_channel("full", Arc::new(Full)).expect("a new name");
    bench.engine.add_channel("broken", Arc::new(Broken)).expect("a new name");
    assert_eq!(bench.engine.send_test("memory").expect("it is there"), Accepted::Taken);
    assert_eq!(memory.names(), ["obskit-test:firing", "obskit-test:resolved"]);
    let events = memory.events();
    assert_eq!(events[0].id, events[1].id);
    assert_eq!(
        bench.engine.send_test("full").expect("it is there"),
        Accepted::Dropped(DropReason::QueueFull)
    );
    assert_eq!(
        bench.engine.send_test("broken").expect("it is there"),
        Accepted::Dropped(DropReason::Closed)
    );
    assert!(bench.engine.send_test("nowhere").unwrap_err().is_unknown_channel());
    assert_eq!(bench.engine.history(Duration::MAX), []);
}

#[test]
fn a_closure_reads_the_store_at_its_time() {
    let bench = Bench::new();
    bench.sample("depth queue=mail", 7.0);
    let rule = Rule::closure("depth", "Depth", Severity::Low, |context| {
        let depth = context.values(&Signal::Last(Selector::metric("depth")))?;
        let samples = context.select(&Selector::metric("depth"), Duration::from_secs(60));
        assert_eq!((depth.len(), samples.len()), (1, 1));
        Ok(depth
            .into_iter()
            .map(|(labels, value)| Finding::of(value).with_labels(labels).with_message("too deep"))
            .collect::<Vec<_>>())
    });
    bench.engine.add_rule(rule.with_labels(labels("team=core queue=all"))).expect("a valid rule");
    let alert = bench.evaluate().remove(0);
    assert_eq!(alert.labels, labels("queue=all team=core"));
    assert_eq!((alert.value, alert.message.as_str()), (Some(7.0), "too deep"));
    assert_eq!(alert.active_at, Timestamp::from_millis(1_700_000_000_000));
}
