//! From the text of a rule file to what it says.

use std::collections::{BTreeMap, HashSet};

use super::check;
use super::decode::{Decoder, Fields};
use super::error::RuleProblem;
use super::locate::Source;
use super::model::{AlertingRule, RecordingRule, Rule, RuleExpr, RuleFile, RuleGroup};
use super::yaml::{self, Kind, Node};
use crate::Error;
use crate::promql::{ParseOptions, Position, Span};
use crate::template::Template;

/// The longest text of a rule file, in bytes.
pub const MAX_RULE_FILE_BYTES: usize = 16 * 1_024 * 1_024;

const GROUP_FIELDS: [&str; 6] = ["name", "interval", "query_offset", "limit", "labels", "rules"];
const RULE_FIELDS: [&str; 7] =
    ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];

impl RuleFile {
    /// Reads a rule file, as strictly as Prometheus 3.5 does.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it at once, each with its line and column: see [`Error::rule_problems`]. What is
    /// wrong with the YAML itself is reported alone, as there is nothing to look at behind it.
    pub fn parse(text: &str, options: ParseOptions) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.len() > MAX_RULE_FILE_BYTES {
            let message = format!(
                "the file has {} bytes: at most {MAX_RULE_FILE_BYTES} are accepted",
                text.len()
            );
            return Err(Error::rules(vec![RuleProblem::unplaced(message)]));
        }
        if let Some(at) = text.find(is_forbidden) {
            let position = Span { start: at, end: at }.position(text);
            let problem = RuleProblem::new(position, "yaml: control characters are not allowed");
            return Err(Error::rules(vec![problem]));
        }
        let document = yaml::read(text).map_err(|problem| Error::rules(vec![problem]))?;
        let mut reader = Reader { source: Source::new(text), options, decoder: Decoder::default() };
        let mut file = document.root.map(|root| reader.file(&root)).unwrap_or_default();
        let problems = reader.decoder.into_problems();
        if !problems.is_empty() {
            return Err(Error::rules(problems));
        }
        file.has_more_documents = document.is_followed;
        Ok(file)
    }
}

/// Whether YAML has no place for a character, other than as an escape.
fn is_forbidden(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' | '\u{85}' => false,
        '\u{feff}' | '\u{fffe}' | '\u{ffff}' => true,
        other => other.is_control(),
    }
}

struct Reader<'a> {
    source: Source<'a>,
    options: ParseOptions,
    decoder: Decoder,
}

impl Reader<'_> {
    fn file(&mut self, root: &Node) -> RuleFile {
        let fields = self.decoder.fields(root, "a rule file", &["groups"]);
        let nodes = self.decoder.list(fields.get("groups"), "groups");
        let mut file = RuleFile::default();
        let mut names = HashSet::new();
        for node in nodes {
            let (group, positions) = self.group(node);
            if group.name.is_empty() {
                self.decoder.problem(node.at, "Groupname must not be empty");
            } else if !names.insert(group.name.clone()) {
                self.decoder.problem(node.at, check::repeated_group(&group.name));
            }
            file.groups.push(group);
            file.positions.push(positions);
        }
        file
    }

    fn group(&mut self, node: &Node) -> (RuleGroup, Vec<Position>) {
        let decoder = &mut self.decoder;
        let mut group = RuleGroup {
            name: node.text_of("name").unwrap_or_default().to_owned(),
            ..RuleGroup::default()
        };
        decoder.scope = format!("group {:?}: ", group.name);
        let fields = decoder.fields(node, "a group", &GROUP_FIELDS);
        if let Some(node) = fields.get("name") {
            decoder.text(node, "name");
        }
        group.interval = decoder.duration(fields.get("interval"), "interval").unwrap_or_default();
        group.query_offset = decoder.duration(fields.get("query_offset"), "query_offset");
        if let Some(node) = fields.get("limit") {
            group.limit = decoder.count(node, "limit");
        }
        let labels = decoder.texts(fields.get("labels"), "labels", check::label_name);
        group.labels = without_nodes(labels);
        let nodes = decoder.list(fields.get("rules"), "rules");
        let mut positions = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            positions.push(node.at);
            group.rules.extend(self.rule(node, &group.name, index));
        }
        self.decoder.scope.clear();
        (group, positions)
    }

    /// Reads a rule; `None` if it is not known of what kind it is or what it evaluates, which is a problem.
    fn rule(&mut self, node: &Node, group: &str, index: usize) -> Option<Rule> {
        let name = node.text_of("alert").or_else(|| node.text_of("record")).unwrap_or_default();
        self.decoder.scope = format!("{}: ", check::rule_prefix(group, index, name));
        let fields = self.decoder.fields(node, "a rule", &RULE_FIELDS);
        let record = self.name(&fields, "record");
        let alert = self.name(&fields, "alert");
        match (record, alert) {
            (Some((_, first)), Some((_, second))) => {
                let message = "only one of 'record' and 'alert' must be set";
                self.decoder.problem(first.max(second), message);
            }
            (None, None) => self.decoder.problem(node.at, check::NO_NAME),
            _ => {}
        }
        let expr = self.expr(&fields, node.at);
        let hold = self.decoder.duration(fields.get("for"), "for").unwrap_or_default();
        let keep_firing = self.decoder.duration(fields.get("keep_firing_for"), "keep_firing_for");
        let keep_firing = keep_firing.unwrap_or_default();
        let labels = self.decoder.texts(fields.get("labels"), "labels", check::label_name);
        let annotations =
            self.decoder.texts(fields.get("annotations"), "annotations", check::annotation_name);
        if let Some((name, at)) = record {
            if let Err(message) = check::record_name(name) {
                self.decoder.problem(at, message);
            }
            let given = [
                ("for", hold.is_zero()),
                ("keep_firing_for", keep_firing.is_zero()),
                ("annotations", annotations.is_empty()),
            ];
            self.only_for_alerts(&fields, given);
        }
        if alert.is_some() {
            self.templates("label", &labels);
            self.templates("annotation", &annotations);
        }
        let labels = without_nodes(labels);
        match (record, alert, expr?) {
            (Some((record, _)), _, expr) => {
                Some(Rule::Recording(RecordingRule { record: record.to_owned(), expr, labels }))
            }
            (None, Some((alert, _)), expr) => Some(Rule::Alerting(AlertingRule {
                alert: alert.to_owned(),
                expr,
                hold,
                keep_firing,
                labels,
                annotations: without_nodes(annotations),
            })),
            (None, None, _) => None,
        }
    }

    /// The name that a rule has in `field`, and where; an empty one is none.
    fn name<'a>(&mut self, fields: &Fields<'a>, field: &str) -> Option<(&'a str, Position)> {
        let node = fields.get(field)?;
        let name = self.decoder.text(node, field)?;
        (!name.is_empty()).then_some((name, node.at))
    }

    /// Notes each field that a recording rule has although only alerts may: one that is not empty.
    fn only_for_alerts(&mut self, fields: &Fields<'_>, are_empty: [(&str, bool); 3]) {
        for (field, is_empty) in are_empty {
            if let (false, Some(node)) = (is_empty, fields.get(field)) {
                let message = format!("invalid field '{field}' in recording rule");
                self.decoder.problem(node.at, message);
            }
        }
    }

    /// Notes what is wrong with texts that are templates.
    fn templates(&mut self, what: &str, texts: &BTreeMap<String, (String, &Node)>) {
        for (name, (text, node)) in texts {
            let Err(error) = Template::parse(text) else { continue };
            let Some((within, message)) = error.template_problem() else { continue };
            let (at, message) = match self.locate(node, within) {
                Some(at) => (at, message.to_owned()),
                None => (node.at, error.to_string()),
            };
            self.decoder.problem(at, format!("{what} {name:?}: {message}"));
        }
    }

    /// Reads the expression of the rule that begins at `rule`.
    fn expr(&mut self, fields: &Fields<'_>, rule: Position) -> Option<RuleExpr> {
        let node = fields.get("expr");
        let text = node.map_or(Some(""), |node| self.decoder.text(node, "expr"))?;
        let Some(node) = node.filter(|_| !text.is_empty()) else {
            let at = node.map_or(rule, |node| node.at);
            self.decoder.problem(at, "field 'expr' must be set in rule");
            return None;
        };
        let error = match RuleExpr::parse(text, self.options) {
            Ok(expr) => return Some(expr),
            Err(error) => error,
        };
        for problem in error.parse_problems() {
            let (at, message) = match self.locate(node, problem.position()) {
                Some(at) => (at, problem.message().to_owned()),
                None => (node.at, problem.to_string()),
            };
            self.decoder.problem(at, format!("could not parse expression: {message}"));
        }
        None
    }

    /// Where in the file the place `within` the value of a node is.
    fn locate(&self, node: &Node, within: Position) -> Option<Position> {
        match &node.kind {
            Kind::Scalar(scalar) => {
                self.source.locate(node.at, scalar.style, &scalar.value, within)
            }
            Kind::Sequence(_) | Kind::Mapping(_) => None,
        }
    }
}

fn without_nodes(texts: BTreeMap<String, (String, &Node)>) -> BTreeMap<String, String> {
    texts.into_iter().map(|(name, (text, _))| (name, text)).collect()
}
