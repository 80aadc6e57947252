//! Which types fit together.

use obs_model::METRIC_NAME_LABEL;

use crate::promql::ast::{
    Aggregate, Binary, Call, Cardinality, Expr, ExprKind, ValueType, VectorSelector,
};
use crate::promql::error::ParseProblem;
use crate::promql::functions::Function;
use crate::promql::span::Span;

/// Everything about the types in `expr` that is not as it has to be, in order of position.
pub(super) fn check(text: &str, expr: &Expr) -> Vec<ParseProblem> {
    let mut checker = Checker { found: Vec::new() };
    checker.expr(expr);
    let mut problems: Vec<_> = checker
        .found
        .into_iter()
        .map(|(span, message)| ParseProblem::new(span.position(text), message))
        .collect();
    problems.sort_by_key(ParseProblem::position);
    problems
}

struct Checker {
    found: Vec<(Span, String)>,
}

impl Checker {
    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => {}
            ExprKind::Vector(selector) => self.selector(selector, expr.span),
            ExprKind::Matrix(matrix) => self.selector(&matrix.selector, matrix.selector_span),
            ExprKind::Subquery(subquery) => {
                let found = subquery.expr.value_type();
                if found != ValueType::InstantVector {
                    let message = format!(
                        "subquery is only allowed on instant vector, got {} instead",
                        found.as_str()
                    );
                    self.note(expr.span, message);
                }
            }
            ExprKind::Paren(_) => {}
            ExprKind::Unary(_, inner) => {
                let found = inner.value_type();
                if !is_number(found) {
                    let message = format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                        found.as_str()
                    );
                    self.note(expr.span, message);
                }
            }
            ExprKind::Binary(binary) => self.binary(binary, expr.span),
            ExprKind::Call(call) => return self.call(call, expr.span),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate),
        }
        for child in expr.children() {
            self.expr(child);
        }
    }

    fn selector(&mut self, selector: &VectorSelector, span: Span) {
        if let Some(name) = &selector.name {
            for matcher in selector.matchers.iter().filter(|m| m.label() == METRIC_NAME_LABEL) {
                let message =
                    format!("metric name must not be set twice: {name:?} or {:?}", matcher.value());
                self.note(span, message);
            }
        } else if selector.matchers.iter().all(|matcher| matcher.matches("")) {
            self.note(span, "vector selector must contain at least one non-empty matcher");
        }
    }

    fn binary(&mut self, binary: &Binary, span: Span) {
        let (left, right) = (binary.left.value_type(), binary.right.value_type());
        let matching = &binary.matching;
        let op = binary.op;
        if binary.return_bool && !op.is_comparison() {
            self.note(binary.op_span, "bool modifier can only be used on comparison operators");
        }
        let both_scalar = left == ValueType::Scalar && right == ValueType::Scalar;
        if op.is_comparison() && !binary.return_bool && both_scalar {
            self.note(binary.op_span, "comparisons between scalars must use BOOL modifier");
        }
        if matching.on {
            for label in matching.labels.iter().filter(|label| matching.include.contains(label)) {
                let message =
                    format!("label {label:?} must not occur in ON and GROUP clause at once");
                self.note(binary.op_span, message);
            }
        }
        for (side, found) in [(&binary.left, left), (&binary.right, right)] {
            if !is_number(found) {
                let message = "binary expression must contain only scalar and instant vector types";
                self.note(side.span, message);
            }
        }
        let both_vectors = left == ValueType::InstantVector && right == ValueType::InstantVector;
        if !both_vectors && !matching.labels.is_empty() {
            self.note(span, "vector matching only allowed between instant vectors");
        }
        if both_vectors && op.is_set() && matching.cardinality != Cardinality::ManyToMany {
            self.note(span, format!("no grouping allowed for {:?} operation", op.as_str()));
        }
        if op.is_set() && (left == ValueType::Scalar || right == ValueType::Scalar) {
            let message =
                format!("set operator {:?} not allowed in binary scalar expression", op.as_str());
            self.note(span, message);
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate) {
        self.expect(&aggregate.expr, ValueType::InstantVector, "aggregation expression");
        if let (Some(parameter), Some(wanted)) = (&aggregate.parameter, aggregate.op.parameter()) {
            self.expect(parameter, wanted, "aggregation parameter");
        }
    }

    fn expect(&mut self, expr: &Expr, wanted: ValueType, context: &str) {
        let found = expr.value_type();
        if found != wanted {
            let (wanted, found) = (wanted.as_str(), found.as_str());
            self.note(expr.span, format!("expected type {wanted} in {context}, got {found}"));
        }
    }

    fn call(&mut self, call: &Call, span: Span) {
        let signature = call.function.signature();
        let (name, count) = (signature.name, call.arguments.len());
        if signature.most == Some(signature.least) && count != signature.least {
            let wanted = signature.least;
            self.note(
                span,
                format!("expected {wanted} argument(s) in call to {name:?}, got {count}"),
            );
        } else if count < signature.least {
            let wanted = signature.least;
            self.note(
                span,
                format!("expected at least {wanted} argument(s) in call to {name:?}, got {count}"),
            );
        } else if let Some(most) = signature.most.filter(|most| count > *most) {
            self.note(
                span,
                format!("expected at most {most} argument(s) in call to {name:?}, got {count}"),
            );
        }
        let context = format!("call to function {name:?}");
        for (index, argument) in call.arguments.iter().enumerate() {
            if call.function == Function::Info && index == 1 {
                self.label_selector(argument);
                continue;
            }
            if let Some(wanted) = signature.arguments.get(index).or(signature.arguments.last()) {
                self.expect(argument, *wanted, &context);
            }
            self.expr(argument);
        }
    }

    /// The second argument of `info` has to be matchers only, which may accept everything.
    fn label_selector(&mut self, argument: &Expr) {
        match &argument.kind {
            ExprKind::Vector(selector) if selector.name.is_none() => {}
            ExprKind::Vector(_) => {
                let message = "expected label selectors only, got vector selector instead";
                self.note(argument.span, message);
            }
            _ => self.note(argument.span, "expected label selectors only"),
        }
    }

    fn note(&mut self, span: Span, message: impl Into<String>) {
        self.found.push((span, message.into()));
    }
}

fn is_number(found: ValueType) -> bool {
    matches!(found, ValueType::Scalar | ValueType::InstantVector)
}
