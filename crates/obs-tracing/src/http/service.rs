//! The tower layer, its service and its future.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::CORRELATION_HEADER;
use super::api_metrics::ApiMetrics;
use super::exchange::{AccessLog, Exchange, FAILED, Shared};

/// Correlation, request span, context, API metrics and access log for every request; see the
/// [module documentation](super).
#[derive(Clone, Debug)]
pub struct ObserveLayer {
    shared: Shared,
}

impl ObserveLayer {
    /// A layer that also writes an access line per request.
    #[must_use]
    pub fn new() -> Self {
        Self::with(AccessLog::On)
    }

    /// A layer that writes no access lines.
    #[must_use]
    pub fn without_access_log() -> Self {
        Self::with(AccessLog::Off)
    }

    /// This layer, which counts requests in `http_requests_total{method,route,status}` and
    /// `http_request_duration_seconds{method,route}` as well: for dashboards and rules that know those names.
    ///
    /// Their help and buckets come from `obs_metrics::catalog::HttpMetrics`, which should not count the same requests too.
    ///
    /// ```
    /// use obs_tracing::http::ObserveLayer;
    ///
    /// let app: axum::Router = axum::Router::new().layer(ObserveLayer::new().with_http_metrics());
    /// # drop(app);
    /// ```
    #[must_use]
    pub fn with_http_metrics(self) -> Self {
        Self { shared: Shared { metrics: ApiMetrics::with_http(), ..self.shared } }
    }

    fn with(access_log: AccessLog) -> Self {
        Self { shared: Shared { metrics: ApiMetrics::new(), access_log } }
    }
}

impl Default for ObserveLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, shared: self.shared }
    }
}

/// A service that is observed; made by [`ObserveLayer`].
#[derive(Clone, Debug)]
pub struct Observe<S> {
    inner: S,
    shared: Shared,
}

impl<S, B, R> Service<Request<B>> for Observe<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ObserveFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut exchange = Exchange::open(&request, self.shared);
        let within = exchange.enter_to_begin();
        let future = self.inner.call(request);
        drop(within);
        ObserveFuture { inner: Some(future), exchange }
    }
}

pin_project! {
    /// The future of an [`Observe`] service.
    #[must_use = "futures do nothing unless polled"]
    pub struct ObserveFuture<F> {
        // Gone once it has ended.
        #[pin]
        inner: Option<F>,
        exchange: Exchange,
    }

    impl<F> PinnedDrop for ObserveFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.inner.is_some() {
                // What is given up still ends as a part of its request.
                let _within = this.exchange.enter();
                this.inner.set(None);
            }
        }
    }
}

impl<F, R, E> Future for ObserveFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut inner = this.inner;
        let mut watched = FailOnPanic { exchange: this.exchange, is_done: false };
        let mut polled = {
            let _within = watched.exchange.enter();
            let future = inner.as_mut().as_pin_mut();
            let polled = future.expect("a future is not polled after it has ended").poll(cx);
            if polled.is_ready() {
                inner.set(None);
            }
            polled
        };
        watched.is_done = true;
        let exchange = &mut *watched.exchange;
        match &mut polled {
            Poll::Pending => {}
            Poll::Ready(Ok(response)) => {
                let header = exchange.take_header();
                response.headers_mut().insert(CORRELATION_HEADER, header);
                exchange.close(response.status().as_u16());
            }
            Poll::Ready(Err(_)) => exchange.close(FAILED),
        }
        polled
    }
}

/// Closes a request that is being polled as failed, when that panics: who drops the future later does so in peace.
struct FailOnPanic<'a> {
    exchange: &'a mut Exchange,
    is_done: bool,
}

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            // OK because the panic that is under way says what went wrong; a second one, of a recorder of metrics, would
            // end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.exchange.close(FAILED)));
        }
    }
}

impl<F> std::fmt::Debug for ObserveFuture<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObserveFuture").finish_non_exhaustive()
    }
}
