//! What is said of open spans: metrics, and lines about those that hold up their thread.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tracing_core::Metadata;

use super::InFlightSummary;
use super::survey::{Blocking, Figures, Survey, duration};
use super::watch::Watch;
use crate::counters::recorder_address;
use crate::names::CodeNames;
use crate::spans::SpanKey;

/// How long there is no second line about the operations of one name, in nanoseconds.
const LINE_EVERY: u64 = 10_000_000_000;

/// A millisecond in nanoseconds.
const MILLISECOND: u64 = 1_000_000;

const OPEN: &str = "obskit_operations_in_flight";
const OLDEST: &str = "obskit_operation_oldest_seconds";
const STUCK: &str = "obskit_operations_stuck";
const BLOCKING: &str = "obskit_operations_blocking";
const POLLS: &str = "obskit_blocking_polls_total";
const POLL_DURATION: &str = "obskit_blocking_poll_duration_seconds";

/// What was said so far.
pub(super) struct Report {
    names: CodeNames,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The recorder whose series have their help.
    described: usize,
    /// The names whose gauges are not zero.
    shown: Vec<&'static str>,
    blocking: Vec<&'static str>,
    lines: HashMap<&'static str, Lines>,
    /// When a thread was last asked where it is in the code.
    last_stack: Option<u64>,
}

/// The lines about the operations of one name.
struct Lines {
    last: u64,
    withheld: u64,
}

impl Report {
    pub(super) fn new(max_names: usize) -> Self {
        Self { names: CodeNames::new(max_names), state: Mutex::default() }
    }

    /// Shows how many spans are open, how old the oldest is and how many are stuck, by name.
    pub(super) fn show(&self, watch: &Watch, survey: &Survey) -> InFlightSummary {
        let mut figures: HashMap<&'static str, Figures> = HashMap::new();
        let mut counted: Vec<_> = survey.count(watch).into_iter().collect();
        // Where there is not room for all names, those of most spans have it.
        counted.sort_by_key(|(name, figures)| (std::cmp::Reverse(figures.open), *name));
        for (name, more) in counted {
            figures.entry(self.names.label(name)).or_default().add(more);
        }
        let shown: Vec<&'static str> = figures.keys().copied().collect();
        let recorder = recorder_address();
        let mut state = self.state.lock();
        let is_described = std::mem::replace(&mut state.described, recorder) == recorder;
        let before = std::mem::replace(&mut state.shown, shown);
        drop(state);
        // OK because nothing is locked any more: a recorder may itself open spans.
        if !is_described {
            describe();
        }
        let gone = before.into_iter().filter(|name| !figures.contains_key(name));
        for (name, of_name) in gone.map(|name| (name, Figures::default())).chain(figures.clone()) {
            metrics::gauge!(OPEN, "name" => name).set(of_name.open as f64);
            metrics::gauge!(OLDEST, "name" => name).set(duration(of_name.oldest).as_secs_f64());
            metrics::gauge!(STUCK, "name" => name).set(of_name.stuck as f64);
        }
        self.show_blocking(watch, &survey.blocking);
        let mut all = Figures::default();
        figures.into_values().for_each(|figures| all.add(figures));
        InFlightSummary {
            open: all.open,
            stuck: all.stuck,
            blocking: survey.blocking.len() as u64,
            oldest: duration(all.oldest),
        }
    }

    /// Shows how many operations hold up their thread, and says so of each, though not of each at every time.
    pub(super) fn show_blocking(&self, watch: &Watch, blocking: &[Blocking]) {
        let mut figures: HashMap<&'static str, u64> = HashMap::new();
        for one in blocking {
            *figures.entry(self.names.label(one.place.name())).or_default() += 1;
        }
        let now = figures.keys().copied().collect();
        let before = std::mem::replace(&mut self.state.lock().blocking, now);
        let gone = before.into_iter().filter(|name| !figures.contains_key(name));
        for (name, count) in gone.map(|name| (name, 0)).chain(figures.clone()) {
            metrics::gauge!(BLOCKING, "name" => name).set(count as f64);
        }
        for one in blocking {
            self.warn_holding(watch, one);
        }
    }

    /// Counts an operation that held up its thread and no longer does.
    pub(super) fn count_blocking(&self, name: &'static str, time: Duration) {
        let name = self.names.label(name);
        metrics::counter!(POLLS, "name" => name).increment(1);
        metrics::histogram!(POLL_DURATION, "name" => name).record(time.as_secs_f64());
    }

    /// Says that an operation holds up its thread now.
    fn warn_holding(&self, watch: &Watch, one: &Blocking) {
        let now = watch.now();
        let Some(withheld) = self.may_write(one.place.name(), now, false) else { return };
        let (thread, held_ms) = (one.thread.name.as_deref(), one.time / MILLISECOND);
        let stacks = watch.stacks.as_ref().filter(|_| self.may_ask_for_a_stack(now));
        let stack = stacks.zip(one.thread.os_id);
        let stack = stack.and_then(|(stacks, thread)| stacks.stack_of(thread));
        let stack = stack.map(|stack| stack.join("\n"));
        watch.with_open(one.key, || {
            tracing::warn!(
                target: "obskit::in_flight",
                parent: one.key.id(),
                operation = one.place.name(),
                held_ms,
                thread,
                thread_id = one.thread.os_id,
                task = one.task,
                stack,
                withheld = some(withheld),
                "an operation holds up its thread, and the tasks that wait for that thread"
            );
        });
    }

    /// Says that an operation held up its thread; this is its thread.
    pub(super) fn warn_held(
        &self,
        watch: &Watch,
        key: SpanKey,
        place: &'static Metadata<'static>,
        task: u64,
        time: Duration,
    ) {
        let Some(withheld) = self.may_write(place.name(), watch.now(), true) else { return };
        let thread = std::thread::current();
        watch.with_open(key, || {
            tracing::warn!(
                target: "obskit::in_flight",
                parent: key.id(),
                operation = place.name(),
                held_ms = time.as_millis() as u64,
                thread = thread.name(),
                task,
                withheld = some(withheld),
                "an operation held up its thread, and the tasks that waited for that thread"
            );
        });
    }

    /// Whether a thread may be asked where it is in the code: finding names can take a second.
    fn may_ask_for_a_stack(&self, now: u64) -> bool {
        let mut state = self.state.lock();
        let may = state.last_stack.is_none_or(|last| now.saturating_sub(last) >= LINE_EVERY);
        if may {
            state.last_stack = Some(now);
        }
        may
    }

    /// Whether there may be a line about this operation now; if so, how many were withheld before. One that may not be is
    /// such a line if it `counts`: what is still going on is looked at again.
    fn may_write(&self, name: &'static str, now: u64, counts: bool) -> Option<u64> {
        let name = self.names.label(name);
        let mut state = self.state.lock();
        let Some(lines) = state.lines.get_mut(name) else {
            state.lines.insert(name, Lines { last: now, withheld: 0 });
            return Some(0);
        };
        if now.saturating_sub(lines.last) < LINE_EVERY {
            lines.withheld += u64::from(counts);
            return None;
        }
        lines.last = now;
        Some(std::mem::take(&mut lines.withheld))
    }
}

/// A number that is not worth telling when it is zero.
fn some(number: u64) -> Option<u64> {
    (number > 0).then_some(number)
}

/// Registers the help texts with the recorder.
fn describe() {
    metrics::describe_gauge!(OPEN, "Open spans, by name");
    metrics::describe_gauge!(OLDEST, "Age of the oldest open span, by name");
    metrics::describe_gauge!(
        STUCK,
        "Open spans in which nothing happens, or which are open for too long, by name"
    );
    metrics::describe_gauge!(BLOCKING, "Spans that hold up their thread now, by name");
    metrics::describe_counter!(POLLS, "Times that a task held up its thread for too long, by span");
    metrics::describe_histogram!(
        POLL_DURATION,
        "How long tasks held up their thread that did so for too long, by span"
    );
}
