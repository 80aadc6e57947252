//! `obskit query EXPR`: asks a running service with PromQL.

mod answer;
mod chart;
mod table;

use std::time::Duration;

use clap::Args;
use obs_model::{Clock as _, SystemClock, Timestamp};
use obs_query::promql::parse_duration;

use self::answer::Answer;
use crate::{Failure, http};

/// How long an answer may take: longer than a query may.
const PATIENCE: Duration = Duration::from_secs(150);
/// How many steps a range has when nobody says how long a step is: as many as a chart has columns.
const STEPS: u32 = 120;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The expression.
    expr: String,
    /// The service's admin listener.
    #[arg(long, default_value = "http://127.0.0.1:9464")]
    server: String,
    /// The admin token, if the service asks for one.
    #[arg(long, env = "OBSKIT_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// When to evaluate: seconds since 1970 or RFC 3339; now, if not given.
    #[arg(long, value_parser = time, conflicts_with_all = ["start", "end", "step", "last"])]
    time: Option<Timestamp>,
    /// Evaluate over a range that begins here.
    #[arg(long, value_parser = time, conflicts_with = "last")]
    start: Option<Timestamp>,
    /// Where the range ends; now, if not given.
    #[arg(long, value_parser = time)]
    end: Option<Timestamp>,
    /// Evaluate over a range of this length, such as 1h.
    #[arg(long, value_parser = duration)]
    last: Option<Duration>,
    /// The distance of two steps of a range, such as 15s; a 120th of the range, if not given.
    #[arg(long, value_parser = duration)]
    step: Option<Duration>,
    /// Print the service's answer as it is.
    #[arg(long)]
    json: bool,
}

/// Reads seconds since 1970, or RFC 3339.
fn time(text: &str) -> Result<Timestamp, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => {
            // OK because a conversion to an integer saturates.
            Ok(Timestamp::from_millis((seconds * 1e3).round() as i64))
        }
        _ => text.parse().map_err(|error: obs_model::InvalidTimestamp| {
            format!("{error}, or seconds since 1970")
        }),
    }
}

/// Reads a duration such as `1h30m`, or whole seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => parse_duration(text).map_err(|error| error.to_string()),
    }
}

/// Asks, and prints the answer: a wrong expression is a finding, a service that does not answer is not.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::unable(format!("no runtime: {error}")))?;
    let (path, parameters) = request(arguments)?;
    let body = runtime.block_on(ask(arguments, path, &parameters)).map_err(Failure::unable)?;
    let answer = answer::read(&body).map_err(|problem| {
        Failure::unable(format!(
            "{} did not answer as Prometheus does: {problem}",
            arguments.server
        ))
    })?;
    if arguments.json {
        println!("{}", String::from_utf8_lossy(&body).trim_end());
    }
    match answer {
        Answer::Refused { kind, text } => {
            Err(Failure::found(answer::explained(&arguments.expr, &kind, &text)))
        }
        Answer::Value { .. } if arguments.json => Ok(()),
        Answer::Value { value, notes } => {
            for note in notes {
                eprintln!("{note}");
            }
            print!("{}", answer::shown(&value));
            Ok(())
        }
    }
}

type Parameters = Vec<(&'static str, String)>;

/// Which path to ask, and with what.
fn request(arguments: &Arguments) -> Result<(&'static str, Parameters), Failure> {
    let seconds = |at: Timestamp| format!("{:.3}", at.as_secs_f64());
    let mut parameters = vec![("query", arguments.expr.clone())];
    let end = arguments.end.unwrap_or_else(|| SystemClock::new().now());
    let start = match (arguments.start, arguments.last) {
        (Some(start), _) => start,
        (None, Some(last)) => end.minus(last),
        (None, None) if arguments.end.is_some() || arguments.step.is_some() => {
            return Err(Failure::unable("a range needs --start or --last".to_owned()));
        }
        (None, None) => {
            if let Some(at) = arguments.time {
                parameters.push(("time", seconds(at)));
            }
            return Ok(("query", parameters));
        }
    };
    if end < start {
        return Err(Failure::unable(format!(
            "the range ends at {end}, before its start at {start}"
        )));
    }
    let step = arguments.step.unwrap_or_else(|| {
        // Whole seconds where the range is long enough, so that the times of the steps are easy to read.
        let step = end.since(start) / STEPS;
        Duration::from_secs(step.as_secs()).max(Duration::from_secs(1))
    });
    parameters.push(("start", seconds(start)));
    parameters.push(("end", seconds(end)));
    parameters.push(("step", format!("{:.3}", step.as_secs_f64())));
    Ok(("query_range", parameters))
}

async fn ask(
    arguments: &Arguments,
    path: &str,
    parameters: &Parameters,
) -> Result<Vec<u8>, String> {
    let server = arguments.server.trim_end_matches('/');
    let server =
        if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    let url = format!("{server}/api/v1/{path}");
    let failed = |error| format!("no answer: {}", http::with_causes(&error));
    let mut request = http::client()?
        .post(&url)
        .timeout(PATIENCE)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(parameters));
    if let Some(token) = &arguments.token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let is_json = answer
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let body = answer.bytes().await.map_err(failed)?.to_vec();
    // Prometheus' own errors are JSON too; what else refuses, such as a missing token, is shown as it is.
    if is_json && (status.is_success() || answer::is_refusal(&body)) {
        return Ok(body);
    }
    Err(format!("{url} answered {status}: {}", String::from_utf8_lossy(&body).trim_end()))
}

/// Parameters as the body of a form.
fn form(parameters: &Parameters) -> String {
    let mut text = String::new();
    for (name, value) in parameters {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(&http::escaped(value));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_read_in_both_forms() {
        assert_eq!(time("1.5").unwrap().as_millis(), 1_500);
        assert_eq!(time("1970-01-01T00:00:01Z").unwrap().as_millis(), 1_000);
        assert!(time("soon").unwrap_err().contains("seconds since 1970"));
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("-1").is_err());
    }

    #[test]
    fn a_form_keeps_what_would_end_a_value() {
        let parameters = vec![("query", "a{b=\"c&d\"} + é".to_owned()), ("time", "1.5".to_owned())];
        assert_eq!(form(&parameters), "query=a%7Bb%3D%22c%26d%22%7D%20%2B%20%C3%A9&time=1.5");
    }
}
