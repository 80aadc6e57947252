//! The API metrics, through handles that each thread keeps, so that a request costs no look-up by label.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Method;
use metrics::{Counter, Histogram};

use super::route::Route;
use crate::counters::recorder_address;
use crate::duration::milliseconds;
use crate::pipeline::RequestKind;

/// The series whose handles a thread keeps at hand; one more takes the place of another.
const KEPT: usize = 256;

/// The API metrics of one layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ApiMetrics {
    owner: u32,
    with_http: bool,
}

struct Handles {
    owner: u32,
    recorder: usize,
    /// Kept with the handles, so that its place in memory is not used for another route meanwhile: routes are told
    /// apart by where they are.
    route: Route,
    method: &'static str,
    status: u16,
    requests: Counter,
    errors: Counter,
    duration_ms: Histogram,
    /// What its lines and spans have in common.
    kind: Option<RequestKind>,
    /// `http_requests_total` and `http_request_duration_seconds`, where they are asked for.
    http: Option<(Counter, Histogram)>,
}

thread_local! {
    static HANDLES: RefCell<Vec<Option<Handles>>> = const { RefCell::new(Vec::new()) };
}

/// Where a route's template is.
fn address(route: &Route) -> (usize, usize) {
    (route.as_str().as_ptr().addr(), route.as_str().len())
}

impl ApiMetrics {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self { owner: NEXT.fetch_add(1, Ordering::Relaxed), with_http: false }
    }

    /// Metrics that also count under the names of `obs_metrics::catalog::HttpMetrics`.
    pub(super) fn with_http() -> Self {
        Self { with_http: true, ..Self::new() }
    }

    /// Counts one finished request, and lets `log` write its line.
    pub(super) fn record(
        &self,
        route: &Route,
        method: &'static str,
        status: u16,
        took: Duration,
        log: impl FnOnce(&mut Option<RequestKind>),
    ) {
        let recorder = recorder_address();
        let mut log = Some(log);
        let mut count = |handles: &mut Handles| {
            handles.requests.increment(1);
            if status >= 500 {
                handles.errors.increment(1);
            }
            handles.duration_ms.record(milliseconds(took));
            if let Some((requests, duration_seconds)) = &handles.http {
                requests.increment(1);
                duration_seconds.record(took.as_secs_f64());
            }
            if let Some(log) = log.take() {
                log(&mut handles.kind);
            }
        };
        let make = || {
            let mut handles = Handles::new(self.owner, recorder, route, method, status);
            handles.http = self.with_http.then(|| http(route, method, status));
            handles
        };
        let place = address(route);
        let slot =
            (place.0 >> 4) ^ (place.0 >> 12) ^ method.as_ptr().addr() ^ (usize::from(status) * 7);
        // OK because a recorder that itself serves a request here only misses the kept handles.
        let kept = HANDLES.try_with(|handles| {
            let mut handles = handles.try_borrow_mut().ok()?;
            if handles.is_empty() {
                handles.resize_with(KEPT, || None);
            }
            let kept = &mut handles[slot % KEPT];
            let is_kept = kept.as_ref().is_some_and(|kept| {
                (kept.owner, kept.recorder) == (self.owner, recorder)
                    && (kept.method, kept.status) == (method, status)
                    && address(&kept.route) == place
            });
            if !is_kept {
                *kept = Some(make());
            }
            count(kept.as_mut()?);
            Some(())
        });
        if !matches!(kept, Ok(Some(()))) {
            count(&mut make());
        }
    }
}

impl Handles {
    fn new(owner: u32, recorder: usize, route: &Route, method: &'static str, status: u16) -> Self {
        let endpoint = || route.as_str().to_owned();
        Self {
            owner,
            recorder,
            route: route.clone(),
            method,
            status,
            requests: metrics::counter!(
                "api_requests_total",
                "endpoint" => endpoint(), "method" => method, "status" => status.to_string()
            ),
            errors: metrics::counter!(
                "api_errors_total",
                "endpoint" => endpoint(), "method" => method
            ),
            duration_ms: metrics::histogram!(
                "api_request_duration_ms",
                "endpoint" => endpoint(), "method" => method
            ),
            kind: None,
            http: None,
        }
    }
}

/// The handles of one series of the HTTP families, whose word for other methods is OpenTelemetry's.
fn http(route: &Route, method: &'static str, status: u16) -> (Counter, Histogram) {
    let route = || route.as_str().to_owned();
    let method = if method == OTHER_METHOD { "_OTHER" } else { method };
    (
        metrics::counter!(
            "http_requests_total",
            "method" => method, "route" => route(), "status" => status.to_string()
        ),
        metrics::histogram!(
            "http_request_duration_seconds",
            "method" => method, "route" => route()
        ),
    )
}

/// The label of methods that HTTP does not define.
const OTHER_METHOD: &str = "OTHER";

/// The label of a method; methods that HTTP does not define are all `OTHER`, so that callers cannot make series.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => OTHER_METHOD,
    }
}
