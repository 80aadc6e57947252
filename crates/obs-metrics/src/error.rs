//! The one error of this crate.

use std::fmt;

/// Something about metrics could not be set up.
///
/// Recording never fails: see [`Registry`](crate::Registry) for what happens to a recording that is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] Kind);

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Kind {
    #[error("install the registry as the global metrics recorder: another recorder is installed")]
    AlreadyInstalled,
    #[error("set the buckets of {target}: {problems}")]
    InvalidBuckets { target: String, problems: BucketProblems },
    #[error("set the native buckets of {target}: {problems}")]
    InvalidNative { target: String, problems: String },
    #[error(
        "set the buckets of {name:?}: it already has series with other buckets; \
         set them before its first use"
    )]
    BucketsInUse { name: String },
    #[error("set the buckets of {target}: there are {limit} such rules already")]
    TooManyRules { target: String, limit: usize },
    #[error("set up {target}: {problems}")]
    InvalidTracker { target: String, problems: String },
    #[error("{operation} the {kind} {name:?}: a {kind} accepts {accepted}")]
    WrongOperation {
        operation: &'static str,
        kind: &'static str,
        name: String,
        accepted: &'static str,
    },
    #[error("record into {name:?} with the labels {given}: {problems}; accepted are {accepted}")]
    WrongLabels { name: String, given: String, problems: String, accepted: String },
    #[error("read {what}: {cause}")]
    Unreadable { what: String, cause: String },
    #[error("start {what}: {cause}")]
    NotStarted { what: String, cause: String },
    #[cfg(feature = "push")]
    #[error("push metrics by {target}: {problems}")]
    InvalidPush { target: &'static str, problems: String },
    #[cfg(feature = "push")]
    #[error("push metrics: no tokio runtime is running here; start pushing inside one")]
    NoRuntime,
    #[cfg(feature = "push")]
    #[error("push metrics to the Pushgateway: {problem}")]
    NotPushed { problem: String },
    #[error("record NaN into the histogram {name:?}: numbers and infinities are accepted")]
    NotANumber { name: String },
}

impl Error {
    /// Whether another recorder was installed before.
    #[must_use]
    pub fn is_already_installed(&self) -> bool {
        matches!(self.0, Kind::AlreadyInstalled)
    }

    /// Whether the bucket bounds were not acceptable.
    #[must_use]
    pub fn is_invalid_buckets(&self) -> bool {
        matches!(self.0, Kind::InvalidBuckets { .. } | Kind::InvalidNative { .. })
    }

    /// Whether there are too many bucket rules already.
    #[must_use]
    pub fn is_too_many_rules(&self) -> bool {
        matches!(self.0, Kind::TooManyRules { .. })
    }

    /// Whether a collector, a latency tracker or a throughput monitor was described in a way that is not acceptable.
    #[must_use]
    pub fn is_invalid_tracker(&self) -> bool {
        matches!(self.0, Kind::InvalidTracker { .. })
    }

    /// Whether a collector was used in a way that its type, its labels or its values do not allow.
    #[must_use]
    pub fn is_wrong_use(&self) -> bool {
        matches!(
            self.0,
            Kind::WrongOperation { .. } | Kind::WrongLabels { .. } | Kind::NotANumber { .. }
        )
    }

    /// The error of a [`Collect`](crate::collect::Collect) that could not read `what` because of `cause`; both are
    /// fragments of a sentence.
    #[must_use]
    pub fn unreadable(what: &str, cause: &str) -> Self {
        Kind::Unreadable { what: what.to_owned(), cause: cause.to_owned() }.into()
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn unreadable_file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Kind::Unreadable { what: path.display().to_string(), cause: error.to_string() }.into()
    }

    /// Whether figures could not be read from the system.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self.0, Kind::Unreadable { .. })
    }

    /// Whether background work could not be started.
    #[must_use]
    pub fn is_not_started(&self) -> bool {
        matches!(self.0, Kind::NotStarted { .. })
    }

    /// Whether a setting or an endpoint of a push is not acceptable; the message lists every problem.
    #[cfg(feature = "push")]
    #[must_use]
    pub fn is_invalid_push(&self) -> bool {
        matches!(self.0, Kind::InvalidPush { .. })
    }

    /// Whether a push was started outside of a tokio runtime.
    #[cfg(feature = "push")]
    #[must_use]
    pub fn is_no_runtime(&self) -> bool {
        matches!(self.0, Kind::NoRuntime)
    }

    /// Whether a push to a Pushgateway did not get there.
    #[cfg(feature = "push")]
    #[must_use]
    pub fn is_not_pushed(&self) -> bool {
        matches!(self.0, Kind::NotPushed { .. })
    }

    /// Whether the buckets came after the metric's first use.
    #[must_use]
    pub fn is_buckets_in_use(&self) -> bool {
        matches!(self.0, Kind::BucketsInUse { .. })
    }
}

/// Everything that is wrong with one list of bounds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BucketProblems(pub(crate) Vec<BucketProblem>);

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum BucketProblem {
    #[error("no finite bound is given: at least one is needed")]
    Empty,
    #[error("{count} bounds are given: at most {limit} are accepted")]
    TooMany { count: usize, limit: usize },
    #[error("bound {position} is {bound}: finite numbers are accepted, and +Inf as the last")]
    NotFinite { position: usize, bound: f64 },
    #[error("bound {position} is {bound}: it must be larger than the one before it, {before}")]
    NotRising { position: usize, bound: f64, before: f64 },
}

impl fmt::Display for BucketProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
