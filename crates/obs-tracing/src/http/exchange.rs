//! One request from its head to its response's, counted exactly once.

use std::thread;

use axum::extract::MatchedPath;
use http::{HeaderMap, HeaderValue, Method, Request};
use obs_model::Context;

use super::access::Finished;
use super::api_metrics::{ApiMetrics, method_label};
use super::incoming::Said;
use super::route::Route;
use super::span::{RequestSpan, Watched, Within};
use crate::pipeline::HeldPipeline;

/// The status of a request that no response was made for.
pub(super) const FAILED: u16 = 500;

/// The status of a request whose client went away, as nginx writes it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// A request that is being served. Dropped before it was closed, it counts as given up by the client, or as failed where a
/// panic drops it.
pub(super) struct Exchange {
    span: RequestSpan,
    context: Context,
    /// The correlation id, for the response.
    header: HeaderValue,
    route: Route,
    method: &'static str,
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
        Self::begin(request.extensions().get(), request.method(), request.headers(), shared)
    }

    fn begin(
        path: Option<&MatchedPath>,
        method: &Method,
        headers: &HeaderMap,
        shared: Shared,
    ) -> Self {
        let (route, method) = (Route::of(path), method_label(method));
        let pipeline = HeldPipeline::current();
        let (said, header) = Said::read(headers, pipeline.as_deref());
        let (span, context) = RequestSpan::open(pipeline, said, method, &route);
        Self { span, context, header, route, method, shared, closed: false }
    }

    /// Enters the request's span and context for what is done of it now.
    #[inline(always)]
    pub(super) fn enter(&mut self) -> Within<'_> {
        self.span.enter(&mut self.context, Watched::Yes)
    }

    /// As [`Exchange::enter`], while the future is made that does the work: that is no poll, and is not watched as one.
    #[inline(always)]
    pub(super) fn enter_to_begin(&mut self) -> Within<'_> {
        self.span.enter(&mut self.context, Watched::No)
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
        let Self { span, context, route, method, shared, .. } = self;
        let (took, method) = (span.end(), *method);
        let mut is_closed = false;
        shared.metrics.record(route, method, status, took, |kept| {
            if shared.access_log == AccessLog::On {
                let path = route.kept();
                let finished = Finished { span, context, status, method, path, took };
                is_closed = finished.log(kept);
            }
        });
        if is_closed {
            return;
        }
        // Only now, because a span that has what it was opened with has a line that is known beforehand.
        span.record("status", &status);
        if status >= FAILED {
            span.record("otel.status_code", &"ERROR");
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.closed {
            self.close(if thread::panicking() { FAILED } else { CLIENT_CLOSED_REQUEST });
        }
        std::mem::take(&mut self.context).end_work();
    }
}
