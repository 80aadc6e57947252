//! Prometheus remote write 1.0: to Prometheus itself, Mimir, Thanos, VictoriaMetrics and whatever else receives it.
//!
//! At every tick all series are read and sent as snappy-compressed protobuf, in requests of a bounded size that a
//! [`Delivery`] queues, sends in order and tries again. Series that vanish end with a staleness marker, and all of them do
//! at [`Pusher::shutdown`], so that a graph does not go on for five minutes after the process.
//!
//! # What arrives, and how often
//!
//! A request that failed in a way that may pass is sent again as it is: the same samples with the same times. So a
//! receiver that had stored it, though its answer was lost, ends up with each sample once: Prometheus, Mimir and Thanos
//! ignore a sample that they have, and VictoriaMetrics does when `-dedup.minScrapeInterval=1ms` is set. If a receiver
//! refuses such a repeated request because the samples are there already, that counts as delivered.
//!
//! 429 and 5xx are tried again, and so is a connection that failed; any other status is final, and the request is
//! dropped and counted in `obskit_delivery_dropped_total{reason="permanent"}`.
//!
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>

mod encode;
pub mod proto;
mod requests;
mod seen;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_delivery::{BreakerConfig, Delivery, DeliveryConfig, DeliveryReport, RetryPolicy};
use obs_model::{Clock, Labels, SystemClock};

use self::encode::Encoder;
pub use self::transport::transport;
use super::{Pusher, Source, grid};
use crate::error::{Error, Kind};

/// What is sent by remote write, and how often.
#[derive(Clone)]
pub struct RemoteWriteConfig {
    /// How often all series are sent, at times that are multiples of it; at least 100 ms. Default 15 s.
    pub interval: Duration,
    /// Labels that are put on every series that does not have them: `job` and `instance`, as a scrape does. See
    /// [`target_labels`](super::target_labels). Neither `le` nor a name that begins with `__` may be among them.
    pub external_labels: Labels,
    /// How many samples one request has at most; at least 1. Default 2,000, as Prometheus sends them.
    pub max_samples_per_request: usize,
    /// How large one request is at most, before it is compressed; at least 1 KiB. Default 1 MiB.
    pub max_request_bytes: usize,
    /// How often the type, help and unit of every metric are sent. Default 1 minute.
    pub metadata_interval: Duration,
    /// How histograms with native buckets are sent. Default as fixed buckets, which every receiver takes.
    pub histograms: Histograms,
    /// Whether exemplars are sent along. Default not, as in Prometheus: not every receiver takes them.
    pub exemplars: bool,
    /// Where the times of samples come from. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
}

/// How histograms are sent that have native buckets; others are always sent as their fixed buckets.
///
/// Prometheus before version 3 takes native histograms only with `--enable-feature=native-histograms`, and answers 500
/// without it, so that requests would be tried again until they are too old.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Histograms {
    /// As `_bucket`, `_sum` and `_count` of their fixed buckets.
    #[default]
    Fixed,
    /// As native histograms alone.
    Native,
    /// As both.
    Both,
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(15),
            external_labels: Labels::empty(),
            max_samples_per_request: 2_000,
            max_request_bytes: 1 << 20,
            metadata_interval: Duration::from_secs(60),
            histograms: Histograms::Fixed,
            exemplars: false,
            clock: Arc::new(SystemClock::new()),
        }
    }
}

impl fmt::Debug for RemoteWriteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteWriteConfig")
            .field("interval", &self.interval)
            .field("external_labels", &self.external_labels)
            .field("max_samples_per_request", &self.max_samples_per_request)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("metadata_interval", &self.metadata_interval)
            .field("histograms", &self.histograms)
            .field("exemplars", &self.exemplars)
            .finish_non_exhaustive()
    }
}

impl RemoteWriteConfig {
    fn validate(&self) -> Result<(), Error> {
        let mut problems = grid::interval_problems(self.interval);
        let mut check = |good: bool, problem: String| {
            if !good {
                problems.push(problem);
            }
        };
        let reserved = |name: &str| name == "le" || name.starts_with("__");
        for (name, _) in self.external_labels.iter().filter(|(name, _)| reserved(name)) {
            check(false, format!("the external label {name:?} is one of the protocol's own"));
        }
        check(
            self.max_samples_per_request >= 1,
            "max_samples_per_request is 0: at least 1".to_owned(),
        );
        check(
            self.max_request_bytes >= 1_024,
            format!("max_request_bytes is {}: at least 1024", self.max_request_bytes),
        );
        if problems.is_empty() {
            return Ok(());
        }
        Err(Kind::InvalidPush { target: "remote write", problems: problems.join("; ") }.into())
    }
}

/// How a destination of remote write queues and retries, under this name in its metrics.
///
/// Other than by default, a request is tried again for up to two hours, at first at least every five seconds as
/// Prometheus does and later every half minute, and up to 64 MiB wait. Several endpoints, a spool on disk and everything
/// else that [`Delivery`] has are set up as for any destination; give each endpoint a [`transport`] of its own.
#[must_use]
pub fn delivery_config(name: impl Into<String>) -> DeliveryConfig {
    DeliveryConfig {
        capacity: 16_384,
        max_bytes: 64 << 20,
        timeout: Duration::from_secs(30),
        breaker: Some(BreakerConfig {
            open_for: Duration::from_secs(5),
            max_open_for: Duration::from_secs(30),
            ..BreakerConfig::default()
        }),
        retry: RetryPolicy {
            base_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            max_attempts: u32::MAX,
            max_age: Duration::from_secs(2 * 3_600),
            ..RetryPolicy::default()
        },
        ..DeliveryConfig::named(name)
    }
}

/// Sends all series of `source` to `delivery` from now on, at every tick of the interval.
///
/// The transport of `delivery` should be made by [`transport`], which knows the protocol's answers.
///
/// ```
/// use obs_delivery::Delivery;
/// use obs_metrics::Registry;
/// use obs_metrics::push::{Endpoint, remote_write, target_labels};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::default();
/// let endpoint = Endpoint::new("http://127.0.0.1:9/api/v1/write").with_bearer_token("s3cret");
/// let delivery = Delivery::start(
///     remote_write::delivery_config("mimir"),
///     remote_write::transport(&endpoint, "mimir")?,
/// )?;
/// let config = remote_write::RemoteWriteConfig {
///     external_labels: target_labels("checkout", "10.0.0.7:8080")?,
///     ..Default::default()
/// };
/// let pusher = remote_write::start(config, &registry, delivery)?;
/// // … the service runs …
/// let report = pusher.shutdown(Duration::from_millis(100)).await;
/// assert_eq!(report.delivered, 0); // Nobody listens there.
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// `is_invalid_push` if a setting is not valid, `is_no_runtime` outside of a tokio runtime.
pub fn start(
    config: RemoteWriteConfig,
    source: impl Into<Source>,
    delivery: Delivery,
) -> Result<Pusher, Error> {
    config.validate()?;
    let (interval, clock) = (config.interval, Arc::clone(&config.clock));
    Pusher::start(interval, clock, delivery, Encoder::new(config, source.into()))
}

/// Sends all series of `source` to `delivery` once, as they are now, delivers what it can within `deadline` and shuts
/// `delivery` down. Series do not end with that.
///
/// # Errors
///
/// `is_invalid_push` if a setting is not valid.
///
/// # Panics
///
/// There is no current tokio runtime, which `delivery` needs as well.
pub async fn send_once(
    config: RemoteWriteConfig,
    source: impl Into<Source>,
    delivery: Delivery,
    deadline: Duration,
) -> Result<DeliveryReport, Error> {
    config.validate()?;
    let clock = Arc::clone(&config.clock);
    Ok(grid::once(clock, delivery, Encoder::new(config, source.into()), deadline).await)
}

#[cfg(test)]
mod tests;
