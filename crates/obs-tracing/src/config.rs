//! How logs and traces are set up.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, Level, LogRecord, Redactor, Resource, Sink, SystemClock};

use crate::inflight::InFlightConfig;
use crate::memory;
#[cfg(feature = "otlp")]
use crate::otlp::OtlpConfig;
use crate::pipeline::admission;
use crate::sink::{LogSink, fanout};
use crate::traces::MIN_BYTES as MIN_SPAN_MEMORY;

/// The least value of [`LogConfig::max_line_bytes`]: what the fixed parts of a line may take together.
pub(crate) const MIN_LINE_BYTES: usize = 16 * 1024;

/// The least value of [`LogConfig::max_field_bytes`]: the mark of a cut text needs room.
pub(crate) const MIN_FIELD_BYTES: usize = 64;

/// How logs and traces are set up.
///
/// ```
/// use obs_model::Resource;
/// use obs_tracing::{LogConfig, LogFormat};
///
/// let mut config = LogConfig::new(Resource::new("checkout"));
/// config.filter = "info,hyper=warn".into();
/// config.format = LogFormat::Text;
/// assert_eq!(config.max_line_bytes, 65_536);
/// ```
#[non_exhaustive]
pub struct LogConfig {
    /// The service that writes; `service.name` stands on every line.
    pub resource: Resource,
    /// Which events are logged, in the syntax of `LOG_LEVEL`: a level (`info`), or directives such as
    /// `info,my_crate::db=debug,[http.request{path=/pay}]=trace`.
    pub filter: String,
    /// Spans at this level or a more important one are kept whatever the filter says, so that ids and traces
    /// survive `LOG_LEVEL=warn`. The filter can keep more spans, not fewer.
    pub span_level: Level,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go.
    pub output: LogOutput,
    /// Where lines go beside the output, each sink with a filter and fields of its own. What waits for them all together
    /// is bounded as what waits for the output is; [`crate::sink`] says more.
    pub sinks: Vec<LogSink>,
    /// How many bytes of the newest lines are kept in memory to be searched, 1 MiB at least; `None` keeps none. See
    /// [`TracingHandle::lines`](crate::TracingHandle::lines).
    pub line_memory: Option<usize>,
    /// Whether lines for people have colours.
    pub colors: Colors,
    /// How many bytes of lines wait for a slow output at most. The fuller the queue, the more important a line must be
    /// to be taken: TRACE up to one half, DEBUG up to five eighths, INFO up to three quarters, WARN up to seven eighths.
    /// The last eighth is for ERROR alone.
    pub queue_bytes: usize,
    /// How many lines wait at most; the same shares hold.
    pub queue_lines: usize,
    /// The longest line, in bytes, 16 KiB at least; a longer one is cut and carries `"truncated":true`.
    pub max_line_bytes: usize,
    /// The longest text of one field, in bytes; a longer one is cut and says how many bytes are missing. A quarter of a
    /// line is the most in any case.
    pub max_field_bytes: usize,
    /// The most fields of one line; further ones are left out and the line carries `"truncated":true`.
    pub max_fields: usize,
    /// The most spans that are open at once; further ones are not opened and count in
    /// `obskit_spans_dropped_total{reason="too_many_open"}`. Each takes some hundred bytes.
    pub max_open_spans: usize,
    /// How many names of spans are measured: `span_requests_total`, `span_errors_total` and `span_duration_ms`, by
    /// `span`; those beyond count as `other`. `None` measures nothing, which saves two looks at the clock for each span.
    /// A span counts as failed when an ERROR event happens in it itself, or `otel.status_code` is recorded as `ERROR`.
    pub span_metrics: Option<usize>,
    /// Whether what sqlx says about its queries (target `sqlx::query`) becomes metrics, also where such lines are not
    /// written; see [`db`](crate::db). It keeps events at DEBUG from being ruled out for the whole process, which costs
    /// each of their places in the code a look at its own flag.
    pub sqlx_metrics: bool,
    /// Whether records of the `log` crate become lines, with their target, level, place and key-value pairs, by the same
    /// rules as events of `tracing`; [`install`](crate::install) then becomes the logger of the process, unless it has
    /// one, and `log::max_level` follows the filter: see
    /// [`TracingHandle::takes_log_crate`](crate::TracingHandle::takes_log_crate).
    #[cfg(feature = "log")]
    pub log_crate: bool,
    /// How open spans are watched, so that one that hangs, or holds up its thread, can be found:
    /// [`TracingHandle::in_flight`](crate::TracingHandle::in_flight). `None` watches nothing and costs nothing.
    pub in_flight: Option<InFlightConfig>,
    /// How many bytes of memory the spans that closed last are kept in, with their events and links, 256 KiB at least: see
    /// [`TracingHandle::finished_spans`](crate::TracingHandle::finished_spans). The oldest go first and count in
    /// `obskit_span_memory_dropped_total{reason}`. `None` keeps none.
    pub span_memory: Option<usize>,
    /// How many lines one place in the code may write; the next one that it may write says in `metadata.repeated` how
    /// many were withheld. `None` is as many as it wants.
    pub callsite_limit: Option<CallsiteLimit>,
    /// Levels below WARN of which only one in so many lines is written, chosen at random.
    pub keep_one_in: Vec<(Level, u32)>,
    /// What keeps secrets out of lines and spans.
    pub redactor: Redactor,
    /// Where the time of a line comes from.
    pub clock: Arc<dyn Clock>,
    /// Who is told of ERROR events, beside the log.
    pub error_sink: Option<Arc<dyn Sink<LogRecord>>>,
    /// The forms in which trace and span travel in headers: the first that a request has is read, and all are written.
    #[cfg(feature = "http")]
    pub propagators: Vec<crate::http::Propagator>,
    /// Which baggage of callers is taken, sent on, and put on lines: none, unless set.
    pub baggage: crate::baggage::BaggageConfig,
    /// Where spans are exported to; nothing is exported, and no span is kept for it, when this is `None`.
    #[cfg(feature = "otlp")]
    pub otlp: Option<OtlpConfig>,
}

impl LogConfig {
    /// JSON on standard output, at level INFO, without export.
    #[must_use]
    pub fn new(resource: Resource) -> Self {
        Self {
            resource,
            filter: "info".into(),
            span_level: Level::Info,
            format: LogFormat::Json,
            colors: Colors::Auto,
            output: LogOutput::Stdout,
            sinks: Vec::new(),
            line_memory: None,
            queue_bytes: 8 * 1024 * 1024,
            queue_lines: 65_536,
            max_line_bytes: 64 * 1024,
            max_field_bytes: 16 * 1024,
            max_fields: 64,
            max_open_spans: 262_144,
            span_metrics: None,
            sqlx_metrics: false,
            #[cfg(feature = "log")]
            log_crate: true,
            in_flight: None,
            span_memory: None,
            callsite_limit: None,
            keep_one_in: Vec::new(),
            redactor: Redactor::new(),
            clock: Arc::new(SystemClock::new()),
            error_sink: None,
            #[cfg(feature = "http")]
            propagators: vec![crate::http::Propagator::TraceContext],
            baggage: crate::baggage::BaggageConfig::default(),
            #[cfg(feature = "otlp")]
            otlp: None,
        }
    }

    /// What is wrong with the limits.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.max_line_bytes < MIN_LINE_BYTES {
            problems.push(format!(
                "max_line_bytes is {}: expected {MIN_LINE_BYTES} or more",
                self.max_line_bytes
            ));
        }
        if self.queue_bytes < self.max_line_bytes {
            problems.push(format!(
                "queue_bytes is {}: expected room for one line of {} bytes or more",
                self.queue_bytes, self.max_line_bytes
            ));
        }
        problems.extend(fanout::problems(&self.sinks));
        if let Some(bytes) = self.span_memory.filter(|bytes| *bytes < MIN_SPAN_MEMORY) {
            problems.push(format!("span_memory is {bytes}: expected {MIN_SPAN_MEMORY} or more"));
        }
        problems.extend(self.baggage.problems());
        problems.extend(admission::problems(self.callsite_limit, &self.keep_one_in));
        if let Some(bytes) = self.line_memory.filter(|bytes| *bytes < memory::MIN_BYTES) {
            problems
                .push(format!("line_memory is {bytes}: expected {} or more", memory::MIN_BYTES));
        }
        problems.extend(self.in_flight.iter().flat_map(InFlightConfig::problems));
        if self.max_field_bytes < MIN_FIELD_BYTES {
            problems.push(format!(
                "max_field_bytes is {}: expected {MIN_FIELD_BYTES} or more",
                self.max_field_bytes
            ));
        }
        for (name, value) in [
            ("max_fields", self.max_fields),
            ("max_open_spans", self.max_open_spans),
            ("queue_lines", self.queue_lines),
        ] {
            if value == 0 {
                problems.push(format!("{name} is 0: expected 1 or more"));
            }
        }
        problems
    }
}

impl fmt::Debug for LogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogConfig")
            .field("resource", &self.resource)
            .field("filter", &self.filter)
            .field("format", &self.format)
            .field("output", &self.output)
            .field("sinks", &self.sinks)
            .finish_non_exhaustive()
    }
}

/// How many lines one place in the code may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallsiteLimit {
    /// Lines in each period, 1 or more.
    pub lines: u32,
    /// How long a period is, 1 ms or more.
    pub period: Duration,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line; the crate documentation lists its fields.
    #[default]
    Json,
    /// `key=value` pairs with the names that the JSON form has; texts with spaces are quoted as in JSON.
    Logfmt,
    /// A line for people: time, level, service, target, message, then `key=value`.
    Text,
}

/// Whether lines for people ([`LogFormat::Text`]) have colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colors {
    /// When the output is a terminal and the variable `NO_COLOR` is unset or empty (<https://no-color.org>).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colors {
    pub(crate) fn apply_to(self, output: &LogOutput) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                output.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            }
        }
    }
}

/// Where lines go.
#[derive(Default)]
#[non_exhaustive]
pub enum LogOutput {
    /// The standard output of the process.
    #[default]
    Stdout,
    /// The standard error output of the process.
    Stderr,
    /// Nowhere: there are only sinks.
    None,
    /// Anything else; it is written to by a thread of its own and may block.
    Writer(Box<dyn Write + Send>),
}

impl fmt::Debug for LogOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "Stdout",
            Self::Stderr => "Stderr",
            Self::None => "None",
            Self::Writer(_) => "Writer",
        })
    }
}

impl LogOutput {
    fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => std::io::stdout().is_terminal(),
            Self::Stderr => std::io::stderr().is_terminal(),
            Self::None | Self::Writer(_) => false,
        }
    }

    pub(crate) fn open(self) -> Option<Box<dyn Write + Send>> {
        match self {
            Self::Stdout => Some(Box::new(std::io::stdout())),
            Self::Stderr => Some(Box::new(std::io::stderr())),
            Self::None => None,
            Self::Writer(writer) => Some(writer),
        }
    }
}
