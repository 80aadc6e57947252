//! The handle of a destination.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Accepted, Sink};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::timeout_at;

use crate::backoff::instant_in;
use crate::error::Kind;
use crate::state::Shared;
use crate::worker::{self, EndOnDrop};
use crate::{DeliveryConfig, DeliveryReport, DeliveryStatus, Error, LastError, Message, Transport};

/// A destination: a bounded queue before a transport. A clone is another handle of the same one.
///
/// When the last handle is dropped without [`shutdown`](Self::shutdown), the destination takes no more
/// messages, and its worker goes on until what it holds is delivered or dropped, for as long as the runtime
/// lives.
#[derive(Clone)]
pub struct Delivery {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    worker: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Delivery {
    /// Starts a worker on the current tokio runtime, whose timer must be enabled.
    ///
    /// # Errors
    ///
    /// `is_config` if a setting is not valid, `is_no_runtime` if there is no current runtime.
    pub fn start(config: DeliveryConfig, transport: impl Transport) -> Result<Self, Error> {
        config.validate()?;
        let Ok(runtime) = Handle::try_current() else {
            return Err(Kind::NoRuntime { name: config.name }.into());
        };
        let shared = Arc::new(Shared::new(config));
        let ending = EndOnDrop(Arc::clone(&shared));
        let worker = runtime.spawn(worker::run(ending, transport)).abort_handle();
        Ok(Self { inner: Arc::new(Inner { shared, worker }) })
    }

    /// Offers a message. It is taken or dropped at once; a full queue drops the message offered, not one
    /// that it holds.
    pub fn offer(&self, message: Message) -> Accepted {
        self.inner.shared.offer(message)
    }

    /// Takes no more messages, sends what it can within `deadline`, and reports what became of everything.
    ///
    /// A wait between attempts is cut short, unless the destination asked for it. If the next attempt could
    /// only be made after the deadline, shutdown ends at once. An attempt that is under way at the deadline is
    /// given up and its message counts as undelivered. A second call reports the same, and the earlier of
    /// the two deadlines holds. If this future is dropped the deadline still holds.
    pub async fn shutdown(&self, deadline: Duration) -> DeliveryReport {
        let shared = &self.inner.shared;
        let deadline = instant_in(deadline);
        shared.deadline.send_modify(|current| {
            *current = Some(current.map_or(deadline, |earlier| earlier.min(deadline)));
        });
        shared.close();
        let mut ended = shared.ended.subscribe();
        // OK because either way the account is closed below, and only the first to close it counts.
        let _ = timeout_at(deadline, ended.wait_for(|ended| *ended)).await;
        shared.end();
        self.inner.worker.abort();
        shared.report()
    }

    /// The destination at this moment.
    #[must_use]
    pub fn status(&self) -> DeliveryStatus {
        self.inner.shared.status()
    }

    /// The most recent failure, also if later attempts went well.
    #[must_use]
    pub fn last_error(&self) -> Option<LastError> {
        self.inner.shared.last_error()
    }

    /// The destination's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.shared.config.name
    }
}

impl Sink<Message> for Delivery {
    fn accept(&self, message: Message) -> Accepted {
        self.offer(message)
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("status", &self.status()).finish_non_exhaustive()
    }
}
