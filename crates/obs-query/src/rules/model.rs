//! Rule files: what they say.

use std::collections::BTreeMap;
use std::time::Duration;

use super::check;
use crate::Error;
use crate::promql::{Expr, ParseOptions, Position, parse};

/// A rule file of Prometheus: groups of rules.
///
/// It is valid, whether it was read or made: [`RuleFile::parse`] and [`RuleFile::new`] refuse what Prometheus would.
/// Two files are equal if they say the same, wherever in their texts it stands. It is written as YAML by
/// [`Display`](std::fmt::Display).
#[derive(Clone, Debug, Default)]
pub struct RuleFile {
    pub(super) groups: Vec<RuleGroup>,
    /// Where each rule of each group begins; empty for a file that was made.
    pub(super) positions: Vec<Vec<Position>>,
    pub(super) has_more_documents: bool,
}

impl PartialEq for RuleFile {
    fn eq(&self, other: &Self) -> bool {
        self.groups == other.groups
    }
}

impl RuleFile {
    /// A file of these groups.
    ///
    /// # Errors
    ///
    /// Everything that Prometheus would not accept, such as two groups of the same name: see
    /// [`Error::rule_problems`].
    pub fn new(groups: Vec<RuleGroup>) -> Result<Self, Error> {
        let problems = check::groups(&groups);
        if problems.is_empty() {
            Ok(Self { groups, ..Self::default() })
        } else {
            Err(Error::rules(problems))
        }
    }

    /// The groups, in order.
    #[must_use]
    pub fn groups(&self) -> &[RuleGroup] {
        &self.groups
    }

    /// The groups, to be taken apart.
    #[must_use]
    pub fn into_groups(self) -> Vec<RuleGroup> {
        self.groups
    }

    /// How many rules the groups have together.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.groups.iter().map(|group| group.rules.len()).sum()
    }

    /// Where in its file a rule begins, if it was read from one: the `rule`th of the `group`th group, both from 0.
    #[must_use]
    pub fn position(&self, group: usize, rule: usize) -> Option<Position> {
        self.positions.get(group)?.get(rule).copied()
    }

    /// Whether another YAML document follows in the text, which nobody reads: neither Prometheus nor this.
    #[must_use]
    pub fn has_more_documents(&self) -> bool {
        self.has_more_documents
    }
}

/// Rules that are evaluated one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleGroup {
    /// Its name, which no other group of the file has.
    pub name: String,
    /// How often it is evaluated, to the millisecond; zero is as the server says.
    pub interval: Duration,
    /// How far before the time of an evaluation the queries look; as the server says if it is not given.
    pub query_offset: Option<Duration>,
    /// How many series or alerts a rule may give before it fails; 0 is any number.
    pub limit: u64,
    /// Labels of every rule, unless the rule has them too.
    pub labels: BTreeMap<String, String>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// One that stores what its expression gives.
    Recording(RecordingRule),
    /// One that says what is amiss.
    Alerting(AlertingRule),
}

impl Rule {
    /// The name of the metric or the alert.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Recording(rule) => &rule.record,
            Self::Alerting(rule) => &rule.alert,
        }
    }

    /// The expression.
    #[must_use]
    pub fn expr(&self) -> &RuleExpr {
        match self {
            Self::Recording(rule) => &rule.expr,
            Self::Alerting(rule) => &rule.expr,
        }
    }

    /// The labels that it adds.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Recording(rule) => &rule.labels,
            Self::Alerting(rule) => &rule.labels,
        }
    }

    /// The recording rule, if it is one.
    #[must_use]
    pub fn as_recording(&self) -> Option<&RecordingRule> {
        match self {
            Self::Recording(rule) => Some(rule),
            Self::Alerting(_) => None,
        }
    }

    /// The alerting rule, if it is one.
    #[must_use]
    pub fn as_alerting(&self) -> Option<&AlertingRule> {
        match self {
            Self::Alerting(rule) => Some(rule),
            Self::Recording(_) => None,
        }
    }
}

impl From<RecordingRule> for Rule {
    fn from(rule: RecordingRule) -> Self {
        Self::Recording(rule)
    }
}

impl From<AlertingRule> for Rule {
    fn from(rule: AlertingRule) -> Self {
        Self::Alerting(rule)
    }
}

/// A rule that stores what its expression gives, as series of a new name.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingRule {
    /// The name of the new series.
    pub record: String,
    /// What is evaluated.
    pub expr: RuleExpr,
    /// Labels that the new series get; an empty value takes a label away.
    pub labels: BTreeMap<String, String>,
}

impl RecordingRule {
    /// A rule without labels.
    #[must_use]
    pub fn new(record: impl Into<String>, expr: RuleExpr) -> Self {
        Self { record: record.into(), expr, labels: BTreeMap::new() }
    }
}

/// A rule that says what is amiss: an alert for each series that its expression gives.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertingRule {
    /// The name of the alert.
    pub alert: String,
    /// What is evaluated.
    pub expr: RuleExpr,
    /// How long a series has to be there before its alert fires (`for`), to the millisecond.
    pub hold: Duration,
    /// How long an alert goes on firing after its series has gone, to the millisecond.
    pub keep_firing: Duration,
    /// Labels that the alerts get. The values are templates.
    pub labels: BTreeMap<String, String>,
    /// Texts for whoever reads the alert. They are templates.
    pub annotations: BTreeMap<String, String>,
}

impl AlertingRule {
    /// A rule that fires at once, without labels and annotations.
    #[must_use]
    pub fn new(alert: impl Into<String>, expr: RuleExpr) -> Self {
        Self {
            alert: alert.into(),
            expr,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }
}

/// The expression of a rule: its text, comments and all, and what that means.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleExpr {
    text: String,
    expr: Expr,
}

impl RuleExpr {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// As [`parse`].
    pub fn parse(text: impl Into<String>, options: ParseOptions) -> Result<Self, Error> {
        let text = text.into();
        let expr = parse(&text, options)?;
        Ok(Self { text, expr })
    }

    /// The query as it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The syntax tree.
    #[must_use]
    pub fn expr(&self) -> &Expr {
        &self.expr
    }
}
