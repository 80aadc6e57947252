//! `GET /debug/pprof/profile`: a CPU profile, in the form and at the path that Go's tools expect.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use obs_profiling::CpuProfileConfig;
use parking_lot::Mutex;

use crate::params::Params;
use crate::reply::ApiError;
use crate::router::App;

/// The durations that are accepted, in seconds.
const SECONDS: RangeInclusive<u32> = 1..=600;
/// How long to wait when somebody else in the process is profiling, whose end is not known.
const UNKNOWN_WAIT: Duration = Duration::from_secs(5);

const HEADERS: [(HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "application/octet-stream"),
    (header::CONTENT_DISPOSITION, r#"attachment; filename="profile""#),
];

/// When the profile that this listener is taking will end, on the monotonic clock.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<Option<Duration>>);

/// The turn of one request; the next one's begins when it is dropped, also when the client goes away.
struct Turn<'a>(&'a UnderWay);

impl UnderWay {
    /// A turn until `end`, or how long the present one still takes.
    fn begin(&self, now: Duration, end: Duration) -> Result<Turn<'_>, Duration> {
        let mut ends = self.0.lock();
        match *ends {
            Some(ends) => Err(ends.saturating_sub(now)),
            None => {
                *ends = Some(end);
                Ok(Turn(self))
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.0.lock() = None;
    }
}

/// `?seconds=N&hz=N`
pub(crate) async fn profile(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    let config = config(&params)?;
    let profiler = *app.state.profiler().ok_or_else(|| ApiError::not_enabled("profiling"))?;
    let now = app.state.clock().monotonic();
    let _turn = app.profiles.begin(now, now + config.duration).map_err(busy)?;
    let profile = profiler.profile(config).await.map_err(|error| {
        if error.is_busy() {
            busy(UNKNOWN_WAIT)
        } else if error.is_config() {
            ApiError::bad_request(error.to_string())
        } else {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no cpu profile could be taken"
            );
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "profile_failed", error.to_string())
        }
    })?;
    Ok((HEADERS, profile.to_pprof_gz()).into_response())
}

/// What GET would answer, without taking a profile to find out.
pub(crate) async fn profile_head(
    State(app): State<Arc<App>>,
    params: Params,
) -> Result<Response, ApiError> {
    config(&params)?;
    app.state.profiler().ok_or_else(|| ApiError::not_enabled("profiling"))?;
    Ok(HEADERS.into_response())
}

fn config(params: &Params) -> Result<CpuProfileConfig, ApiError> {
    let seconds = params.number("seconds", 30, SECONDS)?;
    let frequency = params.number("hz", 100, CpuProfileConfig::FREQUENCIES)?;
    let duration = Duration::from_secs(u64::from(seconds));
    Ok(CpuProfileConfig { duration, frequency, ..CpuProfileConfig::default() })
}

fn busy(wait: Duration) -> ApiError {
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        "busy",
        "a CPU profile is being taken already, and there can be one at a time",
    )
    .with_retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_profile_waits_for_the_first_ones_end() {
        let under_way = UnderWay::default();
        let seconds = Duration::from_secs;
        let turn = under_way.begin(seconds(10), seconds(40)).ok().unwrap();
        assert_eq!(under_way.begin(seconds(15), seconds(20)).err(), Some(seconds(25)));
        // Writing the profile out takes a moment longer.
        assert_eq!(under_way.begin(seconds(41), seconds(50)).err(), Some(Duration::ZERO));
        drop(turn);
        assert!(under_way.begin(seconds(42), seconds(50)).is_ok());
    }
}
