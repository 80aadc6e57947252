//! `query` and `query_range`: PromQL at one time, or at several.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use obs_model::Timestamp;
use obs_query::promql::{Engine, EngineOptions, Steps};

use super::answer::{self, Refusal};
use super::form::Form;
use super::pool::Turn;
use super::result::{self, Channel, Timings};
use super::{Peer, store};
use crate::router::App;

/// When a query is evaluated.
#[derive(Clone, Copy)]
enum When {
    At(Timestamp),
    During(Steps),
}

/// `query`: `query`, `time`, `timeout`, `limit`, `lookback_delta`, `stats`.
pub(super) async fn instant(
    State(app): State<Arc<App>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Refusal> {
    let at = form.time("time")?.unwrap_or_else(|| app.state.clock().now());
    evaluate(&app, When::At(at), &form, Channel::of(&headers, peer)).await
}

/// `query_range`: as `query`, with `start`, `end` and `step` instead of `time`.
pub(super) async fn range(
    State(app): State<Arc<App>>,
    Peer(peer): Peer,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Refusal> {
    let time = |name: &str| -> Result<Timestamp, Refusal> {
        form.time(name)?
            .ok_or_else(|| Refusal::parameter(name, "cannot parse \"\" to a valid timestamp"))
    };
    let (start, end) = (time("start")?, time("end")?);
    if end < start {
        return Err(Refusal::parameter("end", "end timestamp must not be before start time"));
    }
    let Some(step) = form.duration("step")? else {
        return Err(Refusal::parameter("step", "cannot parse \"\" to a valid duration"));
    };
    let Some(step) = u64::try_from(step).ok().filter(|step| *step > 0) else {
        let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Refusal::parameter("step", reason));
    };
    let most = app.prometheus.engine.max_steps as u64;
    if end.as_millis().abs_diff(start.as_millis()) / step > most {
        return Err(Refusal::bad_data(format!(
            "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
            grouped(most)
        )));
    }
    let steps = Steps { start, end, step: Duration::from_millis(step) };
    evaluate(&app, When::During(steps), &form, Channel::of(&headers, peer)).await
}

/// `query_exemplars`: the exemplars, between `start` and `end`, of every series that a selector of `query` finds.
pub(super) async fn exemplars(
    State(app): State<Arc<App>>,
    form: Form,
) -> Result<Response, Refusal> {
    let range = form.range()?;
    if range.end < range.start {
        return Err(Refusal::bad_data("end timestamp must not be before start timestamp"));
    }
    let query = form.text("query").unwrap_or_default().to_owned();
    let engine = Engine::new(app.prometheus.engine.clone());
    let store = store(&app)?;
    let work = move |_: Turn| {
        let expr = engine.parse(&query).map_err(|error| Refusal::parameter("query", error))?;
        let found = store.exemplars(&expr.selectors()?, range);
        Ok(answer::json_response(answer::success(&[], |out| result::exemplars(out, &found))))
    };
    app.queries.run(app.prometheus.engine.timeout, work).await
}

async fn evaluate(
    app: &Arc<App>,
    when: When,
    form: &Form,
    channel: Channel,
) -> Result<Response, Refusal> {
    let store = store(app)?;
    let limit = form.limit()?;
    let options = options(app, form)?;
    let timeout = options.timeout;
    let query = form.text("query").unwrap_or_default().to_owned();
    let wants_stats = form.text("stats").is_some();
    let work = move |turn: Turn| {
        let Turn { wanted, waited, left, place } = turn;
        let began = Instant::now();
        let engine = Engine::new(EngineOptions { timeout: left, ..options });
        let expr = engine.parse(&query).map_err(|error| Refusal::parameter("query", error))?;
        let prepared = began.elapsed();
        let is_canceled = || wanted.is_canceled();
        let result = match when {
            When::At(at) => engine.instant(&*store, &expr, at, &is_canceled),
            When::During(steps) => engine.range(&*store, &expr, steps, &is_canceled),
        }?;
        // A tree of many nodes is let go of before the answer is written.
        drop(expr);
        let timings = wants_stats.then(|| Timings {
            queued: waited.as_secs_f64(),
            prepared: prepared.as_secs_f64(),
            evaluated: (began.elapsed() - prepared).as_secs_f64(),
        });
        Ok(result::respond(result, &query, limit, timings.as_ref(), channel, place))
    };
    app.queries.run(timeout, work).await
}

/// The engine's options with what the request asks for; no request gets more time than the service gives.
fn options(app: &App, form: &Form) -> Result<EngineOptions, Refusal> {
    let mut options = app.prometheus.engine.clone();
    if let Some(millis) = form.duration("timeout")? {
        let millis = u64::try_from(millis).unwrap_or(0);
        options.timeout = options.timeout.min(Duration::from_millis(millis));
    }
    if let Some(millis) = form.duration("lookback_delta")? {
        let Some(millis) = u64::try_from(millis).ok().filter(|millis| *millis > 0) else {
            return Err(Refusal::parameter("lookback_delta", "expected a positive duration"));
        };
        options.look_back = Duration::from_millis(millis);
    }
    Ok(options)
}

/// A whole number with commas between its groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn long_numbers_are_written_in_groups() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (11_000, "11,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(super::grouped(number), expected);
        }
    }
}
