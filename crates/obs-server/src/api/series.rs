//! `GET /api/obskit/v1/series`: samples out of the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use obs_model::Sample;
use obs_query::{Selector, Series, TimeRange};
use serde::Serialize;
use serde_json::Value;

use super::seconds;
use crate::params::Params;
use crate::reply::ApiError;
use crate::router::App;

/// The most samples that one answer carries; further series are left out and counted.
const MAX_SAMPLES: usize = 200_000;

/// The answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Found {
    selector: String,
    start: String,
    end: String,
    series: Vec<One>,
    /// How many series matched but are left out, because the answer would have become too large.
    left_out: usize,
}

#[derive(Serialize)]
struct One {
    metric: BTreeMap<String, String>,
    /// `[seconds, "value"]`, as in the Prometheus HTTP API: JSON numbers cannot say NaN or +Inf.
    values: Vec<(f64, String)>,
}

/// `?match=SELECTOR&minutes=N`
pub(crate) async fn select(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Json<Found>, ApiError> {
    let store =
        app.state.store().cloned().ok_or_else(|| ApiError::not_enabled("the series store"))?;
    let Some(text) = params.text("match") else {
        return Err(ApiError::bad_request(
            "match is missing: a selector such as api_requests_total{method=\"GET\"} is accepted",
        ));
    };
    let selector: Selector = text
        .parse()
        .map_err(|error| ApiError::bad_request(format!("match is not a selector: {error}")))?;
    let minutes = params.number("minutes", 15, 1..=10_080)?;
    let range =
        TimeRange::last(app.state.clock().now(), Duration::from_secs(u64::from(minutes) * 60));
    // A selection copies and writes out up to megabytes, which would hold up the service's own tasks.
    tokio::task::spawn_blocking(move || {
        Json(found(&selector, range, store.select(&selector, range)))
    })
    .await
    .map_err(|_| {
        ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the selection failed inside the server; the service's log says why",
        )
    })
}

fn found(selector: &Selector, range: TimeRange, series: Vec<Series>) -> Found {
    let total = series.len();
    let mut samples = 0;
    let series: Vec<One> = series
        .into_iter()
        .take_while(|series| {
            samples += series.samples.len();
            samples <= MAX_SAMPLES
        })
        .map(|series| One {
            metric: series.labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
            values: series.samples.iter().map(value).collect(),
        })
        .collect();
    Found {
        selector: selector.to_string(),
        start: range.start.to_string(),
        end: range.end.to_string(),
        left_out: total - series.len(),
        series,
    }
}

fn value(sample: &Sample) -> (f64, String) {
    let text = match sample.value {
        value if value.is_nan() => String::from("NaN"),
        f64::INFINITY => String::from("+Inf"),
        f64::NEG_INFINITY => String::from("-Inf"),
        value => Value::from(value).to_string().trim_end_matches(".0").to_owned(),
    };
    (seconds(sample.timestamp), text)
}

#[cfg(test)]
mod tests {
    use obs_model::{Labels, Timestamp};

    use super::*;

    #[test]
    fn values_are_written_as_prometheus_writes_them() {
        for (given, expected) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let sample = Sample { timestamp: Timestamp::from_millis(1_500), value: given };
            assert_eq!(value(&sample), (1.5, expected.to_owned()));
        }
    }

    #[test]
    fn an_answer_that_would_be_too_large_says_how_much_it_leaves_out() {
        let samples: Vec<Sample> = (0..150_000)
            .map(|at| Sample { timestamp: Timestamp::from_millis(at), value: 1.0 })
            .collect();
        let series = ["a", "b", "c"].map(|name| Series {
            labels: Labels::new([("__name__", name)]).unwrap(),
            samples: samples.clone(),
        });
        let found = found(&Selector::metric("a"), TimeRange::all(), series.to_vec());
        assert_eq!((found.series.len(), found.left_out), (1, 2));
    }
}
