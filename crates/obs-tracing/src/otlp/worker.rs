//! The thread that makes requests of closed spans and has them delivered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_delivery::Delivery;
use obs_model::Redactor;
use opentelemetry::InstrumentationScope;
use tokio::runtime::Runtime;

use super::batch::{Pending, Shared};
use super::convert::{add_stand_in, span_data};
use super::redact::redact;
use super::request::message_of;
use crate::pipeline::thread;
use crate::sampling::Tail;

/// The most memory that is kept for spans to come, in bytes.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// How often it is looked whether a batch that is not delivered yet has failed.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) delivery: Delivery,
    pub(super) redactor: Redactor,
    pub(super) scope: InstrumentationScope,
    pub(super) tail: Option<Arc<Tail>>,
    /// What drives the deliveries, on this thread alone.
    pub(super) runtime: Runtime,
    /// Spans that were delivered so far, and that were delivered or given up.
    pub(super) counted: (u64, u64),
    pub(super) is_failing: bool,
}

/// How far a batch is.
enum Progress {
    /// Every span of it was delivered or given up.
    Settled,
    Trying,
    /// The export ends.
    Closing,
}

impl Worker {
    pub(super) fn run(mut self) {
        let mut taken = Pending::default();
        loop {
            // What the client itself logs or traces must not be exported in turn.
            thread::suppressed(|| self.runtime.block_on(self.shared.take(&mut taken)));
            self.export(&mut taken);
            self.count_ordinary();
            taken.clear();
            if taken.spans.capacity() > KEPT_BYTES {
                taken = Pending::default();
            }
            let state = self.shared.state.lock();
            let closed = state.closed.filter(|_| state.pending.spans.heads.is_empty());
            drop(state);
            if let Some(until) = closed {
                let left = until.saturating_duration_since(Instant::now());
                // OK because the account below says the same.
                let _ = thread::suppressed(|| self.runtime.block_on(self.delivery.shutdown(left)));
                self.account();
                return;
            }
        }
    }

    /// Has spans delivered, batch by batch; those of a closing export are all offered at once.
    fn export(&mut self, taken: &mut Pending) {
        let mut said = std::mem::take(&mut taken.said).into_iter().peekable();
        for (number, heads) in taken.spans.heads.chunks(self.shared.batch).enumerate() {
            let first = number * self.shared.batch;
            for (at, head) in heads.iter().enumerate() {
                let mut span = span_data(&taken.spans, head, &self.scope);
                if let Some((_, said)) = said.next_if(|(place, _)| *place == first + at) {
                    add_stand_in(&mut span, head.place, *said);
                }
                redact(&mut span, &self.redactor);
                // OK because the destination counts what it drops.
                let _ = self.delivery.offer(message_of(span));
            }
            while let Progress::Trying = thread::suppressed(|| self.runtime.block_on(self.settle()))
            {
                self.account();
            }
            self.account();
        }
    }

    /// Waits for what was offered, for a while.
    async fn settle(&self) -> Progress {
        if self.shared.state.lock().closed.is_some() {
            return Progress::Closing;
        }
        tokio::select! {
            flushed = self.delivery.flush(LOOKED_AT_EVERY) => {
                if flushed.is_complete { Progress::Settled } else { Progress::Trying }
            }
            () = self.shared.closing.notified() => Progress::Closing,
        }
    }

    /// Counts what became of spans, and says when they begin to fail.
    fn account(&mut self) {
        let status = self.delivery.status();
        let settled = status.delivered + status.dropped.total() + status.undelivered;
        let (delivered, done) = (status.delivered - self.counted.0, settled - self.counted.1);
        self.counted = (status.delivered, settled);
        let failed = done - delivered;
        let trying = status.endpoints.iter().all(|endpoint| endpoint.failures_in_a_row > 0);
        let reason =
            self.delivery.last_error().map(|error| self.redactor.text(&error.message).into());
        for (name, count) in
            [("obskit_spans_exported_total", delivered), ("obskit_spans_failed_total", failed)]
        {
            if count > 0 {
                metrics::counter!(name).increment(count);
            }
        }
        // Only the first failure after a success is logged: a collector that is down is one piece of news.
        if (failed > 0 || trying)
            && !self.is_failing
            && let Some(reason) = &reason
        {
            let reason: &String = reason;
            tracing::warn!(target: "obskit::otlp", %reason, spans = failed, "span export failed");
        }
        self.is_failing = failed > 0 || trying;
        let mut state = self.shared.state.lock();
        state.done += done;
        state.failed += failed;
        if failed > 0 {
            state.last_failure = reason;
        }
        drop(state);
        self.shared.progress.notify_all();
    }

    fn count_ordinary(&self) {
        let ordinary = self.tail.as_ref().map_or(0, |tail| tail.take_ordinary());
        if ordinary > 0 {
            metrics::counter!("obskit_traces_dropped_total", "reason" => "ordinary")
                .increment(ordinary);
        }
    }
}
