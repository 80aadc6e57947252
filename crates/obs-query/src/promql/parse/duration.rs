//! Durations: in ranges and steps, and after `offset`.

use super::expr::binary_operator;
use super::number::{self, MAX_SECONDS};
use super::{Node, Parsed, Parser};
use crate::promql::ast::{BinaryOp, DurationExpr, NumberLiteral};
use crate::promql::span::Span;
use crate::promql::token::Kind;

impl Parser<'_> {
    /// Reads the number or duration that comes next.
    pub(super) fn number(&mut self, context: &str) -> Parsed<NumberLiteral> {
        let token = self.tokens[self.at];
        let word = self.word(token);
        let literal = match token.kind {
            Kind::Number => match number::number(word) {
                Some(value) => NumberLiteral { value, is_duration: false },
                None => {
                    let message = format!(
                        "error parsing number {word:?}: expected a number that 64 bits hold"
                    );
                    return Err(self.problem(token.span, message));
                }
            },
            Kind::Duration => match number::duration_millis(word) {
                Ok(millis) => NumberLiteral { value: millis as f64 / 1e3, is_duration: true },
                Err(message) => {
                    return Err(self.problem(token.span, format!("{word:?}: {message}")));
                }
            },
            _ => return Err(self.unexpected(context, "a number or a duration")),
        };
        self.advance();
        Ok(literal)
    }

    /// Reads the duration of a range or step, which has to be above zero.
    pub(super) fn positive_duration(&mut self) -> Parsed<DurationExpr> {
        let start = self.span();
        let duration = self.duration(0, "subquery or range selector")?;
        let span = Span::new(start.start, self.span().start);
        if let DurationExpr::Literal(literal) = &duration
            && literal.value <= 0.0
        {
            return Err(self.problem(span, "duration must be greater than 0"));
        }
        Ok(duration)
    }

    /// Reads the duration after `offset`: a literal, which may have a sign, or arithmetic in parentheses.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        let context = "offset";
        if matches!(self.peek(), Kind::Add | Kind::Sub) {
            let negative = self.advance().kind == Kind::Sub;
            let operand = match self.peek() {
                Kind::LeftParen => self.duration_operand(context)?,
                Kind::Add | Kind::Sub => {
                    return self.nested(Self::offset_duration).map(|inner| signed(negative, inner));
                }
                _ => self.duration_literal(context)?,
            };
            return Ok(signed(negative, operand));
        }
        if self.peek() != Kind::LeftParen {
            return self.duration_literal(context);
        }
        let mut left = self.duration_operand(context)?;
        // After parentheses the arithmetic goes on as long as there are numbers, as in Prometheus.
        while let Some(op) = duration_operator(self.peek())
            && matches!(self.peek_second(), Kind::Number | Kind::Duration)
        {
            left = self.duration_tail(left, op, context)?;
        }
        Ok(left)
    }

    /// Reads a duration made of operators that bind at least as tightly as `least`.
    fn duration(&mut self, least: u8, context: &str) -> Parsed<DurationExpr> {
        self.nested(|parser| {
            let mut left = parser.duration_operand(context)?;
            let mut length = 0;
            while let Some(op) = duration_operator(parser.peek())
                && op.precedence() >= least
            {
                length += 1;
                if length > super::MAX_QUERY_DEPTH {
                    return Err(parser.too_deep(parser.span()));
                }
                left = parser.duration_tail(left, op, context)?;
            }
            Ok(left)
        })
    }

    /// Reads an operator and what stands after it.
    fn duration_tail(
        &mut self,
        left: DurationExpr,
        op: BinaryOp,
        context: &str,
    ) -> Parsed<DurationExpr> {
        let operator = self.advance();
        self.experimental_duration(operator.span)?;
        let least = op.precedence() + u8::from(op != BinaryOp::Pow);
        let right = self.duration(least, context)?;
        if let (BinaryOp::Div | BinaryOp::Mod, DurationExpr::Literal(literal)) = (op, &right)
            && literal.value == 0.0
        {
            let what = if op == BinaryOp::Div { "division" } else { "modulo" };
            return Err(self.problem(operator.span, format!("{what} by zero")));
        }
        Ok(DurationExpr::Binary(op, Box::new(left), Box::new(right)))
    }

    fn duration_operand(&mut self, context: &str) -> Parsed<DurationExpr> {
        match self.peek() {
            Kind::Add | Kind::Sub => {
                let negative = self.advance().kind == Kind::Sub;
                // The sign binds as tightly as a multiplication: less tightly than a power.
                let operand = self.duration(BinaryOp::Mul.precedence() + 1, context)?;
                Ok(signed(negative, operand))
            }
            Kind::LeftParen => {
                let open = self.advance();
                self.experimental_duration(open.span)?;
                let inner = self.duration(0, context)?;
                self.expect(Kind::RightParen, context)?;
                Ok(match inner {
                    DurationExpr::Literal(_) | DurationExpr::Paren(_) => inner,
                    other => DurationExpr::Paren(Box::new(other)),
                })
            }
            _ => self.duration_literal(context),
        }
    }

    fn duration_literal(&mut self, context: &str) -> Parsed<DurationExpr> {
        let span = self.span();
        let literal = self.number(context)?;
        if literal.value.is_nan() || literal.value.abs() > MAX_SECONDS {
            return Err(self.problem(span, "duration out of range"));
        }
        Ok(DurationExpr::Literal(literal))
    }

    fn experimental_duration(&self, span: Span) -> Parsed<()> {
        if self.options.duration_expressions {
            return Ok(());
        }
        Err(self.problem(
            span,
            "arithmetic in durations is experimental and not enabled: expected a number or a duration",
        ))
    }

    /// Reads the time after `@`.
    pub(super) fn timestamp(&mut self) -> Parsed<i64> {
        let start = self.span();
        let negative = match self.peek() {
            Kind::Add | Kind::Sub => self.advance().kind == Kind::Sub,
            _ => false,
        };
        let seconds = self.number("@")?.value;
        let seconds = if negative { -seconds } else { seconds };
        let millis = (seconds * 1e3).round();
        if millis.is_nan() || millis.abs() >= i64::MAX as f64 {
            let message = format!("timestamp out of bounds for @ modifier: {seconds}");
            return Err(self.problem(start, message));
        }
        Ok(millis as i64)
    }

    /// Reads what stands between brackets and puts it behind `node`: a range or a sub-query.
    pub(super) fn brackets(&mut self, node: Node) -> Parsed<Node> {
        let open = self.advance();
        let range = self.positive_duration()?;
        if self.peek() == Kind::RightBracket {
            let close = self.advance();
            return self.matrix(node, range, open.span.to(close.span));
        }
        if !self.take(Kind::Colon) {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        }
        let step = match self.peek() {
            Kind::RightBracket => None,
            _ => Some(self.positive_duration()?),
        };
        let close = self.expect(Kind::RightBracket, "subquery selector")?;
        self.subquery(node, range, step, close.span)
    }
}

fn signed(negative: bool, operand: DurationExpr) -> DurationExpr {
    match operand {
        inner if !negative => inner,
        DurationExpr::Literal(literal) => {
            DurationExpr::Literal(NumberLiteral { value: -literal.value, ..literal })
        }
        other => DurationExpr::Negative(Box::new(other)),
    }
}

fn duration_operator(kind: Kind) -> Option<BinaryOp> {
    use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
    binary_operator(kind).filter(|operator| matches!(operator, Add | Sub | Mul | Div | Mod | Pow))
}
