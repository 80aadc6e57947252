//! The tower layers of both sides, their services and their futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::ObservedBody;
use super::call::{Call, Shared, is_grpc};
use super::code::Code;
use crate::http::CORRELATION_HEADER;

/// Span, context, metrics and a line for every call that is served; see the [module documentation](super).
#[derive(Clone, Debug)]
pub struct GrpcServerLayer {
    shared: Arc<Shared>,
}

impl GrpcServerLayer {
    /// A layer that also writes a line at INFO per call.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Shared::new(true) }
    }

    /// A layer that writes such lines at DEBUG.
    #[must_use]
    pub fn without_access_log() -> Self {
        Self { shared: Shared::new(false) }
    }
}

impl Default for GrpcServerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for GrpcServerLayer {
    type Service = GrpcServer<S>;

    fn layer(&self, inner: S) -> GrpcServer<S> {
        GrpcServer { inner, shared: Arc::clone(&self.shared) }
    }
}

/// Services whose calls are observed; made by [`GrpcServerLayer`].
#[derive(Clone, Debug)]
pub struct GrpcServer<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for GrpcServer<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ObservedBody<R>>;
    type Error = S::Error;
    type Future = GrpcServerFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if !is_grpc(&request) {
            return GrpcServerFuture { inner: self.inner.call(request), call: None, header: None };
        }
        let (mut call, header) = Call::serve(&request, Arc::clone(&self.shared));
        let inner = call.guard(|| self.inner.call(request));
        GrpcServerFuture { inner, call: Some(call), header: Some(header) }
    }
}

pin_project! {
    /// The future of a [`GrpcServer`].
    #[must_use = "futures do nothing unless polled"]
    pub struct GrpcServerFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
        // The correlation id, for the answer.
        header: Option<HeaderValue>,
    }
}

impl<F, R, E> Future for GrpcServerFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ObservedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut result = std::task::ready!(poll_within(this.inner, this.call.as_mut(), cx));
        if let (Ok(response), Some(header)) = (&mut result, this.header.take()) {
            response.headers_mut().insert(CORRELATION_HEADER, header);
        }
        Poll::Ready(answered(result, this.call.take(), Code::UNKNOWN))
    }
}

/// Span, propagation and metrics for every call that a channel sends; see the [module documentation](super).
#[derive(Clone, Debug)]
pub struct GrpcClientLayer {
    shared: Arc<Shared>,
}

impl GrpcClientLayer {
    /// A layer for any channel.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Shared::new(false) }
    }
}

impl Default for GrpcClientLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for GrpcClientLayer {
    type Service = GrpcClient<S>;

    fn layer(&self, inner: S) -> GrpcClient<S> {
        GrpcClient { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A channel whose calls are observed; made by [`GrpcClientLayer`].
#[derive(Clone, Debug)]
pub struct GrpcClient<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for GrpcClient<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ObservedBody<R>>;
    type Error = S::Error;
    type Future = GrpcClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !is_grpc(&request) {
            return GrpcClientFuture { inner: self.inner.call(request), call: None };
        }
        let mut call = Call::send(&mut request, Arc::clone(&self.shared));
        let inner = call.guard(|| self.inner.call(request));
        GrpcClientFuture { inner, call: Some(call) }
    }
}

pin_project! {
    /// The future of a [`GrpcClient`].
    #[must_use = "futures do nothing unless polled"]
    pub struct GrpcClientFuture<F> {
        #[pin]
        inner: F,
        call: Option<Call>,
    }
}

impl<F, R, E> Future for GrpcClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ObservedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = std::task::ready!(poll_within(this.inner, this.call.as_mut(), cx));
        Poll::Ready(answered(result, this.call.take(), Code::UNAVAILABLE))
    }
}

fn poll_within<F: Future>(
    future: Pin<&mut F>,
    call: Option<&mut Call>,
    cx: &mut TaskContext<'_>,
) -> Poll<F::Output> {
    match call {
        Some(call) => call.guard(|| future.poll(cx)),
        None => future.poll(cx),
    }
}

/// Ends the call if the head of the answer says how, else leaves that to its body. Without an answer it is `failed`.
fn answered<R, E>(
    result: Result<Response<R>, E>,
    call: Option<Call>,
    failed: Code,
) -> Result<Response<ObservedBody<R>>, E> {
    let mut call = call;
    match result {
        Ok(response) => {
            let code = Code::of(response.headers()).or_else(|| Code::of_http(response.status()));
            if let (Some(code), Some(mut call)) = (code, call.take_if(|_| code.is_some())) {
                call.end(code, Some(response.headers()));
            }
            Ok(response.map(|body| ObservedBody::new(body, call)))
        }
        Err(error) => {
            if let Some(call) = &mut call {
                call.end(failed, None);
            }
            Err(error)
        }
    }
}

impl<F> fmt::Debug for GrpcServerFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcServerFuture").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for GrpcClientFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcClientFuture").finish_non_exhaustive()
    }
}
