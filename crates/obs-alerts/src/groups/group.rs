//! One group: its rules, and an evaluation of them all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use obs_model::{Labels, METRIC_NAME_LABEL, Sample, Timestamp};
use obs_query::promql::{Engine, HistogramSample, QueryValue, SampleValue};
use obs_query::rules::{Rule, RuleExpr, RuleGroup};
use obs_query::template::{Environment, Template, engine_query};
use obs_query::{STALE, SeriesStore};

use super::RuleGroupsConfig;
use super::alerting::Alerting;
use super::recording::Recording;
use super::status::{GroupRuleStatus, GroupStatus, RuleOutcome};
use crate::self_metrics;

/// A group and the state of its rules.
pub(super) struct Group {
    name: String,
    file: String,
    interval: Duration,
    query_offset: Duration,
    limit: u64,
    rules: Vec<State>,
    last: RuleOutcome,
}

/// A rule, what it wrote last, and how that went.
struct State {
    kind: Kind,
    written: BTreeSet<Labels>,
    outcome: RuleOutcome,
}

enum Kind {
    Recording(Recording),
    Alerting(Box<Alerting>),
}

/// What a rule is evaluated with.
pub(super) struct Context<'a> {
    engine: &'a Engine,
    store: &'a SeriesStore,
    /// The time of the evaluation.
    pub(super) now: Timestamp,
    /// The time that the queries are asked about.
    at: Timestamp,
    /// How many series a rule may give; 0 is any number.
    pub(super) limit: u64,
}

/// A series that a rule writes, and its value.
pub(super) type Written = (Labels, SampleValue);

impl Group {
    pub(super) fn new(file: &str, group: RuleGroup, config: &RuleGroupsConfig) -> Self {
        let interval = if group.interval.is_zero() { config.interval } else { group.interval };
        let RuleGroup { name, query_offset, limit, labels, rules, .. } = group;
        let state = |rule| {
            let kind = match rule {
                Rule::Recording(rule) => Kind::Recording(Recording::new(rule, &labels)),
                Rule::Alerting(rule) => {
                    Kind::Alerting(Box::new(Alerting::new(rule, &labels, config.max_alerts)))
                }
            };
            State { kind, written: BTreeSet::new(), outcome: RuleOutcome::default() }
        };
        Self {
            name,
            file: file.to_owned(),
            interval: interval.max(Duration::from_millis(1)),
            query_offset: query_offset.unwrap_or(config.query_offset),
            limit,
            rules: rules.into_iter().map(state).collect(),
            last: RuleOutcome::default(),
        }
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Evaluates the rules, one after the other: what one writes, the next ones see.
    pub(super) fn evaluate(&mut self, engine: &Engine, store: &SeriesStore, now: Timestamp) {
        let started = Instant::now();
        let at = now.minus(self.query_offset);
        let context = Context { engine, store, now, at, limit: self.limit };
        for state in &mut self.rules {
            state.evaluate(&context);
        }
        self.last.last_evaluation = Some(now);
        self.last.last_duration = started.elapsed();
    }

    pub(super) fn status(&self) -> GroupStatus {
        let rule = |state: &State| match &state.kind {
            Kind::Recording(rule) => GroupRuleStatus::Recording(rule.status(&state.outcome)),
            Kind::Alerting(rule) => GroupRuleStatus::Alerting(rule.status(&state.outcome)),
        };
        GroupStatus {
            name: self.name.clone(),
            file: self.file.clone(),
            interval: self.interval,
            limit: self.limit,
            last_evaluation: self.last.last_evaluation,
            last_duration: self.last.last_duration,
            rules: self.rules.iter().map(rule).collect(),
        }
    }
}

impl State {
    fn evaluate(&mut self, context: &Context<'_>) {
        let started = Instant::now();
        let result = match &mut self.kind {
            Kind::Recording(rule) => rule.evaluate(context),
            Kind::Alerting(rule) => rule.evaluate(context),
        };
        let result = result.map(|written| self.write(context, written));
        self.outcome.last_evaluation = Some(context.now);
        self.outcome.last_duration = started.elapsed();
        self_metrics::evaluated(self.outcome.last_duration);
        if let Err(error) = result {
            self_metrics::rule_failed(self.name());
            if self.outcome.last_error.as_ref() != Some(&error) {
                tracing::warn!(target: "obskit::alerts", rule = self.name(), error, "a rule could not be evaluated");
            }
            self.outcome.last_error = Some(error);
        } else {
            self.outcome.last_error = None;
        }
    }

    fn name(&self) -> &str {
        match &self.kind {
            Kind::Recording(rule) => rule.name(),
            Kind::Alerting(rule) => rule.name(),
        }
    }

    /// Stores what the rule gave, and ends the series that it gave last time and does not any more.
    fn write(&mut self, context: &Context<'_>, written: Vec<Written>) {
        let before = std::mem::take(&mut self.written);
        for (labels, value) in written {
            context.append(&labels, value);
            self.written.insert(labels);
        }
        for labels in before.difference(&self.written) {
            context.append(labels, SampleValue::Float(STALE));
        }
    }
}

impl Context<'_> {
    /// What an expression gives; a scalar is a series without labels.
    pub(super) fn query(&self, expr: &RuleExpr) -> Result<Vec<Written>, String> {
        let result = self
            .engine
            .instant(self.store, expr.expr(), self.at, &|| false)
            .map_err(|error| error.to_string())?;
        match result.value {
            QueryValue::Vector(points) => {
                Ok(points.into_iter().map(|point| (point.labels, point.value)).collect())
            }
            QueryValue::Scalar(sample) => {
                Ok(vec![(Labels::empty(), SampleValue::Float(sample.value))])
            }
            QueryValue::String(..) | QueryValue::Matrix(_) => {
                Err(String::from("rule result is not a vector or scalar"))
            }
        }
    }

    /// The text of a template for one series.
    pub(super) fn text(
        &self,
        template: &Template,
        labels: &Labels,
        value: &SampleValue,
    ) -> Result<String, obs_query::Error> {
        template.expand(&Environment {
            labels,
            external_labels: &Labels::empty(),
            external_url: "",
            value,
            at: self.at,
            query: &engine_query(self.engine, self.store),
        })
    }

    /// Stores one sample. The store counts what it refuses.
    fn append(&self, labels: &Labels, value: SampleValue) {
        let refused = match value {
            SampleValue::Float(value) => {
                self.store.append(labels, Sample { timestamp: self.now, value })
            }
            SampleValue::Histogram(value) => {
                let sample = HistogramSample { timestamp: self.now, value };
                self.store.append_histogram(labels, sample)
            }
        };
        if let Err(error) = refused {
            tracing::debug!(target: "obskit::alerts", %error, "a rule's sample was not stored");
        }
    }
}

/// The labels of the group and of the rule; the rule's count.
pub(super) fn merged(
    group: &BTreeMap<String, String>,
    rule: BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut labels = group.clone();
    labels.extend(rule);
    labels
}

/// A series' labels under another name, with `more`; an empty value takes a label away.
pub(super) fn renamed<'a>(
    found: &'a Labels,
    name: Option<(&'a str, &'a str)>,
    more: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Labels, String> {
    let old = found.iter().filter(|(label, _)| *label != METRIC_NAME_LABEL);
    let labels = Labels::new(old.chain(more).chain(name)).map_err(|error| error.to_string())?;
    Ok(labels.filter(|_, value| !value.is_empty()))
}

/// The value as a number; of a native histogram its count.
pub(super) fn number(value: &SampleValue) -> f64 {
    match value {
        SampleValue::Float(value) => *value,
        SampleValue::Histogram(histogram) => histogram.count,
    }
}
