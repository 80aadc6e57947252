//! What an expression reads.

use super::ast::{Expr, ExprKind};
use super::plan::built;
use crate::{Error, Selector};

impl Expr {
    /// The selectors in it, from left to right, without their modifiers.
    ///
    /// # Errors
    ///
    /// As [`Selector::new`]; what was parsed has no such selectors.
    pub fn selectors(&self) -> Result<Vec<Selector>, Error> {
        let (mut found, mut left) = (Vec::new(), vec![self]);
        while let Some(expr) = left.pop() {
            match &expr.kind {
                ExprKind::Vector(selector) => found.push(built(selector)?),
                ExprKind::Matrix(matrix) => found.push(built(&matrix.selector)?),
                _ => left.extend(expr.children().into_iter().rev()),
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use crate::promql::{Engine, EngineOptions};

    #[test]
    fn every_selector_of_an_expression_is_found_in_order() {
        for (expr, expected) in [
            ("1 + time()", &[][..]),
            ("a{b=\"c\"} offset 5m", &["a{b=\"c\"}"]),
            ("sum by (x) (rate(a[5m])) / on () b @ 7", &["a", "b"]),
            ("max_over_time(rate(a[1m])[1h:1m]) > bool (-b)", &["a", "b"]),
            ("topk(scalar(a), {__name__=~\"b|c\"})", &["a", "{__name__=~\"b|c\"}"]),
        ] {
            let parsed = Engine::new(EngineOptions::default()).parse(expr).unwrap();
            let found: Vec<_> =
                parsed.selectors().unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{expr}");
        }
    }
}
