//! The tower layer for clients, its service and its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{Request, Response};
use metrics::SharedString;
use obs_model::{InContext, Redactor, WithContext};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Instrument;
use tracing::instrument::Instrumented;

use super::call::{Call, Shared};
use super::target::Target;

/// Span, propagation and metrics for every call of a client; see the [module documentation](super).
#[derive(Clone, Debug, Default)]
pub struct ClientLayer {
    shared: Arc<Shared>,
}

impl ClientLayer {
    /// A layer for a client that calls any host.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A layer for a client whose calls all go to one service: `name` is the label `host`, whatever the address is.
    #[must_use]
    pub fn to(name: impl Into<Arc<str>>) -> Self {
        let peer = Some(SharedString::from(name.into()));
        Self { shared: Arc::new(Shared { peer, ..Shared::default() }) }
    }

    /// This layer, with other rules of what in a URL is a secret.
    #[must_use]
    pub fn with_redactor(self, redactor: Redactor) -> Self {
        let peer = self.shared.peer.clone();
        Self { shared: Arc::new(Shared { redactor, peer, ..Shared::default() }) }
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client { inner, shared: Arc::clone(&self.shared) }
    }
}

/// A client whose calls are observed; made by [`ClientLayer`].
#[derive(Clone, Debug)]
pub struct Client<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, R> Service<Request<B>> for Client<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: fmt::Display,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ClientFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        let call = self.shared.open(&head.method, Target::of_uri(&head.uri), &mut head.headers);
        let request = Request::from_parts(head, body);
        let future = {
            let _entered = call.context.clone().enter();
            call.span.in_scope(|| self.inner.call(request))
        };
        let inner = future.in_context(call.context.clone()).instrument(call.span.clone());
        ClientFuture { inner, call }
    }
}

pin_project! {
    /// The future of a [`Client`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ClientFuture<F> {
        #[pin]
        inner: Instrumented<InContext<F>>,
        call: Call,
    }
}

impl<F, R, E> Future for ClientFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: fmt::Display,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = std::task::ready!(this.inner.poll(cx));
        match &result {
            Ok(response) => this.call.finish(response.status().as_u16()),
            Err(error) => this.call.fail(error),
        }
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for ClientFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFuture").finish_non_exhaustive()
    }
}
