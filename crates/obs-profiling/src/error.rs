//! Why there is no profile.

/// Why a profile could not be taken.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Kind);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error("a cpu profile is being taken already: one at a time in a process, try again later")]
    Busy,
    #[error("cpu profile config is not valid: {}", problems.join("; "))]
    Config { problems: Vec<String> },
    #[error("no thread could be started to take a cpu profile")]
    Thread(#[source] std::io::Error),
    #[error("cpu sampling could not be started")]
    Start(#[source] pprof::Error),
    #[error("cpu samples could not be read")]
    Read(#[source] pprof::Error),
    #[error("cpu profile could not be encoded")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the thread that takes a cpu profile panicked")]
    Panicked,
    #[error("the cpu profile was given up by its caller")]
    Cancelled,
}

impl Error {
    /// Whether another profile is being taken: trying again later can help.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self.0, Kind::Busy)
    }

    /// Whether a setting is outside what is accepted; the message lists every such setting.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0, Kind::Config { .. })
    }
}
