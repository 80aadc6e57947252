//! `GrpcTransport` against an HTTP/2 server on this machine.
#![cfg(all(feature = "grpc", feature = "gzip"))]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use obs_delivery::{
    Compression, Delivery, DeliveryConfig, GrpcConfig, GrpcTransport, Message, SendError, Transport,
};
use tokio::net::TcpListener;

const METHOD: &str = "/obskit.test.Service/Take";

/// What is answered: the HTTP status, the header fields, the frames of the body.
type Reply = (u16, Vec<(&'static str, &'static str)>, Vec<Frame<Bytes>>);

#[derive(Clone, Default)]
struct Server {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    calls: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
}

fn trailers(fields: &[(&'static str, &'static str)]) -> Frame<Bytes> {
    let fields = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    Frame::trailers(fields.collect())
}

impl Server {
    fn then(self, reply: Reply) -> Self {
        self.replies.lock().unwrap().push_back(reply);
        self
    }

    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| server.clone().answer(request));
                let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        format!("http://{address}")
    }

    async fn answer(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<impl hyper::body::Body<Data = Bytes, Error = Infallible>>, Infallible>
    {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.calls.lock().unwrap().push((parts.uri.path().to_owned(), parts.headers, body));
        let reply = self.replies.lock().unwrap().pop_front();
        let message = Frame::data(Bytes::from_static(b"\0\0\0\0\x02ok"));
        let (status, headers, frames) = reply
            .unwrap_or_else(|| (200, vec![], vec![message, trailers(&[("grpc-status", "0")])]));
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let frames = futures_util::stream::iter(frames.into_iter().map(Ok));
        Ok(response.body(StreamBody::new(frames)).unwrap())
    }
}

async fn send_to(server: Server) -> Result<(), SendError> {
    let transport = GrpcTransport::new(GrpcConfig::new(server.start().await, METHOD)).unwrap();
    transport.send(&Message::new("hello")).await
}

#[tokio::test]
async fn a_call_carries_the_framed_message_and_its_answer_is_looked_at() {
    let server = Server::default();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let config = |compression| {
        let seen = Arc::clone(&seen);
        let url = server.clone();
        async move {
            GrpcConfig::new(url.start().await, METHOD)
                .with_header("x-team", "payments")
                .with_compression(compression)
                .with_answer(move |answer| seen.lock().unwrap().push(answer.to_vec()))
        }
    };
    for compression in [Compression::None, Compression::Gzip(6)] {
        let transport = GrpcTransport::new(config(compression).await).unwrap();
        transport.send(&Message::new("hello").with_header("x-one", "1")).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), [b"ok".to_vec(), b"ok".to_vec()]);
    let calls = server.calls.lock().unwrap();
    let (path, headers, body) = &calls[0];
    assert_eq!((path.as_str(), body.as_ref()), (METHOD, &b"\0\0\0\0\x05hello"[..]));
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("x-team", "payments"),
        ("x-one", "1"),
    ] {
        assert_eq!(headers[name], value);
    }
    let (_, headers, body) = &calls[1];
    assert_eq!((&headers["grpc-encoding"], body[0]), (&"gzip".parse().unwrap(), 1));
    assert_eq!(u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize, body.len() - 5);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[5..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[tokio::test]
async fn what_an_answer_means_is_in_its_trailers_its_headers_or_its_status() {
    // RetryInfo with a delay of two seconds.
    const RETRY: &str = "CAgaMAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIECgIIAg";
    let in_trailers =
        |fields: &[(&'static str, &'static str)]| (200, vec![], vec![trailers(fields)]);
    let server = |reply| Server::default().then(reply);
    let passing = [
        in_trailers(&[("grpc-status", "14"), ("grpc-message", "down%20for%20a%20while")]),
        (200, vec![("grpc-status", "4")], vec![]),
        (503, vec![], vec![]),
        // The answer ends without a status.
        (200, vec![], vec![]),
    ];
    for reply in passing {
        let error = send_to(server(reply)).await.unwrap_err();
        assert!(!error.is_permanent() && error.retry_after().is_none(), "{error}");
    }
    let exhausted = in_trailers(&[("grpc-status", "8"), ("grpc-status-details-bin", RETRY)]);
    let error = send_to(server(exhausted)).await.unwrap_err();
    assert_eq!((error.is_permanent(), error.retry_after()), (false, Some(Duration::from_secs(2))));
    let large = in_trailers(&[("grpc-status", "8"), ("grpc-message", "message larger than max")]);
    assert!(send_to(server(large)).await.unwrap_err().is_too_large());
    let refused =
        in_trailers(&[("grpc-status", "16"), ("grpc-message", "token Bearer abcdef0123456789")]);
    let error = send_to(server(refused)).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("UNAUTHENTICATED"), "{error}");
    assert!(!error.to_string().contains("abcdef0123456789"), "{error}");
    let error = send_to(server((404, vec![], vec![]))).await.unwrap_err();
    assert!(error.is_permanent() && error.to_string().contains("UNIMPLEMENTED"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_away_is_failed_over_from() {
    let server = Server::default();
    let away = GrpcTransport::new(GrpcConfig::new("http://127.0.0.1:9", METHOD)).unwrap();
    let there = GrpcTransport::new(GrpcConfig::new(server.start().await, METHOD)).unwrap();
    let delivery = Delivery::builder(DeliveryConfig::named("calls"))
        .endpoint("away", away)
        .endpoint("there", there)
        .start()
        .unwrap();
    for number in 0..3 {
        let _ = delivery.offer(Message::new(format!("{number}")));
    }
    let report = delivery.shutdown(Duration::from_secs(10)).await;
    assert_eq!((report.delivered, report.dropped.total(), report.undelivered), (3, 0, 0));
    assert_eq!(server.calls.lock().unwrap().len(), 3);
}

#[test]
fn every_mistake_of_a_config_is_named_and_no_secret_is_shown() {
    let config = GrpcConfig::new("collector:4317", "Export")
        .with_secret_header("x key", "s3cret")
        .with_compression(Compression::Snappy);
    assert!(!format!("{config:?}").contains("s3cret"));
    let error = GrpcTransport::new(config).unwrap_err();
    assert!(error.is_config());
    for part in ["scheme", "x key", "/package.Service/Method", "gzip or none"] {
        assert!(error.to_string().contains(part), "{part} is not named: {error}");
    }
}
