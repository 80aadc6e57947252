//! An HTTP server that does as badly as servers do: it refuses, hangs, answers 429 and 500 and garbage, resets
//! connections and takes its time over every byte.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// What was received in requests that were answered with 200.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) items: u64,
    /// Requests that came a second time, though they were answered with 200.
    pub(crate) repeated: u64,
    pub(crate) is_ordered: bool,
    last: Option<u64>,
}

pub(crate) struct BadServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// How often it answered in which way.
    pub(crate) answers: Arc<Mutex<Vec<(&'static str, u64)>>>,
    _runtime: Runtime,
}

struct Shared {
    is_bad: AtomicBool,
    received: Mutex<Received>,
    answers: Arc<Mutex<Vec<(&'static str, u64)>>>,
}

const WAYS: [&str; 8] = ["200", "500", "429", "hang", "garbage", "reset", "drip", "refused"];

impl BadServer {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let answers = Arc::new(Mutex::new(WAYS.map(|way| (way, 0)).to_vec()));
        let received = Received { items: 0, repeated: 0, is_ordered: true, last: None };
        let shared = Arc::new(Shared {
            is_bad: AtomicBool::new(false),
            received: Mutex::new(received),
            answers: Arc::clone(&answers),
        });
        runtime.spawn(listen(listener, Arc::clone(&shared)));
        Self { address, shared, answers, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/push", self.address)
    }

    pub(crate) fn behave_well(&self) {
        self.shared.is_bad.store(false, Ordering::SeqCst);
    }

    pub(crate) fn misbehave(&self) {
        self.shared.is_bad.store(true, Ordering::SeqCst);
    }

    pub(crate) fn received(&self) -> Received {
        self.shared.received.lock().unwrap().clone()
    }
}

/// Accepts connections; in bad times it stops listening now and then, so that connections are refused.
async fn listen(mut listener: TcpListener, shared: Arc<Shared>) {
    let address = listener.local_addr().unwrap();
    loop {
        let accepted = tokio::time::timeout(Duration::from_secs(7), listener.accept()).await;
        if let Ok(Ok((stream, _))) = accepted {
            tokio::spawn(serve(stream, Arc::clone(&shared)));
        }
        if shared.is_bad.load(Ordering::SeqCst) && fastrand::u32(0..20) == 0 {
            drop(listener);
            shared.note("refused");
            tokio::time::sleep(Duration::from_secs(1)).await;
            listener = loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            };
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut stream = BufReader::new(stream);
    while let Some(body) = request(&mut stream).await {
        let way = if shared.is_bad.load(Ordering::SeqCst) {
            match fastrand::u32(0..20) {
                0..13 => "200",
                13 => "500",
                14 => "429",
                15 => "hang",
                16 => "garbage",
                17 | 18 => "reset",
                _ => "drip",
            }
        } else {
            "200"
        };
        shared.note(way);
        match way {
            "200" => {
                shared.receive(&body);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
            "500" => {
                let answer = b"HTTP/1.1 500 Oh No\r\ncontent-length: 4\r\n\r\noops";
                let _ = stream.write_all(answer).await;
            }
            "429" => {
                let answer =
                    b"HTTP/1.1 429 Slow Down\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
                let _ = stream.write_all(answer).await;
            }
            "hang" => {
                tokio::time::sleep(Duration::from_secs(5)).await;
                return;
            }
            "garbage" => {
                let garbage: Vec<u8> = (0..500).map(|_| fastrand::u8(..)).collect();
                let _ = stream.write_all(&garbage).await;
                return;
            }
            "reset" => {
                let _ = stream.get_ref().set_zero_linger();
                return;
            }
            _ => {
                for byte in b"HTTP/1.1 503 Wait For It\r\ncontent-length: 9\r\n\r\n" {
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Reads one request, and answers with its body.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = None;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let mut body = vec![0; length?];
    stream.read_exact(&mut body).await.ok()?;
    Some(body)
}

impl Shared {
    fn note(&self, way: &'static str) {
        let mut answers = self.answers.lock().unwrap();
        if let Some((_, count)) = answers.iter_mut().find(|(name, _)| *name == way) {
            *count += 1;
        }
    }

    /// Every line begins with its number in ten digits.
    fn receive(&self, body: &[u8]) {
        let numbers: Vec<u64> =
            String::from_utf8_lossy(body).lines().map(|line| line[..10].parse().unwrap()).collect();
        let mut received = self.received.lock().unwrap();
        let (first, last) = (numbers.first().copied(), numbers.last().copied());
        if last == received.last {
            received.repeated += 1;
            return;
        }
        received.is_ordered &= numbers.is_sorted_by(|a, b| a < b) && first > received.last;
        received.items += numbers.len() as u64;
        received.last = last;
    }
}
