//! Gathers spans that closed, for the thread that exports them.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use obs_delivery::Delivery;
use obs_model::{DropReason, Redactor, Resource};
use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::trace::SpanData;
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::request::Request;
use super::transport::{self, Endpoint};
use super::worker::{Counted, Worker};
use super::{OtlpConfig, SCOPE};
use crate::Error;
use crate::pipeline::thread;
use crate::sampling::Tail;
use crate::spans::SpanState;
use crate::traces::{Kept, Room, SpanBatch};

const THREAD_NAME: &str = "obskit-otlp";

/// How much memory a waiting span may take on average, in bytes; and the least bound for all of them.
const BYTES_PER_SPAN: usize = 4 * 1024;
const LEAST_BYTES: usize = 1024 * 1024;

/// How long after the deadline it is waited for that spans are brought to the disk.
const SPOOL_GRACE: Duration = Duration::from_secs(3);

/// Spans that wait.
#[derive(Default)]
pub(super) struct Pending {
    pub(super) spans: SpanBatch,
    /// What was said to the spans that stood for some of them, with their places.
    pub(super) said: Vec<(usize, Box<SpanData>)>,
}

impl Pending {
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.said.clear();
    }
}

#[derive(Default)]
pub(super) struct State {
    pub(super) pending: Pending,
    accepted: u64,
    /// Spans that were exported or given up.
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) last_failure: Option<String>,
    urgent: bool,
    /// When set, no more spans are taken, and what is not exported by then is given up.
    pub(super) closed: Option<Instant>,
    /// Whether the thread has ended.
    pub(super) ended: bool,
}

pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// The thread waits here for spans.
    wake: Notify,
    /// And here, while it waits for a delivery, for the end.
    pub(super) closing: Notify,
    /// Flushers wait here for the thread.
    pub(super) progress: Condvar,
    capacity: usize,
    /// How many bytes wait at most.
    max_bytes: usize,
    pub(super) batch: usize,
    interval: Duration,
    timeout: Duration,
    /// What delivers from the disk, and what drives it, if there is a spool.
    pub(super) spooling: Option<(Handle, Delivery)>,
}

/// The spans that wait for export, with the thread that exports them; cheap to clone.
#[derive(Clone)]
pub(crate) struct SpanQueue(Arc<Shared>);

impl SpanQueue {
    pub(super) fn start(
        endpoints: Vec<Endpoint>,
        config: &OtlpConfig,
        resource: &Resource,
        redactor: Redactor,
        tail: Option<Arc<Tail>>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::thread(THREAD_NAME, source);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // Threads that look up names or compress belong to the export as well.
            .on_thread_start(thread::suppress_for_ever)
            .build()
            .map_err(failed)?;
        let request = Request::new(resource, SCOPE, config.spool.is_some());
        let builder = Delivery::builder(transport::delivery(config)).encoder(request.clone());
        let builder = match &config.spool {
            Some(spool) => builder.spool(Arc::clone(spool)),
            None => builder,
        };
        let builder = endpoints
            .into_iter()
            .fold(builder, |builder, (name, endpoint)| builder.endpoint(name, endpoint));
        let running = runtime.enter();
        let delivery = builder.start();
        drop(running);
        let delivery = match delivery {
            Ok(delivery) => delivery,
            Err(error) => {
                // A runtime that is only dropped would wait, which it must not do on a thread of another one.
                runtime.shutdown_background();
                return Err(Error::config(vec![format!("OTLP: {error}")]));
            }
        };
        let spooling = config.spool.is_some().then(|| (runtime.handle().clone(), delivery.clone()));
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Notify::new(),
            closing: Notify::new(),
            progress: Condvar::new(),
            capacity: config.queue_spans,
            max_bytes: config.queue_spans.saturating_mul(BYTES_PER_SPAN).max(LEAST_BYTES),
            batch: config.batch_spans,
            interval: config.interval,
            timeout: config.timeout,
            spooling,
        });
        let worker = Worker {
            shared: Arc::clone(&shared),
            delivery,
            request,
            redactor,
            scope: InstrumentationScope::builder(SCOPE).build(),
            tail,
            runtime,
            counted: Counted::default(),
            is_failing: false,
        };
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
        if close {
            self.0.closing.notify_one();
        }
        // What is not sent by then is brought to the disk, which may take a little longer.
        let grace = if close && self.0.spooling.is_some() { SPOOL_GRACE } else { Duration::ZERO };
        let is_pending = |state: &State| match close && self.0.spooling.is_some() {
            true => !state.ended,
            false => state.done < target,
        };
        while is_pending(&state) {
            if self.0.progress.wait_until(&mut state, until + grace).timed_out() {
                break;
            }
        }
        if let Some((runtime, delivery)) = self.0.spooling.as_ref().filter(|_| !close) {
            drop(state);
            deliver(runtime, delivery, until);
            state = self.0.state.lock();
        }
        let lost = (target - state.done.min(target)) + (state.failed - failed_before);
        if lost == 0 {
            return Ok(());
        }
        let why = state.last_failure.as_deref().unwrap_or("the time was up");
        Err(format!("{lost} spans were not exported ({why})"))
    }
}

/// Waits until what is on the disk is delivered, too.
fn deliver(runtime: &Handle, delivery: &Delivery, until: Instant) {
    let (done, delivered) = mpsc::channel();
    let delivery = delivery.clone();
    let left = until.saturating_duration_since(Instant::now());
    runtime.spawn(async move {
        // OK because what is not delivered by then is safe where it is.
        let _ = delivery.flush(left).await;
        let _ = done.send(());
    });
    let _ = delivered.recv_timeout(left);
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
        shared.closing.notify_one();
    }
}

impl Shared {
    /// Waits until there are enough spans, or until they are old enough or asked for, and takes them all.
    pub(super) async fn take(&self, taken: &mut Pending) {
        let until = tokio::time::Instant::now() + self.interval;
        let mut is_due = false;
        loop {
            {
                let mut state = self.state.lock();
                is_due |= state.urgent || state.closed.is_some();
                if is_due || state.pending.spans.heads.len() >= self.batch {
                    std::mem::swap(&mut state.pending, taken);
                    state.urgent = false;
                    return;
                }
            }
            is_due = tokio::time::timeout_at(until, self.wake.notified()).await.is_err();
        }
    }
}
