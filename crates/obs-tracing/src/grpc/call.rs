//! One call from its start to its status, counted exactly once.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Request, header};
use metrics::SharedString;
use obs_model::Context;
use tracing::Span;
use tracing::field::Empty;

use super::code::Code;
use crate::duration::milliseconds;
use crate::http::{incoming, propagate};
use crate::names::{NameCap, OTHER};
use crate::outgoing::calling_context;

/// How many methods have labels of their own.
const METHODS: usize = 200;

const TARGET: &str = "obskit::grpc";

/// Which end of a call this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What the calls of one layer have in common.
#[derive(Debug)]
pub(super) struct Shared {
    methods: NameCap,
    pub(super) logs_every_call: bool,
}

impl Shared {
    pub(super) fn new(logs_every_call: bool) -> Arc<Self> {
        Arc::new(Self { methods: NameCap::new(METHODS), logs_every_call })
    }
}

/// A call that runs. Dropped before it ended, it was cancelled.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) span: Span,
    pub(super) context: Context,
    side: Side,
    /// `{service}/{method}`.
    path: Box<str>,
    started: Instant,
    shared: Arc<Shared>,
    ended: bool,
}

/// Whether a request is a call of gRPC, and not of gRPC-Web, whose trailers are in its body.
pub(super) fn is_grpc<B>(request: &Request<B>) -> bool {
    request.headers().get(header::CONTENT_TYPE).is_some_and(|value| {
        let rest = value.as_bytes().strip_prefix(b"application/grpc");
        rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
    })
}

/// Opens the span of one side.
macro_rules! call_span {
    ($span:literal, $kind:literal, $service:expr, $method:expr, $server:expr $(, parent: $parent:expr)?) => {
        tracing::info_span!(
            target: TARGET,
            $(parent: $parent,)?
            $span,
            otel.name = format_args!("{}/{}", $service, $method),
            otel.kind = $kind,
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = $service,
            rpc.method = $method,
            rpc.grpc.status_code = Empty,
            server.address = $server,
            error.type = Empty,
        )
    };
}

/// Service and method of a path such as `/shop.Stock/Get`.
fn names(path: &str) -> (&str, &str) {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.rsplit_once('/').unwrap_or((path, ""))
}

impl Call {
    /// A call that is served, with the correlation id for its answer.
    pub(super) fn serve<B>(request: &Request<B>, shared: Arc<Shared>) -> (Self, HeaderValue) {
        let started = Instant::now();
        let path = request.uri().path();
        let (service, method) = names(path);
        let (incoming, header) = incoming::read(request.headers());
        let span = incoming.open(
            path,
            |_| call_span!("grpc.server", "server", service, method, None::<&str>, parent: None),
        );
        let path = format!("{service}/{method}").into();
        let context = incoming.context_within(&span);
        let side = Side::Server;
        (Self { span, context, side, path, started, shared, ended: false }, header)
    }

    /// A call to another service, whose ids are written into its headers.
    pub(super) fn send<B>(request: &mut Request<B>, shared: Arc<Shared>) -> Self {
        let started = Instant::now();
        let context = calling_context();
        let (service, method) = names(request.uri().path());
        let path = format!("{service}/{method}").into();
        let span = {
            let _entered = context.clone().enter();
            let span = call_span!("grpc.client", "client", service, method, request.uri().host());
            span.in_scope(|| propagate(request.headers_mut()));
            span
        };
        Self { span, context, side: Side::Client, path, started, shared, ended: false }
    }

    /// Does something as a part of the call.
    fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = self.context.clone().enter();
        self.span.in_scope(work)
    }

    /// As [`Call::within`]; a panic ends the call, and goes on.
    pub(super) fn guard<R>(&mut self, work: impl FnOnce() -> R) -> R {
        // OK because what panicked is not looked at again: the panic goes on.
        catch_unwind(AssertUnwindSafe(|| self.within(work))).unwrap_or_else(|panic| {
            self.end(Code::INTERNAL, None);
            resume_unwind(panic)
        })
    }

    /// Ends the call with what its headers or trailers say.
    pub(super) fn end(&mut self, code: Code, said: Option<&HeaderMap>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.started.elapsed();
        self.count(code, took);
        self.span.record("rpc.grpc.status_code", code.number());
        let is_error = match self.side {
            Side::Client => code != Code::OK,
            Side::Server => code.is_fault_of_server(),
        };
        if code != Code::OK {
            self.span.record("error.type", code.name());
        }
        if is_error {
            self.span.record("otel.status_code", "ERROR");
        }
        let (duration_ms, code) = (milliseconds(took), code.name());
        self.within(|| match self.side {
            _ if is_error => {
                let message = said.map(message_of);
                let message = message.as_deref().unwrap_or_default();
                tracing::warn!(
                    target: TARGET, code, duration_ms, error.name = code, error.message = message, "call failed"
                );
            }
            Side::Server if self.shared.logs_every_call => {
                tracing::info!(target: TARGET, code, duration_ms, "call finished");
            }
            _ => tracing::debug!(target: TARGET, code, duration_ms, "call finished"),
        });
    }

    fn count(&self, code: Code, took: std::time::Duration) {
        // What nobody implements anybody can make up.
        let path = if self.side == Side::Server && code == Code::UNIMPLEMENTED {
            self.shared.methods.known(&self.path)
        } else {
            self.shared.methods.label(&self.path)
        };
        let (service, method): (SharedString, SharedString) = match path.rsplit_once('/') {
            Some((service, method)) => (service.to_owned().into(), method.to_owned().into()),
            None => (OTHER.into(), OTHER.into()),
        };
        let (requests, duration) = match self.side {
            Side::Client => ("grpc_client_requests_total", "grpc_client_request_duration_seconds"),
            Side::Server => ("grpc_server_requests_total", "grpc_server_request_duration_seconds"),
        };
        metrics::counter!(
            requests,
            "service" => service.clone(), "method" => method.clone(), "code" => code.name()
        )
        .increment(1);
        metrics::histogram!(duration, "service" => service, "method" => method).record(took);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::CANCELLED, None);
    }
}

/// What `grpc-message` says, whose characters beyond ASCII are written as `%XX`; 1 KiB at most.
fn message_of(said: &HeaderMap) -> String {
    let Some(value) = said.get("grpc-message") else { return String::new() };
    let mut bytes = Vec::new();
    let mut rest = &value.as_bytes()[..value.len().min(1_024)];
    while let [byte, after @ ..] = rest {
        rest = after;
        let escaped = (*byte == b'%')
            .then(|| rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok()))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if escaped.is_some() {
            rest = &rest[2..];
        }
        bytes.push(escaped.unwrap_or(*byte));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_recognised_and_named() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let request = Request::post("/").header("content-type", content_type).body(()).unwrap();
            assert_eq!(is_grpc(&request), expected, "{content_type}");
        }
        assert!(!is_grpc(&Request::new(())));
        assert_eq!(names("/shop.Stock/Get"), ("shop.Stock", "Get"));
        assert_eq!(names("/a/b/c"), ("a/b", "c"));
        assert_eq!(names("odd"), ("odd", ""));
    }

    #[test]
    fn a_message_is_decoded_as_far_as_it_can_be() {
        let message = |text: &str| {
            message_of(&HeaderMap::from_iter([(
                "grpc-message".parse().unwrap(),
                text.parse().unwrap(),
            )]))
        };
        assert_eq!(message("caf%C3%A9 is 100%"), "café is 100%");
        assert_eq!(message("%zz%F"), "%zz%F");
        assert_eq!(message(&"x".repeat(2_000)).len(), 1_024);
        assert_eq!(message_of(&HeaderMap::new()), "");
    }
}
