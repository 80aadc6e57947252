//! A syntax tree as JSON, as Prometheus' `parse_query` answers it.

use serde_json::{Value, json};

use super::ast::{
    At, Binary, Cardinality, DurationExpr, Expr, ExprKind, Modifiers, UnaryOp, ValueType,
    VectorSelector,
};
use super::float::full;
use super::functions::Signature;
use super::plan;
use crate::{MatchOp, Matcher};
use obs_model::METRIC_NAME_LABEL;

/// A syntax tree as the JSON of Prometheus' `/api/v1/parse_query`.
///
/// ```
/// use obs_query::promql::{ParseOptions, json, parse};
///
/// let tree = json(&parse("sum by (job) (up offset 1m)", ParseOptions::default())?);
/// assert_eq!(tree["type"], "aggregation");
/// assert_eq!(tree["grouping"][0], "job");
/// assert_eq!(tree["expr"]["offset"], 60_000);
/// # Ok::<(), obs_query::Error>(())
/// ```
#[must_use]
pub fn json(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(number) => json!({"type": "numberLiteral", "val": full(number.value)}),
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": text.to_lossy()}),
        ExprKind::Vector(vector) => {
            let mut object = selector("vectorSelector", vector);
            place(&mut object, &vector.modifiers);
            object
        }
        ExprKind::Matrix(matrix) => {
            let mut object = selector("matrixSelector", &matrix.selector);
            place(&mut object, &matrix.selector.modifiers);
            object["range"] = millis(Some(&matrix.range));
            object
        }
        ExprKind::Subquery(subquery) => {
            let mut object = json!({
                "type": "subquery",
                "expr": json(&subquery.expr),
                "range": millis(Some(&subquery.range)),
                "step": millis(subquery.step.as_ref()),
            });
            place(&mut object, &subquery.modifiers);
            object
        }
        ExprKind::Paren(inner) => json!({"type": "parenExpr", "expr": json(inner)}),
        ExprKind::Unary(op, inner) => {
            let op = if *op == UnaryOp::Minus { "-" } else { "+" };
            json!({"type": "unaryExpr", "op": op, "expr": json(inner)})
        }
        ExprKind::Binary(binary) => json!({
            "type": "binaryExpr",
            "op": binary.op.as_str(),
            "lhs": json(&binary.left),
            "rhs": json(&binary.right),
            "matching": matching(binary),
            "bool": binary.return_bool,
        }),
        ExprKind::Call(call) => json!({
            "type": "call",
            "func": function(call.function.signature()),
            "args": call.arguments.iter().map(json).collect::<Vec<_>>(),
        }),
        ExprKind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.as_str(),
            "expr": json(&aggregate.expr),
            "param": aggregate.parameter.as_ref().map(json),
            "grouping": aggregate.grouping.labels,
            "without": aggregate.grouping.without,
        }),
    }
}

fn function(signature: &Signature) -> Value {
    let types: Vec<_> = signature.arguments.iter().map(|it| type_name(*it)).collect();
    // How many arguments may be left out; as many as there are is -1.
    let variadic = match signature.most {
        Some(most) => i64::try_from(most - signature.least).unwrap_or(0),
        None => -1,
    };
    json!({
        "name": signature.name,
        "argTypes": types,
        "variadic": variadic,
        "returnType": type_name(signature.returns),
    })
}

/// A type as Prometheus' API names it.
const fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::InstantVector => "vector",
        ValueType::RangeVector => "matrix",
        ValueType::String => "string",
    }
}

/// How the sides of an operator are matched, which they are only if both are vectors.
fn matching(binary: &Binary) -> Value {
    let is_vector = |side: &Expr| side.value_type() == ValueType::InstantVector;
    if !(is_vector(&binary.left) && is_vector(&binary.right)) {
        return Value::Null;
    }
    let card = match binary.matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": card,
        "labels": binary.matching.labels,
        "on": binary.matching.on,
        "include": binary.matching.include,
    })
}

fn selector(kind: &str, selector: &VectorSelector) -> Value {
    let mut matchers: Vec<_> = selector.matchers.iter().map(matcher).collect();
    if let Some(name) = &selector.name {
        matchers.push(json!({"name": METRIC_NAME_LABEL, "value": name, "type": "="}));
    }
    json!({
        "type": kind,
        "name": selector.name.as_deref().unwrap_or_default(),
        "matchers": matchers,
    })
}

fn matcher(matcher: &Matcher) -> Value {
    let kind = match matcher.op() {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    json!({"name": matcher.label(), "value": matcher.value(), "type": kind})
}

/// Adds where in time something is read.
fn place(object: &mut Value, modifiers: &Modifiers) {
    let (timestamp, edge) = match modifiers.at {
        Some(At::Millis(millis)) => (json!(millis), Value::Null),
        Some(At::Start) => (Value::Null, json!("start")),
        Some(At::End) => (Value::Null, json!("end")),
        None => (Value::Null, Value::Null),
    };
    object["offset"] = millis(modifiers.offset.as_ref());
    object["timestamp"] = timestamp;
    object["startOrEnd"] = edge;
}

/// Milliseconds; 0 for a duration that is not given or cannot be computed.
fn millis(duration: Option<&DurationExpr>) -> Value {
    json!(duration.and_then(|it| plan::millis(it).ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{ParseOptions, parse};

    fn check(text: &str, expected: &Value) {
        let expr = parse(text, ParseOptions::all()).unwrap();
        assert_eq!(&json(&expr), expected, "{text}");
    }

    fn vector(name: &str) -> Value {
        json!({
            "type": "vectorSelector", "name": name, "offset": 0, "timestamp": null, "startOrEnd": null,
            "matchers": [{"name": "__name__", "value": name, "type": "="}],
        })
    }

    #[test]
    fn literals_and_signs() {
        check("1.5e3", &json!({"type": "numberLiteral", "val": "1500"}));
        check("-Inf", &json!({"type": "numberLiteral", "val": "-Inf"}));
        check("\"a\\n\"", &json!({"type": "stringLiteral", "val": "a\n"}));
        check("-a", &json!({"type": "unaryExpr", "op": "-", "expr": vector("a")}));
        check("(a)", &json!({"type": "parenExpr", "expr": vector("a")}));
    }

    #[test]
    fn selectors_have_their_matchers_with_the_name_last() {
        check(
            "a{b!=\"c\",d=~\"e\",f!~\"g\"} offset -1m @ 5.5",
            &json!({
                "type": "vectorSelector", "name": "a", "offset": -60_000, "timestamp": 5_500, "startOrEnd": null,
                "matchers": [
                    {"name": "b", "value": "c", "type": "!="},
                    {"name": "d", "value": "e", "type": "=~"},
                    {"name": "f", "value": "g", "type": "!~"},
                    {"name": "__name__", "value": "a", "type": "="},
                ],
            }),
        );
        check(
            "{a=\"b\"}[5m] @ end()",
            &json!({
                "type": "matrixSelector", "name": "", "range": 300_000, "offset": 0, "timestamp": null,
                "startOrEnd": "end", "matchers": [{"name": "a", "value": "b", "type": "="}],
            }),
        );
    }

    #[test]
    fn sub_queries_have_their_step() {
        check(
            "a[1h:] @ start()",
            &json!({
                "type": "subquery", "expr": vector("a"), "range": 3_600_000, "step": 0, "offset": 0,
                "timestamp": null, "startOrEnd": "start",
            }),
        );
        check(
            "a[1h:5m] offset 1d",
            &json!({
                "type": "subquery", "expr": vector("a"), "range": 3_600_000, "step": 300_000,
                "offset": 86_400_000, "timestamp": null, "startOrEnd": null,
            }),
        );
    }

    #[test]
    fn operators_match_only_vectors() {
        check(
            "a > bool 1",
            &json!({
                "type": "binaryExpr", "op": ">", "lhs": vector("a"), "rhs": {"type": "numberLiteral", "val": "1"},
                "matching": null, "bool": true,
            }),
        );
        for (text, matching) in [
            ("a * b", json!({"card": "one-to-one", "labels": [], "on": false, "include": []})),
            (
                "a * on (c) group_left (d) b",
                json!({"card": "many-to-one", "labels": ["c"], "on": true, "include": ["d"]}),
            ),
            (
                "a * ignoring (c) group_right b",
                json!({"card": "one-to-many", "labels": ["c"], "on": false, "include": []}),
            ),
            ("a and b", json!({"card": "many-to-many", "labels": [], "on": false, "include": []})),
        ] {
            let expr = parse(text, ParseOptions::default()).unwrap();
            assert_eq!(json(&expr)["matching"], matching, "{text}");
        }
    }

    #[test]
    fn functions_say_what_they_take() {
        for (text, expected) in [
            (
                "rate(a[5m])",
                json!({"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"}),
            ),
            (
                "round(a)",
                json!({"name": "round", "argTypes": ["vector", "scalar"], "variadic": 1, "returnType": "vector"}),
            ),
            (
                "time()",
                json!({"name": "time", "argTypes": [], "variadic": 0, "returnType": "scalar"}),
            ),
            (
                "label_join(a, \"b\", \"c\")",
                json!({"name": "label_join", "argTypes": ["vector", "string", "string", "string"], "variadic": -1, "returnType": "vector"}),
            ),
        ] {
            let expr = parse(text, ParseOptions::default()).unwrap();
            assert_eq!(json(&expr)["func"], expected, "{text}");
        }
        check(
            "time()",
            &json!({"type": "call", "args": [], "func": function(crate::promql::Function::Time.signature())}),
        );
    }

    #[test]
    fn aggregations_have_their_parameter_and_labels() {
        check(
            "topk without (b) (5, a)",
            &json!({
                "type": "aggregation", "op": "topk", "expr": vector("a"),
                "param": {"type": "numberLiteral", "val": "5"}, "grouping": ["b"], "without": true,
            }),
        );
        check(
            "sum(a)",
            &json!({
                "type": "aggregation", "op": "sum", "expr": vector("a"), "param": null, "grouping": [], "without": false,
            }),
        );
    }
}
