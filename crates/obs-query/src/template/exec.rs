//! Going through a template and writing its text.

use std::sync::Arc;

use super::ast::{Branch, Command, Node, NodeKind, Operand, OperandKind, Pipeline, Tree};
use super::error::Problem;
use super::format::{self, Output};
use super::value::Value;
use super::{Environment, time};

/// How much work a template may be: nodes, operands and rounds of loops.
const MAX_STEPS: usize = 100_000;

/// How many steps a query counts as.
const QUERY_STEPS: usize = 1_000;

/// How deep templates may call each other.
const MAX_CALLS: usize = 50;

type Done<T> = Result<T, Problem>;

/// What comes after a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

pub(super) struct Exec<'a> {
    tree: &'a Tree,
    pub(super) environment: &'a Environment<'a>,
    out: Output,
    /// The innermost ones last.
    variables: Vec<(&'a str, Value)>,
    steps: usize,
    calls: usize,
}

/// Writes the text of a template.
pub(super) fn run<'a>(
    tree: &'a Tree,
    environment: &'a Environment<'a>,
    variables: Vec<(&'a str, Value)>,
    dot: &Value,
) -> Done<String> {
    let out = Output::default();
    let mut exec = Exec { tree, environment, out, variables, steps: 0, calls: 0 };
    exec.walk(dot, &tree.main)?;
    exec.out.finish().map_err(|message| Problem::at(0, message))
}

impl<'a> Exec<'a> {
    fn work(&mut self, at: usize, steps: usize) -> Done<()> {
        self.steps += steps;
        if self.steps > MAX_STEPS {
            let message =
                format!("the template takes too long: at most {MAX_STEPS} steps are accepted");
            return Err(Problem::at(at, message));
        }
        Ok(())
    }

    fn walk(&mut self, dot: &Value, nodes: &'a [Node]) -> Done<Flow> {
        for node in nodes {
            self.work(node.at, 1)?;
            let flow = match &node.kind {
                NodeKind::Text(text) => {
                    self.out.push(text);
                    Flow::Next
                }
                NodeKind::Action(pipeline) => {
                    let value = self.pipeline(dot, pipeline)?;
                    if pipeline.variables.is_empty() {
                        self.write(&value);
                    }
                    Flow::Next
                }
                NodeKind::If(branch) => self.branch(dot, branch, false)?,
                NodeKind::With(branch) => self.branch(dot, branch, true)?,
                NodeKind::Range(branch) => self.range(dot, branch, node.at)?,
                NodeKind::Break => Flow::Break,
                NodeKind::Continue => Flow::Continue,
                NodeKind::Template(name, pipeline) => {
                    self.call_template(dot, name, pipeline.as_ref(), node.at)?;
                    Flow::Next
                }
            };
            if self.out.is_full() {
                let message = std::mem::take(&mut self.out).finish().err().unwrap_or_default();
                return Err(Problem::at(node.at, message));
            }
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn write(&mut self, value: &Value) {
        match value {
            Value::None => self.out.push("<no value>"),
            value => format::value(&mut self.out, value),
        }
    }

    fn branch(&mut self, dot: &Value, branch: &'a Branch, is_with: bool) -> Done<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let flow = if value.is_true() {
            self.walk(if is_with { &value } else { dot }, &branch.then)
        } else {
            self.walk(dot, &branch.otherwise)
        };
        self.variables.truncate(known);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &'a Branch, at: usize) -> Done<Flow> {
        let known = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        // What the variables were set to is replaced in each round.
        if branch.pipeline.variables.len() > 1 && !branch.pipeline.assigns {
            self.variables.push((&branch.pipeline.variables[1], Value::None));
        }
        let rounds: Box<dyn Iterator<Item = (Value, Value)>> = match &value {
            Value::Integer(count) => {
                Box::new((0..*count).map(|index| (Value::Integer(index), Value::Integer(index))))
            }
            Value::Vector(points) => Box::new(
                (0_i64..)
                    .zip(points.iter())
                    .map(|(index, point)| (Value::Integer(index), Value::Point(Arc::clone(point)))),
            ),
            Value::Pairs(pairs) => {
                Box::new(pairs.iter().map(|(name, it)| (Value::text(&**name), Value::text(&**it))))
            }
            Value::Mapping(mapping) => {
                Box::new(mapping.iter().map(|(name, it)| (Value::text(&**name), it.clone())))
            }
            Value::None => Box::new(std::iter::empty()),
            other => {
                let message = format!("range can't iterate over {}", other.type_name());
                return Err(Problem::at(at, message));
            }
        };
        let mut is_empty = true;
        for (index, item) in rounds {
            is_empty = false;
            self.work(at, 1)?;
            let base = self.variables.len();
            match branch.pipeline.variables.as_slice() {
                [] => {}
                [one] => self.set(one, item.clone()),
                [first, second, ..] => {
                    self.set(first, index);
                    self.set(second, item.clone());
                }
            }
            let flow = self.walk(&item, &branch.then)?;
            self.variables.truncate(base);
            if flow == Flow::Break {
                break;
            }
        }
        let flow = if is_empty { self.walk(dot, &branch.otherwise)? } else { Flow::Next };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn call_template(
        &mut self,
        dot: &Value,
        name: &str,
        pipeline: Option<&'a Pipeline>,
        at: usize,
    ) -> Done<()> {
        let Some(nodes) = self.tree.defined.get(name) else {
            return Err(Problem::at(at, format!("template {name:?} not defined")));
        };
        if self.calls >= MAX_CALLS {
            let message =
                format!("templates call each other too deeply: at most {MAX_CALLS} levels");
            return Err(Problem::at(at, message));
        }
        let value = match pipeline {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::None,
        };
        self.calls += 1;
        let outer = std::mem::replace(&mut self.variables, vec![("$", value.clone())]);
        self.walk(&value, nodes)?;
        self.variables = outer;
        self.calls -= 1;
        Ok(())
    }

    /// Sets the innermost variable of this name; the parser has seen that there is one.
    fn set(&mut self, name: &str, value: Value) {
        if let Some(variable) = self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            variable.1 = value;
        }
    }

    fn pipeline(&mut self, dot: &Value, pipeline: &'a Pipeline) -> Done<Value> {
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Value::None);
        if let [name, ..] = pipeline.variables.as_slice() {
            if pipeline.assigns {
                self.set(name, value.clone());
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    /// What a command gives for the value of the one before it.
    fn command(&mut self, dot: &Value, command: &'a Command, last: Option<Value>) -> Done<Value> {
        let Some((first, rest)) = command.operands.split_first() else {
            return Ok(last.unwrap_or(Value::None));
        };
        if let OperandKind::Function(function) = &first.kind
            && first.fields.is_empty()
        {
            return match function.name {
                "and" => self.until(dot, rest, last, false, first.at),
                "or" => self.until(dot, rest, last, true, first.at),
                _ => {
                    let mut arguments = self.operands(dot, rest)?;
                    arguments.extend(last);
                    self.call(first, &arguments)
                }
            };
        }
        if rest.is_empty() && last.is_none() {
            return self.operand(dot, first, &[]);
        }
        let mut arguments = self.operands(dot, rest)?;
        arguments.extend(last);
        self.operand(dot, first, &arguments)
    }

    fn operands(&mut self, dot: &Value, operands: &'a [Operand]) -> Done<Vec<Value>> {
        operands.iter().map(|operand| self.operand(dot, operand, &[])).collect()
    }

    /// The first of the arguments that is as `wanted`, or the last one; what follows it is not looked at.
    fn until(
        &mut self,
        dot: &Value,
        operands: &'a [Operand],
        last: Option<Value>,
        wanted: bool,
        at: usize,
    ) -> Done<Value> {
        let mut value = None;
        for operand in operands {
            let next = self.operand(dot, operand, &[])?;
            if next.is_true() == wanted {
                return Ok(next);
            }
            value = Some(next);
        }
        last.or(value).ok_or_else(|| Problem::at(at, "wrong number of args: want at least 1 got 0"))
    }

    fn call(&mut self, operand: &'a Operand, arguments: &[Value]) -> Done<Value> {
        let OperandKind::Function(function) = &operand.kind else { return Ok(Value::None) };
        let steps = if function.name == "query" { QUERY_STEPS } else { 1 };
        self.work(operand.at, steps)?;
        let count = arguments.len();
        if count < function.least || function.most.is_some_and(|most| count > most) {
            let least = if function.most.is_none() { "at least " } else { "" };
            let message = format!(
                "wrong number of args for {}: want {least}{} got {count}",
                function.name, function.least
            );
            return Err(Problem::at(operand.at, message));
        }
        (function.run)(self.environment, arguments).map_err(|message| {
            Problem::at(operand.at, format!("error calling {}: {message}", function.name))
        })
    }

    /// The value of an operand; the last name behind it may be a method that takes arguments.
    fn operand(&mut self, dot: &Value, operand: &'a Operand, arguments: &[Value]) -> Done<Value> {
        self.work(operand.at, 1)?;
        let mut value = match &operand.kind {
            OperandKind::Dot => dot.clone(),
            OperandKind::Nil => Value::None,
            OperandKind::Bool(value) => Value::Bool(*value),
            OperandKind::Integer(value) => Value::Integer(*value),
            OperandKind::Float(value) => Value::Float(*value),
            OperandKind::Text(text) => Value::text(text.as_str()),
            OperandKind::Variable(name) => self
                .variables
                .iter()
                .rev()
                .find(|(known, _)| known == name)
                .map_or(Value::None, |(_, value)| value.clone()),
            OperandKind::Function(_) => self.call(operand, &[])?,
            OperandKind::Pipeline(pipeline) => self.pipeline(dot, pipeline)?,
        };
        let mut arguments = Some(arguments);
        for (index, field) in operand.fields.iter().enumerate() {
            let is_last = index + 1 == operand.fields.len();
            let result = match &value {
                Value::Time(millis) => {
                    let given = if is_last { arguments.take() } else { None };
                    time::method(*millis, field, given.unwrap_or_default())
                        .unwrap_or_else(|| value.field(field))
                }
                value => value.field(field),
            };
            value = result.map_err(|message| Problem::at(operand.at, message))?;
        }
        if arguments.is_some_and(|unused| !unused.is_empty()) {
            let message =
                format!("can't give argument to non-function of type {}", value.type_name());
            return Err(Problem::at(operand.at, message));
        }
        Ok(value)
    }
}
