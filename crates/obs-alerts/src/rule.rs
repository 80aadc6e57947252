//! A rule: a condition, what its alerts look like, and what is done when one fires.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use obs_model::{AlertEvent, Labels, METRIC_NAME_LABEL, Severity, Timestamp};
use obs_query::{Queryable, Selector, Series, StoreConfig, TimeRange};

use crate::Error;
use crate::signal::Signal;
use crate::state::{Observation, Policy};
use crate::threshold::{Comparison, ThresholdRule};
use crate::verdict::{Finding, Verdict};

/// The longest id or name of a rule, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// The longest message of an alert and the longest error of a rule that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 4_096;

type Condition =
    dyn Fn(&RuleContext<'_>) -> Result<Verdict, Box<dyn StdError + Send + Sync>> + Send + Sync;
/// What is done when an alert fires.
pub(crate) type Action = Arc<dyn Fn(&AlertEvent) + Send + Sync>;

/// A rule that raises alerts.
///
/// ```
/// use obs_alerts::Rule;
/// use obs_model::Severity;
/// use std::time::Duration;
///
/// let rule = Rule::closure("disk", "Disk is full", Severity::High, |context| {
///     let _ = context.now();
///     Ok(false)
/// })
/// .with_description("less than 5 % of the disk is free")
/// .holding_for(Duration::from_secs(120));
/// assert_eq!(rule.id(), "disk");
/// assert_eq!(rule.promql(), None);
/// ```
#[derive(Clone)]
pub struct Rule {
    id: Arc<str>,
    name: Arc<str>,
    severity: Severity,
    description: String,
    labels: Labels,
    channels: Vec<Arc<str>>,
    enabled: bool,
    hold: Duration,
    keep_firing: Duration,
    kind: Kind,
    action: Option<Action>,
}

#[derive(Clone)]
enum Kind {
    Closure(Arc<Condition>),
    Threshold(Arc<Comparison>),
}

impl Rule {
    /// A rule whose condition is code.
    ///
    /// The closure says what the condition holds for at [`RuleContext::now`]: a `bool`, one [`Finding`],
    /// or several with different labels. It runs on a thread where it may block, one rule after the
    /// other, so it should be quick. When it fails or panics, the rule's alerts stay as they were and its
    /// health says so.
    #[must_use]
    pub fn closure<F, V>(
        id: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        severity: Severity,
        condition: F,
    ) -> Self
    where
        F: Fn(&RuleContext<'_>) -> Result<V, Box<dyn StdError + Send + Sync>>
            + Send
            + Sync
            + 'static,
        V: Into<Verdict>,
    {
        Self {
            id: id.into(),
            name: name.into(),
            severity,
            description: String::new(),
            labels: Labels::empty(),
            channels: Vec::new(),
            enabled: true,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            kind: Kind::Closure(Arc::new(move |context| condition(context).map(Into::into))),
            action: None,
        }
    }

    /// A rule that compares a signal with a number.
    #[must_use]
    pub fn threshold(rule: ThresholdRule) -> Self {
        Self {
            id: rule.id.into(),
            name: rule.name.into(),
            severity: rule.severity,
            description: rule.description,
            labels: rule.labels,
            channels: distinct(rule.channels),
            enabled: rule.enabled,
            hold: rule.for_,
            keep_firing: rule.keep_firing_for,
            kind: Kind::Threshold(Arc::new(Comparison {
                signal: rule.signal,
                operator: rule.operator,
                threshold: rule.threshold,
            })),
            action: None,
        }
    }

    /// Sets the message of its alerts.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }

    /// Sets labels that every alert of it carries, in place of a finding's own of the same name.
    #[must_use]
    pub fn with_labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }

    /// Sets which channels are told; none means all.
    #[must_use]
    pub fn with_channels(
        mut self,
        channels: impl IntoIterator<Item = impl Into<Arc<str>>>,
    ) -> Self {
        self.channels = distinct(channels);
        self
    }

    /// Sets how long the condition must hold before an alert fires; zero, the default, fires at once.
    #[must_use]
    pub fn holding_for(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Sets how long an alert goes on firing after the condition last held; zero by default.
    #[must_use]
    pub fn keeping_firing_for(mut self, keep_firing: Duration) -> Self {
        self.keep_firing = keep_firing;
        self
    }

    /// Leaves the rule unevaluated until it is enabled.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// Sets what is done, once, when an alert of it fires, before the channels are told. It should be
    /// quick; that it panics is logged and counted and stops nothing else.
    #[must_use]
    pub fn on_firing(mut self, action: impl Fn(&AlertEvent) + Send + Sync + 'static) -> Self {
        self.action = Some(Arc::new(action));
        self
    }

    /// What tells the rule from all others.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How bad its alerts are.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong when its condition holds; empty when nobody said.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The labels that every alert of it carries.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The channels that are told; none means all.
    pub fn channels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.channels.iter().map(|channel| &**channel)
    }

    /// How long the condition must hold before an alert fires.
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.hold
    }

    /// How long an alert goes on firing after the condition last held.
    #[must_use]
    pub fn keep_firing(&self) -> Duration {
        self.keep_firing
    }

    /// Whether it is evaluated from the start; what holds now is in
    /// [`RuleStatus::enabled`](crate::RuleStatus::enabled).
    #[must_use]
    pub fn starts_enabled(&self) -> bool {
        self.enabled
    }

    /// The expression that a threshold rule compiles to; none for a closure.
    #[must_use]
    pub fn promql(&self) -> Option<String> {
        match &self.kind {
            Kind::Closure(_) => None,
            Kind::Threshold(comparison) => Some(comparison.promql()),
        }
    }

    pub(crate) fn action(&self) -> Option<&Action> {
        self.action.as_ref()
    }

    pub(crate) fn policy(&self, limit: usize) -> Policy {
        Policy {
            rule_id: Arc::clone(&self.id),
            rule_name: Arc::clone(&self.name),
            severity: self.severity,
            hold: self.hold,
            keep_firing: self.keep_firing,
            limit,
        }
    }

    /// Adds everything that is wrong with the rule by itself to `problems`.
    pub(crate) fn check(&self, store: &StoreConfig, problems: &mut Vec<String>) {
        for (what, text) in [("id", &self.id), ("name", &self.name)] {
            if text.trim().is_empty() {
                problems.push(format!("the {what} is empty: expected a text"));
            } else if text.len() > MAX_NAME_BYTES {
                problems.push(format!(
                    "the {what} has {} bytes: expected at most {MAX_NAME_BYTES}",
                    text.len()
                ));
            }
        }
        if let Kind::Threshold(comparison) = &self.kind {
            comparison.signal.check(store, problems);
            comparison.check(problems);
        }
    }

    /// Evaluates the condition and gives each finding its final labels and message.
    ///
    /// # Errors
    ///
    /// What the closure failed or panicked with, a signal that cannot be computed, or two findings that
    /// end up with the same labels.
    pub(crate) fn evaluate(&self, context: &RuleContext<'_>) -> Result<Vec<Observation>, String> {
        let findings = match &self.kind {
            // OK to assert unwind safety because the closure is only shared, and what it captured is its
            // author's to keep consistent.
            Kind::Closure(condition) => {
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    // The text is made in here because writing a foreign error may panic too.
                    condition(context).map_err(|error| shorten(with_causes(&*error)))
                }));
                match outcome {
                    Ok(verdict) => verdict?.into_findings(),
                    Err(payload) => {
                        return Err(shorten(format!("panicked: {}", panic_text(&*payload))));
                    }
                }
            }
            Kind::Threshold(comparison) => context
                .values(&comparison.signal)
                .map_err(|error| shorten(with_causes(&error)))?
                .into_iter()
                .filter(|(_, value)| comparison.operator.holds(*value, comparison.threshold))
                .map(|(labels, value)| Finding::of(value).with_labels(labels))
                .collect(),
        };
        self.observe(findings)
    }

    fn observe(&self, findings: Vec<Finding>) -> Result<Vec<Observation>, String> {
        let mut observations = Vec::with_capacity(findings.len());
        for finding in findings {
            let labels = self.alert_labels(&finding.labels)?;
            let message = self.message(&finding);
            observations.push(Observation { labels, value: finding.value, message });
        }
        observations.sort_by(|a, b| a.labels.cmp(&b.labels));
        match observations.windows(2).find(|pair| pair[0].labels == pair[1].labels) {
            None => Ok(observations),
            Some(pair) => Err(shorten(format!(
                "two findings have the same labels {}: expected different ones",
                pair[0].labels
            ))),
        }
    }

    fn alert_labels(&self, found: &Labels) -> Result<Labels, String> {
        let found = found.without(METRIC_NAME_LABEL);
        if self.labels.is_empty() {
            return Ok(found);
        }
        Labels::new(found.iter().chain(self.labels.iter())).map_err(|error| error.to_string())
    }

    fn message(&self, finding: &Finding) -> String {
        if let Some(message) = &finding.message {
            return shorten(message.clone());
        }
        if !self.description.is_empty() {
            return shorten(self.description.clone());
        }
        shorten(match (&self.kind, finding.value) {
            (Kind::Threshold(comparison), Some(value)) => comparison.describe(value),
            (_, Some(value)) => format!("{}: the value is {value}", self.name),
            (_, None) => format!("{}: the condition holds", self.name),
        })
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("severity", &self.severity)
            .field("promql", &self.promql())
            .finish_non_exhaustive()
    }
}

impl From<ThresholdRule> for Rule {
    fn from(rule: ThresholdRule) -> Self {
        Self::threshold(rule)
    }
}

/// What a rule may look at: the series, at one time.
pub struct RuleContext<'a> {
    store: &'a dyn Queryable,
    now: Timestamp,
}

impl<'a> RuleContext<'a> {
    pub(crate) fn new(store: &'a dyn Queryable, now: Timestamp) -> Self {
        Self { store, now }
    }

    /// The time that the rule is evaluated for.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The series, to read.
    #[must_use]
    pub fn store(&self) -> &'a dyn Queryable {
        self.store
    }

    /// The series that match, with their samples of the last `window`.
    #[must_use]
    pub fn select(&self, selector: &Selector, window: Duration) -> Vec<Series> {
        self.store.select(selector, TimeRange::last(self.now, window))
    }

    /// The values of `signal` now, one for each label set, in order of labels.
    ///
    /// # Errors
    ///
    /// As [`Signal::values`].
    pub fn values(&self, signal: &Signal) -> Result<Vec<(Labels, f64)>, Error> {
        signal.values(self.store, self.now)
    }
}

impl fmt::Debug for RuleContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleContext").field("now", &self.now).finish_non_exhaustive()
    }
}

/// The names, each once, so that no channel is told twice.
fn distinct(names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Vec<Arc<str>> {
    let names: BTreeSet<Arc<str>> = names.into_iter().map(Into::into).collect();
    names.into_iter().collect()
}

/// The text that a panic carried.
pub(crate) fn panic_text(payload: &(dyn std::any::Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(a value that is not a text)")
}

fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    // OK to stop early because the text is cut anyway, and a chain of causes could be a ring.
    while let Some(error) = cause.filter(|_| text.len() < MAX_TEXT_BYTES) {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn shorten(mut text: String) -> String {
    if text.len() > MAX_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
        text.push('…');
    }
    text
}
