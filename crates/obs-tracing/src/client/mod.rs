//! Calls to other services: a span, the ids on their way, and metrics, for each.
//!
//! [`ClientLayer`] is a tower layer for any client that is a `Service<http::Request<B>>`: those of hyper-util, channels
//! of tonic, your own. With the feature `reqwest` there is [`SendObserved`] for requests of reqwest.
//!
//! ```
//! use http::{Request, Response};
//! use obs_model::{Context, CorrelationId};
//! use obs_tracing::client::ClientLayer;
//! use tower::{Layer, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // Stands for the client, and answers with what it was sent.
//! let client = tower::service_fn(|request: Request<String>| async move {
//!     let mut response = Response::new(String::new());
//!     *response.headers_mut() = request.headers().clone();
//!     Ok::<_, std::io::Error>(response)
//! });
//! let client = ClientLayer::new().layer(client);
//!
//! let _entered = Context::new().with_correlation("req-42".parse()?).enter();
//! let request = Request::get("http://stock.internal/items/7").body(String::new()).unwrap();
//! let response = client.oneshot(request).await.unwrap();
//! assert_eq!(response.headers()["x-correlation-id"], "req-42");
//! # Ok::<(), obs_model::InvalidId>(()) }).unwrap();
//! ```
//!
//! Each call, once:
//!
//! - runs in a span `http.client` of kind client, named after the method, with the attributes of OpenTelemetry's semantic
//!   conventions: `http.request.method`, `server.address`, `server.port`, `url.full` (without user, password and the
//!   values of secret parameters), `http.response.status_code`, and `error.type` where it failed or was answered with 400
//!   or above;
//! - carries `X-Correlation-ID`, which is made here when there is none, the trace in the forms of
//!   [`LogConfig::propagators`](crate::LogConfig), with the client's span as parent, and the
//!   [baggage](crate::baggage) that may be sent;
//! - counts in `http_client_requests_total{method,host,status}` and takes its time in
//!   `http_client_request_duration_seconds{method,host}`. `status` is the code of the response; `error` when there was
//!   none; `cancelled` when the call was dropped. The time ends with the response's head;
//! - writes a line at DEBUG when it has ended, or at WARN when there was no response.
//!
//! The first 100 hosts of a layer are labels; further ones are `other`. A method that no standard knows is `_OTHER`.

mod call;
#[cfg(feature = "reqwest")]
mod reqwest;
mod service;
mod target;

#[cfg(feature = "reqwest")]
pub use reqwest::SendObserved;
pub use service::{Client, ClientFuture, ClientLayer};
