//! Alerting rules: an alert for each series that an expression gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use obs_model::{AlertEvent, AlertState, Labels, METRIC_NAME_LABEL, Severity};
use obs_query::promql::SampleValue;
use obs_query::rules::AlertingRule;
use obs_query::template::Template;
use uuid::Uuid;

use super::group::{Context, Written, merged, number, renamed};
use super::status::{AlertingStatus, GroupAlert, RuleOutcome};
use crate::self_metrics;
use crate::state::{Observation, Policy, RuleAlerts};

/// The label with an alert's name.
const NAME: &str = "alertname";

pub(super) struct Alerting {
    rule: AlertingRule,
    labels: BTreeMap<String, String>,
    policy: Policy,
    alerts: RuleAlerts,
    /// The texts of each alert, by its labels.
    annotations: BTreeMap<Labels, BTreeMap<String, String>>,
    label_templates: Templates,
    annotation_templates: Templates,
}

/// Templates by the name of what they are the text of; one that cannot be read is its error instead.
type Templates = Vec<(String, Result<Template, String>)>;

impl Alerting {
    pub(super) fn new(
        mut rule: AlertingRule,
        group: &BTreeMap<String, String>,
        max_alerts: usize,
    ) -> Self {
        let labels = merged(group, std::mem::take(&mut rule.labels));
        let severity: Option<Severity> = labels.get("severity").and_then(|text| text.parse().ok());
        let name: Arc<str> = rule.alert.as_str().into();
        let policy = Policy {
            rule_id: Arc::clone(&name),
            rule_name: name,
            severity: severity.unwrap_or_default(),
            hold: rule.hold,
            keep_firing: rule.keep_firing,
            limit: max_alerts,
        };
        Self {
            label_templates: templates(&labels),
            annotation_templates: templates(&rule.annotations),
            rule,
            labels,
            policy,
            alerts: RuleAlerts::default(),
            annotations: BTreeMap::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.rule.alert
    }

    pub(super) fn evaluate(&mut self, context: &Context<'_>) -> Result<Vec<Written>, String> {
        let found = context.query(&self.rule.expr)?;
        let mut observations = Vec::with_capacity(found.len());
        let mut annotations = BTreeMap::new();
        for (labels, value) in found {
            let added = context.expand(&self.label_templates, &labels, &value);
            let texts = context.expand(&self.annotation_templates, &labels, &value);
            let more = added.iter().map(|(name, value)| (&**name, &**value));
            let labels = renamed(&labels, Some((NAME, &self.rule.alert)), more)?;
            if annotations.insert(labels.clone(), texts).is_some() {
                return Err(String::from(
                    "vector contains metrics with the same labelset after applying alert labels",
                ));
            }
            let (value, message) = (Some(number(&value)), String::new());
            observations.push(Observation { labels, value, message });
        }
        let change = self.alerts.apply(context.now, observations, &self.policy, &mut Uuid::new_v4);
        if change.refused > 0 {
            self_metrics::alerts_dropped(&self.rule.alert, change.refused);
        }
        // An alert that goes on firing keeps its texts.
        for alert in self.alerts.iter() {
            if let Some(texts) = self.annotations.remove(&alert.labels) {
                annotations.entry(alert.labels.clone()).or_insert(texts);
            }
        }
        self.annotations = annotations;
        let count = self.alerts.iter().count() as u64;
        if context.limit > 0 && count > context.limit {
            let text = format!("exceeded limit of {} with {count} alerts", context.limit);
            self.alerts.end_all(context.now);
            self.annotations.clear();
            return Err(text);
        }
        self.series()
    }

    /// `ALERTS` with the state of each alert, and `ALERTS_FOR_STATE` with the time since when it is active.
    fn series(&self) -> Result<Vec<Written>, String> {
        let mut written = Vec::new();
        for alert in self.alerts.iter() {
            let state = [("alertstate", alert.state.as_str())];
            let name = Some((METRIC_NAME_LABEL, "ALERTS"));
            written
                .push((renamed(&alert.labels, name, state.into_iter())?, SampleValue::Float(1.0)));
            let name = Some((METRIC_NAME_LABEL, "ALERTS_FOR_STATE"));
            // Whole seconds, as in Prometheus.
            let since = alert.active_at.as_millis().div_euclid(1_000) as f64;
            let labels = renamed(&alert.labels, name, std::iter::empty())?;
            written.push((labels, SampleValue::Float(since)));
        }
        Ok(written)
    }

    pub(super) fn status(&self, outcome: &RuleOutcome) -> AlertingStatus {
        let alert = |alert: &AlertEvent| GroupAlert {
            labels: alert.labels.clone(),
            annotations: self.annotations.get(&alert.labels).cloned().unwrap_or_default(),
            state: alert.state,
            active_at: alert.active_at,
            value: alert.value.unwrap_or(f64::NAN),
        };
        let active = self.alerts.iter().filter(|alert| alert.state != AlertState::Resolved);
        AlertingStatus {
            name: self.rule.alert.clone(),
            query: self.rule.expr.expr().to_string(),
            hold: self.rule.hold,
            keep_firing: self.rule.keep_firing,
            labels: self.labels.clone(),
            annotations: self.rule.annotations.clone(),
            alerts: active.map(alert).collect(),
            outcome: outcome.clone(),
        }
    }
}

fn templates(texts: &BTreeMap<String, String>) -> Templates {
    let read = |text: &String| Template::parse(text).map_err(|error| error.to_string());
    texts.iter().map(|(name, text)| (name.clone(), read(text))).collect()
}

impl Context<'_> {
    /// The texts of templates for one series; in place of one that cannot be expanded stands why, as in Prometheus.
    fn expand(
        &self,
        templates: &Templates,
        labels: &Labels,
        value: &SampleValue,
    ) -> BTreeMap<String, String> {
        let failed = |error: &dyn std::fmt::Display| format!("<error expanding template: {error}>");
        let text = |template: &Result<Template, String>| match template {
            Ok(template) => {
                self.text(template, labels, value).unwrap_or_else(|error| failed(&error))
            }
            Err(error) => failed(error),
        };
        templates.iter().map(|(name, template)| (name.clone(), text(template))).collect()
    }
}
