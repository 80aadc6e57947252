//! The client, the server's process and the collector that takes spans.

use std::error::Error;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::Stack;

/// Connections that are kept open, each with one request on its way.
const CONNECTIONS: usize = 8;

/// The service under measurement, as a process of its own; it ends with this value.
pub(crate) struct Child {
    process: tokio::process::Child,
    pid: u32,
    address: SocketAddr,
}

impl Child {
    /// Starts this program as a server with one stack. What it logs goes nowhere, but it is written.
    pub(crate) async fn start(stack: Stack, collector: &str) -> Result<Self, Box<dyn Error>> {
        let name = stack.to_possible_value().ok_or("a stack has a name")?.get_name().to_owned();
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", "--stack", &name, "--collector", collector])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = process.id().ok_or("the server ended at once")?;
        let mut lines = BufReader::new(process.stderr.take().ok_or("no standard error")?).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix("listening on ") {
                let address = address.parse()?;
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Self { process, pid, address });
            }
        }
        Err(format!("the server with stack {name} ended before it listened").into())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// CPU that all threads of the process have used, by the kernel's account.
    pub(crate) fn cpu_nanoseconds(&self) -> Result<u64, Box<dyn Error>> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.pid))? {
            let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
                continue; // OK because a thread that ended meanwhile no longer counts.
            };
            total += text.split(' ').next().unwrap_or("0").parse::<u64>()?;
        }
        Ok(total)
    }

    pub(crate) async fn stop(mut self) -> Result<(), Box<dyn Error>> {
        self.process.kill().await?;
        Ok(())
    }
}

/// Sends `count` requests over a few kept connections; every answer must be 200.
pub(crate) async fn drive(
    address: SocketAddr,
    path: &'static str,
    count: usize,
) -> Result<(), Box<dyn Error>> {
    let tasks: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(connection(address, path, count / CONNECTIONS)))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn connection(address: SocketAddr, path: &str, count: usize) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the connection failed: {error}");
    let mut stream = TcpStream::connect(address).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: bench\r\nX-Correlation-ID: bench-1\r\n\r\n");
    let mut buffer = vec![0; 4_096];
    for _ in 0..count {
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let mut filled = 0;
        while !is_complete(&buffer[..filled]) {
            match stream.read(&mut buffer[filled..]).await.map_err(failed)? {
                0 => return Err(String::from("the server closed the connection")),
                more => filled += more,
            }
        }
        if !buffer.starts_with(b"HTTP/1.1 200 ") {
            return Err(String::from_utf8_lossy(&buffer[..filled]).into_owned());
        }
    }
    Ok(())
}

/// Whether the head and as many bytes of body as it announces are there.
fn is_complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0);
    body.len() >= length
}

/// Takes spans by OTLP over HTTP and counts them.
pub(crate) struct Collector {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
}

impl Collector {
    pub(crate) async fn start() -> Result<Self, Box<dyn Error>> {
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = bytes.clone();
        let router = axum::Router::new().fallback(move |body: axum::body::Bytes| {
            counted.fetch_add(body.len() as u64, Ordering::Relaxed);
            async {}
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, bytes })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}
