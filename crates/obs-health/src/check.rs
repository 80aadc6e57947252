//! A health check: what it is called, what it runs, and what its failure means.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use obs_model::{FieldValue, HealthStatus};

/// The most details that an outcome keeps.
const MAX_DETAILS: usize = 32;

/// How long a check may take unless it says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the failure of a check means for the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Criticality {
    /// The service does not work without it: its failure makes the service unhealthy.
    #[default]
    Critical,
    /// The service works without it, though not as it should: its failure makes the service degraded.
    NonCritical,
}

/// A question that an orchestrator asks, and on which checks its answer depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Probe {
    /// May it be sent work? Every check belongs to it unless it says otherwise.
    Readiness,
    /// Must it be restarted? A check belongs to it only when it says so: a failing dependency is not mended by
    /// restarting the service.
    Liveness,
    /// Has it started?
    Startup,
}

/// A health check.
///
/// ```
/// use obs_health::{Check, CheckOutcome, Criticality, Probe};
/// use std::time::Duration;
///
/// let check = Check::new("database", || async {
///     CheckOutcome::healthy().with_detail("connections", 3_u64)
/// })
/// .with_timeout(Duration::from_secs(2))
/// .on(Probe::Startup);
/// assert_eq!(check.name(), "database");
///
/// // A result will do: an error is unhealthy, with its text as the message.
/// let cache = Check::new("cache", || async { Err::<(), _>("connection refused") })
///     .with_criticality(Criticality::NonCritical);
/// # let _ = cache;
/// ```
#[derive(Clone)]
pub struct Check {
    pub(crate) name: Arc<str>,
    pub(crate) criticality: Criticality,
    pub(crate) timeout: Duration,
    pub(crate) work: Work,
    probes: Vec<Probe>,
}

/// What a check runs.
#[derive(Clone)]
pub(crate) enum Work {
    Future(Arc<dyn Fn() -> BoxFuture<'static, CheckOutcome> + Send + Sync>),
    Blocking(Arc<dyn Fn() -> CheckOutcome + Send + Sync>),
}

impl Check {
    /// A critical check for readiness that may take five seconds, and runs a future of `work` each time.
    ///
    /// The name has 1 to 64 characters out of `A–Z a–z 0–9 _ - . : /`; [`HealthRegistry::add`] refuses another.
    ///
    /// [`HealthRegistry::add`]: crate::HealthRegistry::add
    #[must_use]
    pub fn new<W, F>(name: impl Into<Arc<str>>, work: W) -> Self
    where
        W: Fn() -> F + Send + Sync + 'static,
        F: Future<Output: Into<CheckOutcome>> + Send + 'static,
    {
        Self::with_work(name.into(), Work::Future(Arc::new(move || work().map(Into::into).boxed())))
    }

    /// Like [`new`](Self::new), for `work` that blocks: it runs on a thread that may.
    ///
    /// A thread cannot be stopped, so when `work` takes longer than the timeout, the check is unhealthy and is
    /// not run again before that run ends.
    #[must_use]
    pub fn blocking<W, O>(name: impl Into<Arc<str>>, work: W) -> Self
    where
        W: Fn() -> O + Send + Sync + 'static,
        O: Into<CheckOutcome>,
    {
        Self::with_work(name.into(), Work::Blocking(Arc::new(move || work().into())))
    }

    fn with_work(name: Arc<str>, work: Work) -> Self {
        Self {
            name,
            criticality: Criticality::Critical,
            timeout: DEFAULT_TIMEOUT,
            work,
            probes: vec![Probe::Readiness],
        }
    }

    /// This check with another criticality.
    #[must_use]
    pub const fn with_criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = criticality;
        self
    }

    /// This check with another timeout; one that takes longer is unhealthy.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// This check, also for `probe`.
    #[must_use]
    pub fn on(mut self, probe: Probe) -> Self {
        if !self.probes.contains(&probe) {
            self.probes.push(probe);
        }
        self
    }

    /// This check for these probes and no others; with none, it is only in the full report.
    #[must_use]
    pub fn only_on(mut self, probes: impl IntoIterator<Item = Probe>) -> Self {
        self.probes.clear();
        probes.into_iter().fold(self, Self::on)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the answer to `probe` depends on it.
    #[must_use]
    pub fn is_on(&self, probe: Probe) -> bool {
        self.probes.contains(&probe)
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("name", &self.name)
            .field("criticality", &self.criticality)
            .field("timeout", &self.timeout)
            .field("probes", &self.probes)
            .finish_non_exhaustive()
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckOutcome {
    pub(crate) status: HealthStatus,
    pub(crate) message: String,
    pub(crate) details: Vec<(String, FieldValue)>,
}

impl CheckOutcome {
    /// All is well.
    #[must_use]
    pub const fn healthy() -> Self {
        Self { status: HealthStatus::Healthy, message: String::new(), details: Vec::new() }
    }

    /// It works, but not as it should.
    #[must_use]
    pub fn degraded(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Degraded, message: message.into(), details: Vec::new() }
    }

    /// It does not work.
    #[must_use]
    pub fn unhealthy(message: impl Into<String>) -> Self {
        Self { status: HealthStatus::Unhealthy, message: message.into(), details: Vec::new() }
    }

    /// This outcome with another message for people. Secrets in it are removed before anybody sees it.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// This outcome with a figure behind the finding. Of one name the last is kept, and of all the first 32.
    #[must_use]
    pub fn with_detail(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        let (name, value) = (name.into(), value.into());
        match self.details.iter().position(|(known, _)| *known == name) {
            Some(at) => self.details[at].1 = value,
            None if self.details.len() < MAX_DETAILS => self.details.push((name, value)),
            None => {}
        }
        self
    }

    /// How well the thing checked is.
    #[must_use]
    pub const fn status(&self) -> HealthStatus {
        self.status
    }
}

/// Success is healthy; an error is unhealthy, with its text as the message.
impl<E: fmt::Display> From<Result<(), E>> for CheckOutcome {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::healthy(),
            Err(error) => Self::unhealthy(error.to_string()),
        }
    }
}

/// An error is unhealthy, with its text as the message.
impl<E: fmt::Display> From<Result<CheckOutcome, E>> for CheckOutcome {
    fn from(result: Result<CheckOutcome, E>) -> Self {
        result.unwrap_or_else(|error| Self::unhealthy(error.to_string()))
    }
}
