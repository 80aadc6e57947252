//! The worker: one message at a time, in order, until it is delivered or dropped.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::backoff::{FAR_FUTURE, full_jitter, instant_in};
use crate::state::{Fate, Held, Next, Shared};
use crate::status::Reason;
use crate::{Message, SendError, SendFuture, Transport};

/// Sends until the destination is closed and empty, or until its deadline.
pub(crate) async fn run(ending: EndOnDrop, transport: impl Transport) {
    let shared = Arc::clone(&ending.0);
    let deadline = shared.deadline.subscribe();
    let mut worker = Worker {
        shared: &shared,
        transport: &transport,
        deadline: deadline.clone(),
        pace: Pace { failures: 0, wait: None, rng: fastrand::Rng::new() },
    };
    tokio::select! {
        biased;
        () = worker.send_all() => {}
        () = reached(deadline) => {}
    }
    drop(ending);
}

/// Ends the destination with its worker, also if the task is aborted or its runtime goes away.
///
/// It is made before the task, because a task that is dropped before it first runs makes nothing.
pub(crate) struct EndOnDrop(pub(crate) Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Returns when the deadline, once there is one, is reached.
async fn reached(mut deadline: watch::Receiver<Option<Instant>>) {
    loop {
        let at = *deadline.borrow_and_update();
        let passed = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = passed => return,
            // OK because the sender lives as long as the worker: this is never an error in a loop.
            _ = deadline.changed() => {}
        }
    }
}

/// Carries out the sending.
struct Worker<'a, T> {
    shared: &'a Shared,
    transport: &'a T,
    deadline: watch::Receiver<Option<Instant>>,
    pace: Pace,
}

/// How the destination, not one message, is doing: what has to be waited for outlives the message that failed.
struct Pace {
    failures: u32,
    wait: Option<Wait>,
    rng: fastrand::Rng,
}

#[derive(Clone, Copy)]
struct Wait {
    until: Instant,
    /// Whether shutdown cuts it short: not if the destination asked for it.
    ends_at_shutdown: bool,
}

/// Whether the worker goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    GoOn,
    Stop,
}

impl<T: Transport> Worker<'_, T> {
    async fn send_all(&mut self) {
        loop {
            match self.shared.next() {
                Next::Send(held) => {
                    if self.send(&held).await == Flow::Stop {
                        return;
                    }
                }
                Next::Wait => self.shared.work.notified().await,
                Next::End => return,
            }
        }
    }

    /// Tries until the fate of the message is settled, or until no attempt can be made before the deadline.
    async fn send(&mut self, held: &Held) -> Flow {
        let shared = self.shared;
        let retry = &shared.config.retry;
        for attempt in 1..=retry.max_attempts {
            if self.wait(held).await == Flow::Stop {
                return Flow::Stop;
            }
            if held.offered_at.elapsed() >= retry.max_age {
                self.shared.settle(Fate::Dropped(Reason::Expired));
                return Flow::GoOn;
            }
            self.shared.sending(attempt > 1);
            if let Some(fate) = self.attempt(&held.message).await {
                self.shared.settle(fate);
                return Flow::GoOn;
            }
        }
        self.shared.settle(Fate::Dropped(Reason::Attempts));
        Flow::GoOn
    }

    /// Makes one attempt; no fate means that it failed and may be made again.
    async fn attempt(&mut self, message: &Message) -> Option<Fate> {
        let limit = self.shared.config.timeout;
        let begun = Instant::now();
        let outcome = timeout(limit, Caught::new(self.transport, message)).await;
        self.shared.metrics.attempt_seconds.record(begun.elapsed().as_secs_f64());
        let error = match outcome {
            Ok(Ok(Ok(()))) => {
                self.pace.failures = 0;
                return Some(Fate::Delivered);
            }
            Ok(Ok(Err(error))) => error,
            Ok(Err(panic)) => {
                self.shared.panicked();
                SendError::permanent(format!("the transport panicked: {panic}"))
            }
            Err(_) => SendError::passing(format!("no answer within {limit:?}")),
        };
        if error.is_permanent() {
            // The destination answered, so there is nothing to leave it alone for.
            self.pace.failures = 0;
            self.shared.failed(error.one_line(), true, 0);
            return Some(Fate::Dropped(Reason::Permanent));
        }
        self.hold_off(&error);
        self.shared.failed(error.one_line(), false, self.pace.failures);
        None
    }

    /// Decides how long the destination is left alone after a failure that may pass.
    fn hold_off(&mut self, error: &SendError) {
        let retry = &self.shared.config.retry;
        let jitter = full_jitter(retry, self.pace.failures, &mut self.pace.rng);
        let asked = error.retry_after().map(|wait| wait.min(retry.max_retry_after));
        self.pace.failures = self.pace.failures.saturating_add(1);
        self.pace.wait = Some(Wait {
            until: instant_in(asked.unwrap_or_default().saturating_add(jitter)),
            ends_at_shutdown: asked.is_none() && self.deadline.borrow().is_none(),
        });
    }

    /// Waits until the destination may be tried again, or until the message is too old to be worth it.
    async fn wait(&mut self, held: &Held) -> Flow {
        let expiry = held.offered_at + self.shared.config.retry.max_age.min(FAR_FUTURE);
        while let Some(wait) = self.pace.wait {
            let deadline = *self.deadline.borrow_and_update();
            if deadline.is_some() && wait.ends_at_shutdown {
                // Little time is left, so the back-off begins anew with an attempt at once.
                self.pace.failures = 0;
                self.pace.wait = None;
                return Flow::GoOn;
            }
            if deadline.is_some_and(|deadline| wait.until >= deadline) {
                return Flow::Stop;
            }
            self.shared.waiting_until(wait.until);
            tokio::select! {
                () = sleep_until(wait.until.min(expiry)) => {
                    // A message that expired first leaves the rest of the wait to the next one.
                    if wait.until <= expiry {
                        self.pace.wait = None;
                    }
                    return Flow::GoOn;
                }
                // OK because the sender lives as long as the worker: this is never an error in a loop.
                _ = self.deadline.changed() => {}
            }
        }
        Flow::GoOn
    }
}

/// An attempt whose panics are caught: in making it, in polling it and in dropping it.
struct Caught<'a> {
    state: Attempt<'a>,
}

enum Attempt<'a> {
    New(&'a dyn Transport, &'a Message),
    UnderWay(SendFuture<'a>),
    Over,
}

impl<'a> Caught<'a> {
    fn new(transport: &'a dyn Transport, message: &'a Message) -> Self {
        Self { state: Attempt::New(transport, message) }
    }
}

impl Future for Caught<'_> {
    /// What the transport answered, or what it panicked with.
    type Output = Result<Result<(), SendError>, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = match std::mem::replace(&mut self.state, Attempt::Over) {
            // OK because nothing of the transport's is looked at again after a panic but through another call
            // of `send`, and whoever writes a transport is told that panics are caught.
            Attempt::New(transport, message) => {
                match catch_unwind(AssertUnwindSafe(|| transport.send(message))) {
                    Ok(future) => future,
                    Err(panic) => return Poll::Ready(Err(panic_text(panic.as_ref()))),
                }
            }
            Attempt::UnderWay(future) => future,
            Attempt::Over => return Poll::Pending,
        };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => {
                self.state = Attempt::UnderWay(future);
                Poll::Pending
            }
            Ok(Poll::Ready(outcome)) => {
                drop_caught(future);
                Poll::Ready(Ok(outcome))
            }
            Err(panic) => {
                drop_caught(future);
                Poll::Ready(Err(panic_text(panic.as_ref())))
            }
        }
    }
}

impl Drop for Caught<'_> {
    fn drop(&mut self) {
        if let Attempt::UnderWay(future) = std::mem::replace(&mut self.state, Attempt::Over) {
            drop_caught(future);
        }
    }
}

/// Drops an attempt. That it panics in doing so changes nothing about its outcome, which is known by now.
fn drop_caught(future: SendFuture<'_>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned())
}
