//! What can go wrong with setting up health checks.

/// A check that was not added.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Kind);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Kind {
    #[error(
        "cannot add the health check {0:?}: a name has 1 to 64 characters out of A-Z a-z 0-9 _ - . : /"
    )]
    Name(String),
    #[error("cannot add the health check {0:?}: there is one of this name already")]
    Duplicate(String),
    #[error(
        "cannot add the health check {name:?}: there are {limit} checks already, which is the limit"
    )]
    Full { name: String, limit: usize },
    #[error("cannot add the health check {0:?}: its timeout is zero, and it must be longer")]
    Timeout(String),
}

impl Error {
    /// Whether the name is empty, too long or has a character that a name cannot have.
    #[must_use]
    pub const fn is_invalid_name(&self) -> bool {
        matches!(self.0, Kind::Name(_))
    }

    /// Whether there is a check of this name already.
    #[must_use]
    pub const fn is_duplicate(&self) -> bool {
        matches!(self.0, Kind::Duplicate(_))
    }

    /// Whether the registry has as many checks as it takes.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self.0, Kind::Full { .. })
    }

    /// Whether the check has a timeout of zero, which nothing can meet.
    #[must_use]
    pub const fn is_zero_timeout(&self) -> bool {
        matches!(self.0, Kind::Timeout(_))
    }
}
