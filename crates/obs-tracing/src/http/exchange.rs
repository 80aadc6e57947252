//! One request from its head to its response's, counted exactly once.

use std::time::Instant;

use axum::extract::MatchedPath;
use http::{HeaderValue, Request};
use obs_model::{Context, CorrelationId};
use tracing::Span;
use tracing::field::Empty;

use super::access::Finished;
use super::api_metrics::{ApiMetrics, method_label, template};
use super::incoming;

/// The status of a request whose client went away, as nginx writes it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request that is being served. Dropped before it was closed, it counts as given up by the client.
pub(super) struct Exchange {
    pub(super) span: Span,
    pub(super) context: Context,
    /// The correlation id, for the response.
    header: HeaderValue,
    route: Option<MatchedPath>,
    method: &'static str,
    started: Instant,
    shared: Shared,
    closed: bool,
}

/// What the requests of one layer have in common.
// Copied, because counting references to it would move a cache line from core to core with every request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    pub(super) metrics: ApiMetrics,
    pub(super) access_log: AccessLog,
}

/// Whether finished requests are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessLog {
    On,
    Off,
}

impl Exchange {
    pub(super) fn open<B>(request: &Request<B>, shared: Shared) -> Self {
        let started = Instant::now();
        let route = request.extensions().get::<MatchedPath>().cloned();
        let method = method_label(request.method());
        let (incoming, header) = incoming::read(request.headers());
        let span = incoming.open(template(route.as_ref()), |context| {
            tracing::info_span!(
                target: "obskit::http",
                parent: None,
                "http.request",
                correlation_id = context.correlation().map(CorrelationId::as_str),
                method,
                path = template(route.as_ref()),
                status = Empty,
                otel.kind = "server",
                otel.status_code = Empty,
            )
        });
        let context = incoming.context_within(&span);
        Self { span, context, header, route, method, started, shared, closed: false }
    }

    /// The correlation id, for the one response.
    pub(super) fn take_header(&mut self) -> HeaderValue {
        std::mem::replace(&mut self.header, HeaderValue::from_static(""))
    }

    /// Counts the request, unless that was done already.
    pub(super) fn close(&mut self, status: u16) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let took = self.started.elapsed();
        let context = std::mem::take(&mut self.context);
        let Self { route, span, method, shared, .. } = self;
        let (route, method) = (route.as_ref(), *method);
        let mut has_status = false;
        shared.metrics.record(route, method, status, took, |kept| {
            if shared.access_log == AccessLog::On {
                let (path, duration_ms) = (template(route), took.as_secs_f64() * 1_000.0);
                let finished = Finished { span, context, status, method, path, duration_ms };
                has_status = finished.log(kept);
            }
        });
        // Only now, because a span that has what it was opened with has a line that is known beforehand.
        if !has_status {
            span.record("status", status);
        }
        if status >= 500 {
            span.record("otel.status_code", "ERROR");
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.close(CLIENT_CLOSED_REQUEST);
    }
}
