//! A logger for one service or component, with fields whose names are only known at run time.

mod aggregator;
mod distributed;
mod outputs;
mod telemetry;
mod timer;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use obs_model::{FieldValue, Level};

pub use aggregator::{LogAggregator, LogEvent};
pub use distributed::{DistributedTracing, SpanEvent, SpanKind, SpanOptions, TraceSpan};
pub use telemetry::{Meter, Telemetry, Tracer};
pub use timer::Timer;

/// Makes a logger whose lines carry `service` in place of the process's own.
///
/// It writes through `tracing`, so that filter, ids and context are those of all other lines.
///
/// ```
/// use obs_tracing::{LogDetails, create_logger};
///
/// let logger = create_logger("billing");
/// logger.info("invoice sent", LogDetails::new().user("u-17").operation("send").with("lines", 4_u64));
/// ```
#[must_use]
pub fn create_logger(service: impl Into<Arc<str>>) -> Logger {
    Logger { service: service.into() }
}

/// Writes lines for one service; made by [`create_logger`], cheap to clone.
#[derive(Clone, Debug)]
pub struct Logger {
    service: Arc<str>,
}

/// What a line of a [`Logger`] says beside its message.
#[derive(Clone, Debug, Default)]
pub struct LogDetails<'a> {
    user: Option<&'a str>,
    agent: Option<&'a str>,
    request: Option<&'a str>,
    operation: Option<&'a str>,
    error: Option<&'a (dyn StdError + 'static)>,
    metadata: Vec<(&'a str, FieldValue)>,
}

impl<'a> LogDetails<'a> {
    /// Nothing but the message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The user, when it is not the current context's.
    #[must_use]
    pub fn user(mut self, id: &'a str) -> Self {
        self.user = Some(id);
        self
    }

    /// The agent, when it is not the current context's.
    #[must_use]
    pub fn agent(mut self, id: &'a str) -> Self {
        self.agent = Some(id);
        self
    }

    /// The request, when it is not the current context's.
    #[must_use]
    pub fn request(mut self, id: &'a str) -> Self {
        self.request = Some(id);
        self
    }

    /// What was being done.
    #[must_use]
    pub fn operation(mut self, name: &'a str) -> Self {
        self.operation = Some(name);
        self
    }

    /// The error that the line reports, with its sources.
    #[must_use]
    pub fn error(mut self, error: &'a (dyn StdError + 'static)) -> Self {
        self.error = Some(error);
        self
    }

    /// One more member of `metadata`.
    #[must_use]
    pub fn with(mut self, key: &'a str, value: impl Into<FieldValue>) -> Self {
        self.metadata.push((key, value.into()));
        self
    }
}

/// Makes the method of one level.
macro_rules! level_method {
    ($method:ident, $level:expr, $doc:literal) => {
        #[doc = $doc]
        pub fn $method(&self, message: &str, details: LogDetails<'_>) {
            self.log($level, message, details);
        }
    };
}

impl Logger {
    level_method!(error, Level::Error, "Writes a line at level ERROR.");
    level_method!(warn, Level::Warn, "Writes a line at level WARN.");
    level_method!(info, Level::Info, "Writes a line at level INFO.");
    level_method!(debug, Level::Debug, "Writes a line at level DEBUG.");

    /// Writes a line at a level that is only known at run time.
    pub fn log(&self, level: Level, message: &str, details: LogDetails<'_>) {
        write(level, &self.service, message, &details);
    }

    /// Starts to measure an operation.
    ///
    /// ```
    /// let logger = obs_tracing::create_logger("billing");
    /// let timer = logger.start_timer("send_invoices");
    /// let took = timer.end();
    /// assert!(took.as_secs() < 60);
    /// ```
    pub fn start_timer(&self, name: impl Into<Arc<str>>) -> Timer {
        Timer::start(self.clone(), name.into())
    }

    /// As [`trace_async`](crate::trace_async): the span has the attribute `component`, which is the service of this logger.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let logger = obs_tracing::create_logger("billing");
    /// let send = async { Ok::<_, std::io::Error>(3) };
    /// assert_eq!(logger.trace_async("send_invoices", send, [("month", 4_u64.into())]).await?, 3);
    /// # Ok::<(), std::io::Error>(()) }).unwrap();
    /// ```
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
        telemetry::trace_async(&self.service, name, operation, attributes).await
    }

    /// Records `value` into a metric of which nothing else need be known, through the `metrics` facade, with the label
    /// `service` of this logger beside `labels`, unless it is among them.
    ///
    /// | the name | `value` is |
    /// |---|---|
    /// | ends with `_total` | added to a counter, which takes whole numbers: a fraction is rounded |
    /// | contains `duration` or `latency` | observed by a histogram |
    /// | anything else | what a gauge is set to |
    ///
    /// What a counter cannot take, below zero or not a number, counts in
    /// `obskit_metrics_dropped_total{reason="invalid_value"}`.
    ///
    /// ```
    /// let logger = obs_tracing::create_logger("billing");
    /// logger.record_metric("invoices_total", 3.0, &[("kind", "monthly")]);
    /// logger.record_metric("invoice_queue_depth", 17.0, &[]);
    /// ```
    pub fn record_metric(&self, name: &str, value: f64, labels: &[(&str, &str)]) {
        telemetry::record_metric(&self.service, name, value, labels);
    }

    /// The service that the lines are written for.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }
}

/// Writes a line for `service`. Each level needs a place in the code of its own.
fn write(level: Level, service: &str, message: &str, details: &LogDetails<'_>) {
    let members = Members(&details.metadata);
    macro_rules! at {
        ($method:ident) => {
            tracing::$method!(
                target: "obskit::logger",
                user_id = details.user,
                agent_id = details.agent,
                obskit.service = service,
                request_id = details.request,
                operation = details.operation,
                error = details.error,
                metadata = (!members.0.is_empty()).then(|| tracing::field::debug(&members)),
                "{message}"
            )
        };
    }
    match level {
        Level::Error => at!(error),
        Level::Warn => at!(warn),
        Level::Info => at!(info),
        Level::Debug => at!(debug),
        Level::Trace => at!(trace),
    }
}

/// Metadata as a JSON object, which the layer takes apart again.
struct Members<'a>(&'a [(&'a str, FieldValue)]);

impl fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: serde_json::Map<String, serde_json::Value> = self
            .0
            .iter()
            .map(|(key, value)| {
                let value = match value {
                    FieldValue::Bool(value) => (*value).into(),
                    FieldValue::I64(value) => (*value).into(),
                    FieldValue::U64(value) => (*value).into(),
                    // OK because JSON has no number for what is not finite: it travels as text.
                    FieldValue::F64(value) => serde_json::Number::from_f64(*value)
                        .map_or_else(|| value.to_string().into(), serde_json::Value::Number),
                    FieldValue::Text(text) => (&**text).into(),
                };
                ((*key).to_owned(), value)
            })
            .collect();
        write!(f, "{}", serde_json::Value::Object(members))
    }
}
