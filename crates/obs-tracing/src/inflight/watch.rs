//! What the pipeline tells of its spans, and the thread that looks at them.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_core::dispatcher::WeakDispatch;
use tracing_core::{Dispatch, Metadata};

use super::config::{InFlightConfig, ThreadStacks};
use super::limits::Limits;
use super::operation::InFlightSummary;
use super::report::Report;
use super::survey::{self, Survey};
use super::threads::{self, Left};
use super::time::Time;
use crate::Error;
use crate::fields::FieldRules;
use crate::spans::{SpanKey, SpanTable};

const THREAD_NAME: &str = "obskit-in-flight";

/// The bounds of how often threads are looked at.
const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
const LONGEST_PERIOD: Duration = Duration::from_secs(1);

/// Watches the open spans of one pipeline.
pub(crate) struct Watch {
    pub(super) table: Arc<SpanTable>,
    pub(super) rules: Arc<FieldRules>,
    pub(super) limits: Limits,
    pub(super) stacks: Option<Arc<dyn ThreadStacks>>,
    pub(super) report: Report,
    time: Time,
    dispatch: OnceLock<WeakDispatch>,
    stop: Arc<Stop>,
}

/// Ends the thread.
#[derive(Default)]
struct Stop {
    is_stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn stop(&self) {
        *self.is_stopped.lock() = true;
        self.changed.notify_all();
    }

    /// Waits for `time`, or until there is nothing more to do; whether that is so.
    fn wait(&self, time: Duration) -> bool {
        let mut is_stopped = self.is_stopped.lock();
        if !*is_stopped {
            self.changed.wait_for(&mut is_stopped, time);
        }
        *is_stopped
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

impl Watch {
    /// Watches the spans of `table`, with a thread of its own where time goes by itself.
    pub(crate) fn start(
        config: InFlightConfig,
        table: Arc<SpanTable>,
        rules: Arc<FieldRules>,
    ) -> Result<Arc<Self>, Error> {
        let watch = Arc::new(Self {
            table,
            rules,
            limits: Limits::new(&config),
            time: Time::new(&config.time),
            report: Report::new(config.max_names),
            stacks: config.stacks,
            dispatch: OnceLock::new(),
            stop: Arc::default(),
        });
        if watch.time.goes_by() {
            let (seen, stop) = (Arc::downgrade(&watch), Arc::clone(&watch.stop));
            let period = config.blocking_after.clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
            let samples = config.sample_interval;
            std::thread::Builder::new()
                .name(THREAD_NAME.to_owned())
                .spawn(move || run(&seen, &stop, period.min(samples), samples))
                .map_err(|source| Error::thread(THREAD_NAME, source))?;
        }
        Ok(watch)
    }

    /// Ends the thread: the series of open spans no longer change.
    pub(crate) fn stop(&self) {
        self.stop.stop();
    }

    /// Notes through which subscriber lines can be written.
    pub(crate) fn register(&self, dispatch: &Dispatch) {
        // OK because a pipeline has one dispatch: a second would be the same subscriber.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.time.now()
    }

    /// This thread enters a span.
    #[inline]
    pub(crate) fn enter(&self, key: SpanKey) {
        threads::enter(self.table.owner, key, self.now());
    }

    /// This thread leaves a span.
    #[inline]
    pub(crate) fn leave(&self, key: SpanKey) {
        let at = self.now();
        let mut held = None;
        threads::leave(self.table.owner, key, |left| {
            if left.is_still_in {
                return;
            }
            let spent = at.saturating_sub(left.since);
            if let Some(activity) = self.table.activity(key) {
                activity.leave(at, spent, left.task);
            }
            if spent >= self.limits.blocking_after {
                held = Some((left, spent));
            }
        });
        if let Some((left, spent)) = held {
            self.held(key, left, spent);
        }
    }

    /// Counts a span that held its thread for long, unless one inside it did and was counted.
    #[cold]
    fn held(&self, key: SpanKey, left: Left, spent: u64) {
        let own = spent.saturating_sub(left.reported);
        if own < self.limits.blocking_after {
            return threads::reported(self.table.owner, left.reported);
        }
        threads::reported(self.table.owner, spent);
        let place = self.table.with(key, |state| state.metadata).flatten();
        if let Some(place) = place.filter(|place| self.is_blamed(place, left.waited_for)) {
            self.report.count_blocking(place.name(), survey::duration(own));
            self.report.warn_held(self, key, place, left.task, survey::duration(own));
        }
    }

    /// Whether a span does harm that holds its thread for long.
    pub(super) fn is_blamed(&self, place: &Metadata<'static>, waited_for: bool) -> bool {
        waited_for && !self.limits.may_block(place.name())
    }

    /// Looks at the threads only: for what holds them up.
    fn look_at_threads(&self) {
        let (now, entered) = (self.now(), threads::entered(self.table.owner));
        self.report.show_blocking(self, &survey::blocking(self, now, &entered));
    }

    /// Looks at everything, and shows it in the metrics.
    pub(super) fn sample(&self) -> InFlightSummary {
        self.report.show(self, &Survey::take(self))
    }

    /// Does something with the subscriber and a span that stays open meanwhile.
    pub(super) fn with_open(&self, key: SpanKey, work: impl FnOnce()) {
        let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) else { return };
        if self.table.retain(key) {
            tracing_core::dispatcher::with_default(&dispatch, work);
            dispatch.try_close(key.id());
        }
    }
}

/// Looks at the threads in every period, and at all spans in every sample interval, until the pipeline goes.
fn run(watch: &Weak<Watch>, stop: &Stop, period: Duration, sample_interval: Duration) {
    let mut since_sample = sample_interval;
    loop {
        match watch.upgrade() {
            None => return,
            Some(watch) if since_sample >= sample_interval => {
                since_sample = Duration::ZERO;
                watch.sample();
            }
            Some(watch) => watch.look_at_threads(),
        }
        if stop.wait(period) {
            return;
        }
        since_sample += period;
    }
}
