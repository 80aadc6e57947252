//! Groups over a store whose samples the test knows.

use obs_model::{AlertState, Labels, ManualClock, Sample};
use obs_query::promql::ParseOptions;
use obs_query::{Selector, StoreConfig};

use super::*;

struct Case {
    store: Arc<SeriesStore>,
    groups: RuleGroups,
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

impl Case {
    fn new(yaml: &str) -> Self {
        let file = RuleFile::parse(yaml, ParseOptions::default()).unwrap();
        let store = Arc::new(SeriesStore::new(StoreConfig::default()));
        let clock = Arc::new(ManualClock::at(at(0)));
        let files = [("test.yml".to_owned(), file)];
        let groups = RuleGroups::new(RuleGroupsConfig::default(), files, Arc::clone(&store), clock);
        Self { store, groups }
    }

    /// Stores one sample of `depth` for each queue, and evaluates.
    fn step(&self, seconds: i64, depths: &[(&str, f64)]) {
        for (queue, value) in depths {
            let labels = Labels::new([("__name__", "depth"), ("queue", queue)]).unwrap();
            self.store.append(&labels, Sample { timestamp: at(seconds), value: *value }).unwrap();
        }
        self.groups.evaluate(at(seconds));
    }

    /// The series of a metric at a time, as PromQL writes them, with their values.
    fn series(&self, metric: &str, seconds: i64) -> Vec<(String, f64)> {
        let found = self.store.latest(&Selector::metric(metric), at(seconds));
        found.values().map(|(labels, value)| (labels.to_string(), value)).collect()
    }

    fn alerting(&self, rule: usize) -> AlertingStatus {
        match &self.groups.statuses()[0].rules[rule] {
            GroupRuleStatus::Alerting(status) => status.clone(),
            GroupRuleStatus::Recording(_) => panic!("expected an alerting rule"),
        }
    }
}

const DEEP: &str = "
groups:
- name: queues
  interval: 30s
  labels: {team: core, zone: eu}
  rules:
  - record: queue:depth:double
    expr: 2 * depth
    labels: {zone: us}
  - alert: Deep
    expr: queue:depth:double > 10
    for: 1m
    keep_firing_for: 1m
    labels: {severity: high}
    annotations: {summary: '{{ $labels.queue }} is {{ $value }} deep', broken: '{{ .Labels.queue.x }}'}
";

#[test]
fn what_a_rule_records_the_next_one_sees_at_once() {
    let case = Case::new(DEEP);
    case.step(30, &[("mail", 6.0), ("sms", 1.0)]);
    let series =
        |queue: &str| format!("queue:depth:double{{queue=\"{queue}\",team=\"core\",zone=\"us\"}}");
    assert_eq!(
        case.series("queue:depth:double", 30),
        [(series("mail"), 12.0), (series("sms"), 2.0)]
    );
    let status = case.alerting(1);
    assert_eq!(status.state(), Some(AlertState::Pending));
    assert_eq!(status.alerts.len(), 1);
    assert_eq!(status.alerts[0].annotations["summary"], "mail is 12 deep");
    let broken = &status.alerts[0].annotations["broken"];
    assert!(broken.starts_with("<error expanding template: "), "{broken}");
    assert_eq!(status.alerts[0].value, 12.0);
    assert_eq!(status.outcome.health(), "ok");
}

#[test]
fn an_alert_is_pending_then_fires_and_goes_on_firing_as_its_rule_says() {
    let case = Case::new(DEEP);
    let alert = |state: &str| {
        format!(
            "ALERTS{{alertname=\"Deep\",alertstate=\"{state}\",queue=\"mail\",severity=\"high\",team=\"core\",zone=\"eu\"}}"
        )
    };
    for (seconds, depth, expected) in [
        (30, 6.0, Some("pending")),
        (60, 6.0, Some("pending")),
        (90, 6.0, Some("firing")),
        (120, 1.0, Some("firing")),
        (150, 1.0, Some("firing")),
        (180, 1.0, None),
        (210, 6.0, Some("pending")),
    ] {
        case.step(seconds, &[("mail", depth)]);
        let found = case.series("ALERTS", seconds);
        let expected: Vec<_> = expected.map(|state| (alert(state), 1.0)).into_iter().collect();
        assert_eq!(found, expected, "{seconds}");
    }
    let since = case.series("ALERTS_FOR_STATE", 210);
    assert_eq!(since[0].1, 210.0);
}

#[test]
fn a_series_that_is_not_recorded_any_more_ends_at_once() {
    let case = Case::new("groups: [{name: g, rules: [{record: deep, expr: depth > 5}]}]");
    case.step(60, &[("mail", 6.0)]);
    assert_eq!(case.series("deep", 60), [("deep{queue=\"mail\"}".to_owned(), 6.0)]);
    case.step(120, &[("mail", 1.0)]);
    assert_eq!(case.series("deep", 120), []);
}

#[test]
fn a_rule_that_fails_says_why_and_the_others_go_on() {
    let case = Case::new(
        "groups: [{name: g, limit: 1, rules: [{record: twice, expr: depth * on () depth}, {record: many, expr: depth}, {record: same, expr: depth, labels: {queue: x}}, {record: one, expr: 'sum(depth)'}, {alert: Many, expr: depth}]}]",
    );
    case.step(60, &[("mail", 6.0), ("sms", 1.0)]);
    let status = &case.groups.statuses()[0];
    let errors: Vec<_> = status
        .rules
        .iter()
        .map(|rule| match rule {
            GroupRuleStatus::Recording(rule) => rule.outcome.last_error.clone(),
            GroupRuleStatus::Alerting(rule) => rule.outcome.last_error.clone(),
        })
        .collect();
    assert!(errors[0].as_ref().unwrap().contains("many-to-many"), "{errors:?}");
    assert_eq!(errors[1].as_deref(), Some("exceeded limit of 1 with 2 series"));
    assert!(errors[2].as_ref().unwrap().contains("same labelset"), "{errors:?}");
    assert_eq!(errors[3], None);
    assert_eq!(errors[4].as_deref(), Some("exceeded limit of 1 with 2 alerts"));
    assert_eq!(case.series("one", 60), [("one".to_owned(), 7.0)]);
    assert_eq!(case.alerting(4).outcome.health(), "err");
    assert_eq!(case.series("ALERTS", 60), []);
}

#[tokio::test(start_paused = true)]
async fn groups_are_evaluated_at_multiples_of_their_interval() {
    let file = "groups: [{name: a, interval: 10s, rules: [{record: one, expr: vector(1)}]}]";
    let file = RuleFile::parse(file, ParseOptions::default()).unwrap();
    let store = Arc::new(SeriesStore::new(StoreConfig::default()));
    let clock = Arc::new(ManualClock::at(at(7)));
    let files = [("test.yml".to_owned(), file)];
    let config = RuleGroupsConfig::default();
    let groups = Arc::new(RuleGroups::new(config, files, store, clock as Arc<dyn Clock>));
    assert_eq!(groups.statuses()[0].last_evaluation, None);
    let running = tokio::spawn(Arc::clone(&groups).run());
    while groups.statuses()[0].last_evaluation.is_none() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(groups.statuses()[0].last_evaluation, Some(at(10)));
    running.abort();
}
