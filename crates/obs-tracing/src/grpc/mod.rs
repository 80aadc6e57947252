//! gRPC, on both sides: a span, the ids on their way, and metrics, for each call.
//!
//! [`GrpcServerLayer`] goes around the services of tonic (`Server::builder().layer(…)`), [`GrpcClientLayer`] around a
//! channel. Neither needs tonic: a call is what has the content type `application/grpc`, its names are in its path, and
//! how it ended is in `grpc-status`, which stands in the headers or, mostly, in the trailers: a call ends with its body.
//! Requests that are not gRPC go through untouched; where both come to one port, put
//! [`ObserveLayer`](crate::http::ObserveLayer) around the routes of the others.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use obs_tracing::grpc::GrpcServerLayer;
//! use tower::{Layer, ServiceExt};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! // Stands for the services of tonic; this one answers in its headers.
//! let services = tower::service_fn(|_: Request<Empty<&[u8]>>| async {
//!     Ok::<_, std::convert::Infallible>(
//!         Response::builder().header("grpc-status", "0").body(Empty::<&[u8]>::new()).unwrap(),
//!     )
//! });
//! let services = GrpcServerLayer::new().layer(services);
//! let call = Request::post("/shop.Stock/Get").header("content-type", "application/grpc");
//! let response = services.oneshot(call.body(Empty::new()).unwrap()).await.unwrap();
//! assert_eq!(response.headers()["x-correlation-id"].len(), 36);
//! # });
//! ```
//!
//! Each call, once:
//!
//! - runs in a span `grpc.server` or `grpc.client`, named `{service}/{method}`, with `rpc.system`, `rpc.service`,
//!   `rpc.method`, `rpc.grpc.status_code`, and `error.type` where it failed; it is an error where OpenTelemetry's semantic
//!   conventions say so: on the client with every code but `OK`, on the server with those that are its own fault;
//! - carries and takes correlation id, trace and baggage as requests of HTTP do; the server answers with
//!   `X-Correlation-ID`. What a streaming method does while its answer is read has that context too;
//! - counts in `grpc_server_requests_total{service,method,code}` or `grpc_client_requests_total{service,method,code}`, and
//!   takes its time in `grpc_server_request_duration_seconds{service,method}` or
//!   `grpc_client_request_duration_seconds{service,method}`. `code` is a name such as `NOT_FOUND`;
//! - writes a line when it has ended: at INFO on the server (unless [without](GrpcServerLayer::without_access_log)), at DEBUG
//!   on the client; at WARN where it is an error of that side.
//!
//! A call that is dropped before its end is `CANCELLED`; one that ends without a status is `UNKNOWN`, or what its HTTP
//! status means. The first 200 methods of a layer are labels; further ones, and those that a server does not implement,
//! are `other`.

mod body;
mod call;
mod code;
mod layer;

pub use body::ObservedBody;
pub use layer::{
    GrpcClient, GrpcClientFuture, GrpcClientLayer, GrpcServer, GrpcServerFuture, GrpcServerLayer,
};
