//! Writing a syntax tree over several lines, as Prometheus' `format_query` does.

use std::fmt::{Display, Write};

use super::ast::{Expr, ExprKind, UnaryOp};
use super::print::{Head, Operator, SubqueryTail};

/// The longest line, in bytes, that is not taken apart.
const MAX_LINE_BYTES: usize = 100;

const INDENT: &str = "  ";

/// Writes an expression in Prometheus' layout: what is longer than 100 bytes stands on several lines, each level
/// indented by two spaces. It reads back as the same expression.
///
/// ```
/// use obs_query::promql::{ParseOptions, format, parse};
///
/// let long = "sum by (code) (rate(http_requests_total{job=\"api\"}[5m])) / sum(rate(http_requests_total{job=\"api\"}[5m]))";
/// let expr = parse(long, ParseOptions::default())?;
/// assert_eq!(
///     format(&expr),
///     "  sum by (code) (rate(http_requests_total{job=\"api\"}[5m]))\n/\n  sum(rate(http_requests_total{job=\"api\"}[5m]))"
/// );
/// # Ok::<(), obs_query::Error>(())
/// ```
#[must_use]
pub fn format(expr: &Expr) -> String {
    let mut out = String::new();
    write(&mut out, expr, 0);
    out
}

/// Writes an expression and the white space before it.
fn write(out: &mut String, expr: &Expr, level: usize) {
    let is_short = is_short(expr);
    match &expr.kind {
        // As in Prometheus, what a sub-query begins with is indented only where it is taken apart.
        ExprKind::Subquery(_) if is_short => push(out, expr),
        ExprKind::Subquery(subquery) => {
            write(out, &subquery.expr, level);
            push(out, SubqueryTail(subquery));
        }
        ExprKind::Unary(op, inner) => {
            indent(out, level);
            out.push(if *op == UnaryOp::Minus { '-' } else { '+' });
            let mut child = String::new();
            write(&mut child, inner, level);
            out.push_str(child.trim());
        }
        ExprKind::Binary(binary) if !is_short => {
            write(out, &binary.left, level + 1);
            out.push('\n');
            indent(out, level);
            push(out, Operator(binary));
            out.push('\n');
            write(out, &binary.right, level + 1);
        }
        ExprKind::Call(call) if !is_short => {
            indent(out, level);
            out.push_str(call.function.signature().name);
            list(out, call.arguments.iter(), level);
        }
        ExprKind::Aggregate(aggregate) if !is_short => {
            indent(out, level);
            push(out, Head(aggregate));
            list(out, aggregate.parameter.iter().chain([&aggregate.expr]), level);
        }
        ExprKind::Paren(inner) if !is_short => {
            indent(out, level);
            list(out, std::iter::once(&**inner), level);
        }
        _ => {
            indent(out, level);
            push(out, expr);
        }
    }
}

/// Writes expressions in parentheses, each on lines of its own.
fn list<'a>(out: &mut String, expressions: impl Iterator<Item = &'a Expr>, level: usize) {
    out.push('(');
    for (index, expression) in expressions.enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        write(out, expression, level + 1);
    }
    out.push('\n');
    indent(out, level);
    out.push(')');
}

fn indent(out: &mut String, level: usize) {
    out.extend(std::iter::repeat_n(INDENT, level));
}

fn push(out: &mut String, it: impl Display) {
    // OK because writing to a string does not fail.
    let _ = write!(out, "{it}");
}

/// Whether an expression fits on a line; no more of it is written than is needed to know.
fn is_short(expr: &Expr) -> bool {
    struct Room(usize);
    impl Write for Room {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 = self.0.checked_sub(text.len()).ok_or(std::fmt::Error)?;
            Ok(())
        }
    }
    write!(Room(MAX_LINE_BYTES), "{expr}").is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::promql::{ParseOptions, parse};

    const LONG: &str =
        "a_metric_with_a_name_that_is_quite_long{label_one=\"value one\",label_two=\"two\"}";

    /// Checks that these lines, in which `LONG` stands for a long selector, are how their expression is written.
    fn check(lines: &[&str]) {
        let text = lines.join("\n").replace("LONG", LONG);
        let expr = parse(&text, ParseOptions::all()).unwrap();
        assert_eq!(format(&expr), text);
    }

    #[test]
    fn what_is_short_or_has_no_parts_stays_on_one_line() {
        check(&["sum by (a, b) (rate(foo{c=\"d\"}[5m])) > bool 5"]);
        check(&["LONG[5m] offset 1d"]);
        check(&[&"a".repeat(200)]);
        check(&[&format!("\"{}\"", "a".repeat(200))]);
    }

    #[test]
    fn each_kind_of_node_is_taken_apart_as_in_prometheus() {
        check(&["  LONG", "+ on (a) group_left (b)", "  LONG"]);
        check(&["  LONG", ">= bool", "  LONG"]);
        check(&["    LONG", "  *", "    LONG", "+", "  LONG"]);
        check(&[
            "sum without (a) (",
            "  histogram_quantile(",
            "    0.9,",
            "    rate(LONG[5m] offset 1h)",
            "  )",
            ")",
        ]);
        check(&["topk by (a) (", "  5,", "  rate(LONG[5m] offset 1h)", ")"]);
        check(&["(", "    LONG", "  /", "    LONG", ")"]);
        check(&["-(", "    LONG", "  /", "    LONG", ")"]);
        check(&["  sum(LONG)", "/", "  rate(LONG[5m])"]);
    }

    #[test]
    fn sub_queries_are_indented_as_in_prometheus() {
        check(&[
            "max_over_time(",
            "  rate(",
            "    LONG[5m] @ 60.000 offset 10m",
            "  )[1h:5m]",
            ")",
        ]);
        // A short one is not indented.
        let short = "rate(foo{label_one=\"value one\",label_two=\"two\",label_three=\"value three\"}[5m])[1h:5m]";
        check(&["stddev_over_time(", short, ")"]);
        check(&["sum(", &format!("  sum_over_time({short})"), ")"]);
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_as_the_same(depth in 0_usize..8, wide in proptest::collection::vec(0_usize..6, 1..8)) {
            let mut text = LONG.to_owned();
            for kind in wide.iter().cycle().take(depth + wide.len()) {
                text = match kind {
                    0 => format!("sum by (a) ({text})"),
                    1 => format!("({text} / on (b) {LONG})"),
                    2 => format!("max_over_time(({text})[5m:1m] offset 1h)"),
                    3 => format!("-({text})"),
                    4 => format!("label_replace({text}, \"a\", \"b\", \"c\", \"d\")"),
                    _ => format!("quantile(0.5, {text})"),
                };
            }
            let expr = parse(&text, ParseOptions::all()).unwrap();
            let again = parse(&format(&expr), ParseOptions::all()).unwrap();
            prop_assert_eq!(again.to_string(), expr.to_string());
            prop_assert_eq!(format(&again), format(&expr));
        }
    }
}
