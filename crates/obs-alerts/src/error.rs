//! The one error of this crate.

use std::fmt;

/// What went wrong while an engine, a rule or a channel was set up, or while a signal was computed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("{}", Listed(.0))]
    Invalid(Vec<String>),
    #[error("no rule with the id {0:?}: expected the id of a rule that was added")]
    UnknownRule(String),
    #[error("no channel named {0:?}: expected the name of a channel that was added")]
    UnknownChannel(String),
    #[error("starting the evaluation loop: expected to be called within a tokio runtime")]
    NoRuntime(#[source] tokio::runtime::TryCurrentError),
    #[error("evaluating {expression}: {reason}")]
    Evaluation { expression: String, reason: String },
    #[error("starting the webhook channel {receiver:?}")]
    Webhook {
        receiver: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    pub(crate) fn invalid(problems: Vec<String>) -> Self {
        Self(Kind::Invalid(problems))
    }

    pub(crate) fn unknown_rule(id: &str) -> Self {
        Self(Kind::UnknownRule(id.to_owned()))
    }

    pub(crate) fn unknown_channel(name: &str) -> Self {
        Self(Kind::UnknownChannel(name.to_owned()))
    }

    pub(crate) fn no_runtime(source: tokio::runtime::TryCurrentError) -> Self {
        Self(Kind::NoRuntime(source))
    }

    pub(crate) fn evaluation(expression: String, reason: impl Into<String>) -> Self {
        Self(Kind::Evaluation { expression, reason: reason.into() })
    }

    pub(crate) fn webhook(
        receiver: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Kind::Webhook { receiver: receiver.to_owned(), source: source.into() })
    }

    /// Whether a configuration or a rule was refused; [`Error::problems`] says why.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(self.0, Kind::Invalid(_))
    }

    /// Whether a rule was named that does not exist.
    #[must_use]
    pub fn is_unknown_rule(&self) -> bool {
        matches!(self.0, Kind::UnknownRule(_))
    }

    /// Whether a channel was named that does not exist.
    #[must_use]
    pub fn is_unknown_channel(&self) -> bool {
        matches!(self.0, Kind::UnknownChannel(_))
    }

    /// Whether a loop was to be started without a tokio runtime.
    #[must_use]
    pub fn is_no_runtime(&self) -> bool {
        matches!(self.0, Kind::NoRuntime(_))
    }

    /// Whether a webhook channel could not be started; the cause says why.
    #[must_use]
    pub fn is_webhook(&self) -> bool {
        matches!(self.0, Kind::Webhook { .. })
    }

    /// Whether a signal could not be computed.
    #[must_use]
    pub fn is_evaluation(&self) -> bool {
        matches!(self.0, Kind::Evaluation { .. })
    }

    /// Everything that is wrong with a refused configuration or rule; empty for other errors.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        match &self.0 {
            Kind::Invalid(problems) => problems,
            _ => &[],
        }
    }
}

/// Writes one problem as it is, and several with their number before them.
struct Listed<'a>(&'a [String]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 1 {
            write!(f, "{} problems: ", self.0.len())?;
        }
        f.write_str(&self.0.join("; "))
    }
}
