//! Where log lines are sent: Loki, Elasticsearch, and OpenTelemetry collectors.

use std::time::Duration;

use obs_model::Level;
use obs_tracing::sink::{Endpoint, IntoSink, LogSink, SinkFilter};

use crate::config::{BatchSettings, LogOutputSettings, OTLP_LOGS, OutputKind, Settings};
use crate::error::StartError;

/// How long a line is tried to be sent where it waits on the disk; where it waits in memory it is an hour.
const SPOOLED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How much larger than its line a message may be, encoded.
const ENCODED: usize = 4;

/// A sink as it is set, before it has a queue.
pub(crate) struct Wanted {
    name: String,
    sink: LogSink,
    timeout: Option<Duration>,
    batch: Option<BatchSettings>,
    /// Whether the protocol says by itself which service and instance writes.
    names_service: bool,
    /// The names of the fields that it has.
    fields: Vec<String>,
}

impl Wanted {
    fn of_section(name: &'static str, level: Level, kind: impl IntoSink + 'static) -> Self {
        let sink = LogSink::new(name, kind).filtered(SinkFilter::at(level));
        let names_service = name == OTLP_LOGS;
        Self {
            name: name.to_owned(),
            sink,
            timeout: None,
            batch: None,
            names_service,
            fields: Vec::new(),
        }
    }

    /// One of the outputs, with its filter and fields.
    pub(crate) fn of_output(output: &LogOutputSettings, sink: LogSink) -> Self {
        Self {
            name: output.name.clone().unwrap_or_default(),
            sink,
            timeout: None,
            batch: None,
            names_service: OutputKind::of(&output.url) == Some(OutputKind::Otlp),
            fields: output.fields.iter().map(|(name, _)| name.clone()).collect(),
        }
    }
}

/// The sinks whose endpoints are set, and `others`, each with a spool when there is a state file.
pub(crate) fn sinks(
    settings: &Settings,
    others: Vec<Wanted>,
    #[cfg(feature = "state")] state: Option<&super::state::StatePart>,
) -> Result<Vec<LogSink>, StartError> {
    let wanted: Vec<Wanted> = [
        #[cfg(feature = "loki")]
        loki(settings),
        #[cfg(feature = "elasticsearch")]
        elasticsearch(settings),
        #[cfg(feature = "otlp")]
        otlp(settings),
    ]
    .into_iter()
    .flatten()
    .chain(others)
    .collect();
    if !wanted.is_empty() {
        obs_delivery::describe();
    }
    // An eighth of the disk for all of them: the samples take half, and pushes a quarter.
    let share = settings.state.max_bytes / 8 / wanted.len().max(1) as u64;
    let mut sinks = Vec::new();
    for Wanted { name, mut sink, timeout, batch, names_service, fields } in wanted {
        let mut delivery = obs_tracing::sink::delivery_config(name.as_str());
        delivery.max_message_bytes = ENCODED * settings.log.max_line_bytes;
        delivery.timeout = timeout.unwrap_or(delivery.timeout);
        if let Some(batch) = batch {
            delivery.capacity = batch.queue;
            (delivery.batch.max_items, delivery.batch.max_age) = (batch.items, batch.wait);
        }
        delivery.spool.max_bytes = share;
        #[cfg(feature = "state")]
        if let Some(state) = state {
            delivery.retry.max_age = SPOOLED_FOR;
            sink = sink.with_spool(std::sync::Arc::new(state.spool(&name, share)?));
        }
        sink = sink.with_delivery(delivery);
        if !names_service {
            sink = with_service(sink, settings, &fields);
        }
        sinks.push(sink);
    }
    Ok(sinks)
}

/// What tells services and their instances apart where lines of all of them come together, but for what is said already.
fn with_service(sink: LogSink, settings: &Settings, said: &[String]) -> LogSink {
    let service = &settings.service;
    [
        ("environment", &service.environment),
        ("version", &service.version),
        ("instance", &service.instance),
    ]
    .into_iter()
    .filter(|(name, _)| said.iter().all(|said| said != name))
    .filter_map(|(name, value)| Some((name, value.as_deref()?)))
    .fold(sink, |sink, (name, value)| sink.with_field(name, value.to_owned()))
}

pub(super) fn with_headers(endpoint: Endpoint, headers: &[(String, String)]) -> Endpoint {
    headers.iter().fold(endpoint, |endpoint, (name, value)| endpoint.with_header(name, value))
}

pub(super) fn with_login(
    endpoint: Endpoint,
    user: &Option<String>,
    password: &Option<String>,
) -> Endpoint {
    match (user, password) {
        (Some(user), Some(password)) => endpoint.with_basic_auth(user, password),
        _ => endpoint,
    }
}

#[cfg(feature = "loki")]
fn loki(settings: &Settings) -> Option<Wanted> {
    use obs_tracing::sink::LokiConfig;

    let from = &settings.loki;
    let endpoint = |url: &String| {
        let endpoint = Endpoint::new(url).with_tls(from.tls.config());
        let endpoint = with_login(endpoint, &from.user, &from.password);
        let endpoint = match &from.token {
            Some(token) => endpoint.with_bearer_token(token),
            None => endpoint,
        };
        with_headers(endpoint, &from.headers)
    };
    let mut loki = LokiConfig::new(endpoint(from.endpoint.as_ref()?))
        .with_label_fields(from.label_fields.iter().map(String::as_str));
    if let Some(fallback) = &from.fallback {
        loki = loki.with_fallback(endpoint(fallback));
    }
    if let Some(tenant) = &from.tenant {
        loki = loki.with_tenant(tenant);
    }
    for (name, value) in &from.labels {
        loki = loki.with_label(name, value);
    }
    if !from.structured_metadata {
        loki = loki.without_structured_metadata();
    }
    Some(Wanted::of_section("loki", from.level, loki))
}

#[cfg(feature = "elasticsearch")]
fn elasticsearch(settings: &Settings) -> Option<Wanted> {
    use obs_tracing::sink::ElasticsearchConfig;

    let from = &settings.elasticsearch;
    let endpoint = |url: &String| {
        let endpoint = Endpoint::new(url).with_tls(from.tls.config());
        let endpoint = with_login(endpoint, &from.user, &from.password);
        let endpoint = match &from.api_key {
            Some(key) => endpoint.with_api_key(key),
            None => endpoint,
        };
        with_headers(endpoint, &from.headers)
    };
    let mut search =
        ElasticsearchConfig::new(endpoint(from.endpoint.as_ref()?), from.index.as_str());
    if let Some(fallback) = &from.fallback {
        search = search.with_fallback(endpoint(fallback));
    }
    if let Some(pipeline) = &from.pipeline {
        search = search.with_pipeline(pipeline);
    }
    Some(Wanted::of_section("elasticsearch", from.level, search))
}

#[cfg(feature = "otlp")]
fn otlp(settings: &Settings) -> Option<Wanted> {
    use obs_tracing::sink::OtlpLogsConfig;

    use crate::config::{Compression, OtlpTarget};

    let (all, from) = (&settings.otlp, &settings.otlp.logs);
    let endpoint = |url: &String| {
        let headers = from.headers.as_ref().unwrap_or(&all.headers);
        let tls = from.tls.or(&all.tls).config();
        let endpoint = with_headers(Endpoint::new(url).with_tls(tls), headers);
        match &all.api_key {
            Some(key) => endpoint.with_bearer_token(key),
            None => endpoint,
        }
    };
    if !from.enabled {
        return None;
    }
    let mut logs = match all.target(from.protocol, from.endpoint.as_ref(), "/v1/logs")? {
        OtlpTarget::Http(url) => OtlpLogsConfig::logs(endpoint(&url)),
        OtlpTarget::Grpc(server) => OtlpLogsConfig::grpc(endpoint(&server)),
    };
    if from.compression == Compression::None {
        logs = logs.without_compression();
    }
    let timeout = Some(from.timeout.unwrap_or(all.timeout));
    Some(Wanted {
        timeout,
        batch: Some(from.batch),
        ..Wanted::of_section(OTLP_LOGS, from.level, logs)
    })
}
