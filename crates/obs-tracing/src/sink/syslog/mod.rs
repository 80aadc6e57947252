//! Lines sent to a syslog server, as RFC 5424 has them.

mod address;
mod connection;
mod facility;
mod format;
mod frames;
mod transport;

use std::time::Duration;

#[cfg(feature = "syslog-tls")]
use obs_delivery::TlsConfig;
use obs_delivery::{BatchConfig, Delivery, DeliveryConfig, Message};

use super::{IntoSink, Line, LineSink, SinkStart, StartedSink, priority_of};
use address::Address;
pub use facility::Facility;
use format::Formatter;
use frames::OctetCounted;
use transport::SyslogTransport;

/// A sink that sends lines to a syslog server: rsyslog, syslog-ng, or what a platform puts in their place.
///
/// | URL | transport | default port |
/// |---|---|---|
/// | `syslog://host:514`, `syslog+udp://host` | UDP, RFC 5426: each line is a datagram | 514 |
/// | `syslog+tcp://host` | TCP, RFC 6587 | 514 |
/// | `syslog+tls://host` | TLS, RFC 5425; with the feature `syslog-tls` | 6514 |
/// | `syslog+unix:///dev/log` | a Unix socket, of datagrams or of a stream, whichever it is | |
///
/// A line becomes `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [obskit@32473 …] MSG`, RFC 5424. APP-NAME is the
/// service, MSGID the target of the line, cut to 32 characters. Every member that has no place of its own there (target,
/// ids, the error as `error.name` and so on) and every member of `metadata` is a parameter of the one element of
/// STRUCTURED-DATA; characters that names of parameters must not have become `_`. Levels are the severities 3 (ERROR), 4
/// (WARN), 6 (INFO) and 7 (DEBUG and TRACE).
///
/// A message is no longer than [`max_bytes`](Self::max_bytes): a longer MSG is cut at a character and ends with
/// `…[truncated N bytes]`, and STRUCTURED-DATA from which parameters were left out has `truncated="true"`.
///
/// Several servers are tried in their order, and the first is returned to when it is well. What cannot be sent waits in
/// the queue of the sink. TCP, TLS and streams notice before each write that the server has closed the connection; what
/// it had not read by then is lost all the same, because syslog has no acknowledgements. Datagrams are lost without
/// notice, but for those that the machine itself refuses.
///
/// ```
/// use obs_model::Resource;
/// use obs_tracing::LogConfig;
/// use obs_tracing::sink::{Facility, LogSink, SyslogConfig};
///
/// let mut syslog = SyslogConfig::new("syslog+tcp://logs-1.internal").or("syslog+tcp://logs-2.internal");
/// syslog.facility = Facility::Local0;
/// let mut config = LogConfig::new(Resource::new("checkout"));
/// config.sinks.push(LogSink::new("syslog", syslog));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SyslogConfig {
    /// URLs of servers, in the order of preference.
    pub servers: Vec<String>,
    /// The facility; [`Facility::User`] unless set.
    pub facility: Facility,
    /// HOSTNAME; `host.name` of the resource unless set, else what the machine is called.
    pub hostname: Option<String>,
    /// APP-NAME; the service of the line unless set.
    pub app_name: Option<String>,
    /// MSGID; the target of the line unless set.
    pub message_id: Option<String>,
    /// The private enterprise number in the name of the element of STRUCTURED-DATA, `obskit@32473`. 32473 is reserved
    /// for examples (RFC 5612): set the one that IANA has given to your organization, if it has one.
    pub enterprise: u32,
    /// What MSG is.
    pub body: SyslogBody,
    /// Whether MSG begins with a byte order mark, with which RFC 5424 marks UTF-8. No, unless set: receivers such as
    /// rsyslog take everything for UTF-8, and keep the mark as a part of the text.
    pub byte_order_mark: bool,
    /// How long a message may be, in bytes, from 480, which every receiver must take, to 65,507. Unless set it is 2,048
    /// if one of the servers gets datagrams over UDP, and 8,192 otherwise, which is what receivers take by default.
    pub max_bytes: Option<usize>,
    /// How messages are told apart in a stream.
    pub framing: SyslogFraming,
    /// How long it may take to connect, with TLS; more than zero. Default 5 s.
    pub connect_timeout: Duration,
    /// Whom to trust over TLS, and how to prove who is asking.
    #[cfg(feature = "syslog-tls")]
    pub tls: TlsConfig,
}

/// What MSG is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyslogBody {
    /// The message of the line; all else is in STRUCTURED-DATA.
    #[default]
    Message,
    /// The whole line as JSON, and no STRUCTURED-DATA. A line that is cut is no JSON any more.
    Json,
}

/// How messages are told apart in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SyslogFraming {
    /// By octet counting over TCP and TLS, by line feeds on a Unix socket.
    #[default]
    Auto,
    /// By the length before each (RFC 6587, 3.4.1), which every message survives.
    OctetCounting,
    /// By the line feed after each (RFC 6587, 3.4.2). Line feeds in messages become `#012`, as rsyslog writes them. Not
    /// over TLS, for which RFC 5425 has octet counting only.
    LineFeed,
}

impl SyslogConfig {
    /// Lines go to this server.
    #[must_use]
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            servers: vec![server.into()],
            facility: Facility::default(),
            hostname: None,
            app_name: None,
            message_id: None,
            enterprise: 32_473,
            body: SyslogBody::default(),
            byte_order_mark: false,
            max_bytes: None,
            framing: SyslogFraming::default(),
            connect_timeout: Duration::from_secs(5),
            #[cfg(feature = "syslog-tls")]
            tls: TlsConfig::default(),
        }
    }

    /// This config with one more server, for when those before it are away.
    #[must_use]
    pub fn or(mut self, server: impl Into<String>) -> Self {
        self.servers.push(server.into());
        self
    }

    fn addresses(&self) -> Result<Vec<Address>, Vec<String>> {
        let (mut addresses, mut problems) = (Vec::new(), Vec::new());
        for server in &self.servers {
            match Address::parse(server) {
                Ok(address) => addresses.push(address),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(addresses) } else { Err(problems) }
    }

    fn longest(&self, addresses: &[Address]) -> usize {
        let is_udp = addresses.iter().any(|address| matches!(address, Address::Udp { .. }));
        self.max_bytes.unwrap_or(if is_udp { 2_048 } else { 8_192 })
    }
}

impl IntoSink for SyslogConfig {
    fn problems(&self) -> Vec<String> {
        let addresses = self.addresses();
        let is_tls =
            addresses.iter().flatten().any(|address| matches!(address, Address::Tls { .. }));
        let mut problems = addresses.err().unwrap_or_default();
        if self.servers.is_empty() {
            problems.push("there is no server: expected one URL or more".to_owned());
        }
        if let Some(max) = self.max_bytes.filter(|max| !(480..=65_507).contains(max)) {
            problems.push(format!("max_bytes is {max}: expected from 480 to 65507"));
        }
        if self.connect_timeout.is_zero() {
            problems.push("connect_timeout is 0: expected more than zero".to_owned());
        }
        if is_tls && self.framing == SyslogFraming::LineFeed {
            problems.push("framing is by line feeds: expected octet counting over TLS".to_owned());
        }
        if is_tls && cfg!(not(feature = "syslog-tls")) {
            problems.push("syslog+tls needs the feature syslog-tls of obs-tracing".to_owned());
        }
        problems
    }

    fn adapt(&self, delivery: &mut DeliveryConfig) {
        delivery.batch = BatchConfig {
            max_items: 1_000,
            max_bytes: 256 << 10,
            max_age: Duration::from_millis(200),
        };
    }

    fn start(self: Box<Self>, start: SinkStart) -> Result<StartedSink, String> {
        let config = *self;
        let addresses = config.addresses().map_err(|problems| problems.join("; "))?;
        let formatter = Formatter::new(&config, &start.resource, config.longest(&addresses));
        #[cfg(feature = "syslog-tls")]
        let tls = addresses
            .iter()
            .any(|address| matches!(address, Address::Tls { .. }))
            .then(|| config.tls.client_config())
            .transpose()
            .map_err(|error| connection::with_causes(&error))?
            .map(std::sync::Arc::new);
        let mut destination = start.destination().encoder(OctetCounted);
        for address in addresses {
            let transport = SyslogTransport::new(address, &config);
            #[cfg(feature = "syslog-tls")]
            let transport = transport.with_tls(tls.clone());
            destination = destination.endpoint(transport.name(), transport);
        }
        let delivery = destination.start().map_err(|error| error.to_string())?;
        Ok(StartedSink::delivered(Formatting { formatter, delivery: delivery.clone() }, delivery))
    }
}

/// Offers each line as a message of RFC 5424.
struct Formatting {
    formatter: Formatter,
    delivery: Delivery,
}

impl LineSink for Formatting {
    fn write(&mut self, line: &Line<'_>) {
        let message = Message::new(self.formatter.render(line));
        // OK because the destination counts what it drops.
        let _ = self.delivery.offer(message.with_priority(priority_of(line.level())));
    }
}
