//! `rules` and `alerts`: what is evaluated here, and what it found.
//!
//! The rules in code are one group, named after the service; the groups of rule files stand beside it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use obs_alerts::{
    AlertingStatus, GroupAlert, GroupRuleStatus, GroupStatus, RuleOutcome, RuleStatus,
};
use obs_model::{AlertEvent, AlertState, Labels, Timestamp};
use obs_query::Selector;
use serde::Serialize;

use super::answer::{self, Refusal};
use super::form::Form;
use super::json;
use crate::router::App;

type Texts = BTreeMap<String, String>;

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: Texts,
    annotations: Texts,
    state: &'static str,
    active_at: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    name: String,
    query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_for: Option<f64>,
    labels: Texts,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Texts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alerts: Option<Vec<Alert>>,
    health: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    last_error: String,
    evaluation_time: f64,
    last_evaluation: String,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    file: String,
    rules: Vec<Rule>,
    interval: f64,
    limit: u64,
    evaluation_time: f64,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Discovery {
    groups: Vec<Group>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_next_token: Option<String>,
}

/// `rules`: every rule, its health and its alerts; `type`, `rule_name[]`, `rule_group[]`, `file[]` and `match[]` say
/// which, `exclude_alerts` leaves the alerts out, `group_limit` and `group_next_token` go through them piece by piece.
pub(super) async fn rules(State(app): State<Arc<App>>, form: Form) -> Result<Response, Refusal> {
    let wanted = Wanted::of(&form)?;
    let mut groups: Vec<Group> =
        groups(&app).into_iter().filter_map(|group| wanted.of_group(group)).collect();
    let next = page(&form, &mut groups)?;
    answer::serialized(&Discovery { groups, group_next_token: next })
}

/// `alerts`: every pending and firing alert.
pub(super) async fn alerts(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let alerts: Vec<Alert> = groups(&app)
        .into_iter()
        .flat_map(|group| group.rules)
        .flat_map(|rule| rule.alerts.unwrap_or_default())
        .collect();
    answer::serialized(&serde_json::json!({"alerts": alerts}))
}

fn groups(app: &App) -> Vec<Group> {
    let own = app.state.alerts().map(|engine| own_group(app, engine));
    let files = app.state.rule_groups().map(|groups| groups.statuses()).unwrap_or_default();
    own.into_iter()
        .filter(|group| !group.rules.is_empty())
        .chain(files.iter().map(|status| file_group(status)))
        .collect()
}

/// The rules in code, as one group.
fn own_group(app: &App, engine: &obs_alerts::AlertEngine) -> Group {
    let (statuses, active) = (engine.rules(), engine.active());
    let newest = statuses.iter().max_by_key(|status| status.health.last_evaluation);
    let took: Duration = statuses.iter().map(|status| status.health.last_duration).sum();
    Group {
        name: app.state.resource().service_name().to_owned(),
        file: String::new(),
        interval: engine.config().check_interval.as_secs_f64(),
        limit: 0,
        evaluation_time: took.as_secs_f64(),
        last_evaluation: time(newest.and_then(|status| status.health.last_evaluation)),
        rules: statuses.iter().map(|status| own_rule(status, &active)).collect(),
    }
}

fn own_rule(status: &RuleStatus, active: &[AlertEvent]) -> Rule {
    let (rule, health) = (&status.rule, &status.health);
    let mut labels = texts(rule.labels());
    labels.insert("severity".to_owned(), rule.severity().as_str().to_owned());
    let description = match rule.description() {
        "" => Texts::new(),
        text => Texts::from([("description".to_owned(), text.to_owned())]),
    };
    let alerts: Vec<Alert> =
        active.iter().filter(|alert| *alert.rule_id == *rule.id()).map(own_alert).collect();
    let outcome = RuleOutcome {
        last_evaluation: health.last_evaluation,
        last_duration: health.last_duration,
        last_error: health.last_error.clone(),
    };
    Rule {
        state: Some(state_of(&alerts)),
        name: rule.name().to_owned(),
        // A rule that is code has no expression.
        query: rule.promql().unwrap_or_default(),
        duration: Some(rule.hold().as_secs_f64()),
        keep_firing_for: Some(rule.keep_firing().as_secs_f64()),
        labels,
        annotations: Some(description),
        alerts: Some(alerts),
        ..evaluated(&outcome, "alerting")
    }
}

fn own_alert(alert: &AlertEvent) -> Alert {
    let mut labels = texts(&alert.labels);
    labels.insert("alertname".to_owned(), alert.rule_name.to_string());
    labels.insert("severity".to_owned(), alert.severity.as_str().to_owned());
    Alert {
        labels,
        annotations: Texts::from([("message".to_owned(), alert.message.clone())]),
        state: alert.state.as_str(),
        active_at: alert.active_at.to_string(),
        // A condition in code need not have a value.
        value: exponential(alert.value.unwrap_or(1.0)),
    }
}

fn file_group(status: &GroupStatus) -> Group {
    let rule = |rule: &GroupRuleStatus| match rule {
        GroupRuleStatus::Recording(rule) => Rule {
            name: rule.name.clone(),
            query: rule.query.clone(),
            labels: rule.labels.clone(),
            ..evaluated(&rule.outcome, "recording")
        },
        GroupRuleStatus::Alerting(rule) => alerting(rule),
    };
    Group {
        name: status.name.clone(),
        file: status.file.clone(),
        interval: status.interval.as_secs_f64(),
        limit: status.limit,
        evaluation_time: status.last_duration.as_secs_f64(),
        last_evaluation: time(status.last_evaluation),
        rules: status.rules.iter().map(rule).collect(),
    }
}

fn alerting(rule: &AlertingStatus) -> Rule {
    let alert = |alert: &GroupAlert| Alert {
        labels: texts(&alert.labels),
        annotations: alert.annotations.clone(),
        state: alert.state.as_str(),
        active_at: alert.active_at.to_string(),
        value: exponential(alert.value),
    };
    let alerts: Vec<Alert> = rule.alerts.iter().map(alert).collect();
    Rule {
        state: Some(state_of(&alerts)),
        name: rule.name.clone(),
        query: rule.query.clone(),
        duration: Some(rule.hold.as_secs_f64()),
        keep_firing_for: Some(rule.keep_firing.as_secs_f64()),
        labels: rule.labels.clone(),
        annotations: Some(rule.annotations.clone()),
        alerts: Some(alerts),
        ..evaluated(&rule.outcome, "alerting")
    }
}

/// A rule of which only is known how its last evaluation went.
fn evaluated(outcome: &RuleOutcome, kind: &'static str) -> Rule {
    Rule {
        state: None,
        name: String::new(),
        query: String::new(),
        duration: None,
        keep_firing_for: None,
        labels: Texts::new(),
        annotations: None,
        alerts: None,
        health: outcome.health(),
        last_error: outcome.last_error.clone().unwrap_or_default(),
        evaluation_time: outcome.last_duration.as_secs_f64(),
        last_evaluation: time(outcome.last_evaluation),
        r#type: kind,
    }
}

fn state_of(alerts: &[Alert]) -> &'static str {
    let has = |state: AlertState| alerts.iter().any(|alert| alert.state == state.as_str());
    match () {
        () if has(AlertState::Firing) => "firing",
        () if has(AlertState::Pending) => "pending",
        () => "inactive",
    }
}

fn texts(labels: &Labels) -> Texts {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// A time; Go's zero time for what never was.
fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| String::from("0001-01-01T00:00:00Z"), |at| at.to_string())
}

/// A number with an exponent, as Prometheus writes the values of alerts.
fn exponential(value: f64) -> String {
    let mut out = Vec::new();
    json::scientific(&mut out, value);
    String::from_utf8(out).unwrap_or_default()
}

/// Which rules are asked about.
struct Wanted {
    kind: Option<&'static str>,
    rules: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    selectors: Vec<Selector>,
    without_alerts: bool,
}

impl Wanted {
    fn of(form: &Form) -> Result<Self, Refusal> {
        let kind = match form.text("type").map(str::to_ascii_lowercase).as_deref() {
            None => None,
            Some("alert") => Some("alerting"),
            Some("record") => Some("recording"),
            Some(other) => {
                return Err(Refusal::parameter("type", format!("not supported value {other:?}")));
            }
        };
        let without_alerts = match form.text("exclude_alerts") {
            None => false,
            Some(text) => match text.to_ascii_lowercase().as_str() {
                "1" | "t" | "true" => true,
                "0" | "f" | "false" => false,
                _ => {
                    return Err(Refusal::parameter("exclude_alerts", "expected true or false"));
                }
            },
        };
        let all = |name: &str| form.all(name).map(str::to_owned).collect();
        Ok(Self {
            kind,
            rules: all("rule_name[]"),
            groups: all("rule_group[]"),
            files: all("file[]"),
            selectors: form.selectors()?,
            without_alerts,
        })
    }

    /// The part of a group that is meant; `None` when nothing of it is.
    fn of_group(&self, mut group: Group) -> Option<Group> {
        let is_one_of =
            |wanted: &[String], name: &String| wanted.is_empty() || wanted.contains(name);
        if !is_one_of(&self.groups, &group.name) || !is_one_of(&self.files, &group.file) {
            return None;
        }
        group.rules.retain(|rule| {
            self.kind.is_none_or(|kind| kind == rule.r#type)
                && is_one_of(&self.rules, &rule.name)
                && self.matches(&rule.labels)
        });
        let narrows = !self.rules.is_empty() || !self.selectors.is_empty();
        if group.rules.is_empty() && narrows {
            return None;
        }
        if self.without_alerts {
            for rule in &mut group.rules {
                rule.alerts = rule.alerts.take().map(|_| Vec::new());
            }
        }
        Some(group)
    }

    fn matches(&self, labels: &Texts) -> bool {
        let meets = |selector: &Selector| {
            selector.matchers().iter().all(|matcher| {
                matcher.matches(labels.get(matcher.label()).map_or("", String::as_str))
            })
        };
        self.selectors.is_empty() || self.selectors.iter().any(meets)
    }
}

/// Leaves the groups of one page, and says where the next one begins.
fn page(form: &Form, groups: &mut Vec<Group>) -> Result<Option<String>, Refusal> {
    let token = form.text("group_next_token");
    let limit = match form.text("group_limit").map(str::parse::<usize>) {
        None if token.is_some() => {
            let reason = "group_limit needs to be set to use group_next_token";
            return Err(Refusal::parameter("group_limit", reason));
        }
        None => return Ok(None),
        Some(Ok(limit)) if limit > 0 => limit,
        Some(_) => return Err(Refusal::parameter("group_limit", "expected a positive number")),
    };
    if let Some(token) = token {
        let Some(first) = groups.iter().position(|group| token_of(group) == token) else {
            let reason = format!(
                "invalid group_next_token {}: were the rule groups changed?",
                super::time::quoted(token)
            );
            return Err(Refusal::bad_data(reason));
        };
        groups.drain(..first);
    }
    let next = groups.get(limit).map(token_of);
    groups.truncate(limit);
    Ok(next)
}

/// Names a group to a client, who is not to read it.
fn token_of(group: &Group) -> String {
    URL_SAFE_NO_PAD.encode(format!("{};{}", group.file, group.name))
}
