//! What can keep the admin listener from starting.

use std::io;
use std::net::SocketAddr;

/// Why the admin listener could not start.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("the admin listener's settings are not usable: {}", problems.join("; "))]
    Config { problems: Vec<String> },
    #[error(
        "cannot listen on {address}: another program uses the port; stop it, or choose another port \
         with ServerConfig::listen or the environment variable METRICS_PORT (0 picks a free one)"
    )]
    InUse { address: SocketAddr, source: io::Error },
    #[error(
        "cannot listen on {address}: expected an address of this machine and a port that this process \
         may open (ServerConfig::listen, environment variable METRICS_PORT)"
    )]
    Listen { address: SocketAddr, source: io::Error },
}

impl Error {
    pub(crate) fn config(problems: Vec<String>) -> Self {
        Self(Kind::Config { problems })
    }

    pub(crate) fn listen(address: SocketAddr, source: io::Error) -> Self {
        Self(if source.kind() == io::ErrorKind::AddrInUse {
            Kind::InUse { address, source }
        } else {
            Kind::Listen { address, source }
        })
    }

    /// Whether the settings are at fault; [`Error::problems`] says what each fault is.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0, Kind::Config { .. })
    }

    /// Whether another program has the port.
    #[must_use]
    pub fn is_address_in_use(&self) -> bool {
        matches!(self.0, Kind::InUse { .. })
    }

    /// Every fault of the settings; empty when they are not at fault.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        match &self.0 {
            Kind::Config { problems } => problems,
            Kind::InUse { .. } | Kind::Listen { .. } => &[],
        }
    }
}
