//! From YAML nodes to values, as strictly as Prometheus, with every problem noted.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use super::error::RuleProblem;
use super::yaml::{Kind, MAX_NODES, Node, Scalar};
use crate::promql::{Position, duration_millis};

/// How many problems of one file are reported; a last one says how many more there are.
const MAX_PROBLEMS: usize = 1_000;

/// The most characters of the file that a message repeats.
const MAX_QUOTED: usize = 60;

/// Collects what is wrong while nodes are made values of.
#[derive(Default)]
pub(super) struct Decoder {
    /// What every message begins with: the group and the rule that is being read.
    pub(super) scope: String,
    problems: Vec<RuleProblem>,
    /// How many problems there were beyond those that are reported.
    more: usize,
    /// How many nodes were visited: with aliases that can be many more than the file has.
    visited: usize,
    /// Why reading was given up, if it was.
    gave_up: Option<RuleProblem>,
}

/// The fields of a mapping, by name.
pub(super) struct Fields<'a>(HashMap<&'a str, &'a Rc<Node>>);

impl<'a> Fields<'a> {
    /// The value of a field, if it is there and says anything.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        self.0.get(name).copied().map(Rc::as_ref).filter(|node| !node.is_null())
    }
}

impl Decoder {
    pub(super) fn problem(&mut self, at: Position, message: impl AsRef<str>) {
        if self.problems.len() >= MAX_PROBLEMS {
            self.more += 1;
            return;
        }
        let message = format!("{}{}", self.scope, message.as_ref());
        self.problems.push(RuleProblem::new(at, message));
    }

    /// The problems in order of position; the reason alone if reading was given up.
    pub(super) fn into_problems(mut self) -> Vec<RuleProblem> {
        if let Some(reason) = self.gave_up {
            return vec![reason];
        }
        // OK because the sort is stable: problems of the same place stay in the order in which they were found.
        self.problems.sort_by_key(RuleProblem::position);
        if self.more > 0 {
            let message = format!("{} more problems are not shown", self.more);
            self.problems.push(RuleProblem::unplaced(message));
        }
        self.problems
    }

    /// Notes that nodes are visited; `false` if there have been too many.
    fn visit(&mut self, node: &Node, count: usize) -> bool {
        self.visited = self.visited.saturating_add(count);
        if self.visited > MAX_NODES && self.gave_up.is_none() {
            let message = format!("aliases stand for more than {MAX_NODES} values in all");
            self.gave_up = Some(RuleProblem::new(node.at, message));
        }
        self.gave_up.is_none()
    }

    /// The items of a list that say anything.
    pub(super) fn list<'a>(&mut self, node: Option<&'a Node>, what: &str) -> Vec<&'a Node> {
        let Some(node) = node else { return Vec::new() };
        match &node.kind {
            Kind::Sequence(items) if self.visit(node, items.len()) => {
                items.iter().map(Rc::as_ref).filter(|item| !item.is_null()).collect()
            }
            Kind::Sequence(_) => Vec::new(),
            _ => {
                self.problem(node.at, expected(what, "a list", node));
                Vec::new()
            }
        }
    }

    /// The fields of `node`, which may be those of `known`.
    pub(super) fn fields<'a>(&mut self, node: &'a Node, what: &str, known: &[&str]) -> Fields<'a> {
        let mut fields = HashMap::new();
        for (key, value) in self.pairs(node, what) {
            let Kind::Scalar(name) = &key.kind else { continue };
            match known.iter().find(|known| **known == name.value) {
                Some(_) => drop(fields.insert(name.value.as_str(), value)),
                None => {
                    let name = shorten(&name.value);
                    let known = known.join(", ");
                    let message = format!("field {name:?} not found in {what}: expected {known}");
                    self.problem(key.at, message);
                }
            }
        }
        Fields(fields)
    }

    /// A mapping of texts to texts, each name checked.
    pub(super) fn texts<'a>(
        &mut self,
        node: Option<&'a Node>,
        what: &str,
        check: fn(&str) -> Result<(), String>,
    ) -> BTreeMap<String, (String, &'a Node)> {
        let mut texts = BTreeMap::new();
        let Some(node) = node else { return texts };
        for (key, value) in self.pairs(node, what) {
            let Kind::Scalar(name) = &key.kind else { continue };
            if let Err(message) = check(&name.value) {
                self.problem(key.at, message);
            }
            let text = self.text(value, what).unwrap_or_default();
            texts.insert(name.value.clone(), (text.to_owned(), value.as_ref()));
        }
        texts
    }

    /// The pairs of a mapping whose keys are single values, each key once; those of a merge key come last.
    fn pairs<'a>(&mut self, node: &'a Node, what: &str) -> Vec<(&'a Rc<Node>, &'a Rc<Node>)> {
        let Kind::Mapping(given) = &node.kind else {
            if !node.is_null() {
                self.problem(node.at, expected(what, "a mapping", node));
            }
            return Vec::new();
        };
        if !self.visit(node, given.len()) {
            return Vec::new();
        }
        let mut pairs = Vec::with_capacity(given.len());
        let mut merged = Vec::new();
        let mut seen = HashMap::with_capacity(given.len());
        for (key, value) in given {
            let Kind::Scalar(name) = &key.kind else {
                self.problem(key.at, expected(what, "a name before the colon", key));
                continue;
            };
            if let Some(earlier) = seen.insert(name.value.as_str(), key.at) {
                let name = shorten(&name.value);
                let message =
                    format!("mapping key {name:?} already defined at line {}", earlier.line);
                self.problem(key.at, message);
            } else if name.is_plain() && name.value == "<<" {
                merged.push(value);
            } else {
                pairs.push((key, value));
            }
        }
        for value in merged {
            for (key, value) in self.merged(value, what, 0) {
                if let Kind::Scalar(name) = &key.kind
                    && seen.insert(name.value.as_str(), key.at).is_none()
                {
                    pairs.push((key, value));
                }
            }
        }
        pairs
    }

    /// The pairs that a merge key brings: of a mapping, or of a list of them, of which earlier ones win.
    fn merged<'a>(
        &mut self,
        node: &'a Node,
        what: &str,
        depth: usize,
    ) -> Vec<(&'a Rc<Node>, &'a Rc<Node>)> {
        match &node.kind {
            Kind::Mapping(_) => self.pairs(node, what),
            Kind::Sequence(items) if depth == 0 && self.visit(node, items.len()) => {
                items.iter().flat_map(|item| self.merged(item, what, 1)).collect()
            }
            _ => {
                self.problem(node.at, "map merge requires map or sequence of maps as the value");
                Vec::new()
            }
        }
    }

    /// A text; any single value is one.
    pub(super) fn text<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a str> {
        if !self.visit(node, 1) {
            return None;
        }
        match &node.kind {
            Kind::Scalar(scalar) if scalar.is_null() => None,
            Kind::Scalar(scalar) => Some(&scalar.value),
            _ => {
                self.problem(node.at, expected(what, "a text", node));
                None
            }
        }
    }

    /// A duration as Prometheus writes them: `1h30m`.
    pub(super) fn duration(&mut self, node: Option<&Node>, what: &str) -> Option<Duration> {
        let node = node?;
        let text = self.text(node, what)?;
        match duration_millis(text) {
            Ok(millis) => Some(Duration::from_millis(millis.unsigned_abs())),
            Err(message) => {
                let text = shorten(text);
                self.problem(node.at, format!("{what}: {text:?} is {message}"));
                None
            }
        }
    }

    /// A whole number; one below zero is zero.
    pub(super) fn count(&mut self, node: &Node, what: &str) -> u64 {
        let number = match &node.kind {
            Kind::Scalar(scalar) => integer(scalar),
            _ => None,
        };
        number.map_or_else(
            || {
                self.problem(node.at, expected(what, "a whole number", node));
                0
            },
            |number| u64::try_from(number).unwrap_or(0),
        )
    }
}

/// A whole number in any of the forms that YAML has for it.
fn integer(scalar: &Scalar) -> Option<i64> {
    if !scalar.is_plain() {
        return None;
    }
    let plain = scalar.value.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(octal) if octal.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    // OK because a sign was already taken off: `from_str_radix` would take a second one.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit() || first == '.') {
        return None;
    }
    if let Ok(number) = i64::from_str_radix(digits, radix) {
        return Some(if negative { -number } else { number });
    }
    // A number with a fraction or an exponent counts without its fraction, as in Prometheus.
    let number: f64 = plain.parse().ok()?;
    (number.abs() < i64::MAX as f64).then_some(number as i64)
}

fn expected(what: &str, expected: &str, node: &Node) -> String {
    format!("{what} is {}: expected {expected}", node.describe())
}

/// The beginning of a text, for a message.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
