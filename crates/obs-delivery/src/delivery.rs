//! The handle of a destination.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Accepted, DropReason, Sink};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout_at;

use crate::backoff::instant_in;
use crate::error::Kind;
use crate::spool::RECORD_OVERHEAD;
use crate::state::Shared;
use crate::worker::{self, EndOnDrop};
use crate::{
    DeliveryConfig, DeliveryReport, DeliveryStatus, Encoder, Error, FlushReport, LastError,
    Message, Spool, Spooled, Transport,
};

/// How long after the deadline of shutdown messages may still be written to the spool.
const SPOOL_GRACE: Duration = Duration::from_secs(2);

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
    has_spool: bool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Delivery {
    /// Starts a worker on the current tokio runtime, whose timer must be enabled: one endpoint, and each message
    /// on its own.
    ///
    /// # Errors
    ///
    /// `is_config` if a setting is not valid, `is_no_runtime` if there is no current runtime.
    pub fn start(config: DeliveryConfig, transport: impl Transport) -> Result<Self, Error> {
        Self::builder(config).endpoint("only", transport).start()
    }

    /// A destination with several endpoints, or one that puts messages together.
    pub fn builder(config: DeliveryConfig) -> DeliveryBuilder {
        DeliveryBuilder::new(config)
    }

    /// Offers a message. It is taken or dropped at once; which one is dropped when there is no room is
    /// [`DeliveryConfig::overflow`]'s to say.
    pub fn offer(&self, message: Message) -> Accepted {
        self.inner.shared.offer(message, None)
    }

    /// Offers a message, and waits until it is in the spool.
    ///
    /// The message is offered before this returns a future: what is done with that changes nothing about it. Without a
    /// spool the answer comes at once.
    pub fn offer_spooled(&self, message: Message) -> impl Future<Output = Spooled> + Send + use<> {
        let (told, answer) = if self.inner.has_spool {
            let (told, answer) = oneshot::channel();
            (Some(told), Some(answer))
        } else {
            (None, None)
        };
        let accepted = self.inner.shared.offer(message, told);
        async move {
            match (accepted, answer) {
                (Accepted::Dropped(reason), _) => Spooled::Dropped(reason),
                (Accepted::Taken, None) => Spooled::InMemory,
                // Nobody is left to tell if the destination ended with the message undelivered.
                (Accepted::Taken, Some(answer)) => {
                    answer.await.unwrap_or(Spooled::Dropped(DropReason::Closed))
                }
            }
        }
    }

    /// Waits until everything that was offered before is delivered or dropped, but no longer than `deadline`.
    ///
    /// Messages do not wait for company meanwhile. A wait between attempts is not cut short.
    pub async fn flush(&self, deadline: Duration) -> FlushReport {
        let shared = &self.inner.shared;
        let (done, flushed) = oneshot::channel();
        shared.flushes.lock().push(done);
        shared.work.notify_one();
        let mut ended = shared.ended.subscribe();
        let waiting = async {
            tokio::select! {
                flushed = flushed => flushed.is_ok(),
                // OK because the sender lives as long as this handle.
                _ = ended.wait_for(|ended| *ended) => shared.status().undelivered == 0,
            }
        };
        let is_complete = timeout_at(instant_in(deadline), waiting).await.unwrap_or(false);
        let status = shared.status();
        FlushReport { is_complete, queued: status.queued, spooled: status.spooled }
    }

    /// Takes no more messages, sends what it can within `deadline`, and reports what became of everything.
    ///
    /// A wait between attempts is cut short, unless the destination asked for it. If the next attempt could
    /// only be made after the deadline, shutdown ends at once. An attempt that is under way at the deadline is
    /// given up and its message counts as undelivered. A second call reports the same, and the earlier of
    /// the two deadlines holds. If this future is dropped the deadline still holds.
    ///
    /// With a spool what is left is in the spool, for the next start. To bring it there may take until two seconds
    /// after the deadline, if the disk is slow.
    pub async fn shutdown(&self, deadline: Duration) -> DeliveryReport {
        let shared = &self.inner.shared;
        let deadline = instant_in(deadline);
        shared.deadline.send_modify(|current| {
            *current = Some(current.map_or(deadline, |earlier| earlier.min(deadline)));
        });
        shared.close();
        let mut ended = shared.ended.subscribe();
        let grace = if self.inner.has_spool { SPOOL_GRACE } else { Duration::ZERO };
        // OK because either way the account is closed below, and only the first to close it counts.
        let _ = timeout_at(deadline + grace, ended.wait_for(|ended| *ended)).await;
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

/// What a destination is made of.
///
/// ```
/// use obs_delivery::{BatchConfig, Delivery, DeliveryConfig, Framing, Message, SendError, SendFuture, Transport};
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// /// Takes what it is given, unless it is away.
/// struct Server { is_away: bool, got: Arc<Mutex<Vec<String>>> }
///
/// impl Transport for Server {
///     fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
///         Box::pin(async move {
///             if self.is_away {
///                 return Err(SendError::passing("away"));
///             }
///             let body = String::from_utf8_lossy(message.body()).into_owned();
///             self.got.lock().expect("nobody panics here").push(body);
///             Ok(())
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), obs_delivery::Error> {
/// let got = Arc::new(Mutex::new(Vec::new()));
/// let delivery = Delivery::builder(DeliveryConfig::named("logs"))
///     .encoder(Framing::json_array())
///     .endpoint("near", Server { is_away: true, got: Arc::clone(&got) })
///     .endpoint("far", Server { is_away: false, got: Arc::clone(&got) })
///     .start()?;
/// for number in 1..=3 {
///     let _ = delivery.offer(Message::new(number.to_string()));
/// }
/// let report = delivery.flush(Duration::from_secs(5)).await;
/// assert!(report.is_complete);
/// assert_eq!(*got.lock().expect("nobody panics here"), ["[1,2,3]"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "it delivers nothing until it is started"]
pub struct DeliveryBuilder {
    config: DeliveryConfig,
    endpoints: Vec<(String, Box<dyn Transport>)>,
    encoder: Option<Box<dyn Encoder>>,
    spool: Option<Arc<dyn Spool>>,
}

impl DeliveryBuilder {
    fn new(config: DeliveryConfig) -> Self {
        Self { config, endpoints: Vec::new(), encoder: None, spool: None }
    }

    /// Adds an endpoint, which is tried if none of those added before it can be. Its name is the value of the
    /// `endpoint` label.
    pub fn endpoint(mut self, name: impl Into<String>, transport: impl Transport) -> Self {
        self.endpoints.push((name.into(), Box::new(transport)));
        self
    }

    /// Puts messages together, as [`DeliveryConfig::batch`] says.
    pub fn encoder(mut self, encoder: impl Encoder) -> Self {
        self.encoder = Some(Box::new(encoder));
        self
    }

    /// Writes every message to a spool before it is sent, as [`DeliveryConfig::spool`] says, and sends first what is in
    /// it from before. It must be this destination's alone.
    pub fn spool(mut self, spool: impl Spool) -> Self {
        self.spool = Some(Arc::new(spool));
        self
    }

    /// Starts a worker on the current tokio runtime, whose timer must be enabled.
    ///
    /// # Errors
    ///
    /// `is_config` if a setting is not valid or there is no endpoint, `is_no_runtime` if there is no current
    /// runtime.
    pub fn start(self) -> Result<Delivery, Error> {
        let Self { config, endpoints, encoder, spool } = self;
        config.validate()?;
        check_parts(&config, &endpoints, spool.is_some())?;
        let Ok(runtime) = Handle::try_current() else {
            return Err(Kind::NoRuntime { name: config.name }.into());
        };
        let shared = Arc::new(Shared::new(config, endpoints));
        let has_spool = spool.is_some();
        if let Some(spool) = &spool {
            shared.recovered(spool.len(), spool.bytes());
        }
        let ending = EndOnDrop(Arc::clone(&shared));
        let worker = runtime.spawn(worker::run(ending, encoder, spool)).abort_handle();
        Ok(Delivery { inner: Arc::new(Inner { shared, worker, has_spool }) })
    }
}

impl fmt::Debug for DeliveryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<&str> = self.endpoints.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("DeliveryBuilder")
            .field("config", &self.config)
            .field("endpoints", &endpoints)
            .finish_non_exhaustive()
    }
}

fn check_parts(
    config: &DeliveryConfig,
    endpoints: &[(String, Box<dyn Transport>)],
    has_spool: bool,
) -> Result<(), Error> {
    let mut problems = Vec::new();
    let largest = config.max_message_bytes.saturating_add(RECORD_OVERHEAD);
    if has_spool && config.spool.max_bytes < largest as u64 {
        problems.push(format!(
            "spool.max_bytes is {}: at least {largest}, so that the largest message fits",
            config.spool.max_bytes
        ));
    }
    if endpoints.is_empty() {
        problems.push("there is no endpoint: add at least one".to_owned());
    }
    for (index, (name, _)) in endpoints.iter().enumerate() {
        if name.is_empty() {
            problems.push(format!("the name of endpoint {index} is empty: give it a name"));
        }
        if endpoints[..index].iter().any(|(other, _)| other == name) {
            problems.push(format!("two endpoints are named {name:?}: give each its own name"));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Kind::Config { name: config.name.clone(), problems }.into())
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
