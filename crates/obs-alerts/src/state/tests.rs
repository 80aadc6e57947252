//! The life of one rule's alerts, step by step.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// One rule's alerts with ids that count up, and evaluations at given seconds.
struct Machine {
    alerts: RuleAlerts,
    policy: Policy,
    ids: u128,
}

impl Machine {
    fn new(hold: u32, keep_firing: u32) -> Self {
        let policy = Policy {
            rule_id: Arc::from("rule"),
            rule_name: Arc::from("Rule"),
            severity: Severity::High,
            hold: SECOND * hold,
            keep_firing: SECOND * keep_firing,
            limit: 3,
        };
        Self { alerts: RuleAlerts::default(), policy, ids: 0 }
    }

    fn apply(&mut self, at: i64, present: &[&str]) -> Change {
        let observations = present
            .iter()
            .map(|name| Observation {
                labels: Labels::new([("of", *name)]).expect("valid labels"),
                value: Some(at as f64),
                message: format!("{name} at {at}"),
            })
            .collect();
        let ids = &mut self.ids;
        let mut new_id = || {
            *ids += 1;
            Uuid::from_u128(*ids)
        };
        self.alerts.apply(seconds(at), observations, &self.policy, &mut new_id)
    }
}

fn seconds(at: i64) -> Timestamp {
    Timestamp::from_millis(at * 1_000)
}

/// Evaluates at each second given with what is present then; `expected` is each evaluation's changes as
/// `name:state`.
fn check(hold: u32, keep_firing: u32, steps: &[(i64, &[&str], &str)]) {
    let mut machine = Machine::new(hold, keep_firing);
    for (at, present, expected) in steps {
        let changes: Vec<String> = machine
            .apply(*at, present)
            .events
            .iter()
            .map(|event| {
                format!("{}:{}", event.labels.get("of").unwrap_or("?"), event.state.as_str())
            })
            .collect();
        assert_eq!(changes.join(" "), *expected, "at {at} s");
    }
}

#[test]
fn without_a_hold_an_alert_fires_at_once_and_resolves_when_it_is_clear() {
    check(
        0,
        0,
        &[
            (0, &[], ""),
            (1, &["a"], "a:firing"),
            (2, &["a"], ""),
            (3, &[], "a:resolved"),
            (4, &["a"], "a:firing"),
        ],
    );
}

#[test]
fn with_a_hold_an_alert_is_pending_until_the_hold_has_passed() {
    check(
        10,
        0,
        &[
            (0, &["a"], "a:pending"),
            (9, &["a"], ""),
            (10, &["a"], "a:firing"),
            (11, &[], "a:resolved"),
        ],
    );
}

#[test]
fn an_interruption_starts_the_hold_again() {
    check(
        10,
        0,
        &[
            (0, &["a"], "a:pending"),
            (9, &[], "a:resolved"),
            (10, &["a"], "a:pending"),
            (19, &["a"], ""),
            (20, &["a"], "a:firing"),
        ],
    );
}

#[test]
fn an_alert_is_kept_firing_from_when_its_absence_was_first_seen() {
    check(0, 10, &[(0, &["a"], "a:firing"), (5, &[], ""), (14, &[], ""), (15, &[], "a:resolved")]);
}

#[test]
fn a_return_while_kept_firing_forgets_the_absence() {
    check(
        0,
        10,
        &[
            (0, &["a"], "a:firing"),
            (5, &[], ""),
            (12, &["a"], ""),
            (20, &[], ""),
            (29, &[], ""),
            (30, &[], "a:resolved"),
        ],
    );
}

#[test]
fn a_pending_alert_is_not_kept() {
    check(10, 60, &[(0, &["a"], "a:pending"), (1, &[], "a:resolved")]);
}

#[test]
fn alerts_of_one_rule_live_apart() {
    check(
        10,
        0,
        &[
            (0, &["a"], "a:pending"),
            (5, &["a", "b"], "b:pending"),
            (10, &["a", "b"], "a:firing"),
            (15, &["b"], "a:resolved b:firing"),
        ],
    );
}

#[test]
fn a_clock_that_is_set_back_neither_fires_early_nor_panics() {
    check(10, 0, &[(100, &["a"], "a:pending"), (50, &["a"], ""), (110, &["a"], "a:firing")]);
}

#[test]
fn an_alert_keeps_its_id_and_times_and_shows_the_latest_value() {
    let mut machine = Machine::new(10, 0);
    let pending = machine.apply(0, &["a"]).events.remove(0);
    assert_eq!((pending.active_at, pending.fired_at), (seconds(0), None));
    let firing = machine.apply(10, &["a"]).events.remove(0);
    assert_eq!(firing.id, pending.id);
    assert_eq!((firing.active_at, firing.fired_at), (seconds(0), Some(seconds(10))));
    assert_eq!(machine.apply(11, &["a"]), Change::default());
    let shown = machine.alerts.iter().next().expect("one alert");
    assert_eq!((shown.value, shown.message.as_str()), (Some(11.0), "a at 11"));
    let resolved = machine.apply(12, &[]).events.remove(0);
    assert_eq!(resolved.id, pending.id);
    assert_eq!(resolved.resolved_at, Some(seconds(12)));
    assert_eq!(resolved.fired_at, Some(seconds(10)));
    let again = machine.apply(13, &["a"]).events.remove(0);
    assert_ne!(again.id, pending.id);
}

#[test]
fn at_its_limit_a_rule_keeps_its_alerts_and_refuses_new_ones() {
    let mut machine = Machine::new(0, 0);
    machine.apply(0, &["m", "n"]);
    let change = machine.apply(1, &["a", "b", "m", "n"]);
    assert_eq!((change.events.len(), change.refused), (1, 1));
    assert_eq!(machine.alerts.count(AlertState::Firing), 3);
    // The room of an alert that ends is free in the same evaluation.
    let change = machine.apply(2, &["a", "b", "n"]);
    assert_eq!((change.events.len(), change.refused), (2, 0));
}

#[test]
fn ending_all_resolves_pending_and_firing_alerts_once() {
    let mut machine = Machine::new(10, 60);
    machine.apply(0, &["a"]);
    machine.apply(10, &["a", "b"]);
    let ended = machine.alerts.end_all(seconds(11));
    let fired: Vec<bool> = ended.iter().map(|event| event.fired_at.is_some()).collect();
    assert_eq!(fired, [true, false]);
    assert!(ended.iter().all(|event| event.state == AlertState::Resolved));
    assert_eq!(machine.alerts.end_all(seconds(12)), []);
}
