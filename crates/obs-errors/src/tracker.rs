//! The tracker: from an error to an event, its group, its counters and its log line.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use metrics::{counter, describe_counter, describe_gauge, gauge};
use obs_model::{Clock, Context, ErrorEvent, Fingerprint, Mechanism, StackFrame, Timestamp};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::config::Backtraces;
use crate::fingerprint::{self, Link};
use crate::groups::{Displaced, GroupStore, Limits};
use crate::statistics::HourCounter;
use crate::{ErrorConfig, ErrorGroup, Statistics, names, stack, text};

/// The `tracing` target of the log line that every captured error gets.
pub const LOG_TARGET: &str = "obskit::errors";

/// The value of the `error_type` label for types beyond the bound.
const OTHER_TYPES: &str = "other";

/// How many groups [`Statistics::top`] has.
const TOP_GROUPS: usize = 10;

/// Takes errors, groups them and keeps the latest. Clones are cheap and share everything.
#[derive(Clone)]
pub struct ErrorTracker(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) config: ErrorConfig,
    pub(crate) clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    store: GroupStore,
    hour: HourCounter,
    total: u64,
    evicted_groups: u64,
    type_labels: HashSet<Arc<str>>,
}

/// What the caller knows about a failure beside the error itself.
#[derive(Clone, Copy, Default)]
pub struct Details<'a> {
    /// The input of the failed work, which is redacted and cut to
    /// [`max_input_bytes`](ErrorConfig::max_input_bytes).
    pub input: Option<&'a dyn fmt::Display>,
    /// A name to use instead of the error's type, for boxed errors that do not know theirs. It becomes a label,
    /// so it should be one of few.
    pub error_type: Option<&'a str>,
    /// Whom and what the work was for, when it is not the current context.
    pub context: Option<&'a Context>,
    /// A key that decides the group by itself, instead of type, message and place.
    pub group_key: Option<&'a str>,
}

/// A captured error: quote the id to whoever has to report the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Captured {
    /// This occurrence's own id.
    pub id: Uuid,
    /// The group it belongs to.
    pub fingerprint: Fingerprint,
}

/// An occurrence as its mechanism describes it.
pub(crate) struct Occurrence<'a> {
    pub(crate) mechanism: Mechanism,
    pub(crate) timestamp: Timestamp,
    pub(crate) error_type: String,
    pub(crate) message: String,
    pub(crate) chain: Vec<Link>,
    pub(crate) stack: Vec<StackFrame>,
    /// The source file that enters the fingerprint.
    pub(crate) file: Option<&'a str>,
    pub(crate) thread: Option<Arc<str>>,
    pub(crate) context: Context,
    pub(crate) input: Option<String>,
    pub(crate) group_key: Option<&'a str>,
}

impl ErrorTracker {
    /// A tracker that tells the time by `clock`.
    ///
    /// It describes its metrics to the recorder that is installed at this time.
    #[must_use]
    pub fn new(config: ErrorConfig, clock: Arc<dyn Clock>) -> Self {
        let config = config.checked();
        describe_counter!(
            "obskit_errors_total",
            "Errors taken, by type and by how they were caught."
        );
        describe_gauge!("obskit_error_groups", "Error groups kept.");
        describe_counter!(
            "obskit_error_groups_evicted_total",
            "Error groups evicted because there were too many."
        );
        describe_counter!(
            "obskit_error_events_evicted_total",
            "Error events evicted, by the bound that they were beyond."
        );
        let store = GroupStore::new(Limits {
            groups: config.max_groups,
            events_per_group: config.events_per_group,
            bytes: config.max_bytes,
        });
        let state = State {
            store,
            hour: HourCounter::new(),
            total: 0,
            evicted_groups: 0,
            type_labels: HashSet::new(),
        };
        Self(Arc::new(Inner { config, clock, state: Mutex::new(state) }))
    }

    /// Takes an error; the place of the call becomes the top of its stack.
    ///
    /// Boxed errors are captured as what they point to: `tracker.capture(&*boxed)`.
    #[track_caller]
    pub fn capture<E: StdError + ?Sized>(&self, error: &E) -> Captured {
        self.capture_at(Location::caller(), error, Details::default())
    }

    /// Takes an error with what else is known about the failure.
    #[track_caller]
    pub fn capture_with<E: StdError + ?Sized>(&self, error: &E, details: Details<'_>) -> Captured {
        self.capture_at(Location::caller(), error, details)
    }

    pub(crate) fn capture_at<E: StdError + ?Sized>(
        &self,
        location: &'static Location<'static>,
        error: &E,
        details: Details<'_>,
    ) -> Captured {
        let config = &self.0.config;
        let error_type = match details.error_type {
            Some(name) => stack::short(name),
            None => stack::short(&names::type_of(error)),
        };
        let stack = match config.backtraces {
            Backtraces::Always => stack::walk(location),
            Backtraces::Never | Backtraces::Panics => vec![stack::here(location)],
        };
        self.record(Occurrence {
            mechanism: Mechanism::Captured,
            timestamp: self.0.clock.now(),
            error_type,
            message: self.redacted(format_args!("{error}")),
            chain: self.chain_of(error),
            stack,
            file: Some(location.file()),
            thread: None,
            context: details.context.cloned().unwrap_or_else(Context::current),
            input: details.input.map(|input| self.redacted_input(input)),
            group_key: details.group_key,
        })
    }

    /// All groups, the last seen first.
    #[must_use]
    pub fn groups(&self) -> Vec<ErrorGroup> {
        self.0.state.lock().store.all()
    }

    /// The group with this fingerprint, if it is kept.
    #[must_use]
    pub fn group(&self, fingerprint: Fingerprint) -> Option<ErrorGroup> {
        self.0.state.lock().store.get(fingerprint)
    }

    /// The kept events of a group, newest first; empty when there is no such group.
    #[must_use]
    pub fn events(&self, fingerprint: Fingerprint) -> Vec<Arc<ErrorEvent>> {
        self.0.state.lock().store.events(fingerprint)
    }

    /// The event with this id, if it is kept.
    #[must_use]
    pub fn event(&self, id: Uuid) -> Option<Arc<ErrorEvent>> {
        self.0.state.lock().store.event(id)
    }

    /// How many errors there were, and which most often.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let now = self.0.clock.monotonic();
        let mut state = self.0.state.lock();
        Statistics {
            total: state.total,
            unique_fingerprints: state.store.len(),
            last_hour: state.hour.sum(now),
            top: state.store.top(TOP_GROUPS),
            evicted_groups: state.evicted_groups,
        }
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    pub(crate) fn redacted(&self, message: fmt::Arguments<'_>) -> String {
        text::redacted(&self.0.config.redactor, message, self.0.config.max_message_bytes)
    }

    pub(crate) fn redacted_input(&self, input: &dyn fmt::Display) -> String {
        let config = &self.0.config;
        text::redacted(&config.redactor, format_args!("{input}"), config.max_input_bytes)
    }

    fn chain_of<E: StdError + ?Sized>(&self, error: &E) -> Vec<Link> {
        std::iter::successors(error.source(), source_of)
            .take(self.0.config.max_chain)
            .map(|cause| Link {
                error_type: names::type_of_dyn(cause),
                message: self.redacted(format_args!("{cause}")),
            })
            .collect()
    }

    /// Makes an event, keeps it, counts it and logs it. Foreign code runs only outside the lock.
    pub(crate) fn record(&self, occurrence: Occurrence<'_>) -> Captured {
        let fingerprint = match occurrence.group_key {
            Some(key) => fingerprint::of_key(key),
            None => fingerprint::of(
                &occurrence.error_type,
                &occurrence.message,
                &occurrence.chain,
                occurrence.file,
                &occurrence.stack,
            ),
        };
        let event = Arc::new(ErrorEvent {
            id: Uuid::new_v4(),
            timestamp: occurrence.timestamp,
            fingerprint,
            mechanism: occurrence.mechanism,
            error_type: occurrence.error_type,
            message: occurrence.message,
            chain: occurrence.chain.into_iter().map(|link| link.message).collect(),
            stack: occurrence.stack,
            thread: occurrence.thread,
            context: occurrence.context,
            input: occurrence.input,
            environment: self.0.config.environment.clone(),
            version: self.0.config.version.clone(),
        });
        let now = self.0.clock.monotonic();
        let (displaced, groups, type_label) = {
            let mut state = self.0.state.lock();
            state.total += 1;
            state.hour.add(now);
            let type_label = state.type_label(&event.error_type, self.0.config.max_error_types);
            let displaced = state.store.record(Arc::clone(&event));
            state.evicted_groups += displaced.groups as u64;
            (displaced, state.store.len(), type_label)
        };
        count(event.mechanism, type_label, groups, &displaced);
        if event.mechanism != Mechanism::Logged {
            log(&event);
        }
        Captured { id: event.id, fingerprint }
    }
}

impl fmt::Debug for ErrorTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorTracker").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl State {
    /// The label's value for an error type: the type while there are few, then `other`.
    fn type_label(&mut self, error_type: &str, limit: usize) -> Arc<str> {
        if let Some(known) = self.type_labels.get(error_type) {
            return Arc::clone(known);
        }
        if self.type_labels.len() >= limit {
            return OTHER_TYPES.into();
        }
        let label: Arc<str> = error_type.into();
        self.type_labels.insert(Arc::clone(&label));
        label
    }
}

fn source_of<'a>(cause: &&'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    (*cause).source()
}

fn count(mechanism: Mechanism, type_label: Arc<str>, groups: usize, displaced: &Displaced) {
    counter!("obskit_errors_total", "error_type" => type_label, "mechanism" => mechanism.as_str())
        .increment(1);
    gauge!("obskit_error_groups").set(groups as f64);
    if displaced.groups > 0 {
        counter!("obskit_error_groups_evicted_total").increment(displaced.groups as u64);
    }
    for (bound, events) in [
        ("events_per_group", &displaced.by_group_bound),
        ("memory", &displaced.by_memory_bound),
        ("groups", &displaced.with_groups),
    ] {
        if !events.is_empty() {
            counter!("obskit_error_events_evicted_total", "bound" => bound)
                .increment(events.len() as u64);
        }
    }
}

fn log(event: &ErrorEvent) {
    // The line belongs to whom the work was for, also when that was named instead of being current.
    let _entered = event.context.clone().enter();
    let location = event.stack.first();
    tracing::error!(
        target: LOG_TARGET,
        error_id = %event.id,
        fingerprint = %event.fingerprint,
        mechanism = event.mechanism.as_str(),
        error.name = event.error_type.as_str(),
        error.message = event.message.as_str(),
        error.stack = event.chain.join("\n"),
        error.file = location.and_then(|frame| frame.file.as_deref()),
        error.line = location.and_then(|frame| frame.line),
        input = event.input.as_deref(),
        thread = event.thread.as_deref(),
        "{}",
        event.message,
    );
}
