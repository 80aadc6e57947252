//! The plan of a query: its tree with every time, duration and selector worked out once.
//!
//! Parentheses are gone, `start()` and `end()` are times, and what cannot differ between the steps is marked, so that
//! it is evaluated once.

use obs_model::{Labels, METRIC_NAME_LABEL};

use super::ast::{
    AggregateOp, At, BinaryOp, DurationExpr, Expr, ExprKind, Grouping, Matching, Modifiers,
    UnaryOp, VectorSelector,
};
use super::error::execution;
use super::eval::label_set;
use super::functions::Function;
use super::span::Span;
use super::text::Text;
use crate::{Error, MatchOp, Matcher, Selector};

/// A node of the plan.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) kind: PlanKind,
    pub(super) span: Span,
}

#[derive(Debug)]
pub(super) enum PlanKind {
    Number(f64),
    Text(Text),
    Instant(InstantPlan),
    /// Only as an argument of a function, or alone.
    Range(Box<RangePlan>),
    Negate(Box<Plan>),
    Binary(Box<BinaryPlan>),
    Call(CallPlan),
    Aggregate(Box<AggregatePlan>),
    /// What is the same at every step.
    Invariant(Box<Plan>),
    /// The matchers that are the second argument of `info`.
    Matchers(Vec<Matcher>),
}

/// Which series are read, and when.
#[derive(Debug)]
pub(super) struct InstantPlan {
    pub(super) selector: Selector,
    pub(super) when: When,
}

/// When a selector reads, relative to the step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct When {
    /// In milliseconds.
    pub(super) offset: i64,
    /// Instead of the step's time, in milliseconds since the epoch.
    pub(super) at: Option<i64>,
}

impl When {
    /// The time that is read at the step at `time`.
    pub(super) fn at_step(&self, time: i64) -> i64 {
        self.at.unwrap_or(time).saturating_sub(self.offset)
    }
}

#[derive(Debug)]
pub(super) struct RangePlan {
    /// How far back it goes, in milliseconds.
    pub(super) window: i64,
    pub(super) when: When,
    pub(super) source: RangeSource,
    /// The labels that `absent_over_time` gives its result.
    pub(super) absent: Labels,
}

#[derive(Debug)]
pub(super) enum RangeSource {
    Selector(Selector),
    Subquery {
        plan: Plan,
        /// In milliseconds.
        step: i64,
    },
}

#[derive(Debug)]
pub(super) struct BinaryPlan {
    pub(super) op: BinaryOp,
    pub(super) left: Plan,
    pub(super) right: Plan,
    pub(super) return_bool: bool,
    pub(super) matching: Matching,
}

#[derive(Debug)]
pub(super) struct CallPlan {
    pub(super) function: Function,
    pub(super) arguments: Vec<Plan>,
    /// The labels that `absent` gives its result.
    pub(super) absent: Labels,
}

#[derive(Debug)]
pub(super) struct AggregatePlan {
    pub(super) op: AggregateOp,
    pub(super) expr: Plan,
    pub(super) parameter: Option<Plan>,
    pub(super) grouping: Grouping,
}

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanContext {
    pub(super) start: i64,
    pub(super) end: i64,
    /// The distance of a sub-query's steps where it does not say, in milliseconds.
    pub(super) default_step: i64,
}

impl PlanContext {
    /// Plans a whole query.
    pub(super) fn plan(&self, expr: &Expr) -> Result<Plan, Error> {
        let node = self.node(expr)?;
        Ok(if node.wrap { node.wrapped() } else { node.plan })
    }

    fn node(&self, expr: &Expr) -> Result<Planned, Error> {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Paren(inner) => self.node(inner),
            ExprKind::Number(number) => Ok(Planned::fixed(PlanKind::Number(number.value), span)),
            ExprKind::String(text) => Ok(Planned::fixed(PlanKind::Text(text.clone()), span)),
            ExprKind::Vector(selector) => {
                let when = self.when(&selector.modifiers)?;
                let plan = InstantPlan { selector: built(selector)?, when };
                Ok(Planned::new(PlanKind::Instant(plan), span, when.at.is_some()))
            }
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => self.range(expr),
            ExprKind::Unary(UnaryOp::Plus, inner) => self.node(inner),
            ExprKind::Unary(UnaryOp::Minus, inner) => {
                let inner = self.node(inner)?;
                let (invariant, wrap) = (inner.invariant, inner.wrap);
                let kind = PlanKind::Negate(Box::new(inner.plan));
                Ok(Planned { plan: Plan { kind, span }, invariant, wrap })
            }
            ExprKind::Binary(binary) => {
                let (left, right) = (self.node(&binary.left)?, self.node(&binary.right)?);
                let invariant = left.invariant && right.invariant;
                let plan = BinaryPlan {
                    op: binary.op,
                    left: left.within(invariant),
                    right: right.within(invariant),
                    return_bool: binary.return_bool,
                    matching: binary.matching.clone(),
                };
                Ok(Planned::new(PlanKind::Binary(Box::new(plan)), span, invariant))
            }
            ExprKind::Call(call) => self.call(call.function, &call.arguments, span),
            ExprKind::Aggregate(aggregate) => {
                let inner = self.node(&aggregate.expr)?;
                let parameter = aggregate.parameter.as_ref().map(|p| self.node(p)).transpose()?;
                let invariant =
                    inner.invariant && parameter.as_ref().is_none_or(|planned| planned.invariant);
                let mut grouping = aggregate.grouping.clone();
                grouping.labels.sort();
                grouping.labels.dedup();
                let plan = AggregatePlan {
                    op: aggregate.op,
                    expr: inner.within(invariant),
                    parameter: parameter.map(|planned| planned.within(invariant)),
                    grouping,
                };
                Ok(Planned::new(PlanKind::Aggregate(Box::new(plan)), span, invariant))
            }
        }
    }

    fn call(&self, function: Function, arguments: &[Expr], span: Span) -> Result<Planned, Error> {
        let mut planned = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            if let (Function::Info, 1, ExprKind::Vector(selector)) =
                (function, index, &argument.without_parens().kind)
            {
                let kind = PlanKind::Matchers(selector.matchers.clone());
                planned.push(Planned::fixed(kind, argument.span));
            } else {
                planned.push(self.node(argument)?);
            }
        }
        let invariant =
            !function.depends_on_step() && planned.iter().all(|argument| argument.invariant);
        let absent = match arguments.first().map(|first| &first.without_parens().kind) {
            Some(ExprKind::Vector(selector)) if function == Function::Absent => {
                absent_labels(&selector.matchers)?
            }
            _ => Labels::empty(),
        };
        let arguments = planned.into_iter().map(|argument| argument.within(invariant)).collect();
        let kind = PlanKind::Call(CallPlan { function, arguments, absent });
        Ok(Planned::new(kind, span, invariant))
    }

    fn range(&self, expr: &Expr) -> Result<Planned, Error> {
        let (modifiers, window, source, absent) = match &expr.kind {
            ExprKind::Matrix(matrix) => {
                let selector = &matrix.selector;
                let source = RangeSource::Selector(built(selector)?);
                (&selector.modifiers, &matrix.range, source, absent_labels(&selector.matchers)?)
            }
            ExprKind::Subquery(subquery) => {
                let step = match &subquery.step {
                    Some(step) => positive(step)?.max(1),
                    None => self.default_step.max(1),
                };
                let inner = self.node(&subquery.expr)?;
                let plan = if inner.invariant { inner.wrapped() } else { inner.plan };
                let source = RangeSource::Subquery { plan, step };
                (&subquery.modifiers, &subquery.range, source, Labels::empty())
            }
            _ => return Err(execution("expected a range selector or a sub-query")),
        };
        let when = self.when(modifiers)?;
        let plan = RangePlan { window: positive(window)?, when, source, absent };
        let kind = PlanKind::Range(Box::new(plan));
        let plan = Plan { kind, span: expr.span };
        Ok(Planned { plan, invariant: when.at.is_some(), wrap: false })
    }

    fn when(&self, modifiers: &Modifiers) -> Result<When, Error> {
        let offset = modifiers.offset.as_ref().map(millis).transpose()?.unwrap_or(0);
        let at = modifiers.at.map(|at| match at {
            At::Millis(millis) => millis,
            At::Start => self.start,
            At::End => self.end,
        });
        Ok(When { offset, at })
    }
}

/// A planned expression and whether it differs between steps.
struct Planned {
    plan: Plan,
    invariant: bool,
    /// Whether it is worth marking.
    wrap: bool,
}

impl Planned {
    fn new(kind: PlanKind, span: Span, invariant: bool) -> Self {
        Self { plan: Plan { kind, span }, invariant, wrap: invariant }
    }

    /// A literal, which needs no evaluation.
    fn fixed(kind: PlanKind, span: Span) -> Self {
        Self { plan: Plan { kind, span }, invariant: true, wrap: false }
    }

    fn wrapped(self) -> Plan {
        let span = self.plan.span;
        Plan { kind: PlanKind::Invariant(Box::new(self.plan)), span }
    }

    /// The plan as a part of another one, which is marked as a whole if it is invariant.
    fn within(self, outer_invariant: bool) -> Plan {
        if self.wrap && !outer_invariant { self.wrapped() } else { self.plan }
    }
}

/// A selector as a source takes it.
pub(super) fn built(selector: &VectorSelector) -> Result<Selector, Error> {
    let name = selector.name.as_deref().map(|name| Matcher::equal(METRIC_NAME_LABEL, name));
    Selector::new(name.into_iter().chain(selector.matchers.iter().cloned()))
}

/// The labels that an expression's matchers say by themselves: those with one `=` matcher and no other.
fn absent_labels(matchers: &[Matcher]) -> Result<Labels, Error> {
    let mut labels: Vec<(&str, &str)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.label() != METRIC_NAME_LABEL) {
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.label()) {
            seen.push(matcher.label());
            labels.push((matcher.label(), matcher.value()));
        } else {
            labels.retain(|(name, _)| *name != matcher.label());
        }
    }
    label_set(labels)
}

fn positive(duration: &DurationExpr) -> Result<i64, Error> {
    if seconds(duration)? <= 0.0 {
        return Err(execution("duration must be greater than 0"));
    }
    millis(duration)
}

/// The milliseconds of a duration.
pub(super) fn millis(duration: &DurationExpr) -> Result<i64, Error> {
    let millis = (seconds(duration)? * 1e3).round();
    // Nanoseconds in 64 bits is what upstream has; a comparison the other way round would let NaN through.
    if millis.abs() <= i64::MAX as f64 / 1e6 {
        Ok(millis as i64)
    } else {
        Err(execution("duration is out of range"))
    }
}

fn seconds(duration: &DurationExpr) -> Result<f64, Error> {
    Ok(match duration {
        DurationExpr::Literal(literal) => literal.value,
        DurationExpr::Paren(inner) => seconds(inner)?,
        DurationExpr::Negative(inner) => -seconds(inner)?,
        DurationExpr::Binary(op, left, right) => {
            let (left, right) = (seconds(left)?, seconds(right)?);
            match op {
                BinaryOp::Add => left + right,
                BinaryOp::Sub => left - right,
                BinaryOp::Mul => left * right,
                BinaryOp::Div if right == 0.0 => return Err(execution("division by zero")),
                BinaryOp::Div => left / right,
                BinaryOp::Mod if right == 0.0 => return Err(execution("modulo by zero")),
                BinaryOp::Mod => left % right,
                BinaryOp::Pow => left.powf(right),
                _ => return Err(execution("unexpected operator in a duration")),
            }
        }
    })
}
