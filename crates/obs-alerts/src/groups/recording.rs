//! Recording rules: what an expression gives, as series of a new name.

use std::collections::{BTreeMap, BTreeSet};

use obs_model::METRIC_NAME_LABEL;
use obs_query::rules::RecordingRule;

use super::group::{Context, Written, merged, renamed};
use super::status::{RecordingStatus, RuleOutcome};

pub(super) struct Recording {
    rule: RecordingRule,
    labels: BTreeMap<String, String>,
}

impl Recording {
    pub(super) fn new(mut rule: RecordingRule, group: &BTreeMap<String, String>) -> Self {
        let labels = merged(group, std::mem::take(&mut rule.labels));
        Self { rule, labels }
    }

    pub(super) fn name(&self) -> &str {
        &self.rule.record
    }

    pub(super) fn evaluate(&self, context: &Context<'_>) -> Result<Vec<Written>, String> {
        let found = context.query(&self.rule.expr)?;
        let mut seen = BTreeSet::new();
        let mut written = Vec::with_capacity(found.len());
        for (labels, value) in found {
            let more = self.labels.iter().map(|(name, value)| (&**name, &**value));
            let labels = renamed(&labels, Some((METRIC_NAME_LABEL, self.name())), more)?;
            if !seen.insert(labels.clone()) {
                return Err(String::from(
                    "vector contains metrics with the same labelset after applying rule labels",
                ));
            }
            written.push((labels, value));
        }
        if context.limit > 0 && written.len() as u64 > context.limit {
            return Err(format!(
                "exceeded limit of {} with {} series",
                context.limit,
                written.len()
            ));
        }
        Ok(written)
    }

    pub(super) fn status(&self, outcome: &RuleOutcome) -> RecordingStatus {
        RecordingStatus {
            name: self.rule.record.clone(),
            query: self.rule.expr.expr().to_string(),
            labels: self.labels.clone(),
            outcome: outcome.clone(),
        }
    }
}
