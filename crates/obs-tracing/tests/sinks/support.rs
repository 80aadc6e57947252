//! A pipeline whose only output is a sink.

use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_delivery::{DeliveryConfig, RetryPolicy};
use obs_model::{Clock, ManualClock, Resource, Timestamp};
use obs_tracing::sink::{IntoSink, LogSink};
use obs_tracing::{LogConfig, LogOutput, TracingHandle};
use tracing::Dispatch;

/// The longest that a test waits for another thread.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Logs {
    dispatch: Dispatch,
    pub(crate) handle: TracingHandle,
}

/// A clock that stands at 2023-11-14T22:13:20.123Z.
pub(crate) fn standing_clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_123)))
}

/// What a kind of sink makes of the settings that every sink has, with short waits between attempts.
pub(crate) fn impatient(kind: &impl IntoSink) -> DeliveryConfig {
    let mut delivery = DeliveryConfig {
        capacity: 16_384,
        overflow: obs_delivery::Overflow::ByPriority,
        ..DeliveryConfig::default()
    };
    kind.adapt(&mut delivery);
    delivery.breaker = None;
    delivery.batch.max_age = Duration::from_millis(5);
    delivery.retry = RetryPolicy {
        base_backoff: Duration::from_millis(5),
        max_backoff: Duration::from_millis(20),
        ..RetryPolicy::patient(Duration::from_secs(3_600))
    };
    delivery
}

impl Logs {
    pub(crate) fn new(kind: impl IntoSink + 'static, clock: Arc<dyn Clock>) -> Self {
        let delivery = impatient(&kind);
        Self::with(LogSink::new("sink", kind).with_delivery(delivery), clock).unwrap()
    }

    pub(crate) fn with(sink: LogSink, clock: Arc<dyn Clock>) -> Result<Self, obs_tracing::Error> {
        let mut config = LogConfig::new(Resource::new("test").with_host("host-1"));
        config.output = LogOutput::None;
        config.clock = clock;
        config.filter = "trace".into();
        config.sinks.push(sink);
        let (dispatch, handle) = obs_tracing::build(config)?;
        Ok(Self { dispatch, handle })
    }

    /// Logs, and does not wait.
    pub(crate) fn log(&self, work: impl FnOnce()) {
        tracing::dispatcher::with_default(&self.dispatch, work);
    }

    /// Logs, and waits until it is sent.
    pub(crate) fn send(&self, work: impl FnOnce()) {
        self.log(work);
        self.handle.flush_blocking(PATIENCE).expect("everything is sent");
    }

    pub(crate) fn close(self) {
        self.handle.shutdown_blocking(PATIENCE).expect("everything is sent");
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}
