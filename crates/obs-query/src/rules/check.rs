//! What the parts of a rule have to be like, whether they were read or made.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use obs_model::METRIC_NAME_LABEL;

use super::error::RuleProblem;
use super::model::{Rule, RuleGroup};
use crate::template::Template;

/// Checks the name of a recorded metric: any text without braces.
pub(super) fn record_name(name: &str) -> Result<(), String> {
    if name.contains(['{', '}']) {
        let message = "braces present in the recording rule name; should it be in expr?";
        return Err(format!("{message}: {name}"));
    }
    Ok(())
}

/// Checks the name of a label: any text but the empty one and the label of the metric's name.
pub(super) fn label_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name == METRIC_NAME_LABEL {
        let message = format!("invalid label name: {name:?}, expected a name other than __name__");
        return Err(message);
    }
    Ok(())
}

/// Checks the name of an annotation.
pub(super) fn annotation_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("invalid annotation name: \"\", expected one that is not empty".to_owned());
    }
    Ok(())
}

/// How a message begins that is about a rule, as Prometheus has it.
pub(super) fn rule_prefix(group: &str, index: usize, name: &str) -> String {
    format!("group {group:?}, rule {}, {name:?}", index + 1)
}

/// Checks groups that were made.
pub(super) fn groups(groups: &[RuleGroup]) -> Vec<RuleProblem> {
    let mut messages = Vec::new();
    let mut names = HashSet::new();
    for group in groups {
        if group.name.is_empty() {
            messages.push("Groupname must not be empty".to_owned());
        } else if !names.insert(&group.name) {
            messages.push(repeated_group(&group.name));
        }
        let prefix = format!("group {:?}", group.name);
        messages.extend(names_of(&group.labels, label_name, &prefix));
        let offset = group.query_offset.unwrap_or_default();
        messages
            .extend(durations([("interval", group.interval), ("query_offset", offset)], &prefix));
        for (index, rule) in group.rules.iter().enumerate() {
            check_rule(rule, &rule_prefix(&group.name, index, rule.name()), &mut messages);
        }
    }
    messages.into_iter().map(RuleProblem::unplaced).collect()
}

/// What to say of a group whose name another one has.
pub(super) fn repeated_group(name: &str) -> String {
    format!("groupname: {name:?} is repeated in the same file")
}

/// What to say of a rule that is of no kind.
pub(super) const NO_NAME: &str = "one of 'record' or 'alert' must be set";

fn check_rule(rule: &Rule, prefix: &str, messages: &mut Vec<String>) {
    if rule.name().is_empty() {
        messages.push(format!("{prefix}: {NO_NAME}"));
    }
    messages.extend(names_of(rule.labels(), label_name, prefix));
    match rule {
        Rule::Recording(rule) => {
            let checked = record_name(&rule.record);
            messages.extend(checked.err().map(|message| format!("{prefix}: {message}")));
        }
        Rule::Alerting(rule) => {
            messages.extend(templates_of("label", &rule.labels, prefix));
            messages.extend(templates_of("annotation", &rule.annotations, prefix));
            messages.extend(names_of(&rule.annotations, annotation_name, prefix));
            let given = [("for", rule.hold), ("keep_firing_for", rule.keep_firing)];
            messages.extend(durations(given, prefix));
        }
    }
}

fn templates_of(
    what: &str,
    pairs: &BTreeMap<String, String>,
    prefix: &str,
) -> impl Iterator<Item = String> {
    pairs.iter().filter_map(move |(name, text)| {
        Some(format!("{prefix}: {what} {name:?}: {}", Template::parse(text).err()?))
    })
}

fn names_of(
    pairs: &BTreeMap<String, String>,
    check: fn(&str) -> Result<(), String>,
    prefix: &str,
) -> impl Iterator<Item = String> {
    pairs.keys().filter_map(move |name| check(name).err()).map(move |it| format!("{prefix}: {it}"))
}

/// The longest duration that Prometheus reads.
const MAX_DURATION: Duration = Duration::from_nanos(i64::MAX as u64);

fn durations<'a>(
    given: [(&'a str, Duration); 2],
    prefix: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let wrong = |(_, duration): &(_, Duration)| {
        *duration > MAX_DURATION || !duration.subsec_nanos().is_multiple_of(1_000_000)
    };
    given.into_iter().filter(wrong).map(move |(field, duration)| {
        format!("{prefix}: invalid duration of {field:?}: {duration:?}, expected whole milliseconds, at most 292 years")
    })
}
