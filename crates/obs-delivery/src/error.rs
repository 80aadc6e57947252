//! What can go wrong when a destination is set up.

/// Why a destination could not be set up.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Kind);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error("delivery config of destination {name:?} is not valid: {}", problems.join("; "))]
    Config { name: String, problems: Vec<String> },
    #[error(
        "no tokio runtime is running here to deliver to {name:?} on: call Delivery::start inside one"
    )]
    NoRuntime { name: String },
    #[cfg(feature = "http")]
    #[error("http destination is not valid: {}", problems.join("; "))]
    Http { problems: Vec<String> },
    #[cfg(feature = "http")]
    #[error("http client for {origin} could not be set up")]
    Client { origin: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[cfg(feature = "tls")]
    #[error("the settings for TLS are not valid: {}", problems.join("; "))]
    Tls { problems: Vec<String> },
    #[cfg(feature = "tls")]
    #[error("the root certificates of the operating system could not be loaded")]
    Roots { source: Box<dyn std::error::Error + Send + Sync> },
}

impl Error {
    /// Whether a setting is outside what is accepted; the message lists every such setting.
    #[must_use]
    pub fn is_config(&self) -> bool {
        match self.0 {
            Kind::Config { .. } => true,
            Kind::NoRuntime { .. } => false,
            #[cfg(feature = "http")]
            Kind::Http { .. } => true,
            #[cfg(feature = "http")]
            Kind::Client { .. } => false,
            #[cfg(feature = "tls")]
            Kind::Tls { .. } => true,
            #[cfg(feature = "tls")]
            Kind::Roots { .. } => false,
        }
    }

    /// Whether no tokio runtime was running.
    #[must_use]
    pub fn is_no_runtime(&self) -> bool {
        matches!(self.0, Kind::NoRuntime { .. })
    }
}
