//! The agent: a service of gRPC that asks a database, and its client.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use http::{Request, Response};
use obs_tracing::db::Query;
use obs_tracing::grpc::{GrpcClient, GrpcClientLayer, GrpcServerLayer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::{Channel, Server};
use tower::{Layer, Service, service_fn};

use crate::text_codec::Text;

const QUERY: &str = "SELECT answer FROM answers WHERE question = 'hunter2'";

/// `agent.Agent` with the method `Run`.
#[derive(Clone)]
struct Agent;

impl NamedService for Agent {
    const NAME: &'static str = "agent.Agent";
}

impl Service<Request<Body>> for Agent {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async { Ok(tonic::server::Grpc::new(Text).unary(service_fn(run), request).await) })
    }
}

async fn run(request: tonic::Request<String>) -> Result<tonic::Response<String>, Status> {
    tracing::info!(question = request.get_ref(), "agent is thinking");
    let query = Query::new("select").system("postgresql").collection("answers").statement(QUERY);
    let answer = query.run(async {
        tokio::task::yield_now().await;
        tracing::info!("asking the database");
        Ok::<_, io::Error>("42".to_owned())
    });
    answer.await.map(tonic::Response::new).map_err(|error| Status::internal(error.to_string()))
}

pub(crate) async fn serve(listener: TcpListener) {
    let server = Server::builder().layer(GrpcServerLayer::new()).add_service(Agent);
    server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
}

pub(crate) type Client = tonic::client::Grpc<GrpcClient<Channel>>;

pub(crate) fn client_of(url: String) -> Client {
    let channel = Channel::from_shared(url).unwrap().connect_lazy();
    tonic::client::Grpc::new(GrpcClientLayer::new().layer(channel))
}

pub(crate) async fn ask(mut client: Client, question: String) -> Result<String, Status> {
    tracing::info!("asking");
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/agent.Agent/Run");
    let answer = client.unary(tonic::Request::new(question), path, Text).await?;
    Ok(answer.into_inner())
}
