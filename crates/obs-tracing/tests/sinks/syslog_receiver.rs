//! Receivers of syslog messages that take nothing but what the RFCs allow.

use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::support::PATIENCE;

/// One message, taken apart.
#[derive(Debug)]
pub(crate) struct Message {
    /// All before STRUCTURED-DATA.
    pub(crate) header: String,
    /// STRUCTURED-DATA and MSG.
    pub(crate) rest: String,
}

impl Message {
    fn read(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).expect("messages are UTF-8");
        let end = text.match_indices(' ').nth(5).unwrap_or_else(|| panic!("no header: {text}")).0;
        Self { header: text[..end].to_owned(), rest: text[end + 1..].to_owned() }
    }

    /// The value of a parameter that needs no escapes.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.rest.split_once(&format!(" {name}=\""))?;
        value.split_once('"').map(|(value, _)| value)
    }

    pub(crate) fn number(&self) -> u64 {
        self.parameter("number").and_then(|number| number.parse().ok()).expect("a number")
    }

    pub(crate) fn text(&self) -> &str {
        self.rest.split_once("] ").expect("an element and a text").1
    }
}

/// What was received, in its order.
pub(crate) struct Received(Receiver<Message>);

impl Received {
    pub(crate) fn take(&self, count: usize) -> Vec<Message> {
        (0..count)
            .map(|at| {
                let message = self.0.recv_timeout(PATIENCE);
                message.unwrap_or_else(|_| panic!("only {at} of {count} messages came"))
            })
            .collect()
    }

    pub(crate) fn numbers(&self, count: usize) -> Vec<u64> {
        self.take(count).iter().map(Message::number).collect()
    }

    /// All that came until the receiver was gone.
    pub(crate) fn rest(self) -> Vec<Message> {
        self.0.iter().collect()
    }
}

/// Takes datagrams, each one message, until there were `count`.
pub(crate) fn datagrams(
    receive: impl Fn(&mut [u8]) -> std::io::Result<usize> + Send + 'static,
    count: usize,
) -> Received {
    let (sender, received) = channel();
    std::thread::spawn(move || {
        let mut room = vec![0; 65_536];
        for _ in 0..count {
            let Ok(length) = receive(&mut room) else { return };
            let _ = sender.send(Message::read(&room[..length]));
        }
    });
    Received(received)
}

pub(crate) fn udp(socket: UdpSocket, count: usize) -> Received {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    datagrams(move |room| socket.recv(room), count)
}

/// How messages are told apart.
#[derive(Clone, Copy)]
pub(crate) enum Framing {
    Counted,
    Lines,
}

/// Reads messages from a stream, up to `count` or its end.
pub(crate) fn read_stream(
    stream: &mut impl Read,
    framing: Framing,
    count: usize,
    sender: &Sender<Message>,
) {
    for _ in 0..count {
        let mut head = Vec::new();
        let end = if matches!(framing, Framing::Counted) { b' ' } else { b'\n' };
        loop {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) if byte[0] == end => break,
                Ok(1) => head.push(byte[0]),
                _ => return assert!(head.is_empty(), "the stream ends within {head:?}"),
            }
        }
        let message = match framing {
            Framing::Lines => head,
            Framing::Counted => {
                let length = std::str::from_utf8(&head).expect("a length");
                assert!(
                    !length.starts_with('0') && length.bytes().all(|byte| byte.is_ascii_digit())
                );
                let mut message = vec![0; length.parse().expect("a length")];
                stream.read_exact(&mut message).expect("as many bytes as were said");
                message
            }
        };
        let _ = sender.send(Message::read(&message));
    }
}

/// Takes one connection after another; each ends after `count` messages.
pub(crate) fn streams<S: Read>(
    mut accept: impl FnMut() -> Option<S> + Send + 'static,
    framing: Framing,
    count: usize,
) -> Received {
    let (sender, received) = channel();
    std::thread::spawn(move || {
        while let Some(mut stream) = accept() {
            read_stream(&mut stream, framing, count, &sender);
        }
    });
    Received(received)
}

pub(crate) fn tcp(listener: TcpListener, framing: Framing) -> Received {
    streams(move || listener.accept().ok().map(|(stream, _)| stream), framing, usize::MAX)
}

/// Takes one connection, and closes it and the port after `count` messages.
pub(crate) fn tcp_once(listener: TcpListener, count: usize) -> Received {
    let mut listener = Some(listener);
    let accept = move || listener.take()?.accept().ok().map(|(stream, _)| talking(stream));
    streams(accept, Framing::Counted, count)
}

/// A server that says something, which no sender of syslog waits for.
fn talking(stream: TcpStream) -> TcpStream {
    use std::io::Write as _;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (&stream).write_all(b"welcome\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(1));
    stream
}
