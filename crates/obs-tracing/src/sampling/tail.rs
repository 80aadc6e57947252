//! Traces that are worth keeping though head sampling did not take them.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use obs_model::{Level, TraceId};
use parking_lot::{Mutex, RwLock};

use super::history::History;
use super::undecided::{Overflow, UndecidedTraces};
use super::{Decision, Sampler};
use crate::fields::{Given, GivenValue};
use crate::otlp::SpanQueue;
use crate::spans::{SpanKey, SpanState};
use crate::traces::Kept;

/// How many parts the histories are in, so that threads seldom meet.
const HISTORY_SHARDS: usize = 16;

/// How many of the traces that were kept last are known by their id.
const RECENT: usize = 256;

/// The most things that traces are kept for at once.
const MOST_LINKS: usize = 64;

/// Names of the field that says which route a request has.
const ROUTE_FIELDS: [&str; 3] = ["http.route", "path", "otel.name"];

/// Which traces are kept though head sampling did not take them.
///
/// The spans of such a trace wait in memory until the first of them that began here has closed, which is the last to
/// do so. Then they are exported if
///
/// - a span of the trace reported an error (`error`),
/// - it took longer than the [quantile](Self::slow_quantile) of the earlier ones of the same name and route (`slow`),
/// - something asked for traces like it, as a firing alert does ([`TailSampler::keep_linked`], `alert`), or
/// - another part of the same trace was kept shortly before (`same_trace`).
///
/// Each of its spans then has the attributes `obskit.sampled="tail"` and `obskit.reason`. Events at
/// [`event_level`](Self::event_level) and above are part of them. Counted are `obskit_traces_kept_total{reason}` and
/// `obskit_traces_dropped_total{reason}` (`ordinary`, `evicted`, `rate_limited`, `queue_full`, `closed`), and
/// `obskit_spans_dropped_total{reason="trace_too_large"}`.
///
/// Only the part of a trace that this process saw is kept: callers and callees were told that it is not sampled, and
/// decide for themselves. Of a trace that was evicted, what closes afterwards is a trace of its own.
///
/// ```
/// use obs_tracing::{OtlpConfig, Sampler, Sampling, TailConfig};
///
/// let mut otlp = OtlpConfig::new("http://localhost:4318");
/// otlp.sampling = Sampling::new(Sampler::Share(0.01));
/// otlp.tail = Some(TailConfig::default());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TailConfig {
    /// How many bytes of memory the traces that wait take at most; the oldest go first. 16 MiB.
    pub max_bytes: usize,
    /// How many traces wait at most. 10,000.
    pub max_traces: usize,
    /// How many bytes one trace takes at most; further spans of it are not kept. 512 KiB.
    pub max_trace_bytes: usize,
    /// The quantile of the durations of a route above which a trace is slow, between 0 and 1. 0.99.
    pub slow_quantile: f64,
    /// How many traces of a route there must have been before one can be slow. 100.
    pub slow_after: u32,
    /// How many routes have a history of their own; those beyond share one. 1,000.
    pub max_routes: usize,
    /// How many traces are kept in a second at most, with up to a second's worth at once, so that an outage in which
    /// all fail does not overwhelm the collector. 100.
    pub max_per_second: f64,
    /// Events at this level and above are kept with the spans. WARN.
    pub event_level: Level,
}

impl Default for TailConfig {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024 * 1024,
            max_traces: 10_000,
            max_trace_bytes: 512 * 1024,
            slow_quantile: 0.99,
            slow_after: 100,
            max_routes: 1_000,
            max_per_second: 100.0,
            event_level: Level::Warn,
        }
    }
}

impl TailConfig {
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.max_bytes < 64 * 1024 || self.max_trace_bytes < 16 * 1024 || self.max_traces == 0 {
            problems.push(format!(
                "tail sampling holds {} bytes, {} traces and {} bytes of one: expected 65536, 1 and 16384 or more",
                self.max_bytes, self.max_traces, self.max_trace_bytes
            ));
        }
        if !(self.slow_quantile > 0.0 && self.slow_quantile < 1.0) || self.slow_after == 0 {
            problems.push(format!(
                "a trace is slow above the quantile {} of {} or more: expected between 0 and 1, and 1 or more",
                self.slow_quantile, self.slow_after
            ));
        }
        if !(self.max_per_second > 0.0 && self.max_per_second <= 1e6) {
            problems.push(format!(
                "tail sampling keeps {} traces a second: expected more than 0, a million at most",
                self.max_per_second
            ));
        }
        problems
    }
}

/// Which traces are linked to something, such as a firing alert: those whose first span here fits.
///
/// ```
/// use obs_tracing::LinkedTraces;
///
/// // Requests to one route, and every trace that begins with a span of a name.
/// let _ = LinkedTraces::new().with_label("path", "/orders/{id}").with_label("method", "GET");
/// let _ = LinkedTraces::new().with_name("nightly*");
/// ```
#[derive(Clone, Debug, Default)]
pub struct LinkedTraces {
    names: Vec<String>,
    labels: Vec<(String, String)>,
}

impl LinkedTraces {
    /// Every trace, until a name or a label is asked for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// These traces, if their first span or its route has this name, or one of the others that are given. A name that
    /// ends with `*` fits what begins with the rest.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// These traces, if their first span has a text field of this name and value, and so for every label.
    #[must_use]
    pub fn with_label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    fn fits(&self, span: &SpanState, name: &str, route: Option<&str>) -> bool {
        let fits = |pattern: &String| {
            let fits = |name: &str| match pattern.strip_suffix('*') {
                Some(start) => name.starts_with(start),
                None => name == pattern,
            };
            fits(name) || route.is_some_and(fits)
        };
        (self.names.is_empty() || self.names.iter().any(fits))
            && self.labels.iter().all(|(name, value)| text_field(span, name) == Some(value))
    }
}

/// Keeps traces that are worth it; cheap to clone.
#[derive(Clone)]
pub struct TailSampler(Arc<Tail>);

impl TailSampler {
    pub(crate) fn new(tail: Arc<Tail>) -> Self {
        Self(tail)
    }

    /// Keeps the traces that fit for this long from now. Of more than 64 at once, the oldest is given up.
    pub fn keep_linked(&self, traces: LinkedTraces, lasting: Duration) {
        let now = (self.0.now)();
        let mut links = self.0.links.write();
        links.retain(|(until, _)| *until > now);
        if links.len() >= MOST_LINKS {
            links.remove(0);
        }
        links.push((now.saturating_add(lasting), traces));
        self.0.is_linked.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for TailSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TailSampler").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// What became of a span that closed, to be counted.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "what is kept and dropped is counted"]
pub(crate) struct TailOutcome {
    kept: Option<Kept>,
    dropped: Option<&'static str>,
    overflow: Overflow,
}

impl TailOutcome {
    /// Counts it. A recorder may itself log, so that nothing may be locked.
    pub(crate) fn count(self) {
        let dropped = |reason: &'static str, count: usize| {
            metrics::counter!("obskit_traces_dropped_total", "reason" => reason)
                .increment(count as u64);
        };
        if let Some(kept) = self.kept {
            metrics::counter!("obskit_traces_kept_total", "reason" => kept.as_str()).increment(1);
        }
        if let Some(reason) = self.dropped {
            dropped(reason, 1);
        }
        if self.overflow.traces > 0 {
            dropped("evicted", self.overflow.traces);
        }
        if self.overflow.span {
            metrics::counter!("obskit_spans_dropped_total", "reason" => "trace_too_large")
                .increment(1);
        }
    }
}

/// What tail sampling knows.
pub(crate) struct Tail {
    config: TailConfig,
    now: Box<dyn Fn() -> Duration + Send + Sync>,
    undecided: UndecidedTraces,
    hasher: RandomState,
    histories: Box<[Mutex<HashMap<u64, History>>]>,
    links: RwLock<Vec<(Duration, LinkedTraces)>>,
    is_linked: AtomicBool,
    /// Ids of traces that were kept, each in the place that its number gives it.
    recent: Box<[AtomicU64]>,
    rate: Arc<Decision>,
    /// Traces that were ordinary and are not counted yet.
    ordinary: AtomicU64,
}

impl Tail {
    pub(crate) fn new(
        config: TailConfig,
        now: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            undecided: UndecidedTraces::new(
                config.max_bytes,
                config.max_traces,
                config.max_trace_bytes,
            ),
            now: Box::new(now),
            hasher: RandomState::new(),
            histories: (0..HISTORY_SHARDS).map(|_| Mutex::default()).collect(),
            links: RwLock::default(),
            is_linked: AtomicBool::new(false),
            recent: (0..RECENT).map(|_| AtomicU64::new(0)).collect(),
            rate: Decision::new(Sampler::PerSecond(config.max_per_second)),
            ordinary: AtomicU64::new(0),
            config,
        })
    }

    /// Whether an event at this level is kept.
    pub(crate) fn keeps_events(&self, level: tracing_core::Level) -> bool {
        let least = match self.config.event_level {
            Level::Trace => tracing_core::Level::TRACE,
            Level::Debug => tracing_core::Level::DEBUG,
            Level::Info => tracing_core::Level::INFO,
            Level::Warn => tracing_core::Level::WARN,
            Level::Error => tracing_core::Level::ERROR,
        };
        level <= least
    }

    /// Takes a span that is closing: it waits, or its trace is decided if it began that here.
    pub(crate) fn close(
        &self,
        queue: &SpanQueue,
        key: SpanKey,
        span: &SpanState,
        start: u64,
        duration: u64,
    ) -> TailOutcome {
        let mut outcome = TailOutcome::default();
        if let Some(root) = span.root {
            outcome.overflow = self.undecided.keep(root, span, start, duration);
            return outcome;
        }
        let undecided = self.undecided.take(key);
        let failed = span.failed || undecided.as_ref().is_some_and(|trace| trace.failed);
        match self.reason(span, failed, duration) {
            None => {
                self.ordinary.fetch_add(1, Ordering::Relaxed);
            }
            Some(reason) if reason != Kept::SameTrace && !self.rate.takes(span.ids.trace) => {
                outcome.dropped = Some("rate_limited");
            }
            Some(reason) => {
                let earlier = undecided.as_ref().map(|trace| &trace.spans);
                match queue.push_trace(earlier, span, start, duration, reason) {
                    None => {
                        outcome.kept = Some(reason);
                        let trace = low(span.ids.trace);
                        self.recent[trace as usize % RECENT].store(trace, Ordering::Relaxed);
                    }
                    Some(refused) => outcome.dropped = Some(refused.as_str()),
                }
            }
        }
        if let Some(undecided) = undecided {
            self.undecided.give_back(key, undecided.spans);
        }
        outcome
    }

    fn reason(&self, root: &SpanState, failed: bool, duration: u64) -> Option<Kept> {
        let name = root.metadata?.name();
        let route = ROUTE_FIELDS.iter().find_map(|field| text_field(root, field));
        let hash = self.hasher.hash_one((name, route));
        // The history counts every trace, also one that is kept for something else.
        let is_slow = self.is_slow(hash, duration);
        if failed {
            return Some(Kept::Error);
        }
        if is_slow {
            return Some(Kept::Slow);
        }
        if self.is_linked(root, name, route) {
            return Some(Kept::Alert);
        }
        let trace = low(root.ids.trace);
        let was_kept = self.recent[trace as usize % RECENT].load(Ordering::Relaxed) == trace;
        was_kept.then_some(Kept::SameTrace)
    }

    fn is_slow(&self, route: u64, duration: u64) -> bool {
        let (quantile, least) = (self.config.slow_quantile, self.config.slow_after);
        let mut histories = self.histories[route as usize % HISTORY_SHARDS].lock();
        if let Some(history) = histories.get_mut(&route) {
            return history.judge(duration, quantile, least);
        }
        let is_full = histories.len() >= self.config.max_routes.div_ceil(HISTORY_SHARDS);
        let route = if is_full { 0 } else { route };
        histories.entry(route).or_insert_with(History::new).judge(duration, quantile, least)
    }

    fn is_linked(&self, root: &SpanState, name: &str, route: Option<&str>) -> bool {
        if !self.is_linked.load(Ordering::Relaxed) {
            return false;
        }
        let now = (self.now)();
        let links = self.links.read();
        let active = || links.iter().filter(|(until, _)| *until > now);
        if active().next().is_none() {
            drop(links);
            let mut links = self.links.write();
            links.retain(|(until, _)| *until > now);
            self.is_linked.store(!links.is_empty(), Ordering::Relaxed);
            return false;
        }
        active().any(|(_, traces)| traces.fits(root, name, route))
    }

    /// How many traces were ordinary since the last call.
    pub(crate) fn take_ordinary(&self) -> u64 {
        self.ordinary.swap(0, Ordering::Relaxed)
    }
}

/// The last text that a span has in a field, if it was given as text.
fn text_field<'a>(span: &'a SpanState, name: &str) -> Option<&'a str> {
    let index = span.metadata?.fields().field(name)?.index();
    let texts = span.given().into_iter().flat_map(|given| given.given(0..given.len()));
    texts
        .filter_map(|(of, value)| match (of, value) {
            (Given::Field(at), GivenValue::Text { kept, .. }) if at == index => Some(kept),
            _ => None,
        })
        .last()
}

fn low(trace: TraceId) -> u64 {
    trace.get() as u64
}
