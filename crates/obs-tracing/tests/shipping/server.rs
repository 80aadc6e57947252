//! A server of HTTP/1.1 that a test scripts: it fails, breaks off, goes away and comes back.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What came in.
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// What is answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, body: body.into() }
    }
}

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is answered so, and nothing is stored.
    Status(u16, &'static str),
    /// 429, with the seconds to stay away for.
    Busy(u64),
    /// The connection ends before an answer, and nothing is stored.
    Reset,
    /// The connection ends before an answer, and everything is stored.
    LostAnswer,
    /// What only this protocol knows.
    Special,
}

/// The other side of a protocol.
pub(crate) trait Peer: Send + 'static {
    /// Takes a request. It panics if the request is none that the real one would take.
    fn take(&mut self, request: &Request, is_special: bool) -> Reply;
}

pub(crate) struct Server<P> {
    address: SocketAddr,
    shared: Arc<Mutex<Shared<P>>>,
}

struct Shared<P> {
    peer: P,
    faults: VecDeque<Fault>,
    arrivals: Vec<Instant>,
    /// A request that was not as it should be.
    complaint: Option<String>,
    is_away: bool,
    connections: Vec<TcpStream>,
}

impl<P: Peer> Server<P> {
    pub(crate) fn start(peer: P) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let shared = Shared {
            peer,
            faults: VecDeque::new(),
            arrivals: Vec::new(),
            complaint: None,
            is_away: false,
            connections: Vec::new(),
        };
        let server = Self { address, shared: Arc::new(Mutex::new(shared)) };
        server.serve(listener);
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared().faults.extend(faults);
    }

    /// Whether all that was to go wrong has.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared().faults.is_empty()
    }

    /// When requests came.
    pub(crate) fn arrivals(&self) -> Vec<Instant> {
        self.shared().arrivals.clone()
    }

    /// Goes away: nobody listens, and connections end.
    pub(crate) fn leave(&self) {
        let mut shared = self.shared();
        shared.is_away = true;
        for connection in shared.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(shared);
        // The listener goes with the connection that it waits for.
        let _ = TcpStream::connect(self.address);
    }

    /// Comes back where it was.
    pub(crate) fn come_back(&self) {
        let listener = TcpListener::bind(self.address).expect("the port is still ours");
        self.shared().is_away = false;
        self.serve(listener);
    }

    /// Looks at what was taken; panics if a request was not as it should be.
    pub(crate) fn look<R>(&self, at: impl FnOnce(&P) -> R) -> R {
        let shared = self.shared();
        assert_eq!(shared.complaint, None);
        at(&shared.peer)
    }

    fn shared(&self) -> MutexGuard<'_, Shared<P>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if state.is_away {
                    return;
                }
                state.connections.extend(connection.try_clone());
                drop(state);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || converse(&connection, &shared));
            }
        });
    }
}

impl<P> Drop for Server<P> {
    fn drop(&mut self) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).is_away = true;
        let _ = TcpStream::connect(self.address);
    }
}

fn converse<P: Peer>(connection: &TcpStream, shared: &Mutex<Shared<P>>) {
    let mut reader = BufReader::new(connection);
    while let Some(request) = read(&mut reader) {
        let Some((reply, headers)) = judge(&request, shared) else {
            let _ = connection.shutdown(Shutdown::Both);
            return;
        };
        let length = reply.body.len();
        let mut answer =
            format!("HTTP/1.1 {} x\r\n{headers}content-length: {length}\r\n\r\n", reply.status)
                .into_bytes();
        if reply.status == 204 {
            answer = b"HTTP/1.1 204 x\r\n\r\n".to_vec();
        }
        answer.extend(reply.body);
        let mut writer = connection;
        if writer.write_all(&answer).is_err() {
            return;
        }
    }
}

/// What is answered and with which headers; `None` is no answer.
fn judge<P: Peer>(request: &Request, shared: &Mutex<Shared<P>>) -> Option<(Reply, String)> {
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.arrivals.push(Instant::now());
    let fault = shared.faults.pop_front();
    match fault {
        Some(Fault::Status(status, body)) => {
            return Some((Reply::new(status, body), String::new()));
        }
        Some(Fault::Busy(seconds)) => {
            return Some((Reply::new(429, "busy"), format!("retry-after: {seconds}\r\n")));
        }
        Some(Fault::Reset) => return None,
        Some(Fault::LostAnswer | Fault::Special) | None => {}
    }
    let is_special = fault == Some(Fault::Special);
    let taking = std::panic::AssertUnwindSafe(|| shared.peer.take(request, is_special));
    match std::panic::catch_unwind(taking) {
        Ok(_) if fault == Some(Fault::LostAnswer) => None,
        Ok(reply) => Some((reply, String::new())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
            shared.complaint = Some(text.unwrap_or_else(|| "a panic without words".to_owned()));
            Some((Reply::new(400, "this is not how it is done"), String::new()))
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut parts = line.split_whitespace();
    assert_eq!(parts.next(), Some("POST"));
    let path = parts.next()?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body })
}
