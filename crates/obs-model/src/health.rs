//! The health of a service as a record.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::{FieldValue, Timestamp};

/// How well a check, or the whole service, is; ordered from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HealthStatus {
    /// All is well.
    Healthy,
    /// It works, but not as it should: a check that is not critical fails, or one says so of itself.
    Degraded,
    /// It does not work: a critical check fails.
    Unhealthy,
}

impl HealthStatus {
    /// The lower-case name, as it stands in labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckReport {
    /// How well the thing checked is.
    pub status: HealthStatus,
    /// Whether its failure makes the whole service unhealthy.
    pub critical: bool,
    /// What it found, for people; empty when there is nothing to say.
    pub message: String,
    /// How long the check took.
    pub latency: Duration,
    /// Figures behind the finding, by name.
    pub details: Vec<(String, FieldValue)>,
}

/// The service's own figures beside its checks; a figure is absent when nothing measures it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceFigures {
    /// How long the service has run.
    pub uptime: Duration,
    /// Requests in the last minute.
    pub requests_per_minute: Option<f64>,
    /// Their average response time.
    pub average_response_time: Option<Duration>,
    /// Users seen in the last five minutes.
    pub active_users: Option<u64>,
}

/// The health of the whole service.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthReport {
    /// The worst that its checks add up to.
    pub status: HealthStatus,
    /// When the report was made.
    pub timestamp: Timestamp,
    /// `service.version`.
    pub version: Option<Arc<str>>,
    /// What each check found, by name.
    pub checks: BTreeMap<String, CheckReport>,
    /// The service's own figures.
    pub figures: ServiceFigures,
}
