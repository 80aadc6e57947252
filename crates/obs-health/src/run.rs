//! Running one check: once at a time, within its timeout, whatever it does; and remembering what it found.

use std::any::Any;
use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use metrics::{gauge, histogram};
use obs_model::{CheckReport, Clock, FieldValue, HealthStatus, Redactor};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::check::{Check, CheckOutcome, Criticality, Work};

/// Where a message is cut, in bytes.
const MAX_MESSAGE_BYTES: usize = 1_024;

/// Where the text of a detail is cut, in bytes.
const MAX_DETAIL_BYTES: usize = 256;

/// What all runs of a registry share.
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) redactor: Redactor,
    pub(crate) cache_for: Duration,
}

/// A check with its present run and its last finding.
pub(crate) struct Slot {
    pub(crate) check: Check,
    surroundings: Arc<Surroundings>,
    state: Mutex<State>,
    /// Whether a thread still runs the check, also beyond its timeout.
    occupied: Arc<AtomicBool>,
    removed: AtomicBool,
}

#[derive(Default)]
struct State {
    flight: Option<Flight>,
    /// When the last finished run began, on the monotonic clock, and what it found.
    last: Option<(Duration, CheckReport)>,
}

/// A run that any number of callers wait for; it finds nothing when it dies with its runtime.
type Flight = Shared<BoxFuture<'static, Option<CheckReport>>>;

impl Slot {
    pub(crate) fn new(check: Check, surroundings: Arc<Surroundings>) -> Self {
        Self {
            check,
            surroundings,
            state: Mutex::default(),
            occupied: Arc::default(),
            removed: AtomicBool::new(false),
        }
    }

    /// What the check finds: the last finding while it is fresh, else that of the present or of a new run.
    ///
    /// A run is a task of its own, so a caller that goes away (a probe that lost its patience) does not stop it,
    /// and the next caller finds its result.
    pub(crate) async fn finding(self: Arc<Self>) -> CheckReport {
        // A run dies with its runtime; then another is begun, once, on the runtime of this caller.
        for _ in 0..2 {
            let flight = {
                let mut state = self.state.lock();
                let now = self.surroundings.clock.monotonic();
                if let Some((began, report)) = &state.last
                    && now.saturating_sub(*began) < self.surroundings.cache_for
                {
                    return report.clone();
                }
                match &state.flight {
                    Some(flight) if flight.peek().is_none() => flight.clone(),
                    _ => {
                        let Ok(runtime) = Handle::try_current() else {
                            return self.excused("it cannot run: there is no tokio runtime here");
                        };
                        // OK to spawn under the lock: a task takes it only when it has begun and ends.
                        state.flight.insert(self.start(&runtime)).clone()
                    }
                }
            };
            if let Some(report) = flight.await {
                return report;
            }
        }
        self.excused("its run was cancelled")
    }

    /// The report of a check that did not run.
    fn excused(&self, reason: &str) -> CheckReport {
        self.report(CheckOutcome::unhealthy(reason), Duration::ZERO)
    }

    /// Says in the metrics that there is no such check any more; no number, so that no alert goes on.
    pub(crate) fn remove(&self) {
        self.removed.store(true, Ordering::SeqCst);
        gauge!("obskit_health_status", "check" => Arc::clone(&self.check.name)).set(f64::NAN);
    }

    fn start(self: &Arc<Self>, runtime: &Handle) -> Flight {
        let slot = Arc::clone(self);
        let task = runtime.spawn(async move {
            let landing = Landing(slot);
            let slot = &landing.0;
            let began = slot.surroundings.clock.monotonic();
            let outcome = slot.run().await;
            let latency = slot.surroundings.clock.monotonic().saturating_sub(began);
            let report = slot.report(outcome, latency);
            slot.record(&report);
            slot.state.lock().last = Some((began, report.clone()));
            report
        });
        async move { task.await.ok() }.boxed().shared()
    }

    async fn run(&self) -> CheckOutcome {
        let limit = self.check.timeout;
        let ran = match &self.check.work {
            Work::Future(work) => {
                // The closure is called inside, because it may panic as well as its future.
                let guarded = AssertUnwindSafe(async { work().await }).catch_unwind();
                timeout(limit, guarded).await
            }
            Work::Blocking(work) => {
                if self.occupied.swap(true, Ordering::SeqCst) {
                    return CheckOutcome::unhealthy(format!(
                        "an earlier run, which timed out after {limit:?}, has still not finished"
                    ));
                }
                let occupied = Occupied(Arc::clone(&self.occupied));
                let work = Arc::clone(work);
                let thread = tokio::task::spawn_blocking(move || {
                    let _occupied = occupied;
                    std::panic::catch_unwind(AssertUnwindSafe(|| work()))
                });
                match timeout(limit, thread).await {
                    Ok(Ok(ran)) => Ok(ran),
                    Ok(Err(_)) => return CheckOutcome::unhealthy("its run was cancelled"),
                    Err(late) => Err(late),
                }
            }
        };
        match ran {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(payload)) => {
                CheckOutcome::unhealthy(format!("it panicked: {}", text_of(&*payload)))
            }
            Err(_) => CheckOutcome::unhealthy(format!("it timed out after {limit:?}")),
        }
    }

    /// The outcome as a record, bounded and without secrets: health is shown to whoever asks.
    fn report(&self, outcome: CheckOutcome, latency: Duration) -> CheckReport {
        let redactor = &self.surroundings.redactor;
        let details = outcome.details.into_iter().map(|(name, value)| {
            let value = match value {
                FieldValue::Text(text) => {
                    let text = cut(redactor.field(&name, &text), MAX_DETAIL_BYTES);
                    FieldValue::Text(Cow::Owned(text))
                }
                _ if redactor.is_secret_key(&name) => {
                    FieldValue::Text(Cow::Borrowed(obs_model::REDACTED))
                }
                other => other,
            };
            (cut(Cow::Owned(name), MAX_DETAIL_BYTES), value)
        });
        CheckReport {
            status: outcome.status,
            critical: self.check.criticality == Criticality::Critical,
            details: details.collect(),
            message: cut(redactor.text(&outcome.message), MAX_MESSAGE_BYTES),
            latency,
        }
    }

    fn record(&self, report: &CheckReport) {
        if self.removed.load(Ordering::SeqCst) {
            return;
        }
        let value = match report.status {
            HealthStatus::Healthy => 1.0,
            HealthStatus::Degraded => 0.5,
            HealthStatus::Unhealthy => 0.0,
        };
        let name = &self.check.name;
        gauge!("obskit_health_status", "check" => Arc::clone(name)).set(value);
        histogram!("obskit_health_check_duration_seconds", "check" => Arc::clone(name))
            .record(report.latency.as_secs_f64());
    }
}

/// Ends the flight of a slot, however its task ends.
struct Landing(Arc<Slot>);

impl Drop for Landing {
    fn drop(&mut self) {
        let flight = self.0.state.lock().flight.take();
        drop(flight);
    }
}

/// Marks that a thread runs the check.
struct Occupied(Arc<AtomicBool>);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic whose payload is not a text")
}

fn cut(text: Cow<'_, str>, limit: usize) -> String {
    if text.len() <= limit {
        return text.into_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(limit)])
}
