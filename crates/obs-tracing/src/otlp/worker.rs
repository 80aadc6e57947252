//! The thread that makes requests of closed spans and has them delivered.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_delivery::{Delivery, Spooled};
use obs_model::Redactor;
use opentelemetry::InstrumentationScope;
use tokio::runtime::Runtime;

use super::batch::{Pending, Shared};
use super::convert::{add_stand_in, span_data};
use super::redact::redact;
use super::request::Request;
use crate::pipeline::thread;
use crate::sampling::Tail;

/// The most memory that is kept for spans to come, in bytes.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// How often it is looked whether a batch that is not delivered yet has failed.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) delivery: Delivery,
    pub(super) request: Request,
    pub(super) redactor: Redactor,
    pub(super) scope: InstrumentationScope,
    pub(super) tail: Option<Arc<Tail>>,
    /// What drives the deliveries, on this thread alone.
    pub(super) runtime: Runtime,
    pub(super) counted: Counted,
    pub(super) is_failing: bool,
}

/// What was counted of spans so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Counted {
    delivered: u64,
    failed: u64,
}

/// Says whether a span is in the spool, once that is decided.
type Answer = Pin<Box<dyn Future<Output = Spooled> + Send>>;

/// How far a batch is.
enum Progress {
    /// Every span of it was delivered or given up, or is in the spool.
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
            if self.shared.spooling.is_some() {
                // Spans are delivered from the disk whenever it is their turn.
                self.account();
            }
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
                self.shared.state.lock().ended = true;
                self.shared.progress.notify_all();
                return;
            }
        }
    }

    /// Has spans delivered, batch by batch; those of a closing export are all offered at once.
    fn export(&mut self, taken: &mut Pending) {
        let mut said = std::mem::take(&mut taken.said).into_iter().peekable();
        let mut answers: VecDeque<Answer> = VecDeque::new();
        for (number, heads) in taken.spans.heads.chunks(self.shared.batch).enumerate() {
            let first = number * self.shared.batch;
            for (at, head) in heads.iter().enumerate() {
                let mut span = span_data(&taken.spans, head, &self.scope);
                if let Some((_, said)) = said.next_if(|(place, _)| *place == first + at) {
                    add_stand_in(&mut span, head.place, *said);
                }
                redact(&mut span, &self.redactor);
                let message = self.request.message_of(span);
                if self.shared.spooling.is_some() {
                    answers.push_back(Box::pin(self.delivery.offer_spooled(message)));
                } else {
                    // OK because the destination counts what it drops.
                    let _ = self.delivery.offer(message);
                }
            }
            while let Progress::Trying =
                thread::suppressed(|| self.runtime.block_on(self.settle(&mut answers)))
            {
                self.account();
            }
            self.account();
        }
    }

    /// Waits for what was offered, for a while: until it is delivered, or in the spool where there is one.
    async fn settle(&self, answers: &mut VecDeque<Answer>) -> Progress {
        if self.shared.state.lock().closed.is_some() {
            return Progress::Closing;
        }
        let settled = async {
            if self.shared.spooling.is_none() {
                return self.delivery.flush(LOOKED_AT_EVERY).await.is_complete;
            }
            let all = async {
                while let Some(answer) = answers.front_mut() {
                    // OK because the destination counts what becomes of it.
                    let _ = answer.await;
                    answers.pop_front();
                }
            };
            tokio::time::timeout(LOOKED_AT_EVERY, all).await.is_ok()
        };
        tokio::select! {
            is_settled = settled => {
                if is_settled { Progress::Settled } else { Progress::Trying }
            }
            () = self.shared.closing.notified() => Progress::Closing,
        }
    }

    /// Counts what became of spans, and says when they begin to fail.
    fn account(&mut self) {
        let status = self.delivery.status();
        let failed = status.dropped.total() + status.undelivered;
        // Delivered, given up, or in the spool.
        let done = match self.shared.spooling {
            // What an earlier process left is delivered as well, and was never taken here.
            Some(_) => status.offered.saturating_sub(status.queued as u64),
            None => status.delivered + failed,
        };
        let now = Counted { delivered: status.delivered, failed };
        let before = std::mem::replace(&mut self.counted, now);
        let delivered = now.delivered - before.delivered;
        let failed = now.failed - before.failed;
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
        state.done = state.done.max(done);
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
