//! The listener on a real socket: serving, a taken port, slow clients, and shutting down in time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_metrics::Registry;
use obs_model::{Resource, SystemClock};
use obs_server::{AdminState, Bound, ServeReport, ServerConfig, bind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

fn state() -> AdminState {
    let registry = Registry::default();
    registry.counter("jobs_total", &[]).increment(1);
    AdminState::new(Resource::new("test"), Arc::new(SystemClock::new())).with_registry(registry)
}

fn config() -> ServerConfig {
    ServerConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..ServerConfig::default() }
}

/// A listener that serves until it is told to stop.
struct Serving {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<ServeReport>,
}

impl Serving {
    async fn start(config: ServerConfig) -> Self {
        let bound: Bound = bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let address = bound.local_addr();
        let task = tokio::spawn(bound.serve(state(), async { stopped.await.unwrap_or_default() }));
        Self { address, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) -> ServeReport {
        let _ = self.stop.send(());
        self.task.await.unwrap()
    }
}

async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_over_a_socket_is_answered() {
    let serving = Serving::start(config()).await;
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = ask(&mut serving.connect().await, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\njobs_total 1\n"), "{answer}");
    let garbage = ask(&mut serving.connect().await, "NOT HTTP\r\n\r\n").await;
    assert!(garbage.starts_with("HTTP/1.1 400"), "{garbage}");
    assert_eq!(serving.stop().await.connections_cut, 0);
}

#[tokio::test]
async fn a_port_in_use_is_named_together_with_the_setting_that_changes_it() {
    let serving = Serving::start(config()).await;
    let taken = ServerConfig { listen: serving.address, ..config() };
    let error = bind(taken).await.err().unwrap();
    assert!(error.is_address_in_use());
    let text = error.to_string();
    for part in [&*serving.address.to_string(), "METRICS_PORT", "ServerConfig::listen"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    serving.stop().await;
}

#[tokio::test]
async fn an_open_listener_without_a_token_refuses_to_start() {
    let open = ServerConfig { listen: SocketAddr::from(([0, 0, 0, 0], 0)), ..config() };
    let error = bind(open).await.err().unwrap();
    assert!(error.is_config() && error.problems().len() == 1, "{error}");
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_is_let_go() {
    let serving =
        Serving::start(ServerConfig { header_timeout: Duration::from_millis(100), ..config() })
            .await;
    let mut slow = serving.connect().await;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nHo").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is still open");
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    serving.stop().await;
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let token = Some("s3cr3t-of-the-admin-listener".into());
    let serving = Serving::start(ServerConfig {
        token,
        request_timeout: Duration::from_millis(100),
        ..config()
    })
    .await;
    let request = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\ntoken=";
    let answer = ask(&mut serving.connect().await, request).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains(r#""code":"timeout""#), "{answer}");
    serving.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let serving = Serving::start(ServerConfig { max_connections: 1, ..config() }).await;
    let first = serving.connect().await;
    let mut second = serving.connect().await;
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    second.write_all(request).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(200), second.read(&mut byte)).await;
    assert!(early.is_err(), "the second connection was served while the first was open");
    drop(first);
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serving.stop().await;
}

#[tokio::test]
async fn shutting_down_ends_idle_connections_at_once_and_refuses_new_ones() {
    let serving =
        Serving::start(ServerConfig { shutdown_grace: Duration::from_secs(60), ..config() }).await;
    let mut idle = serving.connect().await;
    idle.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut buffer = [0; 4_096];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    let address = serving.address;
    let begun = Instant::now();
    assert_eq!(serving.stop().await.connections_cut, 0);
    assert!(begun.elapsed() < Duration::from_secs(30), "an idle connection held up the shutdown");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_that_outlives_the_grace_is_cut() {
    let serving = Serving::start(ServerConfig {
        token: Some("s3cr3t-of-the-admin-listener".into()),
        request_timeout: Duration::from_secs(60),
        shutdown_grace: Duration::from_millis(200),
        ..config()
    })
    .await;
    let mut long = serving.connect().await;
    let request = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\nExpect: 100-continue\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n";
    long.write_all(request.as_bytes()).await.unwrap();
    // The server asks for the body as soon as the handler waits for it.
    let mut answer = [0; 12];
    long.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    assert_eq!(serving.stop().await.connections_cut, 1);
}
