//! `obskit loglevel [TARGET=LEVEL]`: shows and changes which log lines a running service writes.

use std::time::Duration;

use clap::Args;
use obs_model::Level;
use serde_json::{Value, json};

use crate::query::duration;
use crate::{Failure, http};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Args)]
pub(crate) struct Arguments {
    /// What to write, such as `my_crate::db=debug`, or `debug` for all targets without a level of their own; what is set
    /// now, if not given.
    #[arg(value_parser = change)]
    change: Option<Change>,
    /// When the level goes back by itself, such as 10m: from 1s to 24h.
    #[arg(long = "for", value_parser = duration, requires = "change")]
    time: Option<Duration>,
    /// Take the level of this target back; of every one, if no target is given.
    #[arg(long, value_name = "TARGET", num_args = 0..=1, conflicts_with = "change")]
    reset: Option<Option<String>>,
    /// The service's admin listener.
    #[arg(long, default_value = "http://127.0.0.1:9464")]
    server: String,
    /// The admin token, if the service asks for one.
    #[arg(long, env = "OBSKIT_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// A level that is to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    target: Option<String>,
    level: Level,
}

fn change(text: &str) -> Result<Change, String> {
    let (target, level) = match text.rsplit_once('=') {
        Some((target, level)) => (Some(target.to_owned()), level),
        None => (None, text),
    };
    if target.as_deref() == Some("") {
        return Err("the target before = is empty: leave = out for all targets".to_owned());
    }
    let level = level.parse().map_err(|error: obs_model::UnknownLevel| error.to_string())?;
    Ok(Change { target, level })
}

/// Changes what is asked for and shows what is set: what the service refuses is a finding, that it does not answer is not.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unable(format!("no runtime: {error}")))?;
    let answer = runtime.block_on(ask(arguments))?;
    print!("{}", shown(&answer));
    Ok(())
}

async fn ask(arguments: &Arguments) -> Result<Value, Failure> {
    let server = arguments.server.trim_end_matches('/');
    let server =
        if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    let url = format!("{server}/api/obskit/v1/loglevel");
    let client = http::client().map_err(Failure::unable)?;
    let request = match (&arguments.change, &arguments.reset) {
        (Some(change), _) => {
            let time = arguments.time.map(|time| format!("{}ms", time.as_millis()));
            let body =
                json!({"target": change.target, "level": change.level.as_str(), "for": time});
            client.put(&url).header("content-type", "application/json").body(body.to_string())
        }
        (None, Some(Some(target))) => {
            client.delete(format!("{url}?target={}", http::escaped(target)))
        }
        (None, Some(None)) => client.delete(&url),
        (None, None) => client.get(&url),
    };
    let request = match &arguments.token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let failed = |error| Failure::unable(format!("no answer: {}", http::with_causes(&error)));
    let answer = request.timeout(PATIENCE).send().await.map_err(failed)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(failed)?;
    let json: Option<Value> = serde_json::from_slice(&body).ok();
    match json {
        Some(json) if status.is_success() => Ok(json),
        Some(json)
            if matches!(status.as_u16(), 400 | 404) && json["error"]["message"].is_string() =>
        {
            Err(Failure::found(json["error"]["message"].as_str().unwrap_or_default().to_owned()))
        }
        _ => Err(Failure::unable(format!(
            "{url} answered {status}: {}",
            String::from_utf8_lossy(&body).trim_end()
        ))),
    }
}

/// What is set, for people.
fn shown(answer: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut out = format!("filter  {}\n", text(&answer["filter"]));
    for one in answer["levels"].as_array().into_iter().flatten() {
        let target = one["target"].as_str().unwrap_or("all others");
        let until = match one["secondsLeft"].as_f64() {
            Some(left) => format!("goes back in {}", about(Duration::from_secs_f64(left.max(0.0)))),
            None => "until it is reset".to_owned(),
        };
        out += &format!("{target}={}  {until}\n", text(&one["level"]));
    }
    out
}

/// A time to the second.
fn about(time: Duration) -> String {
    let seconds = (time.as_secs_f64().round()) as u64;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let parts = [(hours, "h"), (minutes, "m"), (seconds, "s")];
    let parts: String = parts
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if parts.is_empty() { "0s".to_owned() } else { parts }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_level_or_a_target_with_one() {
        let is =
            |target: Option<&str>, level| Ok(Change { target: target.map(str::to_owned), level });
        assert_eq!(change("debug"), is(None, Level::Debug));
        assert_eq!(change("shop::db=TRACE"), is(Some("shop::db"), Level::Trace));
        for (text, part) in [("=info", "empty"), ("db", "unknown level"), ("db=", "unknown level")]
        {
            let problem = change(text).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn what_is_set_is_shown_with_the_time_that_it_has() {
        let answer = json!({"filter": "info", "effective": "info,db=DEBUG,WARN", "levels": [
            {"target": "db", "level": "DEBUG", "secondsLeft": 599.7},
            {"target": null, "level": "WARN", "secondsLeft": null},
        ]});
        assert_eq!(
            shown(&answer),
            "filter  info\ndb=DEBUG  goes back in 10m\nall others=WARN  until it is reset\n"
        );
        for (seconds, expected) in [(0, "0s"), (59, "59s"), (3_661, "1h1m1s"), (86_400, "24h")] {
            assert_eq!(about(Duration::from_secs(seconds)), expected);
        }
    }
}
