//! Expressions: operators, modifiers, calls and aggregations.

use super::{Node, Parsed, Parser};
use crate::promql::ast::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, DurationExpr, ExprKind,
    Grouping, Matching, MatrixSelector, Modifiers, NumberLiteral, Subquery, UnaryOp, ValueType,
};
use crate::promql::functions::Function;
use crate::promql::span::Span;
use crate::promql::token::{Keyword, Kind, Token};

impl Parser<'_> {
    /// Reads an expression made of operators that bind at least as tightly as `least`.
    pub(super) fn expression(&mut self, least: u8) -> Parsed<Node> {
        self.nested(|parser| {
            let mut left = parser.operand()?;
            while let Some(op) = binary_operator(parser.peek())
                && op.precedence() >= least
            {
                left = parser.binary(left, op)?;
            }
            Ok(left)
        })
    }

    fn operand(&mut self) -> Parsed<Node> {
        let op = match self.peek() {
            Kind::Add => UnaryOp::Plus,
            Kind::Sub => UnaryOp::Minus,
            _ => {
                let primary = self.primary()?;
                return self.postfix(primary);
            }
        };
        let sign = self.advance();
        // The sign binds as tightly as a multiplication: less tightly than a power.
        let inner = self.expression(BinaryOp::Mul.precedence() + 1)?;
        let span = sign.span.to(inner.expr.span);
        if let ExprKind::Number(number) = inner.expr.kind {
            let value = if op == UnaryOp::Minus { -number.value } else { number.value };
            let number = NumberLiteral { value, ..number };
            return self.node(ExprKind::Number(number), span, inner.height);
        }
        let height = inner.height + 1;
        self.node(ExprKind::Unary(op, Box::new(inner.expr)), span, height)
    }

    /// Reads an operator, its modifiers and what stands after them.
    fn binary(&mut self, left: Node, op: BinaryOp) -> Parsed<Node> {
        let operator = self.advance();
        let return_bool = self.take_keyword(Keyword::Bool);
        let mut matching = self.matching()?;
        if op.is_set() && matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        // A power binds to the right, everything else to the left.
        let right = self.expression(op.precedence() + u8::from(op != BinaryOp::Pow))?;
        let span = left.expr.span.to(right.expr.span);
        let height = left.height.max(right.height) + 1;
        let both_scalar =
            [&left, &right].iter().all(|side| side.expr.value_type() == ValueType::Scalar);
        let binary = Binary {
            op,
            op_span: operator.span,
            left: left.expr,
            right: right.expr,
            return_bool,
            matching,
            value_type: if both_scalar { ValueType::Scalar } else { ValueType::InstantVector },
        };
        self.node(ExprKind::Binary(Box::new(binary)), span, height)
    }

    fn matching(&mut self) -> Parsed<Matching> {
        let mut matching = Matching {
            on: false,
            labels: Vec::new(),
            cardinality: Cardinality::OneToOne,
            include: Vec::new(),
        };
        if self.take_keyword(Keyword::On) {
            matching.on = true;
        } else if !self.take_keyword(Keyword::Ignoring) {
            return Ok(matching);
        }
        matching.labels = self.labels()?;
        if self.take_keyword(Keyword::GroupLeft) {
            matching.cardinality = Cardinality::ManyToOne;
        } else if self.take_keyword(Keyword::GroupRight) {
            matching.cardinality = Cardinality::OneToMany;
        } else {
            return Ok(matching);
        }
        if self.peek() == Kind::LeftParen {
            matching.include = self.labels()?;
        }
        Ok(matching)
    }

    /// Reads labels in parentheses; a comma may stand after the last one.
    fn labels(&mut self) -> Parsed<Vec<String>> {
        let context = "grouping opts";
        self.expect(Kind::LeftParen, context)?;
        let mut labels = Vec::new();
        if self.take(Kind::RightParen) {
            return Ok(labels);
        }
        loop {
            labels.push(self.label(context)?);
            if self.take(Kind::RightParen) {
                return Ok(labels);
            }
            if !self.take(Kind::Comma) {
                return Err(self.unexpected(context, "\",\" or \")\""));
            }
            if self.take(Kind::RightParen) {
                return Ok(labels);
            }
        }
    }

    fn label(&mut self, context: &str) -> Parsed<String> {
        match self.peek() {
            Kind::Identifier => {}
            Kind::Keyword(keyword) if keyword.can_name_label() => {}
            Kind::String => {
                let token = self.advance();
                let name = self.text_of(token)?;
                if name.is_empty() {
                    return Err(self.problem(token.span, "expected a label name that is not empty"));
                }
                return Ok(name);
            }
            _ => return Err(self.unexpected(context, "label")),
        }
        let token = self.advance();
        Ok(self.word(token).to_owned())
    }

    fn primary(&mut self) -> Parsed<Node> {
        let token = self.tokens[self.at];
        match token.kind {
            Kind::Number | Kind::Duration => {
                let number = self.number("")?;
                self.node(ExprKind::Number(number), token.span, 1)
            }
            Kind::String => {
                self.advance();
                let text = self.string(token)?;
                self.node(ExprKind::String(text), token.span, 1)
            }
            Kind::LeftParen => {
                self.advance();
                let inner = self.expression(0)?;
                let close = self.expect(Kind::RightParen, "parenthesized expression")?;
                let (span, height) = (token.span.to(close.span), inner.height + 1);
                self.node(ExprKind::Paren(Box::new(inner.expr)), span, height)
            }
            Kind::Identifier if self.peek_second() == Kind::LeftParen => self.call(),
            Kind::Keyword(keyword)
                if aggregation(keyword).is_some() && starts_aggregation(self.peek_second()) =>
            {
                self.aggregate()
            }
            Kind::Identifier | Kind::MetricIdentifier | Kind::LeftBrace => self.selector(),
            Kind::Keyword(keyword) if keyword.can_name_metric() => self.selector(),
            _ => Err(self.unexpected("", "an expression")),
        }
    }

    fn call(&mut self) -> Parsed<Node> {
        let name = self.advance();
        let word = self.word(name);
        let Some(function) = Function::by_name(word) else {
            return Err(self.problem(name.span, format!("unknown function with name {word:?}")));
        };
        let signature = function.signature();
        if signature.experimental && !self.options.experimental_functions {
            let message = format!(
                "function {word:?} is experimental and not enabled: experimental functions are an option"
            );
            return Err(self.problem(name.span, message));
        }
        let (arguments, close) = self.arguments()?;
        let height = arguments.iter().map(|node| node.height).max().unwrap_or(0) + 1;
        let arguments = arguments.into_iter().map(|node| node.expr).collect();
        let call = Call { function, arguments };
        self.node(ExprKind::Call(call), name.span.to(close.span), height)
    }

    fn arguments(&mut self) -> Parsed<(Vec<Node>, Token)> {
        self.expect(Kind::LeftParen, "function call")?;
        let mut arguments = Vec::new();
        if self.peek() == Kind::RightParen {
            return Ok((arguments, self.advance()));
        }
        loop {
            arguments.push(self.expression(0)?);
            if self.peek() == Kind::RightParen {
                return Ok((arguments, self.advance()));
            }
            let comma = self.span();
            if !self.take(Kind::Comma) {
                return Err(self.unexpected("function call", "\",\" or \")\""));
            }
            if self.peek() == Kind::RightParen {
                let message = "trailing commas not allowed in function call args";
                return Err(self.problem(comma, message));
            }
        }
    }

    fn aggregate(&mut self) -> Parsed<Node> {
        let name = self.advance();
        let Kind::Keyword(keyword) = name.kind else {
            return Err(self.unexpected("aggregation", "an aggregation operator"));
        };
        let Some(op) = aggregation(keyword) else {
            return Err(self.unexpected("aggregation", "an aggregation operator"));
        };
        let before = self.grouping()?;
        let (arguments, close) = self.arguments()?;
        let mut span = name.span.to(close.span);
        let grouping = match before {
            Some(grouping) => grouping,
            None => {
                let after = self.grouping()?;
                span = span.to(Span::new(0, self.tokens[self.at - 1].span.end));
                after.unwrap_or_default()
            }
        };
        if op.is_experimental() && !self.options.experimental_functions {
            let message = format!(
                "{}() is experimental and not enabled: experimental functions are an option",
                op.as_str()
            );
            return Err(self.problem(name.span, message));
        }
        let wanted = 1 + usize::from(op.parameter().is_some());
        if arguments.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                arguments.len()
            );
            return Err(self.problem(span, message));
        }
        let height = arguments.iter().map(|node| node.height).max().unwrap_or(0) + 1;
        let mut arguments = arguments.into_iter().map(|node| node.expr);
        let parameter = if wanted == 2 { arguments.next() } else { None };
        let Some(expr) = arguments.next() else {
            return Err(self.problem(span, "no arguments for aggregate expression provided"));
        };
        let aggregate = Aggregate { op, expr, parameter, grouping };
        self.node(ExprKind::Aggregate(Box::new(aggregate)), span, height)
    }

    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let without = if self.take_keyword(Keyword::Without) {
            true
        } else if self.take_keyword(Keyword::By) {
            false
        } else {
            return Ok(None);
        };
        Ok(Some(Grouping { without, labels: self.labels()? }))
    }

    /// Reads whatever binds to the expression before it: ranges, sub-queries, `offset` and `@`.
    fn postfix(&mut self, mut node: Node) -> Parsed<Node> {
        loop {
            node = match self.peek() {
                Kind::LeftBracket => self.brackets(node)?,
                Kind::Keyword(Keyword::Offset) => self.offset(node)?,
                Kind::At => self.at(node)?,
                _ => return Ok(node),
            };
        }
    }

    pub(super) fn matrix(&self, node: Node, range: DurationExpr, brackets: Span) -> Parsed<Node> {
        let span = node.expr.span.to(brackets);
        let ExprKind::Vector(selector) = node.expr.kind else {
            return Err(self.problem(brackets, "ranges only allowed for vector selectors"));
        };
        if selector.modifiers.offset.is_some() {
            return Err(self.problem(brackets, "no offset modifiers allowed before range"));
        }
        if selector.modifiers.at.is_some() {
            return Err(self.problem(brackets, "no @ modifiers allowed before range"));
        }
        let matrix = MatrixSelector { selector: *selector, range, selector_span: node.expr.span };
        self.node(ExprKind::Matrix(Box::new(matrix)), span, node.height)
    }

    pub(super) fn subquery(
        &self,
        node: Node,
        range: DurationExpr,
        step: Option<DurationExpr>,
        close: Span,
    ) -> Parsed<Node> {
        let (span, height) = (node.expr.span.to(close), node.height + 1);
        let subquery = Subquery { expr: node.expr, range, step, modifiers: Modifiers::default() };
        self.node(ExprKind::Subquery(Box::new(subquery)), span, height)
    }

    fn offset(&mut self, mut node: Node) -> Parsed<Node> {
        let word = self.advance();
        let offset = self.offset_duration()?;
        let Some(modifiers) = modifiers(&mut node.expr.kind) else {
            let message = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.problem(node.expr.span, message));
        };
        if modifiers.offset.is_some() {
            return Err(self.problem(word.span, "offset may not be set multiple times"));
        }
        modifiers.offset = Some(offset);
        node.expr.span.end = self.tokens[self.at - 1].span.end;
        Ok(node)
    }

    fn at(&mut self, mut node: Node) -> Parsed<Node> {
        let sign = self.advance();
        let at = match self.peek() {
            Kind::Keyword(keyword @ (Keyword::Start | Keyword::End)) => {
                self.advance();
                self.expect(Kind::LeftParen, "@")?;
                self.expect(Kind::RightParen, "@")?;
                if keyword == Keyword::Start { At::Start } else { At::End }
            }
            Kind::Number | Kind::Duration | Kind::Add | Kind::Sub => At::Millis(self.timestamp()?),
            _ => return Err(self.unexpected("@", "timestamp")),
        };
        let Some(modifiers) = modifiers(&mut node.expr.kind) else {
            let message = "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
            return Err(self.problem(node.expr.span, message));
        };
        if modifiers.at.is_some() {
            return Err(self.problem(sign.span, "@ <timestamp> may not be set multiple times"));
        }
        modifiers.at = Some(at);
        node.expr.span.end = self.tokens[self.at - 1].span.end;
        Ok(node)
    }
}

fn modifiers(kind: &mut ExprKind) -> Option<&mut Modifiers> {
    match kind {
        ExprKind::Vector(selector) => Some(&mut selector.modifiers),
        ExprKind::Matrix(matrix) => Some(&mut matrix.selector.modifiers),
        ExprKind::Subquery(subquery) => Some(&mut subquery.modifiers),
        _ => None,
    }
}

fn starts_aggregation(next: Kind) -> bool {
    matches!(next, Kind::LeftParen | Kind::Keyword(Keyword::By | Keyword::Without))
}

fn aggregation(keyword: Keyword) -> Option<AggregateOp> {
    Some(match keyword {
        Keyword::Sum => AggregateOp::Sum,
        Keyword::Avg => AggregateOp::Avg,
        Keyword::Count => AggregateOp::Count,
        Keyword::Min => AggregateOp::Min,
        Keyword::Max => AggregateOp::Max,
        Keyword::Group => AggregateOp::Group,
        Keyword::Stddev => AggregateOp::Stddev,
        Keyword::Stdvar => AggregateOp::Stdvar,
        Keyword::Topk => AggregateOp::Topk,
        Keyword::Bottomk => AggregateOp::Bottomk,
        Keyword::CountValues => AggregateOp::CountValues,
        Keyword::Quantile => AggregateOp::Quantile,
        Keyword::Limitk => AggregateOp::Limitk,
        Keyword::LimitRatio => AggregateOp::LimitRatio,
        _ => return None,
    })
}

pub(super) fn binary_operator(kind: Kind) -> Option<BinaryOp> {
    Some(match kind {
        Kind::Add => BinaryOp::Add,
        Kind::Sub => BinaryOp::Sub,
        Kind::Mul => BinaryOp::Mul,
        Kind::Div => BinaryOp::Div,
        Kind::Mod => BinaryOp::Mod,
        Kind::Pow => BinaryOp::Pow,
        Kind::Equals => BinaryOp::Equal,
        Kind::NotEqual => BinaryOp::NotEqual,
        Kind::Less => BinaryOp::Less,
        Kind::LessEqual => BinaryOp::LessEqual,
        Kind::Greater => BinaryOp::Greater,
        Kind::GreaterEqual => BinaryOp::GreaterEqual,
        Kind::Keyword(Keyword::And) => BinaryOp::And,
        Kind::Keyword(Keyword::Or) => BinaryOp::Or,
        Kind::Keyword(Keyword::Unless) => BinaryOp::Unless,
        Kind::Keyword(Keyword::Atan2) => BinaryOp::Atan2,
        _ => return None,
    })
}
