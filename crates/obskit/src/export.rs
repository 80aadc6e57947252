//! Sending telemetry at once, where the caller says: which signals, in which form, to which destination.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::config::TlsSettings;
use crate::running::Obskit;
use crate::wiring::export;

/// How long an export takes at most, unless it says so.
const DEADLINE: Duration = Duration::from_secs(30);

/// A kind of telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Every series of the registry, as it is now.
    Metrics,
    /// The spans that finished last, as far as they are kept (`traces.memory_mib`), with the events and links that they have.
    Traces,
    /// The newest log lines, as far as they are kept (`log.memory_mib`).
    Logs,
}

impl Signal {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Traces, Self::Logs];

    /// Its name: `metrics`, `traces` or `logs`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The form in which telemetry is sent, with what the destination then is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// Prometheus remote write, of metrics: the URL that is posted to, such as `http://mimir/api/v1/push`.
    RemoteWrite,
    /// OTLP, of every signal: the base URL of a collector, or of Jaeger for traces. By gRPC if its port is 4317, else by
    /// HTTP to `/v1/metrics`, `/v1/traces` and `/v1/logs` of it.
    Otlp,
    /// Loki's push API, of logs: the base URL.
    #[cfg(feature = "loki")]
    Loki,
    /// Elasticsearch's bulk API, of logs: the base URL and the index, as in `http://search:9200/logs`.
    #[cfg(feature = "elasticsearch")]
    Elasticsearch,
}

impl ExportFormat {
    const NAMES: &[(&str, Self)] = &[
        ("prometheus", Self::RemoteWrite),
        ("remote_write", Self::RemoteWrite),
        ("otlp", Self::Otlp),
        ("jaeger", Self::Otlp),
        ("opentelemetry", Self::Otlp),
        #[cfg(feature = "loki")]
        ("loki", Self::Loki),
        #[cfg(feature = "elasticsearch")]
        ("elasticsearch", Self::Elasticsearch),
    ];

    /// Whether it can carry this signal.
    #[must_use]
    pub const fn carries(self, signal: Signal) -> bool {
        match self {
            Self::RemoteWrite => matches!(signal, Signal::Metrics),
            Self::Otlp => true,
            #[cfg(feature = "loki")]
            Self::Loki => matches!(signal, Signal::Logs),
            #[cfg(feature = "elasticsearch")]
            Self::Elasticsearch => matches!(signal, Signal::Logs),
        }
    }
}

/// From `prometheus` or `remote_write`, `otlp`, `opentelemetry` or `jaeger` (which takes OTLP), `loki`, `elasticsearch`.
impl FromStr for ExportFormat {
    type Err = ExportError;

    fn from_str(text: &str) -> Result<Self, ExportError> {
        let found = Self::NAMES.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
        found.map(|(_, format)| *format).ok_or_else(|| {
            let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            let names = names.join(", ");
            ExportError::config(vec![format!("{text:?} is no format: expected one of {names}")])
        })
    }
}

/// Sends telemetry at once to a destination of its own, beside all that the settings name.
///
/// ```no_run
/// use obskit::{ExportFormat, Signal};
/// use std::time::Duration;
///
/// # async fn example(obs: obskit::Obskit) -> Result<(), Box<dyn std::error::Error>> {
/// let export = obs
///     .export_to(Signal::ALL, ExportFormat::Otlp, "http://support.example.com:4318")
///     .header("x-api-key", "s3cret")
///     .last(Duration::from_secs(600));
/// let report = export.export().await?;
/// println!("{} spans were sent", report.delivered(Signal::Traces));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before export()"]
pub struct TelemetryExport<'a> {
    pub(crate) obskit: &'a Obskit,
    pub(crate) signals: Vec<Signal>,
    pub(crate) format: ExportFormat,
    pub(crate) destination: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) tls: TlsSettings,
    pub(crate) last: Option<Duration>,
    pub(crate) deadline: Duration,
}

impl<'a> TelemetryExport<'a> {
    pub(crate) fn new(
        obskit: &'a Obskit,
        signals: impl IntoIterator<Item = Signal>,
        format: ExportFormat,
        destination: impl Into<String>,
    ) -> Self {
        Self {
            obskit,
            signals: signals.into_iter().collect(),
            format,
            destination: destination.into(),
            headers: Vec::new(),
            tls: TlsSettings::default(),
            last: None,
            deadline: DEADLINE,
        }
    }

    /// With a header on every request, such as an API key.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With certificates for a destination over TLS; else those are trusted that the operating system trusts.
    pub fn tls(mut self, tls: TlsSettings) -> Self {
        self.tls = tls;
        self
    }

    /// Of traces and logs, only what ended or was written in the last so long; else all that is kept.
    pub fn last(mut self, window: Duration) -> Self {
        self.last = Some(window);
        self
    }

    /// Gives up after so long, 30 s unless set, for all signals together.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends everything now and waits until it has arrived. What fails in a way that may pass is tried again until the
    /// deadline.
    ///
    /// # Errors
    ///
    /// [`ExportError::is_config`]: the format does not carry one of the signals, the destination is not a URL, a certificate
    /// cannot be read, or a signal is not kept; then nothing was sent. Otherwise not everything arrived; the message says how much of what did not, and why.
    pub async fn export(&self) -> Result<ExportReport, ExportError> {
        export::export(self).await
    }
}

/// Shows neither the destination, which may hold credentials, nor the values of headers.
impl fmt::Debug for TelemetryExport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TelemetryExport")
            .field("signals", &self.signals)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

/// What an export sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    pub(crate) delivered: Vec<(Signal, u64)>,
}

impl ExportReport {
    /// How much arrived of one signal: requests with metrics, spans, or log lines.
    #[must_use]
    pub fn delivered(&self, signal: Signal) -> u64 {
        self.delivered.iter().filter(|(of, _)| *of == signal).map(|(_, count)| count).sum()
    }
}

/// Telemetry could not be sent, or did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}", .what.as_str(), .problems.join("; "))]
pub struct ExportError {
    what: What,
    problems: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Config,
    Undelivered,
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "this cannot be exported",
            Self::Undelivered => "not everything was exported",
        }
    }
}

impl ExportError {
    pub(crate) fn config(problems: Vec<String>) -> Self {
        Self { what: What::Config, problems }
    }

    pub(crate) fn undelivered(problems: Vec<String>) -> Self {
        Self { what: What::Undelivered, problems }
    }

    /// Whether something about the export was wrong, so that nothing was sent.
    #[must_use]
    pub fn is_config(&self) -> bool {
        self.what == What::Config
    }

    /// What is wrong or did not arrive, a sentence for each.
    #[must_use]
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}
