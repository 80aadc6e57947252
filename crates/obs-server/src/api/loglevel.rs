//! `/api/obskit/v1/loglevel`: which lines are written, shown and changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use obs_model::Level;
use obs_query::promql::parse_duration;
use obs_tracing::{LogControl, TargetLevel};
use serde_json::{Map, Value, json};

use super::Answer;
use crate::params::Params;
use crate::reply::ApiError;
use crate::router::App;

/// The longest that a level stays; the shortest is a second.
const LONGEST: Duration = Duration::from_hours(24);

/// What a change may say.
const MEMBERS: [&str; 4] = ["target", "level", "for", "filter"];

/// What is to change.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Filter(String),
    Level { target: Option<String>, level: Level, time: Option<Duration> },
}

/// `GET`: the filter, the levels that were set for a while, and what both come to.
pub(crate) async fn levels(State(app): State<Arc<App>>) -> Answer {
    Ok(Json(shown(&control(&app)?)))
}

/// `PUT`: sets a level or exchanges the filter.
pub(crate) async fn set(State(app): State<Arc<App>>, body: Bytes) -> Answer {
    let control = &control(&app)?;
    let failed = |error: obs_tracing::Error| ApiError::bad_request(error.to_string());
    match read(&body).map_err(refused)? {
        Change::Filter(filter) => {
            control.set_filter(&filter).map_err(failed)?;
            tracing::info!(target: "obskit", filter, "the log filter was exchanged");
        }
        Change::Level { target, level, time } => {
            control.set_level(target.as_deref(), level, time).map_err(failed)?;
            let (of, level) = (target.as_deref(), level.as_str());
            let seconds = time.map(|time| time.as_secs());
            tracing::info!(target: "obskit", of, level, seconds, "a log level was set");
        }
    }
    Ok(Json(shown(control)))
}

/// `DELETE`: takes levels back.
pub(crate) async fn reset(State(app): State<Arc<App>>, params: Params) -> Answer {
    let control = &control(&app)?;
    match params.text("target") {
        None => {
            for level in control.levels() {
                control.reset_level(level.target.as_deref());
            }
        }
        Some(target) => {
            let target = Some(target).filter(|target| !target.is_empty());
            if !control.reset_level(target) {
                let of = target.map_or_else(
                    || "all targets".to_owned(),
                    |target| format!("{:?}", target.chars().take(128).collect::<String>()),
                );
                return Err(ApiError::not_found(format!("no level is set for {of}")));
            }
        }
    }
    tracing::info!(target: "obskit", filter = control.effective_filter(), "log levels were reset");
    Ok(Json(shown(control)))
}

fn control(app: &App) -> Result<LogControl, ApiError> {
    let control = app.state.tracing().map(obs_tracing::TracingHandle::control);
    control.ok_or_else(|| ApiError::not_enabled("the control of log levels"))
}

fn shown(control: &LogControl) -> Value {
    let now = Instant::now();
    let level = |one: &TargetLevel| {
        let left = one.until.map(|until| until.saturating_duration_since(now).as_secs_f64());
        json!({"target": one.target, "level": one.level.as_str(), "secondsLeft": left})
    };
    json!({
        "filter": control.filter(),
        "effective": control.effective_filter(),
        "levels": control.levels().iter().map(level).collect::<Vec<_>>(),
    })
}

fn refused(problems: Vec<String>) -> ApiError {
    ApiError::bad_request(problems.join("; "))
}

/// Reads a change, or finds everything that is wrong with it.
fn read(body: &[u8]) -> Result<Change, Vec<String>> {
    let form =
        r#"{"target":"my_crate::db","level":"debug","for":"10m"} or {"filter":"info,db=warn"}"#;
    let members: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| vec![format!("the body is not a JSON object such as {form}: {error}")])?;
    let mut problems: Vec<String> = members
        .keys()
        .filter(|name| !MEMBERS.contains(&name.as_str()))
        .map(|name| {
            let name: String = name.chars().take(64).collect();
            format!("{name:?} is not known: {} are accepted", MEMBERS.join(", "))
        })
        .collect();
    let mut text = |name: &str| match members.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(_) => {
            problems.push(format!("{name} is not a text"));
            None
        }
    };
    let [target, level, time, filter] = MEMBERS.map(&mut text);
    let level = level.map(|level| level.parse::<Level>());
    let time = time.map(|time| duration(&time));
    if let Some(Err(error)) = &level {
        problems.push(format!("level: {error}"));
    }
    if let Some(Err(problem)) = &time {
        problems.push(problem.clone());
    }
    match (&filter, &level) {
        (Some(_), _) if members.len() > 1 => {
            problems.push("filter stands alone: a level is set by itself".to_owned());
        }
        (None, None) if !members.contains_key("level") => {
            problems.push(format!("level is missing; expected {form}"));
        }
        _ => {}
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    match (filter, level) {
        (Some(filter), _) => Ok(Change::Filter(filter)),
        (None, Some(Ok(level))) => {
            Ok(Change::Level { target, level, time: time.and_then(Result::ok) })
        }
        _ => Err(vec![format!("level is missing; expected {form}")]),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let accepted = Duration::from_secs(1)..=LONGEST;
    parse_duration(text).ok().filter(|time| accepted.contains(time)).ok_or_else(|| {
        let shown: String = text.chars().take(32).collect();
        format!("for is {shown:?}: a duration from 1s to 24h is accepted")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_or_everything_wrong_with_it_is_named() {
        let level = |target: Option<&str>, level, seconds: Option<u64>| Change::Level {
            target: target.map(str::to_owned),
            level,
            time: seconds.map(Duration::from_secs),
        };
        for (body, expected) in [
            (r#"{"level":"warn"}"#, level(None, Level::Warn, None)),
            (
                r#"{"target":"db","level":"Debug","for":"10m"}"#,
                level(Some("db"), Level::Debug, Some(600)),
            ),
            (
                r#"{"target":null,"level":"TRACE","for":"24h"}"#,
                level(None, Level::Trace, Some(86_400)),
            ),
            (r#"{"filter":"info,db=warn"}"#, Change::Filter("info,db=warn".to_owned())),
        ] {
            assert_eq!(read(body.as_bytes()), Ok(expected), "{body}");
        }
        for (body, parts) in [
            ("debug", &["not a JSON object"][..]),
            ("[]", &["not a JSON object"]),
            ("{}", &["level is missing"]),
            (r#"{"target":"db","for":"1m"}"#, &["level is missing"]),
            (r#"{"level":"loud","for":"soon","colour":"red"}"#, &["colour", "loud", "soon"]),
            (r#"{"level":"info","for":"25h"}"#, &["1s to 24h"]),
            (r#"{"level":"info","for":"1ms"}"#, &["1s to 24h"]),
            (r#"{"level":3}"#, &["level is not a text"]),
            (r#"{"filter":"info","level":"debug"}"#, &["stands alone"]),
        ] {
            let problems = read(body.as_bytes()).unwrap_err();
            assert_eq!(problems.len(), parts.len(), "{body}: {problems:?}");
            for (problem, part) in problems.iter().zip(parts) {
                assert!(problem.contains(part), "{body}: {problem}");
            }
        }
    }
}
