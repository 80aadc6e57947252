//! A connection to a syslog server, of whatever sort.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use obs_delivery::ItemOutcome;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UdpSocket;

use super::frames;

/// What carries bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Duplex for S {}

/// How messages are told apart in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Counted,
    LineFeeds,
}

/// A connection that is open as far as is known.
pub(super) enum Connection {
    Datagrams(Datagrams),
    Stream(Stream, Ends),
}

/// A socket that is connected to where its datagrams go.
pub(super) enum Datagrams {
    Udp(UdpSocket),
    #[cfg(unix)]
    Unix(tokio::net::UnixDatagram),
}

/// Why a body was not sent, or not all of it.
pub(super) struct Broken {
    pub(super) error: io::Error,
    /// What became of the first messages; the rest was not sent.
    pub(super) outcomes: Vec<ItemOutcome>,
}

/// A stream, whose end is told to the other side.
pub(super) struct Stream(pub(super) Box<dyn Duplex>);

impl Drop for Stream {
    fn drop(&mut self) {
        // TLS asks for a last word (RFC 5425, 4.4). OK because it is small enough for the socket to take at once, and
        // because a receiver that does not get it has lost nothing.
        let _ = Pin::new(&mut self.0).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }
}

impl Connection {
    pub(super) fn stream(stream: impl Duplex + 'static, ends: Ends) -> Self {
        Self::Stream(Stream(Box::new(stream)), ends)
    }

    /// Whether the other side has not closed it. What it says otherwise is read and dropped.
    pub(super) async fn is_open(&mut self) -> bool {
        let Self::Stream(Stream(stream), _) = self else { return true };
        let mut room = [0; 512];
        // OK because a server that talks on and on is read only so far at a time.
        for _ in 0..16 {
            let mut buffer = ReadBuf::new(&mut room);
            let polled = poll_fn(|context| {
                Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut buffer))
            });
            match polled.await {
                Poll::Pending => return true,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return false,
            }
        }
        true
    }

    /// Sends messages that are octet-counted.
    pub(super) async fn send(&mut self, body: &[u8]) -> Result<(), Broken> {
        match self {
            Self::Datagrams(socket) => match socket.send_each(body).await {
                Sent { failure: None, .. } => Ok(()),
                Sent { failure: Some(error), outcomes } => Err(Broken { error, outcomes }),
            },
            Self::Stream(Stream(stream), ends) => {
                let written = match ends {
                    Ends::Counted => stream.write_all(body).await,
                    Ends::LineFeeds => stream.write_all(&frames::as_lines(body)).await,
                };
                let flushed = match written {
                    Ok(()) => stream.flush().await,
                    Err(error) => Err(error),
                };
                // What was written in part is sent whole over the next connection.
                flushed.map_err(|error| Broken { error, outcomes: Vec::new() })
            }
        }
    }
}

/// What became of datagrams, up to the one that could not be sent.
#[derive(Default)]
struct Sent {
    outcomes: Vec<ItemOutcome>,
    failure: Option<io::Error>,
}

impl Datagrams {
    async fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(message).await,
            #[cfg(unix)]
            Self::Unix(socket) => socket.send(message).await,
        }
    }

    /// An error that the socket has to report of what was sent before.
    fn late_error(&self) -> Option<io::Error> {
        match self {
            Self::Udp(socket) => socket.take_error().ok().flatten(),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    async fn send_each(&self, body: &[u8]) -> Sent {
        let mut sent = Sent::default();
        for message in frames::messages(body) {
            match self.send(message).await {
                Ok(_) => sent.outcomes.push(ItemOutcome::Accepted),
                Err(error) => {
                    let is_hopeless = is_too_large(&error);
                    sent.failure = Some(error);
                    if !is_hopeless {
                        break;
                    }
                    sent.outcomes.push(ItemOutcome::Refused);
                }
            }
        }
        if let Some(error) = self.late_error() {
            sent.failure = Some(error);
        }
        // What a socket of UDP reports as refused is a datagram before: nobody listens where it went.
        let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if matches!(self, Self::Udp(_)) && sent.failure.as_ref().is_some_and(is_refused) {
            sent.outcomes.pop();
        }
        sent
    }
}

/// Whether a datagram is larger than the network or the socket takes; `EMSGSIZE`.
fn is_too_large(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    const MESSAGE_SIZE: i32 = 90;
    #[cfg(windows)]
    const MESSAGE_SIZE: i32 = 10_040;
    #[cfg(not(any(target_os = "linux", windows)))]
    const MESSAGE_SIZE: i32 = 40;
    error.raw_os_error() == Some(MESSAGE_SIZE)
}

/// An error and its causes in one line.
#[cfg(feature = "syslog-tls")]
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
