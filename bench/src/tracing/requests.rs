//! A request through the layers of a service, without a network: what the bare router costs is in every number.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use obs_metrics::{Registry, RegistryConfig};
use obs_model::Resource;
use obs_tracing::http::ObserveLayer;
use obs_tracing::{InFlightConfig, LogConfig, LogOutput};
use tower::Service;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Task;
use crate::spans::{PATIENCE, opentelemetry_layer, otlp};

fn router() -> Router {
    Router::new().route("/orders/{id}", get(|| async { "ok" }))
}

/// Sends requests to a service that is ready at once.
fn send(router: Router, settle: impl Fn() + Send + Sync + 'static) -> Task {
    let work = move |times| {
        let mut router = router.clone();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..times {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = axum::http::Uri::from_static("/orders/17");
            let header = axum::http::HeaderValue::from_static("bench-1");
            request.headers_mut().insert("x-correlation-id", header);
            let answer = pin!(Service::call(&mut router, request)).poll(&mut cx);
            let Poll::Ready(Ok(response)) = answer else { unreachable!("the handler is ready") };
            assert_eq!(response.status().as_u16(), 200);
        }
    };
    Task { work: Box::new(work), settle: Box::new(settle) }
}

pub(crate) fn bare() -> Result<Task, Box<dyn Error>> {
    Ok(send(router(), || {}))
}

pub(crate) fn obskit() -> Result<Task, Box<dyn Error>> {
    obskit_with(None)
}

pub(crate) fn obskit_watched() -> Result<Task, Box<dyn Error>> {
    obskit_with(Some(InFlightConfig::default()))
}

fn obskit_with(in_flight: Option<InFlightConfig>) -> Result<Task, Box<dyn Error>> {
    Registry::new(RegistryConfig::default()).install()?;
    let mut config = LogConfig::new(Resource::new("bench"));
    config.output = LogOutput::Writer(Box::new(std::io::sink()));
    config.otlp = Some(otlp(0.01)?);
    config.in_flight = in_flight;
    let handle = obs_tracing::install(config)?;
    Ok(send(router().layer(ObserveLayer::new()), move || {
        handle.flush_blocking(PATIENCE).expect("everything is taken");
    }))
}

/// axum-prometheus, tower-http's trace layer, tracing-subscriber's JSON and tracing-opentelemetry.
pub(crate) fn usual() -> Result<Task, Box<dyn Error>> {
    let (layer, settle) = opentelemetry_layer(0.01)?;
    tracing_subscriber::registry()
        .with(tracing_subscriber::EnvFilter::new("info"))
        .with(tracing_subscriber::fmt::layer().json().with_writer(std::io::sink))
        .with(layer)
        .try_init()?;
    // Its upkeep is a task.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = runtime.enter();
    let (metrics, _handle) = axum_prometheus::PrometheusMetricLayer::pair();
    let trace = tower_http::trace::TraceLayer::new_for_http()
        .make_span_with(tower_http::trace::DefaultMakeSpan::new().level(tracing::Level::INFO))
        .on_response(tower_http::trace::DefaultOnResponse::new().level(tracing::Level::INFO));
    drop(entered);
    Ok(send(router().layer(metrics).layer(trace), move || {
        let _kept = &runtime;
        settle();
    }))
}
