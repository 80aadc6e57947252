//! A service with a thread, a runtime and a pipeline of its own, so that nothing but the network joins it to others.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, HeaderName, Request};
use http_body_util::BodyExt;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use obs_model::Resource;
use obs_tracing::client::{Client, ClientLayer};
use obs_tracing::{LogConfig, LogOutput, OtlpConfig};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower::{Layer, ServiceExt};
use tracing::Dispatch;

use crate::collector::Collector;

/// The longest that a test waits for another thread.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) type HttpClient = Client<legacy::Client<legacy::connect::HttpConnector, Body>>;

/// A client whose calls to the service `name` are observed.
pub(crate) fn client_of(name: &'static str) -> HttpClient {
    ClientLayer::to(name).layer(legacy::Client::builder(TokioExecutor::new()).build_http())
}

/// Posts JSON and reads the answer.
pub(crate) async fn post(client: &HttpClient, url: &str, body: &Value) -> io::Result<Value> {
    let request = Request::post(url)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .map_err(io::Error::other)?;
    let response = client.clone().oneshot(request).await.map_err(io::Error::other)?;
    let body = response.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(serde_json::from_slice(&body)?)
}

/// Gets a path without any help from the library.
pub(crate) fn get(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, HeaderMap, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut head = head.lines();
    let status = head.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = head
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    (status, headers, serde_json::from_str(body).unwrap())
}

/// What was written so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A thread that serves until it is told to stop.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Running {
    pub(crate) fn stop(self) {
        let _ = self.stop.send(());
        self.thread.join().expect("the service does not panic");
    }
}

/// Lets `server` serve on a free port, with `dispatch` as the subscriber of its thread.
pub(crate) fn serve<F: Future<Output = ()>>(
    name: &str,
    dispatch: Option<Dispatch>,
    server: impl FnOnce(TcpListener) -> F + Send + 'static,
) -> (SocketAddr, Running) {
    let (stop, stopped) = oneshot::channel();
    let (bound, address) = mpsc::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _default = dispatch.as_ref().map(tracing::dispatcher::set_default);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            tokio::select! {
                () = server(listener) => panic!("a server ended by itself"),
                _ = stopped => {}
            }
        });
    });
    let address = address.recv_timeout(PATIENCE).expect("a port of loopback is free");
    (address, Running { stop, thread: thread.unwrap() })
}

pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    running: Running,
    handle: obs_tracing::TracingHandle,
    lines: Lines,
}

impl Service {
    pub(crate) fn start<F: Future<Output = ()>>(
        name: &'static str,
        collector: &Collector,
        server: impl FnOnce(TcpListener) -> F + Send + 'static,
    ) -> Self {
        let lines = Lines::default();
        let mut config = LogConfig::new(Resource::new(name));
        config.output = LogOutput::Writer(Box::new(lines.clone()));
        config.filter = "warn,services=debug,obskit=debug".into();
        config.otlp = Some(OtlpConfig::new(&format!("http://{}", collector.address)));
        let (dispatch, handle) = obs_tracing::build(config).unwrap();
        let (address, running) = serve(name, Some(dispatch), server);
        Self { name, address, running, handle, lines }
    }

    /// Stops, hands every span over, and says what was logged.
    pub(crate) fn stop(self) -> Vec<Value> {
        self.running.stop();
        self.handle.shutdown_blocking(PATIENCE).expect("the collector takes every span");
        let text = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
