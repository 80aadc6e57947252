//! Where log lines go beside the process's own output: sinks, each with a filter and fields of its own.
//!
//! A line is rendered once, as JSON, and handed to a queue of its own; a thread gives it to every sink that wants it.
//! A sink that sends lines away does so through `obs-delivery`, on a runtime of its own, whose logs are dropped: so a
//! service whose executor is blocked still ships what it said, and shipping never causes lines that would be shipped.
//!
//! Ready-made kinds are [`FileConfig`], for files that are rotated, `SyslogConfig`, `LokiConfig`, `ElasticsearchConfig` and
//! `OtlpLogsConfig`. Others are an [`IntoSink`] or a
//! [`LineSink`] of one's own.

#[cfg(feature = "elasticsearch")]
mod elasticsearch;
#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
mod endpoint;
pub(crate) mod fanout;
mod file;
mod filter;
mod line;
#[cfg(feature = "loki")]
mod loki;
#[cfg(any(feature = "loki", feature = "otlp"))]
pub(crate) mod merge;
#[cfg(any(feature = "loki", feature = "otlp"))]
mod names;
#[cfg(feature = "otlp")]
mod otlp;
mod ship;
mod statics;
#[cfg(feature = "syslog")]
mod syslog;

use std::fmt;
use std::sync::Arc;

use obs_delivery::{Delivery, DeliveryBuilder, DeliveryConfig, Overflow, Priority, Spool};
use obs_model::{Clock, FieldValue, Level, Resource};

#[cfg(feature = "elasticsearch")]
pub use elasticsearch::ElasticsearchConfig;
pub use file::{FileCompression, FileConfig, FileSync, Keep, Reopen, Rotation, RotationPeriod};
pub use filter::SinkFilter;
pub use line::Line;
pub(crate) use line::LineHead;
#[cfg(feature = "loki")]
pub use loki::{LokiConfig, LokiLine};
#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
pub use obs_delivery::Endpoint;
#[cfg(feature = "otlp")]
pub use otlp::OtlpLogsConfig;
pub(crate) use ship::ShipRuntime;
#[cfg(feature = "syslog")]
pub use syslog::{Facility, SyslogBody, SyslogConfig, SyslogFraming};

/// Something that takes log lines, called by one thread of the pipeline.
///
/// It must not wait for anything slow: other sinks get their lines from the same thread. What it cannot take it drops
/// and counts.
pub trait LineSink: Send {
    /// Takes a line.
    fn write(&mut self, line: &Line<'_>);

    /// Called when no more lines are at hand for the moment.
    fn flush(&mut self) {}
}

/// The settings of a kind of sink, from which it is started.
pub trait IntoSink: Send {
    /// What is wrong with the settings, all of it; each sentence says what would be accepted.
    fn problems(&self) -> Vec<String>;

    /// Adapts to this kind of sink how it queues and sends, before [`LogSink::with_delivery`] does.
    fn adapt(&self, delivery: &mut DeliveryConfig) {
        let _ = delivery;
    }

    /// Starts the sink. There is a current tokio runtime, with timers and I/O.
    ///
    /// # Errors
    ///
    /// A sentence that says what could not be done.
    fn start(self: Box<Self>, start: SinkStart) -> Result<StartedSink, String>;
}

/// What a sink is started with.
#[non_exhaustive]
pub struct SinkStart {
    /// The name of the sink: the value of the `destination` label.
    pub name: String,
    /// The service that writes.
    pub resource: Resource,
    /// Where times come from.
    pub clock: Arc<dyn Clock>,
    /// How it queues and sends, unless the kind of sink knows better.
    pub delivery: DeliveryConfig,
    /// What keeps lines over a restart, if the sink has it.
    pub spool: Option<Arc<dyn Spool>>,
}

impl SinkStart {
    /// A destination of this name, with the queue and the spool that were set for it.
    pub fn destination(self) -> DeliveryBuilder {
        let builder = Delivery::builder(self.delivery);
        match self.spool {
            Some(spool) => builder.spool(spool),
            None => builder,
        }
    }
}

/// A sink that runs.
#[non_exhaustive]
pub struct StartedSink {
    /// What takes the lines.
    pub writer: Box<dyn LineSink>,
    /// What sends them, which is flushed and shut down with the pipeline.
    pub delivery: Option<Delivery>,
}

impl StartedSink {
    /// A sink that deals with its lines itself.
    #[must_use]
    pub fn local(writer: impl LineSink + 'static) -> Self {
        Self { writer: Box::new(writer), delivery: None }
    }

    /// A sink that turns lines into messages of a destination.
    #[must_use]
    pub fn delivered(writer: impl LineSink + 'static, delivery: Delivery) -> Self {
        Self { writer: Box::new(writer), delivery: Some(delivery) }
    }
}

/// A sink with its filter, its fields and its queue.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use std::time::Duration;
///
/// use obs_model::{Level, Resource};
/// use obs_tracing::sink::{Line, LineSink, LogSink, SinkFilter};
/// use obs_tracing::{LogConfig, LogOutput};
///
/// /// Keeps the messages.
/// struct Kept(Arc<Mutex<Vec<String>>>);
///
/// impl LineSink for Kept {
///     fn write(&mut self, line: &Line<'_>) {
///         self.0.lock().unwrap().push(format!("{} {}", line.message(), line.text_of("zone").unwrap()));
///     }
/// }
///
/// let kept = Arc::new(Mutex::new(Vec::new()));
/// let mut config = LogConfig::new(Resource::new("checkout"));
/// config.output = LogOutput::None;
/// config.sinks.push(
///     LogSink::local("kept", Kept(Arc::clone(&kept)))
///         .filtered(SinkFilter::at(Level::Warn))
///         .with_field("zone", "eu-1"),
/// );
/// let (dispatch, handle) = obs_tracing::build(config)?;
/// tracing::dispatcher::with_default(&dispatch, || {
///     tracing::info!("all is well");
///     tracing::warn!("the disk is nearly full");
/// });
/// handle.shutdown_blocking(Duration::from_secs(5))?;
/// assert_eq!(*kept.lock().unwrap(), ["the disk is nearly full eu-1"]);
/// # Ok::<(), obs_tracing::Error>(())
/// ```
#[must_use = "it gets nothing until it is among the sinks of a configuration"]
pub struct LogSink {
    pub(crate) name: String,
    pub(crate) filter: SinkFilter,
    pub(crate) fields: Vec<(String, FieldValue)>,
    pub(crate) delivery: DeliveryConfig,
    pub(crate) spool: Option<Arc<dyn Spool>>,
    pub(crate) kind: Box<dyn IntoSink>,
}

impl LogSink {
    /// A sink of some kind. Its name tells it from others, in series and in messages.
    ///
    /// How it queues and sends is [`delivery_config`], adapted to its kind, unless it is set.
    pub fn new(name: impl Into<String>, kind: impl IntoSink + 'static) -> Self {
        let name = name.into();
        let mut delivery = delivery_config(name.as_str());
        kind.adapt(&mut delivery);
        Self {
            name,
            filter: SinkFilter::default(),
            fields: Vec::new(),
            delivery,
            spool: None,
            kind: Box::new(kind),
        }
    }

    /// A sink that deals with its lines itself.
    pub fn local(name: impl Into<String>, sink: impl LineSink + 'static) -> Self {
        Self::new(name, Local(Box::new(sink)))
    }

    /// This sink with a filter: it gets only what passes that, of what is logged at all.
    pub fn filtered(mut self, filter: SinkFilter) -> Self {
        self.filter = filter;
        self
    }

    /// This sink with one more member of `metadata` on each of its lines. A line that has a member of this name keeps
    /// its own.
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<FieldValue>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// This sink with another queue and other rules of sending; the name stays that of the sink.
    pub fn with_delivery(mut self, delivery: DeliveryConfig) -> Self {
        self.delivery = DeliveryConfig { name: self.name.clone(), ..delivery };
        self
    }

    /// This sink with a spool: what is not sent when the process ends is sent by the next one.
    pub fn with_spool(mut self, spool: Arc<dyn Spool>) -> Self {
        self.spool = Some(spool);
        self
    }
}

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSink")
            .field("name", &self.name)
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}

/// How a sink of this name queues and sends: it holds 16,384 lines or 16 MiB until they are sent, drops the less important
/// first, and tries for an hour.
#[must_use]
pub fn delivery_config(name: impl Into<String>) -> DeliveryConfig {
    DeliveryConfig {
        capacity: 16_384,
        overflow: Overflow::ByPriority,
        retry: obs_delivery::RetryPolicy::patient(std::time::Duration::from_secs(3_600)),
        ..DeliveryConfig::named(name)
    }
}

/// How important it is that a line of this level is not the one that goes when a queue is full.
#[must_use]
pub const fn priority_of(level: Level) -> Priority {
    match level {
        Level::Trace => Priority::Lowest,
        Level::Debug => Priority::Low,
        Level::Info => Priority::Normal,
        Level::Warn => Priority::High,
        Level::Error => Priority::Highest,
    }
}

struct Local(Box<dyn LineSink>);

impl IntoSink for Local {
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }

    fn start(self: Box<Self>, _: SinkStart) -> Result<StartedSink, String> {
        Ok(StartedSink { writer: self.0, delivery: None })
    }
}
