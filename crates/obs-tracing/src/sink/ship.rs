//! The thread on which sinks send, apart from the service's own executor.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use obs_delivery::Delivery;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::Error;
use crate::pipeline::thread;

const THREAD_NAME: &str = "obskit-ship";

/// How long after the deadline the answers of the destinations are waited for: each keeps the deadline itself.
const GRACE: Duration = Duration::from_secs(3);

/// A runtime with one thread, which ends when this is dropped.
pub(crate) struct ShipRuntime {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl ShipRuntime {
    pub(crate) fn start() -> Result<Self, Error> {
        let failed = |source| Error::thread(THREAD_NAME, source);
        // OK because what the machinery that sends lines away logs must not come back to it.
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_start(thread::suppress_for_ever)
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || {
                thread::suppress_for_ever();
                // OK because the sender says nothing: it is only dropped.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(failed)?;
        Ok(Self { handle, _stop: stop })
    }

    /// Makes this the current runtime while `work` runs.
    pub(crate) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = self.handle.enter();
        work()
    }

    /// Waits until the destinations have sent what they have, and shuts them down if `close`; a sentence for each that
    /// did not send everything.
    pub(crate) fn finish(
        &self,
        deliveries: &[Delivery],
        until: Instant,
        close: bool,
    ) -> Vec<String> {
        let (report, reports) = mpsc::channel();
        for delivery in deliveries {
            let (delivery, report) = (delivery.clone(), report.clone());
            self.handle.spawn(async move {
                let left = until.saturating_duration_since(Instant::now());
                let undelivered = if close {
                    delivery.shutdown(left).await.undelivered
                } else {
                    let flushed = delivery.flush(left).await;
                    if flushed.is_complete { 0 } else { flushed.queued as u64 }
                };
                // OK because nobody waits for the answer any more when it cannot be given.
                let _ = report.send((delivery.name().to_owned(), undelivered));
            });
        }
        drop(report);
        let mut problems = Vec::new();
        for _ in deliveries {
            let left = (until + GRACE).saturating_duration_since(Instant::now());
            match reports.recv_timeout(left) {
                Ok((_, 0)) => {}
                Ok((name, lines)) => {
                    problems.push(format!("{lines} log lines were not sent to {name}"));
                }
                Err(_) => {
                    problems.push("a sink of log lines did not answer".to_owned());
                    break;
                }
            }
        }
        problems
    }
}
