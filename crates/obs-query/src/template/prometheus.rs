//! The functions that Prometheus adds to templates.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use regex::Regex;

use super::Environment;
use super::builtin::{Answer, Builtin, url_query, wrong_type};
use super::format::MAX_OUTPUT_BYTES;
use super::humanize;
use super::value::{Point, Value};
use crate::promql::duration_millis;

pub(super) static FUNCTIONS: &[Builtin] = &[
    Builtin { name: "query", least: 1, most: Some(1), run: query },
    Builtin { name: "first", least: 1, most: Some(1), run: |_, values| first(&values[0]) },
    Builtin {
        name: "label",
        least: 2,
        most: Some(2),
        run: |_, values| label(text(&values[0])?, &values[1]),
    },
    Builtin {
        name: "value",
        least: 1,
        most: Some(1),
        run: |_, values| Ok(Value::Float(point(&values[0])?.value)),
    },
    Builtin {
        name: "strvalue",
        least: 1,
        most: Some(1),
        run: |_, values| label("__value__", &values[0]),
    },
    Builtin {
        name: "sortByLabel",
        least: 2,
        most: Some(2),
        run: |_, values| sort_by_label(values),
    },
    Builtin { name: "args", least: 0, most: None, run: |_, values| Ok(arguments(values)) },
    Builtin { name: "reReplaceAll", least: 3, most: Some(3), run: |_, values| replace_all(values) },
    Builtin {
        name: "match",
        least: 2,
        most: Some(2),
        run: |_, values| Ok(Value::Bool(pattern(&values[0])?.is_match(text(&values[1])?))),
    },
    Builtin {
        name: "safeHtml",
        least: 1,
        most: Some(1),
        run: |_, values| text(&values[0]).map(Value::text),
    },
    Builtin {
        name: "title",
        least: 1,
        most: Some(1),
        run: |_, values| text(&values[0]).map(|it| Value::text(title(it))),
    },
    Builtin {
        name: "toUpper",
        least: 1,
        most: Some(1),
        run: |_, values| text(&values[0]).map(|it| Value::text(it.to_uppercase())),
    },
    Builtin {
        name: "toLower",
        least: 1,
        most: Some(1),
        run: |_, values| text(&values[0]).map(|it| Value::text(it.to_lowercase())),
    },
    Builtin {
        name: "graphLink",
        least: 1,
        most: Some(1),
        run: |_, values| link(text(&values[0])?, 0),
    },
    Builtin {
        name: "tableLink",
        least: 1,
        most: Some(1),
        run: |_, values| link(text(&values[0])?, 1),
    },
    Builtin {
        name: "stripPort",
        least: 1,
        most: Some(1),
        run: |_, values| text(&values[0]).map(|it| Value::text(strip_port(it))),
    },
    Builtin {
        name: "stripDomain",
        least: 1,
        most: Some(1),
        run: |_, values| text(&values[0]).map(|it| Value::text(strip_domain(it))),
    },
    Builtin {
        name: "parseDuration",
        least: 1,
        most: Some(1),
        run: |_, values| parse_duration(text(&values[0])?),
    },
    Builtin {
        name: "pathPrefix",
        least: 0,
        most: Some(0),
        run: |environment, _| Ok(Value::text(path_of(environment.external_url))),
    },
    Builtin {
        name: "externalURL",
        least: 0,
        most: Some(0),
        run: |environment, _| Ok(Value::text(environment.external_url)),
    },
    Builtin {
        name: "now",
        least: 0,
        most: Some(0),
        run: |environment, _| Ok(Value::Float(environment.at.as_secs_f64())),
    },
    Builtin {
        name: "humanize",
        least: 1,
        most: Some(1),
        run: |_, values| number(&values[0]).map(|it| Value::text(humanize::decimal(it))),
    },
    Builtin {
        name: "humanize1024",
        least: 1,
        most: Some(1),
        run: |_, values| number(&values[0]).map(|it| Value::text(humanize::binary(it))),
    },
    Builtin {
        name: "humanizeDuration",
        least: 1,
        most: Some(1),
        run: |_, values| number(&values[0]).map(|it| Value::text(humanize::duration(it))),
    },
    Builtin {
        name: "humanizePercentage",
        least: 1,
        most: Some(1),
        run: |_, values| number(&values[0]).map(|it| Value::text(humanize::percentage(it))),
    },
    Builtin {
        name: "humanizeTimestamp",
        least: 1,
        most: Some(1),
        run: |_, values| timestamp(&values[0]),
    },
    Builtin {
        name: "toTime",
        least: 1,
        most: Some(1),
        run: |_, values| time_of(number(&values[0])?).map(Value::Time),
    },
];

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(wrong_type("string", other)),
    }
}

fn point(value: &Value) -> Result<&Point, String> {
    match value {
        Value::Point(point) => Ok(point),
        other => Err(wrong_type("*template.sample", other)),
    }
}

/// The number that a value is, or that a text says.
fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Integer(value) => Ok(*value as f64),
        Value::Text(text) => {
            let is_number = |it: &str| !it.is_empty() && it.trim() == it;
            let parsed = Some(text.replace('_', "")).filter(|it| is_number(it));
            parsed
                .and_then(|it| it.parse().ok())
                .ok_or_else(|| format!("parsing {text:?}: invalid syntax, expected a number"))
        }
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn query(environment: &Environment<'_>, values: &[Value]) -> Answer {
    let found = (environment.query)(text(&values[0])?, environment.at)
        .map_err(|error| error.to_string())?;
    let points = found.into_iter().map(|found| {
        let pairs = found.labels.iter().map(|(name, it)| (name.to_owned(), it.to_owned()));
        let value = found.value.as_float().unwrap_or(0.0);
        Arc::new(Point { labels: Arc::new(pairs.collect()), value })
    });
    Ok(Value::Vector(points.collect()))
}

fn first(value: &Value) -> Answer {
    match value {
        Value::Vector(points) => match points.first() {
            Some(point) => Ok(Value::Point(Arc::clone(point))),
            None => Err("first() called on vector with no elements".to_owned()),
        },
        other => Err(wrong_type("template.queryResult", other)),
    }
}

fn label(name: &str, value: &Value) -> Answer {
    Ok(Value::text(point(value)?.labels.get(name).map_or("", String::as_str)))
}

fn sort_by_label(values: &[Value]) -> Answer {
    let name = text(&values[0])?;
    let Value::Vector(points) = &values[1] else {
        return Err(wrong_type("template.queryResult", &values[1]));
    };
    let mut sorted = points.to_vec();
    sorted.sort_by(|first, second| {
        let key = |point: &Point| point.labels.get(name).cloned().unwrap_or_default();
        key(first).cmp(&key(second))
    });
    Ok(Value::Vector(sorted.into()))
}

fn arguments(values: &[Value]) -> Value {
    let named = values.iter().enumerate().map(|(index, it)| (format!("arg{index}"), it.clone()));
    Value::Mapping(Arc::new(named.collect::<BTreeMap<_, _>>()))
}

fn pattern(value: &Value) -> Result<Regex, String> {
    let given = text(value)?;
    Regex::new(given).map_err(|error| {
        let reason = error.to_string();
        format!("error parsing regexp: {}", reason.lines().last().unwrap_or_default())
    })
}

fn replace_all(values: &[Value]) -> Answer {
    let (pattern, replacement, given) =
        (pattern(&values[0])?, text(&values[1])?, text(&values[2])?);
    let mut out = String::new();
    let mut end = 0;
    for captures in pattern.captures_iter(given) {
        let Some(whole) = captures.get(0) else { continue };
        out.push_str(&given[end..whole.start()]);
        captures.expand(replacement, &mut out);
        end = whole.end();
        if out.len() > MAX_OUTPUT_BYTES {
            return Err(format!(
                "the text is too long: at most {MAX_OUTPUT_BYTES} bytes are accepted"
            ));
        }
    }
    out.push_str(&given[end..]);
    Ok(Value::text(out))
}

/// The first letter of each word in upper case; a word begins after what is neither letter, digit nor underscore.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for character in text.chars() {
        if begins {
            out.extend(character.to_uppercase());
        } else {
            out.push(character);
        }
        begins = if character.is_ascii() {
            !(character.is_ascii_alphanumeric() || character == '_')
        } else {
            character.is_whitespace()
        };
    }
    out
}

fn link(expression: &str, tab: u8) -> Answer {
    let mut escaped = String::new();
    expression.chars().for_each(|character| url_query(character, &mut escaped));
    Ok(Value::text(format!("/graph?g0.expr={escaped}&g0.tab={tab}")))
}

/// Host and port, as Go's `net.SplitHostPort` tells them apart; `None` if it would not.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.contains(['[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

fn strip_port(text: &str) -> &str {
    split_host_port(text).map_or(text, |(host, _)| host)
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let name = host.split('.').next().unwrap_or_default();
    match port {
        "" => name.to_owned(),
        port if name.contains(':') => format!("[{name}]:{port}"),
        port => format!("{name}:{port}"),
    }
}

fn parse_duration(text: &str) -> Answer {
    match duration_millis(text) {
        Ok(millis) => Ok(Value::Float(millis as f64 / 1e3)),
        Err(message) => Err(format!("{text:?} is {message}")),
    }
}

/// The path of a URL: what stands between the host and any query.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |start| &rest[start..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

fn timestamp(value: &Value) -> Answer {
    let seconds = number(value)?;
    if !seconds.is_finite() {
        return Ok(Value::text(humanize::decimal(seconds)));
    }
    Ok(Value::text(super::time::text(time_of(seconds)?)))
}

/// Milliseconds since the epoch of a number of seconds whose nanoseconds fit into 64 bits, as in Prometheus.
fn time_of(seconds: f64) -> Result<i64, String> {
    if !seconds.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let nanos = seconds * 1e9;
    if nanos > i64::MAX as f64 || nanos < i64::MIN as f64 {
        return Err(format!(
            "{seconds} cannot be represented as a nanoseconds timestamp since it overflows int64"
        ));
    }
    Ok(nanos as i64 / 1_000_000)
}
