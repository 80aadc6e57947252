//! Logger, tracer and meter of one service or component, from one object.

use std::error::Error as StdError;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, Key, Label, Metadata, SharedString};
use obs_model::FieldValue;

use super::{DistributedTracing, Logger, SpanOptions, TraceSpan, create_logger};
use crate::task;

/// What lines, spans and metrics of one service or component are made with. Cheap to clone.
///
/// ```
/// use obs_tracing::{LogDetails, Telemetry};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let billing = Telemetry::of("billing");
/// billing.meter().counter("invoices_total", &[("kind", "monthly")]).increment(1);
/// let sent = async {
///     billing.logger().info("sending", LogDetails::new());
///     Ok::<_, std::io::Error>(3)
/// };
/// assert_eq!(billing.tracer().trace_async("send", sent, []).await?, 3);
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Telemetry {
    logger: Logger,
    tracer: Tracer,
    meter: Meter,
}

impl Telemetry {
    /// Telemetry of `service`, in a process that may hold several.
    #[must_use]
    pub fn of(service: impl Into<Arc<str>>) -> Self {
        let service = service.into();
        Self {
            logger: create_logger(Arc::clone(&service)),
            tracer: Tracer { service: Arc::clone(&service) },
            meter: Meter { service },
        }
    }

    /// What writes its lines, which have this `service`.
    #[must_use]
    pub const fn logger(&self) -> &Logger {
        &self.logger
    }

    /// What makes its spans, which have the attribute `component`.
    #[must_use]
    pub const fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// What makes its metrics, which have the label `service`.
    #[must_use]
    pub const fn meter(&self) -> &Meter {
        &self.meter
    }
}

/// Makes the spans of one service or component; see [`Telemetry`].
#[derive(Clone, Debug)]
pub struct Tracer {
    service: Arc<str>,
}

impl Tracer {
    /// As [`trace_async`](crate::trace_async), for this component.
    ///
    /// # Errors
    ///
    /// Those of the operation, unchanged.
    pub async fn trace_async<T, E>(
        &self,
        name: &str,
        operation: impl Future<Output = Result<T, E>>,
        attributes: impl IntoIterator<Item = (&str, FieldValue)>,
    ) -> Result<T, E>
    where
        E: StdError + 'static,
    {
        trace_async(&self.service, name, operation, attributes).await
    }

    /// A span that is ended by hand, within the current one.
    pub fn start_span(&self, name: &str) -> TraceSpan {
        self.start_span_with(name, SpanOptions::new())
    }

    /// A span that is ended by hand, with a parent, a kind and attributes.
    pub fn start_span_with(&self, name: &str, options: SpanOptions<'_>) -> TraceSpan {
        DistributedTracing::new(Arc::clone(&self.service)).start_span_with(name, options)
    }
}

/// Runs an operation of one component in a span of its own.
pub(super) async fn trace_async<T, E>(
    service: &Arc<str>,
    name: &str,
    operation: impl Future<Output = Result<T, E>>,
    attributes: impl IntoIterator<Item = (&str, FieldValue)>,
) -> Result<T, E>
where
    E: StdError + 'static,
{
    let component = ("component", FieldValue::from(service.to_string()));
    task::trace_async(name, operation, attributes.into_iter().chain([component])).await
}

/// Makes the metrics of one service or component, through the `metrics` facade; see [`Telemetry`].
///
/// A handle belongs to the recorder that is installed when it is made: make it after the start, and keep it.
#[derive(Clone, Debug)]
pub struct Meter {
    service: Arc<str>,
}

impl Meter {
    /// A counter, with the label `service` beside `labels`.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Counter {
        let key = key(&self.service, name, labels);
        metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    /// A gauge, with the label `service` beside `labels`.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Gauge {
        let key = key(&self.service, name, labels);
        metrics::with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    /// A histogram, with the label `service` beside `labels`.
    pub fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Histogram {
        let key = key(&self.service, name, labels);
        metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    /// As [`Logger::record_metric`].
    pub fn record(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        record_metric(&self.service, name, value, labels);
    }
}

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), metrics::Level::INFO, Some(module_path!()));

fn key(service: &Arc<str>, name: &str, labels: &[(&str, &str)]) -> Key {
    let own = labels.iter().all(|(name, _)| *name != "service").then(|| {
        Label::new(SharedString::const_str("service"), SharedString::from(Arc::clone(service)))
    });
    let labels =
        labels.iter().map(|(name, value)| Label::new((*name).to_owned(), (*value).to_owned()));
    Key::from_parts(name.to_owned(), labels.chain(own).collect::<Vec<_>>())
}

/// Records `value` into the metric that its name makes it.
pub(super) fn record_metric(service: &Arc<str>, name: &str, value: f64, labels: &[(&str, &str)]) {
    let meter = Meter { service: Arc::clone(service) };
    if name.ends_with("_total") {
        if value >= 0.0 && value.is_finite() {
            // OK because a float that is too large becomes the largest number.
            meter.counter(name, labels).increment(value.round() as u64);
        } else {
            metrics::counter!("obskit_metrics_dropped_total", "reason" => "invalid_value")
                .increment(1);
        }
    } else if name.contains("duration") || name.contains("latency") {
        meter.histogram(name, labels).record(value);
    } else {
        meter.gauge(name, labels).set(value);
    }
}
