//! Baggage on its way through a service.

use std::convert::Infallible;

use crate::support::{Pipeline, series};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, Request, Response};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::Context;
use obs_tracing::client::ClientLayer;
use obs_tracing::http::ObserveLayer;
use obs_tracing::tools::{self, Meta};
use obs_tracing::{BaggageConfig, LogConfig};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

/// Calls a service and answers with what was sent to it.
async fn handler() -> HeaderMap {
    tracing::info!("handling");
    let context = Context::current();
    let baggage = context.baggage().cloned().unwrap_or_default();
    let more = baggage.with("plan", "gold, and more").unwrap().with("private", "hunter2").unwrap();
    let client = ClientLayer::new().layer(service_fn(async |request: Request<()>| {
        let mut response = Response::new(());
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Infallible>(response)
    }));
    let _entered = context.with_baggage(more).enter();
    let request = Request::get("http://stock.example/").body(()).unwrap();
    let call = obs_tracing::carry(client.oneshot(request));
    drop(_entered);
    call.await.unwrap().headers().clone()
}

fn configure(config: &mut LogConfig) {
    config.baggage =
        BaggageConfig::of(["tenant", "plan", "password"]).on_lines(["tenant", "password"]);
}

#[tokio::test]
async fn only_baggage_that_is_allowed_is_taken_logged_and_sent() {
    let pipeline = Pipeline::new(configure);
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let app = Router::new().route("/", get(handler)).layer(ObserveLayer::without_access_log());
    let sent = Request::get("/")
        .header("baggage", "tenant=acme%20inc;ttl=5,hostile=1,plan=%0d%0aSet-Cookie")
        .header("baggage", "password=hunter2,other=2")
        .body(Body::empty())
        .unwrap();
    let headers = app.oneshot(sent).await.unwrap().headers().clone();
    let sent: Vec<_> = headers["baggage"].to_str().unwrap().split(',').collect();
    assert_eq!(sent, ["tenant=acme%20inc", "password=hunter2", "plan=gold%2C%20and%20more"]);

    let lines = pipeline.written();
    assert_eq!(lines[0]["metadata"]["baggage.tenant"], "acme inc");
    assert_eq!(lines[0]["metadata"]["baggage.password"], "[redacted]");
    assert!(lines[0]["metadata"].get("baggage.plan").is_none());
    let mut seen = series(&recorder.snapshotter());
    seen.retain(|(name, _)| name.starts_with("obskit_baggage"));
    // Two names from outside, and one of the service's own that is not to leave.
    let expected = [
        ("obskit_baggage_dropped_total{reason=invalid}", 1),
        ("obskit_baggage_dropped_total{reason=not_allowed}", 3),
    ];
    assert_eq!(seen, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[tokio::test]
async fn without_names_no_baggage_is_taken_or_sent() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let app = Router::new().route("/", get(handler)).layer(ObserveLayer::without_access_log());
    let sent = Request::get("/").header("baggage", "tenant=acme").body(Body::empty()).unwrap();
    let headers = app.oneshot(sent).await.unwrap().headers().clone();
    assert!(!headers.contains_key("baggage"));
    assert!(!pipeline.written()[0].to_string().contains("acme"));
}

#[tokio::test]
async fn baggage_goes_along_with_tool_calls() {
    let pipeline = Pipeline::new(configure);
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let baggage = obs_model::Baggage::new().with("tenant", "acme").unwrap();
    let entered = Context::new().with_baggage(baggage.clone()).enter();
    let calling = tools::call("search", |meta: Meta| async { Ok::<_, Infallible>(meta) });
    let meta = obs_tracing::carry(calling);
    drop(entered);
    let meta = meta.await.unwrap();
    assert_eq!(meta["baggage"], "tenant=acme");
    let seen =
        tools::serve("search", Some(&meta), async { Ok::<_, Infallible>(Context::current()) });
    assert_eq!(seen.await.unwrap().baggage(), Some(&baggage));
}
