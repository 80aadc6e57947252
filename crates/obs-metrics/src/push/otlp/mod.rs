//! OTLP over HTTP: to an OpenTelemetry collector, or to whatever speaks its protocol.
//!
//! Sums and histograms are cumulative unless [`OtlpConfig::temporality`] says otherwise, with the time at which each series
//! began; native histograms become exponential ones, and exemplars carry their trace and span. Names stay as they are in
//! Prometheus (`jobs_total`), so that a metric has the same name however it is collected. A cumulative series or a gauge that
//! vanishes ends with a point that says so (`NO_RECORDED_VALUE`).
//!
//! 429, 502, 503 and 504 are tried again, after the time in `Retry-After` where there is one; any other failure is final,
//! as the specification asks. Points that a receiver took the request of and did not store (partial success) are
//! counted in `obskit_push_rejected_samples_total`.
//!
//! # Differences instead of totals
//!
//! With [`Temporality::Delta`], each round sends of a counter or histogram what was added to it since its last point:
//!
//! - A point begins where the one before it ended, the first one where the series began. A series to which nothing was added
//!   has no point, as the [specification] asks of an SDK; its next one covers that time too. So the points of a series touch,
//!   which makes them an unbroken sequence by the data model, also for a receiver that makes totals of them again (the
//!   collector's `deltatocumulative`), and a gap means that points were lost or that the series began anew.
//! - A total that fell, and a series that was removed and made anew, begin at zero again. Where the buckets of a native
//!   histogram became coarser in between, the difference is that of the coarser ones.
//! - A series that vanishes is forgotten, without a point that says so. What is remembered is one state for each series of
//!   the source.
//! - Gauges have no differences. An exemplar is sent once.
//!
//! What is delivered again because the answer to the first attempt was lost has the same times as before, by which a
//! receiver can tell; one that adds up whatever comes counts it twice. A request that the queue refuses or that is given up
//! is lost with the differences in it, where later totals would have made up for it; `obskit_push_dropped_samples_total`
//! counts the points that the queue refused, `obskit_delivery_dropped_total` the requests that were given up.
//! [`Pusher::shutdown`] sends what was added last.
//!
//! [specification]: https://opentelemetry.io/docs/specs/otel/metrics/sdk/#metricreader
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

mod delta;
mod encode;
mod requests;
mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_delivery::{Delivery, DeliveryConfig, DeliveryReport};
use obs_model::{Clock, Resource, SystemClock};

use self::encode::Encoder;
pub use self::transport::{grpc_transport, transport};
use super::{Pusher, Source, grid};
use crate::error::{Error, Kind};

/// What is sent by OTLP, and how often.
#[derive(Clone)]
pub struct OtlpConfig {
    /// How often all series are sent, at times that are multiples of it; at least 100 ms. Default 60 s, as
    /// `OTEL_METRIC_EXPORT_INTERVAL` is.
    pub interval: Duration,
    /// What is observed.
    pub resource: Resource,
    /// How many data points one request has at most; at least 1. Default 2,000.
    pub max_points_per_request: usize,
    /// How large one request is at most, before it is compressed; at least 1 KiB. Default 2 MiB.
    pub max_request_bytes: usize,
    /// How requests are compressed. Default with gzip.
    pub compression: Compression,
    /// Whether points have totals or differences. Default totals.
    pub temporality: Temporality,
    /// Where the times of points come from. Default the machine's clock.
    pub clock: Arc<dyn Clock>,
}

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// With gzip.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

/// Whether points have totals or differences, as `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` says it.
///
/// <https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/#additional-environment-variable-configuration>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Temporality {
    /// Counters and histograms have their totals since each series began.
    #[default]
    Cumulative,
    /// Counters and histograms have what was added since the last point of each series.
    Delta,
    /// As [`Delta`](Self::Delta), but counters that are observed (in the terms of OpenTelemetry: asynchronous) have their totals.
    ///
    /// Counters of a [`Registry`](crate::Registry) are recorded (synchronous): it does not tell those that
    /// [`absolute`](crate::FloatCounter::absolute) sets from those that are incremented. Those of any other source, and of
    /// a registry over another recorder, are observed.
    LowMemory,
}

impl OtlpConfig {
    /// The defaults, for this resource.
    #[must_use]
    pub fn new(resource: Resource) -> Self {
        Self {
            interval: Duration::from_secs(60),
            resource,
            max_points_per_request: 2_000,
            max_request_bytes: 2 << 20,
            compression: Compression::Gzip,
            temporality: Temporality::Cumulative,
            clock: Arc::new(SystemClock::new()),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        let mut problems = grid::interval_problems(self.interval);
        if self.max_points_per_request == 0 {
            problems.push("max_points_per_request is 0: at least 1".to_owned());
        }
        if self.max_request_bytes < 1_024 {
            problems
                .push(format!("max_request_bytes is {}: at least 1024", self.max_request_bytes));
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(Kind::InvalidPush { target: "OTLP", problems: problems.join("; ") }.into())
    }
}

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpConfig")
            .field("interval", &self.interval)
            .field("resource", &self.resource)
            .field("max_points_per_request", &self.max_points_per_request)
            .field("max_request_bytes", &self.max_request_bytes)
            .field("compression", &self.compression)
            .field("temporality", &self.temporality)
            .finish_non_exhaustive()
    }
}

/// How a destination of OTLP queues and retries, under this name in its metrics: up to 64 MiB wait.
#[must_use]
pub fn delivery_config(name: impl Into<String>) -> DeliveryConfig {
    DeliveryConfig { capacity: 4_096, max_bytes: 64 << 20, ..DeliveryConfig::named(name) }
}

/// Sends all series of `source` to `delivery` from now on, at every tick of the interval.
///
/// The transport of `delivery` should be made by [`transport`], which knows the protocol's answers.
///
/// ```
/// use obs_delivery::Delivery;
/// use obs_metrics::Registry;
/// use obs_metrics::push::{Endpoint, otlp};
/// use obs_model::Resource;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::default();
/// let endpoint = Endpoint::new("http://127.0.0.1:9/v1/metrics");
/// let delivery = Delivery::start(
///     otlp::delivery_config("collector"),
///     otlp::transport(&endpoint, "collector")?,
/// )?;
/// let config = otlp::OtlpConfig::new(Resource::new("checkout").with_version("1.4.2"));
/// let pusher = otlp::start(config, &registry, delivery)?;
/// pusher.export().await; // Out of turn, for a test or before something that may end the process.
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
    config: OtlpConfig,
    source: impl Into<Source>,
    delivery: Delivery,
) -> Result<Pusher, Error> {
    config.validate()?;
    let (interval, clock) = (config.interval, Arc::clone(&config.clock));
    Pusher::start(interval, clock, delivery, Encoder::new(config, source.into()))
}

/// Sends all series of `source` to `delivery` once, as they are now, delivers what it can within `deadline` and shuts
/// `delivery` down. Series do not end with that. There is no round before it, so differences are those since each series
/// began.
///
/// # Errors
///
/// `is_invalid_push` if a setting is not valid.
///
/// # Panics
///
/// There is no current tokio runtime, which `delivery` needs as well.
pub async fn send_once(
    config: OtlpConfig,
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
