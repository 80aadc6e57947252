//! The API metrics, through handles that each thread keeps, so that a request costs no look-up by label.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Method;
use metrics::{Counter, Histogram};

use crate::counters::recorder_address;

/// The most endpoints whose handles a thread keeps; a service has as many as routes.
const MAX_KEPT: usize = 4_096;

/// The API metrics of one layer.
#[derive(Debug)]
pub(super) struct ApiMetrics {
    owner: u32,
}

struct Handles {
    owner: u32,
    recorder: usize,
    method: &'static str,
    status: u16,
    requests: Counter,
    errors: Counter,
    duration_ms: Histogram,
}

thread_local! {
    static KEPT: RefCell<HashMap<Box<str>, Vec<Handles>>> = RefCell::default();
}

impl ApiMetrics {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self { owner: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Counts one finished request.
    pub(super) fn record(&self, endpoint: &str, method: &'static str, status: u16, took: Duration) {
        let recorder = recorder_address();
        let count = |handles: &Handles| {
            handles.requests.increment(1);
            if status >= 500 {
                handles.errors.increment(1);
            }
            handles.duration_ms.record(took.as_secs_f64() * 1_000.0);
        };
        let make = || Handles::new(self.owner, recorder, endpoint, method, status);
        // OK because a recorder that itself serves a request here only misses the kept handles.
        let kept = KEPT.try_with(|kept| {
            let mut kept = kept.try_borrow_mut().ok()?;
            if !kept.contains_key(endpoint) {
                if kept.len() >= MAX_KEPT {
                    return None;
                }
                kept.insert(endpoint.into(), Vec::new());
            }
            let series = kept.get_mut(endpoint)?;
            let wanted = |handles: &Handles| {
                (handles.owner, handles.recorder) == (self.owner, recorder)
                    && (handles.method, handles.status) == (method, status)
            };
            let at = series.iter().position(wanted).unwrap_or_else(|| {
                series
                    .retain(|handles| handles.owner != self.owner || handles.recorder == recorder);
                series.push(make());
                series.len() - 1
            });
            count(&series[at]);
            Some(())
        });
        if !matches!(kept, Ok(Some(()))) {
            count(&make());
        }
    }
}

impl Handles {
    fn new(owner: u32, recorder: usize, endpoint: &str, method: &'static str, status: u16) -> Self {
        let endpoint = || endpoint.to_owned();
        Self {
            owner,
            recorder,
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
        }
    }
}

/// The label of a method; methods that HTTP does not define are all `OTHER`, so that callers cannot make series.
pub(super) fn method_label(method: &Method) -> &'static str {
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
        _ => "OTHER",
    }
}
