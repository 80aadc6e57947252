//! Correlation, request spans and API metrics for axum and other `http` services.
//!
//! ```
//! use axum::{Router, routing::get};
//! use obs_tracing::http::ObserveLayer;
//!
//! let app: Router = Router::new()
//!     .route("/orders/{id}", get(|| async { "ok" }))
//!     .layer(ObserveLayer::new());
//! # drop(app);
//! ```
//!
//! Apply the layer with `Router::layer`, after the routes were added: axum tells the layer the route's template
//! only there. Around a whole service, every request counts as `unmatched`.
//!
//! Each request, once:
//!
//! - gets a correlation id: the one from `X-Correlation-ID` when there is exactly one and it is valid, else a
//!   new one; a refused value is never logged and counts in `obskit_correlation_replaced_total`;
//! - continues the trace that the caller names in one of the forms of [`LogConfig::propagators`](crate::LogConfig),
//!   W3C Trace Context unless set otherwise, else starts one;
//! - takes the [baggage](crate::baggage) that is allowed;
//! - runs in a span `http.request` (`correlation_id`, `method`, `path`, `status`) and under a
//!   [`Context`](obs_model::Context) with correlation id, trace and span;
//! - answers with `X-Correlation-ID`;
//! - counts in `api_requests_total{endpoint,method,status}`, takes its time in
//!   `api_request_duration_ms{endpoint,method}` and, with a status of 500 or above, counts in
//!   `api_errors_total{endpoint,method}`; where [asked for](ObserveLayer::with_http_metrics) also in `http_requests_total`
//!   and `http_request_duration_seconds`;
//! - writes one access line at level INFO.
//!
//! `endpoint` is the route's template, or `unmatched`; unknown methods are `OTHER`. A handler that panics, or a
//! service that fails without a response, counts as status 500, and the panic goes on. A request whose client
//! went away before the response was ready counts as status 499. The time ends when the response's head is ready:
//! a streamed body is not part of it.

mod access;
mod api_metrics;
mod exchange;
pub(crate) mod incoming;
mod propagate;
pub(crate) mod propagation;
mod route;
mod service;
mod span;

pub(crate) use api_metrics::method_label;
pub use propagate::{BAGGAGE_HEADER, CORRELATION_HEADER, TRACEPARENT_HEADER, propagate};
pub use propagation::Propagator;
pub use service::{Observe, ObserveFuture, ObserveLayer};
