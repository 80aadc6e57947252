//! The syntax tree of a template.

use std::collections::HashMap;
use std::sync::Arc;

use super::builtin::Builtin;

/// The templates of a text: the main one and those that it defines.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) main: Vec<Node>,
    pub(super) defined: HashMap<String, Arc<Vec<Node>>>,
}

/// A part of a template and the byte of the text at which it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    pub(super) kind: NodeKind,
}

#[derive(Debug)]
pub(super) enum NodeKind {
    Text(String),
    /// `{{pipeline}}`
    Action(Pipeline),
    If(Branch),
    With(Branch),
    Range(Branch),
    Break,
    Continue,
    /// `{{template "name" pipeline}}`
    Template(String, Option<Pipeline>),
}

/// What is done for a value, and what if there is none.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipeline: Pipeline,
    pub(super) then: Vec<Node>,
    pub(super) otherwise: Vec<Node>,
}

/// Commands, each of which gets the value of the one before it as its last argument.
#[derive(Debug)]
pub(super) struct Pipeline {
    /// The variables that get the value: at most two, and two for a range only.
    pub(super) variables: Vec<String>,
    /// Whether the variables are those that there are already.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

/// An operand, or a function and its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) at: usize,
    pub(super) operands: Vec<Operand>,
}

#[derive(Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) kind: OperandKind,
    /// The names behind it: `.Labels.job`.
    pub(super) fields: Vec<String>,
}

#[derive(Debug)]
pub(super) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Variable(String),
    Function(&'static Builtin),
    Pipeline(Box<Pipeline>),
}
