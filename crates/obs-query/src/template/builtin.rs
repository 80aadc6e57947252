//! The functions of Go's templates.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Environment;
use super::format;
use super::prometheus;
use super::value::Value;

/// What a function gives for its arguments, or what is wrong with them.
pub(super) type Answer = Result<Value, String>;

/// A function.
pub(super) struct Builtin {
    pub(super) name: &'static str,
    /// How many arguments it takes at least.
    pub(super) least: usize,
    /// How many it takes at most, if there is a limit.
    pub(super) most: Option<usize>,
    pub(super) run: fn(&Environment<'_>, &[Value]) -> Answer,
}

impl std::fmt::Debug for Builtin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// The function of this name.
pub(super) fn by_name(name: &str) -> Option<&'static Builtin> {
    FUNCTIONS.iter().chain(prometheus::FUNCTIONS).find(|function| function.name == name)
}

/// `and` and `or` do not look at all of their arguments, so they are not called as these are.
static FUNCTIONS: &[Builtin] = &[
    Builtin { name: "and", least: 1, most: None, run: |_, values| Ok(last(values)) },
    Builtin { name: "or", least: 1, most: None, run: |_, values| Ok(last(values)) },
    Builtin {
        name: "not",
        least: 1,
        most: Some(1),
        run: |_, values| Ok(Value::Bool(!values[0].is_true())),
    },
    Builtin { name: "eq", least: 1, most: None, run: |_, values| equal_to_any(values) },
    Builtin {
        name: "ne",
        least: 2,
        most: Some(2),
        run: |_, values| Ok(Value::Bool(!equal(&values[0], &values[1])?)),
    },
    Builtin {
        name: "lt",
        least: 2,
        most: Some(2),
        run: |_, values| ordered(values, &[Ordering::Less]),
    },
    Builtin {
        name: "le",
        least: 2,
        most: Some(2),
        run: |_, values| ordered(values, &[Ordering::Less, Ordering::Equal]),
    },
    Builtin {
        name: "gt",
        least: 2,
        most: Some(2),
        run: |_, values| ordered(values, &[Ordering::Greater]),
    },
    Builtin {
        name: "ge",
        least: 2,
        most: Some(2),
        run: |_, values| ordered(values, &[Ordering::Greater, Ordering::Equal]),
    },
    Builtin { name: "len", least: 1, most: Some(1), run: |_, values| length(&values[0]) },
    Builtin { name: "index", least: 1, most: None, run: |_, values| index(values) },
    Builtin { name: "slice", least: 1, most: Some(4), run: |_, values| slice(values) },
    Builtin {
        name: "print",
        least: 0,
        most: None,
        run: |_, values| format::print(values, false).map(Value::text),
    },
    Builtin {
        name: "println",
        least: 0,
        most: None,
        run: |_, values| format::print(values, true).map(Value::text),
    },
    Builtin { name: "printf", least: 1, most: None, run: |_, values| printf(values) },
    Builtin { name: "html", least: 0, most: None, run: |_, values| escaped(values, html) },
    Builtin { name: "js", least: 0, most: None, run: |_, values| escaped(values, js) },
    Builtin { name: "urlquery", least: 0, most: None, run: |_, values| escaped(values, url_query) },
    Builtin {
        name: "call",
        least: 1,
        most: None,
        run: |_, values| Err(format!("non-function of type {}", values[0].type_name())),
    },
];

fn last(values: &[Value]) -> Value {
    values.last().cloned().unwrap_or(Value::None)
}

fn equal_to_any(values: &[Value]) -> Answer {
    let Some((first, others)) = values.split_first().filter(|(_, others)| !others.is_empty())
    else {
        return Err("missing argument for comparison".to_owned());
    };
    for other in others {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(first: &Value, second: &Value) -> Result<bool, String> {
    Ok(match (first, second) {
        (Value::Bool(first), Value::Bool(second)) => first == second,
        (Value::Integer(first), Value::Integer(second)) => first == second,
        (Value::Float(first), Value::Float(second)) => first == second,
        (Value::Text(first), Value::Text(second)) => first == second,
        (Value::Time(first), Value::Time(second)) => first == second,
        (Value::Point(first), Value::Point(second)) => Arc::ptr_eq(first, second),
        (Value::None, Value::None) => true,
        (Value::None, _) | (_, Value::None) => false,
        (
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_),
        ) => return Err("incompatible types for comparison".to_owned()),
        (first, _) => return Err(format!("non-comparable type {}", first.type_name())),
    })
}

fn ordered(values: &[Value], accepted: &[Ordering]) -> Answer {
    let order = match (&values[0], &values[1]) {
        (Value::Integer(first), Value::Integer(second)) => Some(first.cmp(second)),
        (Value::Float(first), Value::Float(second)) => first.partial_cmp(second),
        (Value::Text(first), Value::Text(second)) => Some(first.cmp(second)),
        (
            Value::Integer(_) | Value::Float(_) | Value::Text(_),
            Value::Integer(_) | Value::Float(_) | Value::Text(_),
        ) => {
            return Err("incompatible types for comparison".to_owned());
        }
        _ => return Err("invalid type for comparison".to_owned()),
    };
    Ok(Value::Bool(order.is_some_and(|order| accepted.contains(&order))))
}

fn length(value: &Value) -> Answer {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::Pairs(pairs) => pairs.len(),
        Value::Mapping(mapping) => mapping.len(),
        Value::Vector(points) => points.len(),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    // OK because nothing in memory is longer.
    Ok(Value::Integer(length as i64))
}

fn index(values: &[Value]) -> Answer {
    let mut item = values[0].clone();
    for index in &values[1..] {
        item = match (&item, index) {
            (Value::Pairs(_), Value::Text(name)) => item.field(name)?,
            (Value::Mapping(_), Value::Text(name)) => item.field(name)?,
            (Value::Vector(points), Value::Integer(at)) => {
                let found = usize::try_from(*at).ok().and_then(|at| points.get(at));
                found.cloned().map(Value::Point).ok_or_else(|| out_of_range(*at))?
            }
            (Value::Text(text), Value::Integer(at)) => {
                let found = usize::try_from(*at).ok().and_then(|at| text.as_bytes().get(at));
                found
                    .map(|byte| Value::Integer(i64::from(*byte)))
                    .ok_or_else(|| out_of_range(*at))?
            }
            (Value::Pairs(_) | Value::Mapping(_) | Value::Vector(_) | Value::Text(_), index) => {
                return Err(format!("cannot index with type {}", index.type_name()));
            }
            (Value::None, _) => return Err("index of untyped nil".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn slice(values: &[Value]) -> Answer {
    let item = &values[0];
    let size = match item {
        Value::Text(text) => text.len(),
        Value::Vector(points) => points.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if values.len() > 3 && matches!(item, Value::Text(_)) {
        return Err("cannot 3-index slice a string".to_owned());
    }
    let mut bounds = [0, size, size];
    for (bound, value) in bounds.iter_mut().zip(&values[1..]) {
        let Value::Integer(at) = value else {
            return Err(format!("cannot index slice/array with type {}", value.type_name()));
        };
        *bound =
            usize::try_from(*at).ok().filter(|at| *at <= size).ok_or_else(|| out_of_range(*at))?;
    }
    let [start, end, _] = bounds;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    match item {
        // Unlike Go's, a text is always UTF-8: what is cut in the middle of a character gets a replacement.
        Value::Text(text) => {
            Ok(Value::text(String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned()))
        }
        Value::Vector(points) => Ok(Value::Vector(points[start..end].into())),
        _ => Ok(Value::None),
    }
}

fn out_of_range(at: i64) -> String {
    format!("index out of range: {at}")
}

fn printf(values: &[Value]) -> Answer {
    match &values[0] {
        Value::Text(text) => format::printf(text, &values[1..]).map(Value::text),
        other => Err(wrong_type("string", other)),
    }
}

/// What to say of an argument of a wrong type.
pub(super) fn wrong_type(expected: &str, found: &Value) -> String {
    format!("wrong type for value; expected {expected}; got {}", found.type_name())
}

fn escaped(values: &[Value], escape: fn(char, &mut String)) -> Answer {
    let text = match values {
        [Value::Text(text)] => text.to_string(),
        values => format::print(values, false)?,
    };
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        escape(character, &mut out);
    }
    if out.len() > format::MAX_OUTPUT_BYTES {
        return Err(format!(
            "the text is too long: at most {} bytes are accepted",
            format::MAX_OUTPUT_BYTES
        ));
    }
    Ok(Value::text(out))
}

fn html(character: char, out: &mut String) {
    match character {
        '\0' => out.push('\u{fffd}'),
        '"' => out.push_str("&#34;"),
        '\'' => out.push_str("&#39;"),
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        other => out.push(other),
    }
}

fn js(character: char, out: &mut String) {
    match character {
        '\\' => out.push_str("\\\\"),
        '\'' => out.push_str("\\'"),
        '"' => out.push_str("\\\""),
        '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(character))),
        control if control < ' ' => out.push_str(&format!("\\u{:04X}", u32::from(control))),
        control if control.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(control))),
        other => out.push(other),
    }
}

/// As Go's `url.QueryEscape`.
pub(super) fn url_query(character: char, out: &mut String) {
    match character {
        ' ' => out.push('+'),
        kept if kept.is_ascii_alphanumeric() || "-_.~".contains(kept) => out.push(kept),
        other => {
            for byte in other.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
}
