//! HTTP requests that a service serves, by the names that agent platforms use.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Histogram};

use super::labelled::Labelled;
use crate::registry::Registry;
use crate::track::Outcome;

const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The methods of RFC 9110 and RFC 5789.
const METHODS: [&str; 9] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];

/// The `method` of every other method, as OpenTelemetry's semantic conventions have it.
const OTHER_METHOD: &str = "_OTHER";

/// The `status` of a request whose client went away before there was a response.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The `status` of a request whose handler panicked.
const INTERNAL_SERVER_ERROR: u16 = 500;

/// Metrics of HTTP requests:
///
/// | metric | |
/// |---|---|
/// | `http_requests_total{method,route,status}` | requests that ended; `status` is the code |
/// | `http_request_duration_seconds{method,route}` | how long they took, 5 ms to 10 s |
///
/// `route` is the route's template, such as `/agents/{id}`, and never the path that was asked for: clients choose
/// paths, and every new one would be a new series. For the same reason a method that no standard knows is shown
/// as `_OTHER`.
///
/// A service that has the API metrics of [`describe_api`](super::describe_api) counts its requests there already,
/// under other names.
///
/// ```
/// use obs_metrics::{Registry, catalog::HttpMetrics};
/// use std::time::Duration;
///
/// let registry = Registry::default();
/// HttpMetrics::new(&registry).record("GET", "/agents/{id}", 200, Duration::from_millis(7));
/// let labels = [("method", "GET"), ("route", "/agents/{id}"), ("status", "200")];
/// assert_eq!(registry.value("http_requests_total", &labels), Some(1.0));
/// ```
#[derive(Clone)]
pub struct HttpMetrics(Arc<Handles>);

struct Handles {
    requests: Labelled<Counter, 3>,
    duration: Labelled<Histogram, 2>,
}

impl HttpMetrics {
    /// The HTTP metrics of `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self(Arc::new(Handles {
            requests: Labelled::new(
                registry,
                "http_requests_total",
                ["method", "route", "status"],
                "HTTP requests that ended, by method, route template and status code.",
                None,
            ),
            duration: Labelled::new(
                registry,
                "http_request_duration_seconds",
                ["method", "route"],
                "Duration of HTTP requests, by method and route template.",
                Some(BUCKETS),
            ),
        }))
    }

    /// Records a whole request; `route` is its route's template and `status` the code of its response.
    pub fn record(&self, method: &str, route: &str, status: u16, duration: Duration) {
        self.record_known(known_method(method), route, status, duration);
    }

    fn record_known(&self, method: &'static str, route: &str, status: u16, duration: Duration) {
        self.0.requests.with([method, route, &status.to_string()]).increment(1);
        self.0.duration.with([method, route]).record(duration);
    }

    /// Begins a request. Dropping the guard counts it with status 499, as of a client that went away, or with 500
    /// if it is dropped by a panic.
    pub fn start(&self, method: &str, route: &str) -> HttpRun {
        HttpRun {
            metrics: Some(self.clone()),
            method: known_method(method),
            route: Arc::from(route),
            started: Instant::now(),
        }
    }
}

/// A request that is being served; see [`HttpMetrics::start`].
#[must_use = "dropping the run counts the request as one whose client went away"]
pub struct HttpRun {
    /// Present until the end is counted.
    metrics: Option<HttpMetrics>,
    method: &'static str,
    route: Arc<str>,
    started: Instant,
}

impl HttpRun {
    /// Ends the request with the status code of its response.
    pub fn finish(mut self, status: u16) {
        self.count(status);
    }

    fn count(&mut self, status: u16) {
        let Some(metrics) = self.metrics.take() else { return };
        metrics.record_known(self.method, &self.route, status, self.started.elapsed());
    }
}

impl Drop for HttpRun {
    fn drop(&mut self) {
        self.count(match Outcome::of_dropped() {
            Outcome::Panicked => INTERNAL_SERVER_ERROR,
            _ => CLIENT_CLOSED_REQUEST,
        });
    }
}

/// The method itself where a standard knows it. Methods are case-sensitive.
fn known_method(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or(OTHER_METHOD)
}

impl fmt::Debug for HttpMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpMetrics").finish_non_exhaustive()
    }
}

impl fmt::Debug for HttpRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRun").field("route", &self.route).finish_non_exhaustive()
    }
}
