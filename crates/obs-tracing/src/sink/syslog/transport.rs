//! One server: connects when there is something to send, and again when the connection is lost.

use std::io;
use std::path::Path;
#[cfg(feature = "syslog-tls")]
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use obs_delivery::{Message, SendError, SendFuture, Transport};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Mutex;

use super::address::Address;
use super::connection::{Broken, Connection, Datagrams, Ends};
use super::{SyslogConfig, SyslogFraming};

/// One server.
pub(super) struct SyslogTransport {
    address: Address,
    framing: SyslogFraming,
    connect_timeout: Duration,
    /// What TLS needs, where that is spoken.
    #[cfg(feature = "syslog-tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
    /// It is taken out for as long as it is used, so that an attempt that is given up takes its connection with it.
    connection: Mutex<Option<Connection>>,
}

impl SyslogTransport {
    pub(super) fn new(address: Address, config: &SyslogConfig) -> Self {
        Self {
            address,
            framing: config.framing,
            connect_timeout: config.connect_timeout,
            #[cfg(feature = "syslog-tls")]
            tls: None,
            connection: Mutex::new(None),
        }
    }

    /// This transport with what TLS needs.
    #[cfg(feature = "syslog-tls")]
    pub(super) fn with_tls(mut self, tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        self.tls = tls;
        self
    }

    /// What it is called among the endpoints.
    pub(super) fn name(&self) -> String {
        self.address.to_string()
    }

    async fn exchange(&self, body: &Bytes) -> Result<(), SendError> {
        let mut slot = self.connection.lock().await;
        let mut earlier = slot.take();
        if let Some(connection) = &mut earlier
            && !connection.is_open().await
        {
            earlier = None;
        }
        let mut connection = match earlier {
            Some(open) => open,
            None => self.connect().await?,
        };
        match connection.send(body).await {
            Ok(()) => {
                *slot = Some(connection);
                Ok(())
            }
            Err(Broken { error, outcomes }) => {
                let what = format!("the exchange with {} broke off", self.address);
                Err(if outcomes.is_empty() {
                    SendError::passing(what)
                } else {
                    SendError::partial(what, outcomes)
                }
                .with_source(error))
            }
        }
    }

    async fn connect(&self) -> Result<Connection, SendError> {
        let failed = |error| {
            SendError::passing(format!("no connection to {}", self.address)).with_source(error)
        };
        let connected = tokio::time::timeout(self.connect_timeout, self.connection()).await;
        connected
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
            .map_err(failed)
    }

    async fn connection(&self) -> io::Result<Connection> {
        match &self.address {
            Address::Udp { host, port } => {
                Ok(Connection::Datagrams(Datagrams::Udp(udp(host, *port).await?)))
            }
            Address::Tcp { host, port } => {
                let stream = tcp(host, *port).await?;
                Ok(Connection::stream(stream, self.ends(Ends::Counted)))
            }
            #[cfg(feature = "syslog-tls")]
            Address::Tls { host, port } => self.tls(host, *port).await,
            #[cfg(not(feature = "syslog-tls"))]
            Address::Tls { .. } => Err(io::ErrorKind::Unsupported.into()),
            Address::Unix(path) => self.unix(path).await,
        }
    }

    fn ends(&self, usual: Ends) -> Ends {
        match self.framing {
            SyslogFraming::Auto => usual,
            SyslogFraming::OctetCounting => Ends::Counted,
            SyslogFraming::LineFeed => Ends::LineFeeds,
        }
    }

    #[cfg(feature = "syslog-tls")]
    async fn tls(&self, host: &str, port: u16) -> io::Result<Connection> {
        use rustls::pki_types::ServerName;
        let (Some(config), Ok(name)) = (&self.tls, ServerName::try_from(host.to_owned())) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the host is no name of a server",
            ));
        };
        let stream = tcp(host, port).await?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        Ok(Connection::stream(connector.connect(name, stream).await?, Ends::Counted))
    }

    /// A socket of datagrams, or of a stream if that is what is there.
    #[cfg(unix)]
    async fn unix(&self, path: &Path) -> io::Result<Connection> {
        let datagrams = tokio::net::UnixDatagram::unbound()?;
        if datagrams.connect(path).is_ok() {
            return Ok(Connection::Datagrams(Datagrams::Unix(datagrams)));
        }
        let stream = tokio::net::UnixStream::connect(path).await?;
        Ok(Connection::stream(stream, self.ends(Ends::LineFeeds)))
    }

    #[cfg(not(unix))]
    async fn unix(&self, _: &Path) -> io::Result<Connection> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Transport for SyslogTransport {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        Box::pin(self.exchange(message.body()))
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // OK because lines are gathered before they come here.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A socket for the first address of the host that one can be connected to.
async fn udp(host: &str, port: u16) -> io::Result<UdpSocket> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        let any: std::net::IpAddr = match address {
            std::net::SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            std::net::SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
