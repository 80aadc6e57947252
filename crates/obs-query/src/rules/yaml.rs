//! YAML as a tree whose nodes know where they stand.
//!
//! Only the first document of a text is read. What an alias stands for is shared, not copied, so the tree of a text is
//! never larger than the text; whoever walks it counts what it visits.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::error::RuleProblem;
use crate::promql::Position;

/// How deep the nodes of a document may be nested; a rule file needs seven levels.
const MAX_DEPTH: usize = 32;

/// How many nodes a document may have.
pub(super) const MAX_NODES: usize = 1_000_000;

/// A node and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<Pair>),
}

/// A key and what it stands before.
type Pair = (Rc<Node>, Rc<Node>);

#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) value: String,
    pub(super) style: ScalarStyle,
    /// Whether a tag says that it is a text.
    is_text: bool,
}

impl Scalar {
    /// Whether nothing about it says that it is a text.
    pub(super) fn is_plain(&self) -> bool {
        self.style == ScalarStyle::Plain && !self.is_text
    }

    pub(super) fn is_null(&self) -> bool {
        self.is_plain() && matches!(self.value.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.is_null())
    }

    /// The text of a field of a mapping, if it has one: the first of that name.
    pub(super) fn text_of(&self, field: &str) -> Option<&str> {
        let Kind::Mapping(pairs) = &self.kind else { return None };
        let is_field = |key: &Node| matches!(&key.kind, Kind::Scalar(key) if key.value == field);
        let (_, value) = pairs.iter().find(|(key, _)| is_field(key))?;
        match &value.kind {
            Kind::Scalar(scalar) if !scalar.is_null() => Some(&scalar.value),
            _ => None,
        }
    }

    /// What it is, for a message.
    pub(super) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.is_null() => "nothing",
            Kind::Scalar(_) => "a single value",
            Kind::Sequence(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }
}

/// The first document of a text.
#[derive(Debug)]
pub(super) struct Document {
    /// Its content; nothing if the text has no document.
    pub(super) root: Option<Rc<Node>>,
    /// Whether another document follows.
    pub(super) is_followed: bool,
}

/// Reads the first document of `text`.
pub(super) fn read(text: &str) -> Result<Document, RuleProblem> {
    let mut builder =
        Builder { events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    loop {
        match builder.next()? {
            Some((Event::StreamStart | Event::Nothing, _)) => {}
            Some((Event::DocumentStart(_), _)) => break,
            _ => return Ok(Document { root: None, is_followed: false }),
        }
    }
    let Some(first) = builder.next()? else {
        return Ok(Document { root: None, is_followed: false });
    };
    let root = builder.node(first, 0)?;
    // What comes after the first document is not looked at, so an error there is none: Prometheus reads no further.
    let is_followed = loop {
        match builder.next() {
            Ok(Some((Event::DocumentEnd | Event::Nothing, _))) => {}
            Ok(Some((Event::DocumentStart(_), _))) | Err(_) => break true,
            Ok(_) => break false,
        }
    };
    Ok(Document { root: Some(root), is_followed })
}

struct Builder<'a> {
    events: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// The nodes that have a name, by the parser's number of it.
    anchors: HashMap<usize, Rc<Node>>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, RuleProblem> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => {
                let message = format!("yaml: {}", error.info());
                Err(RuleProblem::new(position(error.marker()), message))
            }
        }
    }

    /// The node that begins with `event`.
    fn node(
        &mut self,
        (event, span): (Event<'a>, Span),
        depth: usize,
    ) -> Result<Rc<Node>, RuleProblem> {
        let at = position(&span.start);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("yaml: too many nodes: at most {MAX_NODES} are accepted");
            return Err(RuleProblem::new(at, message));
        }
        if depth > MAX_DEPTH {
            let message =
                format!("yaml: nested too deeply: at most {MAX_DEPTH} levels are accepted");
            return Err(RuleProblem::new(at, message));
        }
        let (kind, anchor) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                let scalar = Scalar {
                    value: value.into_owned(),
                    style,
                    is_text: tag.as_deref().is_some_and(is_text),
                };
                (Kind::Scalar(scalar), anchor)
            }
            Event::SequenceStart(anchor, _) => (Kind::Sequence(self.sequence(depth)?), anchor),
            Event::MappingStart(anchor, _) => (Kind::Mapping(self.mapping(depth)?), anchor),
            Event::Alias(anchor) => {
                return self.anchors.get(&anchor).cloned().ok_or_else(|| {
                    RuleProblem::new(at, "yaml: an alias stands within what it is the name of")
                });
            }
            _ => return Err(RuleProblem::new(at, "yaml: expected a value")),
        };
        let node = Rc::new(Node { at, kind });
        // OK because the parser numbers anchors from 1: 0 says that there is none.
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn sequence(&mut self, depth: usize) -> Result<Vec<Rc<Node>>, RuleProblem> {
        let mut items = Vec::new();
        while let Some(item) = self.item(depth)? {
            items.push(item);
        }
        Ok(items)
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Pair>, RuleProblem> {
        let mut pairs = Vec::new();
        while let Some(key) = self.item(depth)? {
            let Some(value) = self.item(depth)? else { break };
            pairs.push((key, value));
        }
        Ok(pairs)
    }

    /// The next node of a list or mapping, until that ends.
    fn item(&mut self, depth: usize) -> Result<Option<Rc<Node>>, RuleProblem> {
        match self.next()? {
            None | Some((Event::SequenceEnd | Event::MappingEnd, _)) => Ok(None),
            Some(event) => self.node(event, depth + 1).map(Some),
        }
    }
}

fn is_text(tag: &Tag) -> bool {
    tag.is_yaml_core_schema() && tag.suffix == "str"
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}
