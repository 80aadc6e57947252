//! The webhook's body: version 4 of Alertmanager's webhook payload, so that its receivers work.
//!
//! Source: Alertmanager, `notify/webhook` and `template.Data`; fingerprints as `model.LabelSet.Fingerprint`
//! of prometheus/common.

use std::collections::BTreeMap;

use obs_model::{AlertEvent, AlertState, Timestamp};
use serde_json::{Value, json};

/// How Go writes the zero time, which Alertmanager sends as the end of an alert that has not ended.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// The body for one change of one alert: a group of one.
pub(super) fn body(event: &AlertEvent, receiver: &str, external_url: &str) -> Value {
    let labels = labels(event);
    let annotations = annotations(event);
    let status = match event.state {
        AlertState::Resolved => "resolved",
        AlertState::Firing | AlertState::Pending => "firing",
    };
    let group_labels = json!({ "alertname": &*event.rule_name });
    json!({
        "version": "4",
        "groupKey": format!("{{}}:{{alertname={:?}}}", &*event.rule_name),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": group_labels,
        "commonLabels": &labels,
        "commonAnnotations": &annotations,
        "externalURL": external_url,
        "alerts": [{
            "status": status,
            "labels": &labels,
            "annotations": &annotations,
            "startsAt": event.fired_at.unwrap_or(event.active_at).to_string(),
            "endsAt": event.resolved_at.map_or_else(|| NO_TIME.to_owned(), |at: Timestamp| at.to_string()),
            "generatorURL": external_url,
            "fingerprint": format!("{:016x}", fingerprint(&labels)),
        }],
    })
}

/// The alert's labels with those by which Alertmanager's receivers know a rule.
fn labels(event: &AlertEvent) -> BTreeMap<&str, &str> {
    let mut labels: BTreeMap<&str, &str> = event.labels.iter().collect();
    labels.insert("alertname", &event.rule_name);
    labels.insert("severity", event.severity.as_str());
    labels.insert("rule_id", &event.rule_id);
    labels
}

fn annotations(event: &AlertEvent) -> BTreeMap<&'static str, String> {
    let mut annotations = BTreeMap::from([
        ("summary", event.rule_name.to_string()),
        ("description", event.message.clone()),
        ("alert_id", event.id.to_string()),
    ]);
    if let Some(value) = event.value {
        annotations.insert("value", value.to_string());
    }
    annotations
}

/// 64-bit FNV-1a over the labels in order of name, each name and value followed by a byte 0xff.
fn fingerprint(labels: &BTreeMap<&str, &str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (name, value) in labels {
        for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use obs_model::{Labels, Severity};
    use uuid::Uuid;

    use super::*;

    fn firing() -> AlertEvent {
        AlertEvent {
            id: Uuid::nil(),
            rule_id: Arc::from("errors"),
            rule_name: Arc::from("Too many \"errors\""),
            state: AlertState::Firing,
            severity: Severity::High,
            message: "one in three fails".to_owned(),
            labels: Labels::new([("route", "/pay")]).expect("valid labels"),
            value: Some(1.0 / 3.0),
            active_at: Timestamp::from_millis(1_700_000_000_000),
            fired_at: Some(Timestamp::from_millis(1_700_000_060_000)),
            resolved_at: None,
        }
    }

    #[test]
    fn a_firing_alert_has_every_field_of_version_4() {
        let body = body(&firing(), "ops", "https://svc.example/");
        let labels = json!({
            "alertname": "Too many \"errors\"", "route": "/pay", "rule_id": "errors", "severity": "high",
        });
        let annotations = json!({
            "summary": "Too many \"errors\"", "description": "one in three fails",
            "value": "0.3333333333333333", "alert_id": "00000000-0000-0000-0000-000000000000",
        });
        let fingerprint = body["alerts"][0]["fingerprint"].as_str().expect("a text").to_owned();
        assert_eq!(fingerprint.len(), 16);
        assert_eq!(
            body,
            json!({
                "version": "4",
                "groupKey": r#"{}:{alertname="Too many \"errors\""}"#,
                "truncatedAlerts": 0,
                "status": "firing",
                "receiver": "ops",
                "groupLabels": { "alertname": "Too many \"errors\"" },
                "commonLabels": labels,
                "commonAnnotations": annotations,
                "externalURL": "https://svc.example/",
                "alerts": [{
                    "status": "firing",
                    "labels": labels,
                    "annotations": annotations,
                    "startsAt": "2023-11-14T22:14:20.000Z",
                    "endsAt": "0001-01-01T00:00:00Z",
                    "generatorURL": "https://svc.example/",
                    "fingerprint": fingerprint,
                }],
            })
        );
    }

    #[test]
    fn a_resolved_alert_keeps_its_fingerprint_and_says_when_it_ended() {
        let ended = AlertEvent {
            state: AlertState::Resolved,
            resolved_at: Some(Timestamp::from_millis(1_700_000_120_000)),
            value: None,
            ..firing()
        };
        let (before, after) = (body(&firing(), "ops", ""), body(&ended, "ops", ""));
        assert_eq!(after["status"], "resolved");
        assert_eq!(after["alerts"][0]["endsAt"], "2023-11-14T22:15:20.000Z");
        assert_eq!(after["alerts"][0]["fingerprint"], before["alerts"][0]["fingerprint"]);
        assert_eq!(after["alerts"][0]["annotations"].get("value"), None);
    }

    #[test]
    fn fingerprints_are_those_of_prometheus() {
        // The empty set's is the offset basis; the other is from the test data of prometheus/common,
        // model/signature_test.go.
        assert_eq!(fingerprint(&BTreeMap::new()), 14_695_981_039_346_656_037);
        let labels = BTreeMap::from([("name", "garland, briggs"), ("fear", "love is not enough")]);
        assert_eq!(fingerprint(&labels), 5_799_056_148_416_392_346);
    }
}
