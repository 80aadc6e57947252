//! Each signal of an export to the pillar that sends it.

use std::time::{Duration, Instant};

use obs_delivery::{Delivery, DeliveryReport};
use obs_model::{Clock, SystemClock, Timestamp};

use crate::config::{OtlpTarget, Settings};
use crate::export::{ExportError, ExportFormat, ExportReport, Signal, TelemetryExport};

/// How much of one signal arrived of what there was, and why not all.
struct Outcome {
    found: u64,
    delivered: u64,
    reason: Option<String>,
}

/// Sends every signal that is asked for, one after another.
pub(crate) async fn export(of: &TelemetryExport<'_>) -> Result<ExportReport, ExportError> {
    let problems = problems(of);
    if !problems.is_empty() {
        return Err(ExportError::config(problems));
    }
    let end = Instant::now() + of.deadline;
    let mut report = ExportReport::default();
    let mut undelivered = Vec::new();
    for signal in Signal::ALL.into_iter().filter(|signal| of.signals.contains(signal)) {
        let left = end.saturating_duration_since(Instant::now());
        let Outcome { found, delivered, reason } = match signal {
            Signal::Metrics => metrics(of, left).await?,
            Signal::Traces => traces(of, left).await?,
            Signal::Logs => logs(of, left).await?,
        };
        report.delivered.push((signal, delivered));
        if delivered < found {
            let reason = reason.unwrap_or_else(|| String::from("the time was up"));
            undelivered.push(format!(
                "{} of {found} {} did not arrive ({reason})",
                found - delivered,
                unit(signal)
            ));
        }
    }
    if undelivered.is_empty() { Ok(report) } else { Err(ExportError::undelivered(undelivered)) }
}

const fn unit(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "requests with metrics",
        Signal::Traces => "spans",
        Signal::Logs => "log lines",
    }
}

/// Everything that can be told to be wrong before anything is sent.
fn problems(of: &TelemetryExport<'_>) -> Vec<String> {
    let mut problems = Vec::new();
    if of.signals.is_empty() {
        problems.push(String::from("there is no signal to send: expected metrics, traces or logs"));
    }
    let is_url = ["http://", "https://"].iter().any(|scheme| of.destination.starts_with(scheme));
    if !is_url {
        problems.push(String::from("the destination is no URL: expected http:// or https://"));
    }
    #[cfg(feature = "elasticsearch")]
    if of.format == ExportFormat::Elasticsearch && is_url && with_index(&of.destination).is_none() {
        problems
            .push(String::from("the destination has no index: expected http://host:port/index"));
    }
    problems.extend(of.tls.problems("tls"));
    for signal in &of.signals {
        if !of.format.carries(*signal) {
            problems.push(format!(
                "{:?} does not carry {signal}: expected a format that does",
                of.format
            ));
        }
        let missing = match signal {
            Signal::Metrics => {
                (!of.obskit.settings.metrics.enabled).then_some("metrics.enabled is off")
            }
            Signal::Traces => {
                of.obskit.logs.finished_spans().is_none().then_some("traces.memory_mib is 0")
            }
            Signal::Logs => of.obskit.logs.lines().is_none().then_some("log.memory_mib is 0"),
        };
        problems.extend(missing.map(|why| format!("there are no {signal} to send: {why}")));
    }
    problems
}

/// The base URL and the index of `http://host:port/index`.
#[cfg(feature = "elasticsearch")]
fn with_index(url: &str) -> Option<(&str, &str)> {
    let (base, index) = url.trim_end_matches('/').rsplit_once('/')?;
    (base.contains("://") && !index.is_empty()).then_some((base, index))
}

fn failed(error: impl std::error::Error) -> ExportError {
    ExportError::config(vec![error.to_string()])
}

/// The earliest time of what is sent.
fn since(of: &TelemetryExport<'_>) -> Option<Timestamp> {
    of.last.map(|window| SystemClock::new().now().minus(window))
}

/// The collector of one signal, by the rules of `otlp.endpoint`.
fn target(of: &TelemetryExport<'_>, path: &str) -> OtlpTarget {
    let mut settings = Settings::default().otlp;
    settings.endpoint = Some(of.destination.clone());
    // OK because there is an endpoint.
    settings.target(None, None, path).unwrap_or(OtlpTarget::Http(String::new()))
}

async fn metrics(of: &TelemetryExport<'_>, deadline: Duration) -> Result<Outcome, ExportError> {
    use obs_metrics::push::{self, Endpoint, otlp, remote_write};

    const NAME: &str = "export_metrics";
    let registry = &of.obskit.series.registry;
    let service = &of.obskit.settings.service;
    let endpoint = |url: &str| {
        let headers = of.headers.iter();
        let endpoint = Endpoint::new(url).with_tls(of.tls.config());
        headers.fold(endpoint, |to, (name, value)| to.with_header(name, value))
    };
    let (delivery, report) = if of.format == ExportFormat::RemoteWrite {
        let transport =
            remote_write::transport(&endpoint(&of.destination), NAME).map_err(failed)?;
        let delivery =
            Delivery::start(remote_write::delivery_config(NAME), transport).map_err(failed)?;
        let instance = service.instance.clone().unwrap_or_else(push::host_name);
        let config = remote_write::RemoteWriteConfig {
            external_labels: push::target_labels(&service.name, &instance).map_err(failed)?,
            ..Default::default()
        };
        let sent = remote_write::send_once(config, registry, delivery.clone(), deadline);
        (delivery, sent.await.map_err(failed)?)
    } else {
        let mut config = otlp::OtlpConfig::new(super::resource(&of.obskit.settings));
        let queue = otlp::delivery_config(NAME);
        let delivery = match target(of, "/v1/metrics") {
            OtlpTarget::Http(url) => {
                Delivery::start(queue, otlp::transport(&endpoint(&url), NAME).map_err(failed)?)
            }
            OtlpTarget::Grpc(server) => {
                config.compression = otlp::Compression::None;
                let gzip = otlp::Compression::Gzip;
                let transport = otlp::grpc_transport(&endpoint(&server), NAME, gzip);
                Delivery::start(queue, transport.map_err(failed)?)
            }
        };
        let delivery = delivery.map_err(failed)?;
        let sent = otlp::send_once(config, registry, delivery.clone(), deadline);
        (delivery, sent.await.map_err(failed)?)
    };
    let DeliveryReport { offered, delivered, .. } = report;
    let reason = delivery.last_error().map(|error| error.message);
    Ok(Outcome { found: offered, delivered, reason })
}

async fn traces(of: &TelemetryExport<'_>, deadline: Duration) -> Result<Outcome, ExportError> {
    use obs_tracing::{OtlpConfig, SpanQuery};

    let Some(spans) = of.obskit.logs.finished_spans() else { return Ok(Outcome::nothing()) };
    let mut config = match target(of, "/v1/traces") {
        OtlpTarget::Http(url) => OtlpConfig::traces(url),
        OtlpTarget::Grpc(server) => OtlpConfig::grpc(server),
    };
    config.tls = of.tls.config();
    let headers = of.headers.iter();
    let config = headers.fold(config, |to, (name, value)| to.with_header(name, value));
    let mut query = SpanQuery::default();
    (query.from, query.limit) = (since(of), usize::MAX);
    let service = super::resource(&of.obskit.settings);
    spans.send(&query, config, &service, deadline).await.map(Outcome::from).map_err(failed)
}

async fn logs(of: &TelemetryExport<'_>, deadline: Duration) -> Result<Outcome, ExportError> {
    use obs_tracing::memory::LineQuery;
    use obs_tracing::sink::{Endpoint, LogSink, OtlpLogsConfig};

    const NAME: &str = "export_logs";
    let Some(lines) = of.obskit.logs.lines() else { return Ok(Outcome::nothing()) };
    let endpoint = |url: &str| {
        let headers = of.headers.iter();
        let endpoint = Endpoint::new(url).with_tls(of.tls.config());
        headers.fold(endpoint, |to, (name, value)| to.with_header(name, value))
    };
    let sink = match of.format {
        #[cfg(feature = "loki")]
        ExportFormat::Loki => {
            LogSink::new(NAME, obs_tracing::sink::LokiConfig::new(endpoint(&of.destination)))
        }
        #[cfg(feature = "elasticsearch")]
        ExportFormat::Elasticsearch => {
            let (base, index) = with_index(&of.destination).unwrap_or_default();
            let search = obs_tracing::sink::ElasticsearchConfig::new(endpoint(base), index);
            LogSink::new(NAME, search)
        }
        ExportFormat::Otlp | ExportFormat::RemoteWrite => match target(of, "/v1/logs") {
            OtlpTarget::Http(url) => LogSink::new(NAME, OtlpLogsConfig::logs(endpoint(&url))),
            OtlpTarget::Grpc(server) => LogSink::new(NAME, OtlpLogsConfig::grpc(endpoint(&server))),
        },
    };
    let query = LineQuery { since: since(of), limit: usize::MAX, ..LineQuery::default() };
    let service = super::resource(&of.obskit.settings);
    lines.send(&query, sink, &service, deadline).await.map(Outcome::from).map_err(failed)
}

impl Outcome {
    const fn nothing() -> Self {
        Self { found: 0, delivered: 0, reason: None }
    }
}

impl From<obs_tracing::Sent> for Outcome {
    fn from(sent: obs_tracing::Sent) -> Self {
        Self { found: sent.found, delivered: sent.delivered, reason: sent.last_error }
    }
}
