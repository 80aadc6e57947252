//! Gathers ended spans and posts them from a thread of its own.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::{DropReason, Redactor};
use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use parking_lot::{Condvar, Mutex};

use super::OtlpConfig;
use super::convert::{add_stand_in, span_data};
use super::redact::redact;
use crate::Error;
use crate::pipeline::thread;
use crate::sampling::Tail;
use crate::spans::SpanState;
use crate::traces::{Kept, Room, SpanBatch};

const THREAD_NAME: &str = "obskit-otlp";

/// How much memory a waiting span may take on average, in bytes; and the least bound for all of them.
const BYTES_PER_SPAN: usize = 4 * 1024;
const LEAST_BYTES: usize = 1024 * 1024;

/// The most memory that is kept for spans to come, in bytes.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Spans that wait.
#[derive(Default)]
struct Pending {
    spans: SpanBatch,
    /// What was said to the spans that stood for some of them, with their places.
    said: Vec<(usize, Box<SpanData>)>,
}

impl Pending {
    fn clear(&mut self) {
        self.spans.clear();
        self.said.clear();
    }
}

#[derive(Default)]
struct State {
    pending: Pending,
    accepted: u64,
    /// Spans that were exported or given up.
    done: u64,
    failed: u64,
    last_failure: Option<String>,
    urgent: bool,
    /// When set, no more spans are taken, and what is not exported by then is given up.
    closed: Option<Instant>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    progress: Condvar,
    capacity: usize,
    /// How many bytes wait at most.
    max_bytes: usize,
    batch: usize,
    interval: Duration,
    timeout: Duration,
}

/// The spans that wait for export, with the thread that exports them; cheap to clone.
#[derive(Clone)]
pub(crate) struct SpanQueue(Arc<Shared>);

impl SpanQueue {
    pub(super) fn start(
        exporter: SpanExporter,
        config: &OtlpConfig,
        redactor: Redactor,
        tail: Option<Arc<Tail>>,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            progress: Condvar::new(),
            capacity: config.queue_spans,
            max_bytes: config.queue_spans.saturating_mul(BYTES_PER_SPAN).max(LEAST_BYTES),
            batch: config.batch_spans,
            interval: config.interval,
            timeout: config.timeout,
        });
        let failed = |source| Error::thread(THREAD_NAME, source);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let scope = InstrumentationScope::builder("obskit").build();
        let worker =
            Worker { shared: Arc::clone(&shared), exporter, redactor, scope, tail, runtime };
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || worker.run())
            .map_err(failed)?;
        Ok(Self(shared))
    }

    /// Waits until every span taken so far has been exported or given up; `Err` says what was not exported.
    pub(crate) fn finish(&self, until: Instant, close: bool) -> Result<(), String> {
        let mut state = self.0.state.lock();
        let target = state.accepted;
        let failed_before = state.failed;
        if close && state.closed.is_none() {
            state.closed = Some(until);
        }
        state.urgent = true;
        self.0.wake.notify_one();
        while state.done < target {
            if self.0.progress.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        let lost = (target - state.done.min(target)) + (state.failed - failed_before);
        if lost == 0 {
            return Ok(());
        }
        let why = state.last_failure.as_deref().unwrap_or("the time was up");
        Err(format!("{lost} spans were not exported ({why})"))
    }
}

impl fmt::Debug for SpanQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanQueue").field("capacity", &self.0.capacity).finish_non_exhaustive()
    }
}

impl SpanQueue {
    /// Takes a span that is closing, or says why not. `said` is what was said to the span that stood for it.
    pub(crate) fn push(
        &self,
        span: &SpanState,
        start: u64,
        duration: u64,
        said: Option<Box<SpanData>>,
    ) -> Option<DropReason> {
        self.take_in(1, |pending| {
            let room = Room::of(self.0.max_bytes);
            let fits = pending.spans.push_with_story(span, start, duration, room);
            if fits && let Some(said) = said {
                pending.said.push((pending.spans.heads.len() - 1, said));
            }
            fits
        })
    }

    /// Takes a trace that is kept: the spans that closed before, and the one that began it here.
    pub(crate) fn push_trace(
        &self,
        earlier: Option<&SpanBatch>,
        root: &SpanState,
        start: u64,
        duration: u64,
        kept: Kept,
    ) -> Option<DropReason> {
        let count = earlier.map_or(0, |earlier| earlier.heads.len()) as u64 + 1;
        self.take_in(count, |pending| {
            let used = earlier.map_or(0, SpanBatch::used);
            let limit = self.0.max_bytes.saturating_sub(used);
            if !pending.spans.push_with_story(root, start, duration, Room::of(limit)) {
                return false;
            }
            if let Some(head) = pending.spans.heads.last_mut() {
                head.kept = Some(kept);
            }
            if let Some(earlier) = earlier {
                pending.spans.extend(earlier, kept);
            }
            true
        })
    }

    /// Takes so many spans, or says why not.
    fn take_in(&self, count: u64, add: impl FnOnce(&mut Pending) -> bool) -> Option<DropReason> {
        let mut state = self.0.state.lock();
        if state.closed.is_some() {
            return Some(DropReason::Closed);
        }
        let before = state.pending.spans.heads.len();
        if state.accepted - state.done + count > self.0.capacity as u64 || !add(&mut state.pending)
        {
            return Some(DropReason::QueueFull);
        }
        state.accepted += count;
        let after = state.pending.spans.heads.len();
        drop(state);
        if before < self.0.batch && after >= self.0.batch {
            self.0.wake.notify_one();
        }
        None
    }
}

/// Ends the exporting thread when the pipeline that feeds it is gone, without waiting for it.
pub(crate) struct CloseQueueOnDrop(pub(crate) SpanQueue);

impl Drop for CloseQueueOnDrop {
    fn drop(&mut self) {
        let shared = &self.0.0;
        shared.state.lock().closed.get_or_insert(Instant::now() + shared.timeout);
        shared.wake.notify_one();
    }
}

struct Worker {
    shared: Arc<Shared>,
    exporter: SpanExporter,
    redactor: Redactor,
    scope: InstrumentationScope,
    tail: Option<Arc<Tail>>,
    runtime: tokio::runtime::Runtime,
}

impl Worker {
    fn run(self) {
        let mut taken = Pending::default();
        let mut failing = false;
        loop {
            let closed = self.take(&mut taken);
            let mut said = std::mem::take(&mut taken.said).into_iter().peekable();
            for (number, heads) in taken.spans.heads.chunks(self.shared.batch).enumerate() {
                let first = number * self.shared.batch;
                let spans = heads.iter().enumerate().map(|(at, head)| {
                    let mut span = span_data(&taken.spans, head, &self.scope);
                    if let Some((_, said)) = said.next_if(|(place, _)| *place == first + at) {
                        add_stand_in(&mut span, head.place, *said);
                    }
                    redact(&mut span, &self.redactor);
                    span
                });
                let spans = spans.collect();
                self.send(spans, closed, &mut failing);
            }
            taken.clear();
            if taken.spans.capacity() > KEPT_BYTES {
                taken = Pending::default();
            }
            if let Some(ordinary) = self.tail.as_ref().map(|tail| tail.take_ordinary())
                && ordinary > 0
            {
                metrics::counter!("obskit_traces_dropped_total", "reason" => "ordinary")
                    .increment(ordinary);
            }
            let state = self.shared.state.lock();
            let finished = state.closed.is_some() && state.pending.spans.heads.is_empty();
            drop(state);
            self.shared.progress.notify_all();
            if finished {
                return;
            }
        }
    }

    /// Sends a batch, and says what became of it.
    fn send(&self, batch: Vec<SpanData>, closed: Option<Instant>, failing: &mut bool) {
        let count = batch.len() as u64;
        let outcome = self.export(batch, closed);
        let name = match &outcome {
            Ok(()) => "obskit_spans_exported_total",
            Err(_) => "obskit_spans_failed_total",
        };
        metrics::counter!(name).increment(count);
        // Only the first failure after a success is logged: a collector that is down is one piece of news.
        if let Err(reason) = &outcome
            && !*failing
        {
            tracing::warn!(target: "obskit::otlp", %reason, spans = count, "span export failed");
        }
        *failing = outcome.is_err();
        let mut state = self.shared.state.lock();
        state.done += count;
        if let Err(reason) = outcome {
            state.failed += count;
            state.last_failure = Some(reason);
        }
        drop(state);
        self.shared.progress.notify_all();
    }

    /// Waits until there are enough spans, or until they are old enough or asked for, and takes them all.
    fn take(&self, taken: &mut Pending) -> Option<Instant> {
        let shared = &*self.shared;
        let until = Instant::now() + shared.interval;
        let mut state = shared.state.lock();
        while !(state.urgent
            || state.closed.is_some()
            || state.pending.spans.heads.len() >= shared.batch)
        {
            if shared.wake.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        std::mem::swap(&mut state.pending, taken);
        state.urgent = false;
        state.closed
    }

    fn export(&self, batch: Vec<SpanData>, closed: Option<Instant>) -> Result<(), String> {
        let timeout = closed.map_or(self.shared.timeout, |closed| {
            closed.saturating_duration_since(Instant::now()).min(self.shared.timeout)
        });
        // What the client itself logs or traces must not be exported in turn.
        thread::suppressed(|| {
            self.runtime.block_on(async {
                match tokio::time::timeout(timeout, self.exporter.export(batch)).await {
                    Ok(result) => {
                        result.map_err(|error| self.redactor.text(&error.to_string()).into())
                    }
                    Err(_) => Err(format!("no answer within {timeout:?}")),
                }
            })
        })
    }
}
