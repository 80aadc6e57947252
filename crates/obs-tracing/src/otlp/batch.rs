//! Gathers ended spans and posts them from a thread of its own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::{DropReason, Redactor};
use opentelemetry::Context;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use parking_lot::{Condvar, Mutex};

use super::OtlpConfig;
use super::redact::redact;
use crate::Error;
use crate::pipeline::thread;

const THREAD_NAME: &str = "obskit-otlp";

#[derive(Default)]
struct State {
    /// A ring, so that taking a batch moves nothing else.
    spans: VecDeque<SpanData>,
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
    batch: usize,
    interval: Duration,
    timeout: Duration,
}

/// The spans that wait for export, with the thread that exports them; cheap to clone.
///
/// The SDK's own processor drops without counting and does not report a failed last export, and it cannot drive
/// an asynchronous client.
#[derive(Clone)]
pub(crate) struct SpanQueue(Arc<Shared>);

impl SpanQueue {
    pub(super) fn start(
        exporter: SpanExporter,
        config: &OtlpConfig,
        redactor: Redactor,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            progress: Condvar::new(),
            capacity: config.queue_spans,
            batch: config.batch_spans,
            interval: config.interval,
            timeout: config.timeout,
        });
        let failed = |source| Error::thread(THREAD_NAME, source);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let worker = Worker { shared: Arc::clone(&shared), exporter, redactor, runtime };
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

impl SpanProcessor for SpanQueue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let mut state = self.0.state.lock();
        let reason = match () {
            () if state.closed.is_some() => DropReason::Closed,
            () if state.spans.len() >= self.0.capacity => DropReason::QueueFull,
            () => {
                state.spans.push_back(span);
                state.accepted += 1;
                let full_batch = state.spans.len() == self.0.batch;
                drop(state);
                if full_batch {
                    self.0.wake.notify_one();
                }
                return;
            }
        };
        drop(state);
        metrics::counter!("obskit_spans_dropped_total", "reason" => reason.as_str()).increment(1);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.finish(Instant::now() + self.0.timeout, false).map_err(OTelSdkError::InternalFailure)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        // OK because the provider calls this when the subscriber is dropped, where nobody should wait: the
        // thread goes on until the time is up.
        let mut state = self.0.state.lock();
        state.closed.get_or_insert(Instant::now() + timeout);
        drop(state);
        self.0.wake.notify_one();
        Ok(())
    }
}

struct Worker {
    shared: Arc<Shared>,
    exporter: SpanExporter,
    redactor: Redactor,
    runtime: tokio::runtime::Runtime,
}

impl Worker {
    fn run(self) {
        let mut failing = false;
        loop {
            let (mut batch, closed) = self.next_batch();
            let count = batch.len() as u64;
            let outcome = if batch.is_empty() {
                Ok(())
            } else {
                batch.iter_mut().for_each(|span| redact(span, &self.redactor));
                self.export(batch, closed)
            };
            let name = match &outcome {
                Ok(()) => "obskit_spans_exported_total",
                Err(_) => "obskit_spans_failed_total",
            };
            metrics::counter!(name).increment(count);
            // Only the first failure after a success is logged: a collector that is down is one piece of news.
            if let Err(reason) = &outcome
                && !failing
            {
                tracing::warn!(target: "obskit::otlp", %reason, spans = count, "span export failed");
            }
            failing = if count == 0 { failing } else { outcome.is_err() };

            let mut state = self.shared.state.lock();
            state.done += count;
            if let Err(reason) = outcome {
                state.failed += count;
                state.last_failure = Some(reason);
            }
            let finished = state.closed.is_some() && state.spans.is_empty();
            drop(state);
            self.shared.progress.notify_all();
            if finished {
                return;
            }
        }
    }

    /// Waits for a batch that is full, old enough or asked for.
    fn next_batch(&self) -> (Vec<SpanData>, Option<Instant>) {
        let shared = &*self.shared;
        let until = Instant::now() + shared.interval;
        let mut state = shared.state.lock();
        while !(state.urgent || state.closed.is_some() || state.spans.len() >= shared.batch) {
            if shared.wake.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        let count = state.spans.len().min(shared.batch);
        let batch = state.spans.drain(..count).collect();
        state.urgent &= !state.spans.is_empty();
        (batch, state.closed)
    }

    fn export(&self, batch: Vec<SpanData>, closed: Option<Instant>) -> Result<(), String> {
        let timeout = closed.map_or(self.shared.timeout, |closed| {
            closed.saturating_duration_since(Instant::now()).min(self.shared.timeout)
        });
        // What the client itself logs or traces must not be exported in turn.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
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
