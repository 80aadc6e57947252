//! Rules, alerts, and what is said about the text of a query.

use std::sync::Arc;

use obs_alerts::{
    AlertConfig, AlertEngine, Operator, RuleGroups, RuleGroupsConfig, Signal, ThresholdRule,
};
use obs_model::{Clock, ManualClock};
use obs_query::Selector;
use obs_query::promql::ParseOptions;
use obs_query::rules::RuleFile;
use serde_json::json;

use super::{NOW, Service};

const FILE: &str = "
groups:
- name: requests
  interval: 30s
  rules:
  - record: job:requests:sum
    expr: sum by (job)(requests_total)
  - alert: Many
    expr: job:requests:sum > 1000
    labels: {severity: high}
    annotations: {summary: 'many: {{ $value }}'}
  - alert: Never
    expr: job:requests:sum < 0
    for: 1m
- name: empty
";

/// A service with a rule in code and two groups of a file, each evaluated once.
fn service() -> Service {
    let mut service = Service::filled();
    let clock = Arc::new(ManualClock::at(NOW)) as Arc<dyn Clock>;
    let file = RuleFile::parse(FILE, ParseOptions::default()).unwrap();
    let groups = RuleGroups::new(
        RuleGroupsConfig::default(),
        [("rules.yml".to_owned(), file)],
        Arc::clone(&service.store),
        Arc::clone(&clock),
    );
    groups.evaluate(NOW);
    let store = Arc::clone(&service.store);
    let engine = AlertEngine::new(AlertConfig::default(), store, clock).unwrap();
    let signal = Signal::Last(Selector::metric("requests_total").equal("code", "500"));
    engine
        .add_rule(ThresholdRule::new("errors", "Errors", signal, Operator::Greater, 10.0))
        .unwrap();
    engine.evaluate(NOW);
    service.groups = Some(Arc::new(groups));
    service.alerts = Some(Arc::new(engine));
    service
}

#[tokio::test]
async fn rules_of_files_are_shown_with_their_alerts() {
    let data = service().get("/api/v1/rules?file[]=rules.yml").await.data();
    let group = &data["groups"][0];
    assert_eq!((&group["name"], &group["interval"]), (&json!("requests"), &json!(30.0)));
    assert_eq!(group["lastEvaluation"], "2026-01-05T10:00:00.000Z");
    let rule = &group["rules"][0];
    assert_eq!((&rule["type"], &rule["health"]), (&json!("recording"), &json!("ok")));
    assert_eq!(rule["query"], "sum by (job) (requests_total)");
    assert!(rule.get("state").is_none() && rule.get("alerts").is_none(), "{rule}");
    let rule = &group["rules"][1];
    assert_eq!((&rule["type"], &rule["state"]), (&json!("alerting"), &json!("firing")));
    assert_eq!(
        rule["alerts"],
        json!([{
            "labels": {"alertname": "Many", "job": "api", "severity": "high"},
            "annotations": {"summary": "many: 1260"},
            "state": "firing",
            "activeAt": "2026-01-05T10:00:00.000Z",
            "value": "1.26e+03",
        }])
    );
    assert_eq!(
        (&group["rules"][2]["state"], &group["rules"][2]["duration"]),
        (&json!("inactive"), &json!(60.0))
    );
}

#[tokio::test]
async fn rules_in_code_are_a_group_with_the_promql_that_they_compile_to() {
    let service = service();
    let data = service.get("/api/v1/rules?rule_group[]=checkout").await.data();
    let rule = &data["groups"][0]["rules"][0];
    assert_eq!(rule["query"], "requests_total{code=\"500\"} > 10");
    assert_eq!(rule["state"], "firing");
    let alerts = service.get("/api/v1/alerts").await.data();
    let names: Vec<_> = alerts["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["labels"]["alertname"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Errors", "Many"]);
}

#[tokio::test]
async fn parameters_say_which_rules_are_shown() {
    let service = service();
    for (parameters, expected) in [
        ("", &["Errors", "job:requests:sum", "Many", "Never"][..]),
        ("type=record", &["job:requests:sum"]),
        ("type=alert&file[]=rules.yml", &["Many", "Never"]),
        ("rule_name[]=Never&rule_name[]=Errors", &["Errors", "Never"]),
        ("match[]={severity=\"high\"}", &["Many"]),
        ("rule_group[]=nothing", &[]),
    ] {
        let path = format!("/api/v1/rules?{}", parameters.replace('"', "%22"));
        let data = service.get(&path).await.data();
        let names: Vec<_> = data["groups"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap())
            .map(|rule| rule["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{parameters}");
    }
    let data = service.get("/api/v1/rules?exclude_alerts=true&rule_name[]=Many").await.data();
    assert_eq!(data["groups"][0]["rules"][0]["alerts"], json!([]));
    assert_eq!(service.get("/api/v1/rules?type=x").await.error().0, 400);
}

#[tokio::test]
async fn groups_are_gone_through_piece_by_piece() {
    let service = service();
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/rules?group_limit=1{token}");
        let data = service.get(&path).await.data();
        names.push(data["groups"][0]["name"].as_str().unwrap().to_owned());
        match data["groupNextToken"].as_str() {
            Some(next) => token = format!("&group_next_token={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["checkout", "requests", "empty"]);
    for parameters in ["group_next_token=x", "group_limit=1&group_next_token=x", "group_limit=0"] {
        assert_eq!(service.get(&format!("/api/v1/rules?{parameters}")).await.error().0, 400);
    }
}

#[tokio::test]
async fn a_query_is_taken_apart_and_laid_out() {
    let service = service();
    let data = service.get("/api/v1/format_query?query=sum(rate(a[5m]))by(job)").await.data();
    assert_eq!(data, "sum by (job) (rate(a[5m]))");
    let data = service.get("/api/v1/parse_query?query=a").await.data();
    assert_eq!((&data["type"], &data["name"]), (&json!("vectorSelector"), &json!("a")));
    let (status, kind, _) = service.get("/api/v1/parse_query?query=sum(").await.error();
    assert_eq!((status, &*kind), (400, "bad_data"));
}
