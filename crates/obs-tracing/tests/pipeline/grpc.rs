//! gRPC over loopback, with tonic on both sides.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use crate::support::{Pipeline, series};
use crate::text_codec::Text;
use http::uri::PathAndQuery;
use http::{Request, Response};
use metrics_util::debugging::DebuggingRecorder;
use obs_model::Context;
use obs_tracing::grpc::{GrpcClient, GrpcClientLayer, GrpcServerLayer};
use serde_json::Value;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status, Streaming};
use tower::Layer;
use tower_service::Service;

/// `shop.Stock` with the methods `Get`, `List` and `Panic`.
#[derive(Clone)]
struct Stock;

impl NamedService for Stock {
    const NAME: &'static str = "shop.Stock";
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Service<Request<Body>> for Stock {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(match &*path {
                "/shop.Stock/Get" => grpc.unary(tower::service_fn(get), request).await,
                "/shop.Stock/List" => grpc.server_streaming(tower::service_fn(list), request).await,
                "/shop.Stock/Panic" => panic!("on purpose"),
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

async fn get(request: tonic::Request<String>) -> Result<tonic::Response<String>, Status> {
    tokio::task::yield_now().await;
    tracing::info!("getting");
    match &**request.get_ref() {
        "known" => Ok(tonic::Response::new("7 pieces".to_owned())),
        "broken" => Err(Status::internal("token=hunter2 is café")),
        _ => Err(Status::not_found("no such item")),
    }
}

type Answers = Pin<Box<dyn tokio_stream::Stream<Item = Result<String, Status>> + Send>>;

async fn list(_: tonic::Request<String>) -> Result<tonic::Response<Answers>, Status> {
    let items = ["a", "b", "c"].into_iter().map(|item| {
        tracing::info!(item, "streaming");
        Ok(item.to_owned())
    });
    Ok(tonic::Response::new(Box::pin(tokio_stream::iter(items))))
}

type Client = tonic::client::Grpc<GrpcClient<Channel>>;

async fn start() -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(GrpcServerLayer::new()).add_service(Stock);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel =
        Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    tonic::client::Grpc::new(GrpcClientLayer::new().layer(channel))
}

async fn unary(client: &mut Client, method: &'static str, item: &str) -> Result<String, Status> {
    client.ready().await.unwrap();
    let request = tonic::Request::new(item.to_owned());
    let answer = client.unary(request, PathAndQuery::from_static(method), Text).await?;
    assert_eq!(answer.metadata().get("x-correlation-id").unwrap().len(), 36);
    Ok(answer.into_inner())
}

async fn streaming(client: &mut Client) -> Streaming<String> {
    client.ready().await.unwrap();
    let path = PathAndQuery::from_static("/shop.Stock/List");
    let request = tonic::Request::new(String::new());
    client.server_streaming(request, path, Text).await.unwrap().into_inner()
}

fn lines_of<'a>(lines: &'a [Value], target: &str, message: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["target"] == *target && line["message"] == *message).collect()
}

#[tokio::test]
async fn a_call_of_grpc_has_a_span_on_both_sides_and_ends_with_its_trailers() {
    let pipeline = Pipeline::new(|config| config.filter = "warn,pipeline=info,obskit=debug".into());
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let mut client = start().await;
    let correlation = obs_model::CorrelationId::generate();
    let call = {
        let _entered = Context::new().with_correlation(correlation.clone()).enter();
        obs_tracing::carry(async move {
            assert_eq!(unary(&mut client, "/shop.Stock/Get", "known").await.unwrap(), "7 pieces");
            let refused = unary(&mut client, "/shop.Stock/Get", "unknown").await.unwrap_err();
            assert_eq!(refused.code(), Code::NotFound);
            unary(&mut client, "/shop.Stock/Get", "broken").await.unwrap_err();
            let mut items = streaming(&mut client).await;
            let mut seen = Vec::new();
            while let Some(item) = items.message().await.unwrap() {
                seen.push(item);
            }
            assert_eq!(seen, ["a", "b", "c"]);
        })
    };
    call.await;

    let lines = pipeline.written();
    for line in &lines {
        assert_eq!(line["correlationId"], correlation.as_str(), "{line}");
    }
    let grpc = "obskit::grpc";
    let codes = |lines: Vec<&Value>| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        lines.iter().map(|l| (text(&l["level"]), text(&l["metadata"]["code"]))).collect()
    };
    let pairs = |expected: &[(&str, &str)]| -> Vec<(String, String)> {
        expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    };
    let mut finished = codes(lines_of(&lines, grpc, "call finished"));
    finished.sort();
    // What was not found is an error of the client's call, and none of the server.
    let expected =
        [("DEBUG", "OK"), ("DEBUG", "OK"), ("INFO", "NOT_FOUND"), ("INFO", "OK"), ("INFO", "OK")];
    assert_eq!(finished, pairs(&expected));
    let mut failed = codes(lines_of(&lines, grpc, "call failed"));
    failed.sort();
    assert_eq!(failed, pairs(&[("WARN", "INTERNAL"), ("WARN", "INTERNAL"), ("WARN", "NOT_FOUND")]));
    let broken = lines_of(&lines, grpc, "call failed");
    let broken: Vec<_> = broken.iter().filter(|l| l["metadata"]["code"] == "INTERNAL").collect();
    for line in broken {
        let message = line["error"]["message"].as_str().unwrap();
        assert_eq!(message, "token=[redacted] is café");
        let metadata = &line["metadata"];
        assert_eq!(
            (&metadata["rpc.service"], &metadata["rpc.method"]),
            (&"shop.Stock".into(), &"Get".into())
        );
        assert_eq!(metadata["rpc.grpc.status_code"], 13);
    }
    assert_eq!(lines_of(&lines, "pipeline::grpc", "streaming").len(), 3);
    for (inner, traces) in [("getting", 3), ("streaming", 1)] {
        let mut seen: Vec<_> = lines_of(&lines, "pipeline::grpc", inner)
            .iter()
            .map(|l| l["traceId"].to_string())
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), traces);
    }
    for line in lines_of(&lines, grpc, "call finished") {
        let same = lines.iter().filter(|other| other["traceId"] == line["traceId"]);
        let spans: std::collections::BTreeSet<_> = same.map(|l| l["spanId"].to_string()).collect();
        assert_eq!(spans.len(), 2, "the client's and the server's: {line}");
    }
}

#[tokio::test]
async fn each_call_of_grpc_is_counted_once_on_each_side_however_it_ends() {
    let pipeline = Pipeline::new(|_| {});
    let _guard = tracing::dispatcher::set_default(&pipeline.dispatch);
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let mut client = start().await;
    unary(&mut client, "/shop.Stock/Get", "known").await.unwrap();
    unary(&mut client, "/shop.Stock/Get", "unknown").await.unwrap_err();
    unary(&mut client, "/made.Up/Name", "").await.unwrap_err();
    unary(&mut client, "/shop.Stock/Panic", "").await.unwrap_err();
    // Given up in the middle.
    let mut items = streaming(&mut client).await;
    assert_eq!(items.message().await.unwrap().as_deref(), Some("a"));
    drop(items);

    let mut seen = series(&recorder.snapshotter());
    seen.retain(|(name, _)| name.starts_with("grpc_") && name.contains("_total"));
    let of = |side: &str| -> Vec<(String, u64)> {
        let prefix = format!("grpc_{side}_requests_total");
        let seen = seen.iter().filter(|(name, _)| name.starts_with(&prefix));
        seen.map(|(name, count)| (name.replace(&prefix, ""), *count)).collect()
    };
    let expected = |list: &[&str]| -> Vec<(String, u64)> {
        list.iter().map(|name| ((*name).to_owned(), 1)).collect()
    };
    let client_side = of("client");
    let panicked = client_side.iter().filter(|(name, _)| name.contains("method=Panic"));
    assert_eq!(panicked.count(), 1, "{client_side:?}");
    let rest: Vec<_> =
        client_side.into_iter().filter(|(name, _)| !name.contains("method=Panic")).collect();
    let listed = [
        "{code=CANCELLED,method=List,service=shop.Stock}",
        "{code=NOT_FOUND,method=Get,service=shop.Stock}",
        "{code=OK,method=Get,service=shop.Stock}",
        "{code=UNIMPLEMENTED,method=Name,service=made.Up}",
    ];
    assert_eq!(rest, expected(&listed));
    // Whether the server sees the end of the stream first or that nobody reads it is a race.
    let served: Vec<_> =
        of("server").into_iter().filter(|(name, _)| !name.contains("method=List")).collect();
    let listed = [
        "{code=INTERNAL,method=Panic,service=shop.Stock}",
        "{code=NOT_FOUND,method=Get,service=shop.Stock}",
        "{code=OK,method=Get,service=shop.Stock}",
        "{code=UNIMPLEMENTED,method=other,service=other}",
    ];
    assert_eq!(served, expected(&listed));
}

#[tokio::test]
async fn what_is_not_grpc_goes_through_untouched_and_what_cannot_be_sent_is_unavailable() {
    let recorder = DebuggingRecorder::new();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let echo = tower::service_fn(async |request: Request<()>| {
        let mut response = Response::new(());
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Infallible>(response)
    });
    let plain = || Request::post("/a/b").header("content-type", "text/plain").body(()).unwrap();
    let served = GrpcServerLayer::new().layer(echo).call(plain()).await.unwrap();
    let sent = GrpcClientLayer::new().layer(echo).call(plain()).await.unwrap();
    assert_eq!((served.headers().len(), sent.headers().len()), (1, 1));

    let refuses = tower::service_fn(async |_: Request<()>| {
        Err::<Response<()>, _>(std::io::Error::other("refused"))
    });
    let call = Request::post("/shop.Stock/Get")
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    assert!(GrpcClientLayer::new().layer(refuses).call(call).await.is_err());
    let counted: Vec<_> = series(&recorder.snapshotter())
        .into_iter()
        .filter(|(name, _)| name.contains("_total"))
        .collect();
    let expected = "grpc_client_requests_total{code=UNAVAILABLE,method=Get,service=shop.Stock}";
    assert_eq!(counted, [(expected.to_owned(), 1)]);
}
