//! The registry: all checks of a service, and what they add up to.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use metrics::{Unit, describe_gauge, describe_histogram};
use obs_model::{CheckReport, Clock, HealthReport, HealthStatus, Redactor, ServiceFigures};
use parking_lot::RwLock;

use crate::check::{Check, Probe};
use crate::error::{Error, Kind};
use crate::run::{Slot, Surroundings};

/// The longest name of a check, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// The name under which the startup report says that the service has not started.
const STARTUP: &str = "startup";

/// How a [`HealthRegistry`] works.
#[derive(Clone, Debug)]
pub struct HealthConfig {
    /// `service.version`, put into every report.
    pub version: Option<Arc<str>>,
    /// How long a finding is used again instead of running its check, so that a storm of probes costs one run.
    /// Counted from the beginning of the run; a failure is never hidden for longer. Default one second.
    pub cache_for: Duration,
    /// The most checks that are taken, which bounds the `check` label. Default 100.
    pub max_checks: usize,
    /// What is removed from messages and details before anybody sees them.
    pub redactor: Redactor,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            version: None,
            cache_for: Duration::from_secs(1),
            max_checks: 100,
            redactor: Redactor::new(),
        }
    }
}

/// The health checks of a service. Clones are cheap and share everything.
///
/// Checks run on the tokio runtime on which a report is asked for.
#[derive(Clone)]
pub struct HealthRegistry(Arc<Inner>);

struct Inner {
    version: Option<Arc<str>>,
    max_checks: usize,
    surroundings: Arc<Surroundings>,
    /// When the registry was made, on the monotonic clock.
    made: Duration,
    slots: RwLock<BTreeMap<Arc<str>, Arc<Slot>>>,
    started: AtomicBool,
    figures: RwLock<Option<FiguresSource>>,
}

type FiguresSource = Arc<dyn Fn() -> ServiceFigures + Send + Sync>;

impl HealthRegistry {
    /// A registry without checks that tells the time by `clock`.
    ///
    /// It describes its metrics to the recorder that is installed at this time.
    #[must_use]
    pub fn new(config: HealthConfig, clock: Arc<dyn Clock>) -> Self {
        describe_gauge!(
            "obskit_health_status",
            "What each health check found last: 1 healthy, 0.5 degraded, 0 unhealthy."
        );
        describe_histogram!(
            "obskit_health_check_duration_seconds",
            Unit::Seconds,
            "How long each health check took."
        );
        let made = clock.monotonic();
        Self(Arc::new(Inner {
            version: config.version,
            max_checks: config.max_checks,
            surroundings: Arc::new(Surroundings {
                clock,
                redactor: config.redactor,
                cache_for: config.cache_for,
            }),
            made,
            slots: RwLock::default(),
            started: AtomicBool::new(false),
            figures: RwLock::new(None),
        }))
    }

    /// Adds a check.
    ///
    /// # Errors
    ///
    /// Its name is not one or is taken, its timeout is zero, or there are
    /// [`max_checks`](HealthConfig::max_checks) already. Nothing is added then.
    pub fn add(&self, check: Check) -> Result<(), Error> {
        let name = || check.name().to_owned();
        if !is_valid_name(check.name()) {
            let shown = check.name().chars().take(MAX_NAME_BYTES).collect();
            return Err(Kind::Name(shown).into());
        }
        if check.timeout.is_zero() {
            return Err(Kind::Timeout(name()).into());
        }
        let mut slots = self.0.slots.write();
        if slots.contains_key(check.name()) {
            return Err(Kind::Duplicate(name()).into());
        }
        if slots.len() >= self.0.max_checks {
            return Err(Kind::Full { name: name(), limit: self.0.max_checks }.into());
        }
        let slot = Slot::new(check, Arc::clone(&self.0.surroundings));
        slots.insert(Arc::clone(&slot.check.name), Arc::new(slot));
        Ok(())
    }

    /// Removes the check of this name and says whether there was one. Its gauge becomes NaN.
    pub fn remove(&self, name: &str) -> bool {
        let removed = self.0.slots.write().remove(name);
        if let Some(slot) = &removed {
            slot.remove();
        }
        removed.is_some()
    }

    /// The names of all checks, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        self.0.slots.read().keys().cloned().collect()
    }

    /// Uses `source` for the service's own figures. Without one, only the uptime of this registry is known.
    ///
    /// It is called for every report and should be quick. When it panics, the report goes without its figures.
    pub fn set_figures(&self, source: impl Fn() -> ServiceFigures + Send + Sync + 'static) {
        *self.0.figures.write() = Some(Arc::new(source));
    }

    /// Says that the service has started, for good.
    pub fn set_started(&self) {
        self.0.started.store(true, Ordering::SeqCst);
    }

    /// Whether the service has said that it has started.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.0.started.load(Ordering::SeqCst)
    }

    /// What all checks find, run side by side.
    ///
    /// An unhealthy critical check makes the service unhealthy; an unhealthy check that is not critical, or one
    /// that is degraded, makes it degraded.
    pub async fn report(&self) -> HealthReport {
        self.report_of(|_| true).await
    }

    /// What the checks of readiness find: may it be sent work?
    pub async fn ready(&self) -> HealthReport {
        self.report_of(|check| check.is_on(Probe::Readiness)).await
    }

    /// What the checks of liveness find: must it be restarted? Healthy when there are none, because it answers.
    pub async fn live(&self) -> HealthReport {
        self.report_of(|check| check.is_on(Probe::Liveness)).await
    }

    /// What the checks of startup find; unhealthy before [`set_started`](Self::set_started), with a check
    /// `startup` that says so.
    pub async fn startup(&self) -> HealthReport {
        let started = self.is_started();
        let mut report = self.report_of(|check| check.is_on(Probe::Startup)).await;
        if !started {
            report.status = HealthStatus::Unhealthy;
            let not_yet = CheckReport {
                status: HealthStatus::Unhealthy,
                critical: true,
                message: "the service has not finished starting".to_owned(),
                latency: Duration::ZERO,
                details: Vec::new(),
            };
            report.checks.insert(STARTUP.to_owned(), not_yet);
        }
        report
    }

    async fn report_of(&self, belongs: impl Fn(&Check) -> bool) -> HealthReport {
        let slots: Vec<Arc<Slot>> =
            self.0.slots.read().values().filter(|slot| belongs(&slot.check)).cloned().collect();
        let findings = join_all(slots.iter().map(|slot| Arc::clone(slot).finding())).await;
        let checks: BTreeMap<String, CheckReport> =
            slots.iter().map(|slot| slot.check.name().to_owned()).zip(findings).collect();
        HealthReport {
            status: checks.values().map(weight).max().unwrap_or(HealthStatus::Healthy),
            timestamp: self.0.surroundings.clock.now(),
            version: self.0.version.clone(),
            checks,
            figures: self.figures(),
        }
    }

    fn figures(&self) -> ServiceFigures {
        let source = self.0.figures.read().clone();
        // OK to assert unwind safety because nothing of what the source was doing is used after its panic.
        source.and_then(|source| catch_unwind(AssertUnwindSafe(|| source())).ok()).unwrap_or_else(
            || ServiceFigures {
                uptime: self.0.surroundings.clock.monotonic().saturating_sub(self.0.made),
                ..ServiceFigures::default()
            },
        )
    }
}

impl fmt::Debug for HealthRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthRegistry").field("checks", &self.names()).finish_non_exhaustive()
    }
}

/// What a finding makes of the whole service.
fn weight(report: &CheckReport) -> HealthStatus {
    if report.critical { report.status } else { report.status.min(HealthStatus::Degraded) }
}

fn is_valid_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':' | b'/')
        })
}
