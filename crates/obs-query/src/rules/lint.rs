//! What is allowed in a rule file and yet hardly meant.

use std::collections::{BTreeMap, HashMap};

use super::model::RuleFile;

/// Rules that give series of the same name and labels, so that each may overwrite what another gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuplicateRule {
    /// The name of the metric or alert.
    pub name: String,
    /// The labels that the rules add.
    pub labels: BTreeMap<String, String>,
    /// The group and the rule within it, from 0, that the file has again.
    pub rule: (usize, usize),
    /// The group and the rule within it where the file has it first.
    pub first: (usize, usize),
}

impl RuleFile {
    /// Every rule that has the name and labels of an earlier one, in order.
    ///
    /// The labels are those of the rules alone, without those of their groups, as `promtool check rules` has it.
    #[must_use]
    pub fn duplicate_rules(&self) -> Vec<DuplicateRule> {
        let mut seen = HashMap::new();
        let mut duplicates = Vec::new();
        for (group_index, group) in self.groups.iter().enumerate() {
            for (rule_index, rule) in group.rules.iter().enumerate() {
                let here = (group_index, rule_index);
                let first = *seen.entry((rule.name(), rule.labels())).or_insert(here);
                if first != here {
                    duplicates.push(DuplicateRule {
                        name: rule.name().to_owned(),
                        labels: rule.labels().clone(),
                        rule: here,
                        first,
                    });
                }
            }
        }
        duplicates
    }
}
