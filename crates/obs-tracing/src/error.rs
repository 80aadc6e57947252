//! What can go wrong when logging and tracing are set up, changed or shut down.

use std::fmt;
use std::time::Duration;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("invalid logging configuration: {}", Joined(.0))]
    Config(Vec<String>),
    #[error("a global tracing subscriber is installed already: install obskit's before any other")]
    AlreadyInstalled,
    #[error("could not start the thread {name:?}")]
    Thread { name: &'static str, source: std::io::Error },
    #[error("not everything was delivered within {deadline:?}: {}", Joined(.problems))]
    Undelivered { deadline: Duration, problems: Vec<String> },
}

impl Error {
    pub(crate) fn config(problems: Vec<String>) -> Self {
        Self(Kind::Config(problems))
    }

    pub(crate) fn already_installed() -> Self {
        Self(Kind::AlreadyInstalled)
    }

    pub(crate) fn thread(name: &'static str, source: std::io::Error) -> Self {
        Self(Kind::Thread { name, source })
    }

    pub(crate) fn undelivered(deadline: Duration, problems: Vec<String>) -> Self {
        Self(Kind::Undelivered { deadline, problems })
    }

    /// Whether a setting was wrong; the message lists every problem.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0, Kind::Config(_))
    }

    /// Whether another global subscriber was there first.
    #[must_use]
    pub fn is_already_installed(&self) -> bool {
        matches!(self.0, Kind::AlreadyInstalled)
    }

    /// Whether log lines or spans could not be handed over in time, or were refused.
    #[must_use]
    pub fn is_undelivered(&self) -> bool {
        matches!(self.0, Kind::Undelivered { .. })
    }
}

struct Joined<'a>(&'a [String]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}
