//! What can go wrong with error tracking itself.

/// A failure to set up error tracking.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Kind);

#[derive(Debug, thiserror::Error)]
enum Kind {
    #[error("a process-wide error tracker is already set, and it can be set only once")]
    AlreadySet,
}

impl Error {
    pub(crate) const fn already_set() -> Self {
        Self(Kind::AlreadySet)
    }

    /// Whether another tracker was set for the process before.
    #[must_use]
    pub const fn is_already_set(&self) -> bool {
        matches!(self.0, Kind::AlreadySet)
    }
}
