//! What a service answers to a query, and how it is shown.

use obs_model::Timestamp;
use serde_json::Value as Json;

use super::{chart, table};

/// A whole answer.
pub(super) enum Answer {
    /// A result, and what is odd about it.
    Value { value: Value, notes: Vec<String> },
    /// Why there is none.
    Refused { kind: String, text: String },
}

/// What a query came to.
pub(super) enum Value {
    Scalar(Point),
    Text(String),
    Vector(Vec<Series>),
    Matrix(Vec<Series>),
}

/// A series and its values: one in a vector.
pub(super) struct Series {
    pub(super) labels: Vec<(String, String)>,
    pub(super) points: Vec<Point>,
}

/// A value at a time.
pub(super) struct Point {
    pub(super) at: Timestamp,
    /// As it was sent.
    pub(super) text: String,
}

/// Whether a body says that the query was refused.
pub(super) fn is_refusal(body: &[u8]) -> bool {
    matches!(read(body), Ok(Answer::Refused { .. }))
}

pub(super) fn read(body: &[u8]) -> Result<Answer, String> {
    let json: Json = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    match json["status"].as_str() {
        Some("success") => {
            let notes = ["warnings", "infos"]
                .iter()
                .filter_map(|name| json[name].as_array())
                .flatten()
                .filter_map(|note| note.as_str().map(str::to_owned))
                .collect();
            Ok(Answer::Value { value: value(&json["data"])?, notes })
        }
        Some("error") => {
            let part = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
            Ok(Answer::Refused { kind: part("errorType"), text: part("error") })
        }
        _ => Err(String::from("there is no status")),
    }
}

fn value(data: &Json) -> Result<Value, String> {
    let result = &data["result"];
    let list = || -> Result<Vec<Series>, String> {
        result.as_array().ok_or("the result is no list")?.iter().map(series).collect()
    };
    match data["resultType"].as_str() {
        Some("scalar") => point(result).map(Value::Scalar),
        Some("string") => point(result).map(|point| Value::Text(point.text)),
        Some("vector") => list().map(Value::Vector),
        Some("matrix") => list().map(Value::Matrix),
        other => Err(format!("there is no result type {other:?}")),
    }
}

fn series(json: &Json) -> Result<Series, String> {
    let labels = json["metric"].as_object().ok_or("a series has no labels")?;
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    let single = ["value", "histogram"].iter().filter_map(|name| json.get(name));
    let several =
        ["values", "histograms"].iter().filter_map(|name| json.get(name)?.as_array()).flatten();
    let mut points: Vec<Point> = single.chain(several).map(point).collect::<Result<_, _>>()?;
    points.sort_by_key(|point| point.at);
    Ok(Series { labels: labels.iter().map(|(k, v)| (k.clone(), text(v))).collect(), points })
}

fn point(json: &Json) -> Result<Point, String> {
    let (Some(at), Some(value)) = (json[0].as_f64(), json.get(1)) else {
        return Err(String::from("a value is no pair of time and text"));
    };
    let text = match value {
        Json::String(text) => text.clone(),
        histogram => {
            let part = |name: &str| histogram[name].as_str().unwrap_or("?").to_owned();
            format!("count {}, sum {}", part("count"), part("sum"))
        }
    };
    Ok(Point { at: Timestamp::from_millis((at * 1e3).round() as i64), text })
}

/// The result as people read it.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Scalar(point) => format!("{}\n", point.text),
        Value::Text(text) => format!("{text}\n"),
        Value::Vector(series) | Value::Matrix(series) if series.is_empty() => {
            String::from("no series\n")
        }
        Value::Vector(series) => table::table(series),
        Value::Matrix(series) => chart::charts(series),
    }
}

/// Why a query was refused; a mistake in its text with a mark under the place.
pub(super) fn explained(expr: &str, kind: &str, text: &str) -> String {
    match place(text) {
        Some((line, column)) => {
            let shown = expr.lines().nth(line - 1).unwrap_or_default();
            let (_, reason) = text.split_once("parse error: ").unwrap_or(("", text));
            let before = shown.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' });
            format!("{line}:{column}: {reason}\n  {shown}\n  {}^", before.collect::<String>())
        }
        None => format!("{kind}: {text}"),
    }
}

/// The line and column before `: parse error:`.
fn place(text: &str) -> Option<(usize, usize)> {
    let (before, _) = text.split_once(": parse error:")?;
    let (before, column) = before.rsplit_once(':')?;
    let digits = before.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    let place: (usize, usize) = (before[digits..].parse().ok()?, column.parse().ok()?);
    (place.0 > 0 && place.1 > 0).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        let text = match read(body.as_bytes()) {
            Ok(Answer::Value { value, .. }) => shown(&value),
            Ok(Answer::Refused { kind, text }) => explained("sum(\n\tx y)", &kind, &text),
            Err(problem) => format!("problem: {problem}"),
        };
        assert_eq!(text, expected, "{body}");
    }

    #[test]
    fn every_kind_of_result_is_shown() {
        let data = |data: &str| format!(r#"{{"status":"success","data":{data}}}"#);
        check(&data(r#"{"resultType":"scalar","result":[1.5,"2"]}"#), "2\n");
        check(&data(r#"{"resultType":"string","result":[1.5,"two"]}"#), "two\n");
        check(&data(r#"{"resultType":"vector","result":[]}"#), "no series\n");
        check(
            &data(
                r#"{"resultType":"vector","result":[{"metric":{"a":"x"},"histogram":[1,{"count":"2","sum":"3"}]}]}"#,
            ),
            "a  value\nx  count 2, sum 3\n",
        );
        check(
            &data(r#"{"resultType":"tensor"}"#),
            "problem: there is no result type Some(\"tensor\")",
        );
        check("{}", "problem: there is no status");
    }

    #[test]
    fn a_mistake_has_a_mark_under_its_place() {
        let error = |text: &str| {
            format!(r#"{{"status":"error","errorType":"bad_data","error":{}}}"#, Json::from(text))
        };
        check(
            &error("invalid parameter \"query\": 2:4: parse error: unexpected identifier"),
            "2:4: unexpected identifier\n  \tx y)\n  \t  ^",
        );
        check(&error("something else"), "bad_data: something else");
        check(&error("parse error: no place"), "bad_data: parse error: no place");
    }
}
