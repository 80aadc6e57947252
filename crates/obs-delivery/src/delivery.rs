//! The handle of a destination.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Accepted, Sink};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout_at;

use crate::backoff::instant_in;
use crate::error::Kind;
use crate::state::Shared;
use crate::worker::{self, EndOnDrop};
use crate::{
    DeliveryConfig, DeliveryReport, DeliveryStatus, Encoder, Error, FlushReport, LastError,
    Message, Transport,
};

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
}

impl DeliveryBuilder {
    fn new(config: DeliveryConfig) -> Self {
        Self { config, endpoints: Vec::new(), encoder: None }
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

    /// Starts a worker on the current tokio runtime, whose timer must be enabled.
    ///
    /// # Errors
    ///
    /// `is_config` if a setting is not valid or there is no endpoint, `is_no_runtime` if there is no current
    /// runtime.
    pub fn start(self) -> Result<Delivery, Error> {
        let Self { config, endpoints, encoder } = self;
        config.validate()?;
        check_endpoints(&config, &endpoints)?;
        let Ok(runtime) = Handle::try_current() else {
            return Err(Kind::NoRuntime { name: config.name }.into());
        };
        let shared = Arc::new(Shared::new(config, endpoints));
        let ending = EndOnDrop(Arc::clone(&shared));
        let worker = runtime.spawn(worker::run(ending, encoder)).abort_handle();
        Ok(Delivery { inner: Arc::new(Inner { shared, worker }) })
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

fn check_endpoints(
    config: &DeliveryConfig,
    endpoints: &[(String, Box<dyn Transport>)],
) -> Result<(), Error> {
    let mut problems = Vec::new();
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
