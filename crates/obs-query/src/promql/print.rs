//! Writing a syntax tree as PromQL.

use std::fmt::{self, Display, Formatter, Write as _};

use obs_model::{METRIC_NAME_LABEL, is_valid_label_name};

use super::ast::{
    Aggregate, At, Binary, Cardinality, DurationExpr, Expr, ExprKind, Modifiers, NumberLiteral,
    Subquery, UnaryOp, VectorSelector,
};
use super::parse::DURATION_UNITS;
use super::text::Text;

/// Written on one line, in one way only; it reads back as the same expression.
impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => text.fmt(f),
            ExprKind::Vector(selector) => write!(f, "{}{}", Bare(selector), selector.modifiers),
            ExprKind::Matrix(matrix) => {
                let modifiers = &matrix.selector.modifiers;
                write!(f, "{}[{}]{modifiers}", Bare(&matrix.selector), matrix.range)
            }
            ExprKind::Subquery(subquery) => {
                write!(f, "{}{}", subquery.expr, SubqueryTail(subquery))
            }
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary(UnaryOp::Plus, inner) => write!(f, "+{inner}"),
            ExprKind::Unary(UnaryOp::Minus, inner) => write!(f, "-{inner}"),
            ExprKind::Binary(binary) => {
                write!(f, "{} {} {}", binary.left, Operator(binary), binary.right)
            }
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.signature().name)?;
                list(f, &call.arguments)?;
                f.write_char(')')
            }
            ExprKind::Aggregate(aggregate) => {
                write!(f, "{}(", Head(aggregate))?;
                if let Some(parameter) = &aggregate.parameter {
                    write!(f, "{parameter}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
        }
    }
}

/// What stands behind the expression of a sub-query.
pub(super) struct SubqueryTail<'a>(pub(super) &'a Subquery);

impl Display for SubqueryTail<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Subquery { range, step, modifiers, .. } = self.0;
        write!(f, "[{range}:")?;
        if let Some(step) = step {
            step.fmt(f)?;
        }
        write!(f, "]{modifiers}")
    }
}

/// An operator with its modifiers.
pub(super) struct Operator<'a>(pub(super) &'a Binary);

impl Display for Operator<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Binary { op, return_bool, matching, .. } = self.0;
        f.write_str(op.as_str())?;
        if *return_bool {
            f.write_str(" bool")?;
        }
        let group = match matching.cardinality {
            Cardinality::ManyToOne => Some("group_left"),
            Cardinality::OneToMany => Some("group_right"),
            Cardinality::OneToOne | Cardinality::ManyToMany => None,
        };
        if matching.on || !matching.labels.is_empty() || group.is_some() {
            write!(f, " {} (", if matching.on { "on" } else { "ignoring" })?;
            labels(f, &matching.labels)?;
            f.write_char(')')?;
        }
        if let Some(group) = group {
            write!(f, " {group} (")?;
            labels(f, &matching.include)?;
            f.write_char(')')?;
        }
        Ok(())
    }
}

/// An aggregation up to its parenthesis.
pub(super) struct Head<'a>(pub(super) &'a Aggregate);

impl Display for Head<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Aggregate { op, grouping, .. } = self.0;
        f.write_str(op.as_str())?;
        if grouping.without || !grouping.labels.is_empty() {
            write!(f, " {} (", if grouping.without { "without" } else { "by" })?;
            labels(f, &grouping.labels)?;
            f.write_str(") ")?;
        }
        Ok(())
    }
}

/// A selector without its modifiers.
struct Bare<'a>(&'a VectorSelector);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let VectorSelector { name, matchers, .. } = self.0;
        f.write_str(name.as_deref().unwrap_or_default())?;
        if name.is_some() && matchers.is_empty() {
            return Ok(());
        }
        f.write_char('{')?;
        for (index, matcher) in matchers.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}")?;
            if is_valid_label_name(matcher.label()) || matcher.label() == METRIC_NAME_LABEL {
                f.write_str(matcher.label())?;
            } else {
                Text::from(matcher.label()).fmt(f)?;
            }
            write!(f, "{}{}", matcher.op().as_str(), Text::from(matcher.value()))?;
        }
        f.write_char('}')
    }
}

impl Display for Modifiers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(At::Millis(millis)) => {
                let sign = if millis < 0 { "-" } else { "" };
                let (seconds, rest) =
                    (millis.unsigned_abs() / 1_000, millis.unsigned_abs() % 1_000);
                write!(f, " @ {sign}{seconds}.{rest:03}")?;
            }
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            None => {}
        }
        match &self.offset {
            Some(offset) => write!(f, " offset {offset}"),
            None => Ok(()),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(NumberLiteral { value, .. }) => duration(f, *value),
            Self::Negative(inner) => write!(f, "-{inner}"),
            Self::Binary(op, left, right) => write!(f, "{left} {} {right}", op.as_str()),
            Self::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

/// Writes seconds as a duration where they are whole milliseconds, otherwise as a number.
fn duration(f: &mut Formatter<'_>, seconds: f64) -> fmt::Result {
    let millis = seconds.abs() * 1e3;
    if millis.round() / 1e3 != seconds.abs() || millis > 1e18 {
        return write!(f, "{seconds}");
    }
    if seconds < 0.0 {
        f.write_char('-')?;
    }
    Millis(millis.round() as u64).fmt(f)
}

/// Milliseconds, written as a duration: `1h30m`.
pub(crate) struct Millis(pub(crate) u64);

impl Display for Millis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, length) in DURATION_UNITS.map(|(name, length)| (name, length.cast_unsigned())) {
            // Weeks and years are written only where nothing is left over, as Prometheus does.
            if matches!(name, "y" | "w") && !rest.is_multiple_of(length) {
                continue;
            }
            if rest >= length {
                write!(f, "{}{name}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration { duration(f, self.value) } else { number(f, self.value) }
    }
}

/// Writes a number as Prometheus does: in full, without exponent, infinity with its sign.
pub(crate) fn number(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_nan() {
        f.write_str("NaN")
    } else if value.is_infinite() {
        f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        write!(f, "{value}")
    }
}

fn list(f: &mut Formatter<'_>, expressions: &[Expr]) -> fmt::Result {
    for (index, expression) in expressions.iter().enumerate() {
        write!(f, "{}{expression}", if index == 0 { "" } else { ", " })?;
    }
    Ok(())
}

fn labels(f: &mut Formatter<'_>, names: &[String]) -> fmt::Result {
    for (index, name) in names.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { ", " })?;
        // A word that is no name in this place is quoted, like whatever is not a word.
        if is_valid_label_name(name)
            && !["without", "inf", "nan"].iter().any(|word| name.eq_ignore_ascii_case(word))
        {
            f.write_str(name)?;
        } else {
            Text::from(name.as_str()).fmt(f)?;
        }
    }
    Ok(())
}
