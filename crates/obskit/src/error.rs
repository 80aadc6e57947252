//! What can go wrong at the start and at the end.

use crate::config::ConfigError;

/// obskit did not start.
///
/// Nothing of it is left running. What could not be undone is named by the message.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StartError(#[from] Kind);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    AlreadySet(&'static str),
    #[error("{what} could not be started")]
    Part { what: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("no tokio runtime is running: call start() from within one")]
    NoRuntime,
}

impl StartError {
    pub(crate) fn part(
        what: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Kind::Part { what, source: source.into() })
    }

    pub(crate) fn already_set(what: &'static str) -> Self {
        Self(Kind::AlreadySet(what))
    }

    pub(crate) fn no_runtime() -> Self {
        Self(Kind::NoRuntime)
    }

    /// The settings were refused; [`StartError::config`] has the problems.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0, Kind::Config(_))
    }

    /// Everything that is wrong with the settings, if they were refused.
    #[must_use]
    pub fn config(&self) -> Option<&ConfigError> {
        match &self.0 {
            Kind::Config(error) => Some(error),
            _ => None,
        }
    }

    /// Another recorder, subscriber or obskit was installed in this process before.
    #[must_use]
    pub fn is_already_set(&self) -> bool {
        matches!(self.0, Kind::AlreadySet(_))
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self(Kind::Config(error))
    }
}

/// Something was left undelivered when the deadline of the shutdown came.
#[derive(Debug, thiserror::Error)]
#[error("not everything was delivered before the shutdown's deadline: {}", .undelivered.join("; "))]
pub struct ShutdownError {
    undelivered: Vec<String>,
}

impl ShutdownError {
    pub(crate) fn from_parts(undelivered: Vec<String>) -> Result<(), Self> {
        if undelivered.is_empty() { Ok(()) } else { Err(Self { undelivered }) }
    }

    /// What was left, a sentence for each part.
    #[must_use]
    pub fn undelivered(&self) -> &[String] {
        &self.undelivered
    }
}
