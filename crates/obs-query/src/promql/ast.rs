//! The syntax tree of a query.

use super::functions::Function;
use super::span::Span;
use super::text::Text;
use crate::Matcher;

/// What an expression's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// A number for each step.
    Scalar,
    /// Series with one sample each for each step.
    InstantVector,
    /// Series with a window of samples each.
    RangeVector,
    /// A text.
    String,
}

impl ValueType {
    /// The type as Prometheus' messages name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::InstantVector => "instant vector",
            Self::RangeVector => "range vector",
            Self::String => "string",
        }
    }
}

/// An expression and where it stands in the text.
///
/// It is written as PromQL by [`Display`](std::fmt::Display), in one way only.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number.
    Number(NumberLiteral),
    /// A text.
    String(Text),
    /// `name{label="value"}`, with its modifiers.
    Vector(Box<VectorSelector>),
    /// `selector[5m]`, with its modifiers.
    Matrix(Box<MatrixSelector>),
    /// `expression[30m:1m]`, with its modifiers.
    Subquery(Box<Subquery>),
    /// `(expression)`.
    Paren(Box<Expr>),
    /// `-expression` or `+expression`.
    Unary(UnaryOp, Box<Expr>),
    /// Two expressions joined by an operator.
    Binary(Box<Binary>),
    /// A function and its arguments.
    Call(Call),
    /// An aggregation.
    Aggregate(Box<Aggregate>),
}

impl Expr {
    pub(crate) const fn new(kind: ExprKind, span: Span) -> Self {
        Self { kind, span }
    }

    /// What its value is.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Vector(_) | ExprKind::Aggregate(_) => ValueType::InstantVector,
            ExprKind::Matrix(_) | ExprKind::Subquery(_) => ValueType::RangeVector,
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => inner.value_type(),
            ExprKind::Binary(binary) => binary.value_type,
            ExprKind::Call(call) => call.function.signature().returns,
        }
    }

    /// The expression inside any number of parentheses.
    #[must_use]
    pub fn without_parens(&self) -> &Self {
        let mut inner = self;
        while let ExprKind::Paren(next) = &inner.kind {
            inner = next;
        }
        inner
    }

    /// The expressions that it is made of, from left to right.
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Vector(_)
            | ExprKind::Matrix(_) => Vec::new(),
            ExprKind::Subquery(subquery) => vec![&subquery.expr],
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => vec![inner],
            ExprKind::Binary(binary) => vec![&binary.left, &binary.right],
            ExprKind::Call(call) => call.arguments.iter().collect(),
            ExprKind::Aggregate(aggregate) => {
                aggregate.parameter.iter().chain([&aggregate.expr]).collect()
            }
        }
    }
}

/// A number and how it was written.
#[derive(Clone, Copy, Debug)]
pub struct NumberLiteral {
    /// Its value; seconds if it is a duration.
    pub value: f64,
    /// Whether it was written as a duration, such as `5m`.
    pub is_duration: bool,
}

/// Two numbers are equal if their bits are, so that NaN equals itself.
impl PartialEq for NumberLiteral {
    fn eq(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits() && self.is_duration == other.is_duration
    }
}

/// `name{label="value"}`, with its modifiers.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric's name, where it stands before the braces.
    pub name: Option<String>,
    /// The matchers in the order in which they were given, without the one of `name`.
    pub matchers: Vec<Matcher>,
    /// `offset` and `@`.
    pub modifiers: Modifiers,
}

/// `selector[5m]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// What is selected, and the modifiers, which stand behind the range.
    pub selector: VectorSelector,
    /// How far the window goes back.
    pub range: DurationExpr,
    /// Where the selector without range and modifiers stands.
    pub selector_span: Span,
}

/// `expression[30m:1m]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// What is evaluated at each step.
    pub expr: Expr,
    /// How far the window goes back.
    pub range: DurationExpr,
    /// The distance of the steps; the engine's default if it is not given.
    pub step: Option<DurationExpr>,
    /// `offset` and `@`.
    pub modifiers: Modifiers,
}

/// `offset` and `@`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Modifiers {
    /// How far back to read; negative is forward.
    pub offset: Option<DurationExpr>,
    /// When to read instead of at the step's time.
    pub at: Option<At>,
}

/// When `@` says to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At a time in milliseconds since the epoch.
    Millis(i64),
    /// At the query's start: `@ start()`.
    Start,
    /// At the query's end: `@ end()`.
    End,
}

/// A duration, which may be computed.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// A number of seconds or a duration.
    Literal(NumberLiteral),
    /// `-duration`.
    Negative(Box<DurationExpr>),
    /// Two durations joined by an operator.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// `(duration)`.
    Paren(Box<DurationExpr>),
}

/// The sign before an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `+`, which changes nothing.
    Plus,
    /// `-`.
    Minus,
}

/// What joins two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl BinaryOp {
    /// The operator as PromQL writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// Whether it compares.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Less
                | Self::LessEqual
                | Self::Greater
                | Self::GreaterEqual
        )
    }

    /// Whether it is `and`, `or` or `unless`.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// How tightly it binds: a higher number binds tighter.
    pub(crate) const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessEqual
            | Self::Greater
            | Self::GreaterEqual => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
        }
    }
}

/// Two expressions joined by an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// Where the operator stands.
    pub op_span: Span,
    /// What stands before it.
    pub left: Expr,
    /// What stands after it.
    pub right: Expr,
    /// Whether a comparison says 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// Which series of the two sides belong together.
    pub matching: Matching,
    /// What the value is.
    pub value_type: ValueType,
}

/// Which series of the two sides of an operator belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// Whether only `labels` count, or all but them (and the metric's name).
    pub on: bool,
    /// The labels that count, or do not.
    pub labels: Vec<String>,
    /// How many series of each side may belong together.
    pub cardinality: Cardinality,
    /// The labels that the result takes from the side with one series.
    pub include: Vec<String>,
}

/// How many series of each side of an operator may belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One with one.
    OneToOne,
    /// Many of the left with one of the right: `group_left`.
    ManyToOne,
    /// One of the left with many of the right: `group_right`.
    OneToMany,
    /// As the set operators have it.
    ManyToMany,
}

/// A function and its arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub function: Function,
    /// Its arguments.
    pub arguments: Vec<Expr>,
}

/// An aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// How samples are put together.
    pub op: AggregateOp,
    /// What is aggregated.
    pub expr: Expr,
    /// The parameter, for those that have one.
    pub parameter: Option<Expr>,
    /// Which samples are put together.
    pub grouping: Grouping,
}

/// Which samples an aggregation puts together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grouping {
    /// Whether the labels are those that do not count.
    pub without: bool,
    /// The labels.
    pub labels: Vec<String>,
}

/// How an aggregation puts samples together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    /// `sum`
    Sum,
    /// `avg`
    Avg,
    /// `count`
    Count,
    /// `min`
    Min,
    /// `max`
    Max,
    /// `group`
    Group,
    /// `stddev`
    Stddev,
    /// `stdvar`
    Stdvar,
    /// `topk`
    Topk,
    /// `bottomk`
    Bottomk,
    /// `count_values`
    CountValues,
    /// `quantile`
    Quantile,
    /// `limitk`
    Limitk,
    /// `limit_ratio`
    LimitRatio,
}

impl AggregateOp {
    /// The aggregation as PromQL writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// What its parameter is, if it has one.
    #[must_use]
    pub const fn parameter(self) -> Option<ValueType> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }

    /// Whether it has to be enabled.
    #[must_use]
    pub const fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }

    /// Whether the result has series of the input as they are.
    pub(crate) const fn keeps_series(self) -> bool {
        matches!(self, Self::Topk | Self::Bottomk | Self::Limitk | Self::LimitRatio)
    }
}
