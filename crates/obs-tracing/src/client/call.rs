//! One call from its start to its response's head, counted exactly once.

use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

use http::{HeaderMap, Method};
use metrics::SharedString;
use obs_model::{Context, Redactor};
use tracing::Span;
use tracing::field::Empty;

use super::target::Target;
use crate::duration::milliseconds;
use crate::http::propagate;
use crate::names::NameCap;
use crate::outgoing::calling_context;

/// How many hosts have a label of their own.
const HOSTS: usize = 100;

/// The `host` of a request that does not say where it goes.
const UNKNOWN_HOST: &str = "unknown";

/// What the calls of one layer have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) redactor: Redactor,
    /// The name of the service that all calls go to, if they go to one.
    pub(super) peer: Option<SharedString>,
    pub(super) hosts: NameCap,
}

impl Default for Shared {
    fn default() -> Self {
        Self { redactor: Redactor::new(), peer: None, hosts: NameCap::new(HOSTS) }
    }
}

/// A call that is being made. Dropped before it ended, it counts as cancelled.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) span: Span,
    pub(super) context: Context,
    method: &'static str,
    host: SharedString,
    started: Instant,
    ended: bool,
}

impl Shared {
    /// The label of the service that a call goes to.
    pub(super) fn host(&self, target: &Target<'_>) -> SharedString {
        self.peer.clone().unwrap_or_else(|| self.hosts.label(target.host.unwrap_or(UNKNOWN_HOST)))
    }

    /// Opens the span of a call and writes the ids into its headers.
    pub(super) fn open(
        &self,
        method: &Method,
        target: Target<'_>,
        headers: &mut HeaderMap,
    ) -> Call {
        let started = Instant::now();
        let known = known_method(method);
        let context = calling_context();
        let _entered = context.clone().enter();
        let span = tracing::info_span!(
            target: "obskit::client",
            "http.client",
            otel.name = known,
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = known,
            server.address = target.host,
            server.port = target.effective_port(),
            url.full = Empty,
            http.response.status_code = Empty,
            error.type = Empty,
        );
        if !span.is_disabled() {
            span.record("url.full", target.shown(&self.redactor));
        }
        span.in_scope(|| propagate(headers));
        let host = self.host(&target);
        Call { span, context, method: known, host, started, ended: false }
    }
}

impl Call {
    /// Ends the call with the status of its response.
    pub(super) fn finish(&mut self, status: u16) {
        self.span.record("http.response.status_code", status);
        if status >= 400 {
            self.span.record("error.type", status_text(status).as_ref());
            self.span.record("otel.status_code", "ERROR");
        }
        let Some(duration_ms) = self.end(status_text(status)) else { return };
        self.within(|| {
            tracing::debug!(target: "obskit::client", status, duration_ms, "call finished");
        });
    }

    /// Ends the call without a response.
    pub(super) fn fail<E: fmt::Display>(&mut self, error: &E) {
        self.fail_as(&obs_model::type_name_of::<E>(), error);
    }

    /// As [`Call::fail`], by the name of the error's type and what is to be said of it.
    pub(super) fn fail_as(&mut self, name: &str, message: &dyn fmt::Display) {
        self.span.record("error.type", name);
        self.span.record("otel.status_code", "ERROR");
        let Some(duration_ms) = self.end(Cow::Borrowed("error")) else { return };
        self.within(|| {
            tracing::warn!(
                target: "obskit::client",
                duration_ms,
                error.name = name,
                error.message = %message,
                "call failed"
            );
        });
    }

    fn within(&self, log: impl FnOnce()) {
        let _entered = self.context.clone().enter();
        self.span.in_scope(log);
    }

    /// Counts the call unless that was done already, and says how many milliseconds it took.
    fn end(&mut self, status: Cow<'static, str>) -> Option<f64> {
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        let took = self.started.elapsed();
        metrics::counter!(
            "http_client_requests_total",
            "method" => self.method, "host" => self.host.clone(), "status" => status
        )
        .increment(1);
        metrics::histogram!(
            "http_client_request_duration_seconds",
            "method" => self.method, "host" => self.host.clone()
        )
        .record(took);
        Some(milliseconds(took))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.span.record("error.type", "cancelled");
            self.end(Cow::Borrowed("cancelled"));
        }
    }
}

/// The label of a status.
fn status_text(status: u16) -> Cow<'static, str> {
    Cow::Borrowed(match status {
        200 => "200",
        201 => "201",
        204 => "204",
        404 => "404",
        500 => "500",
        503 => "503",
        _ => return Cow::Owned(status.to_string()),
    })
}

/// The method itself where a standard knows it, as OpenTelemetry's semantic conventions ask.
fn known_method(method: &Method) -> &'static str {
    match crate::http::method_label(method) {
        "OTHER" => "_OTHER",
        known => known,
    }
}
