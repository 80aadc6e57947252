//! Where log lines go: the output of the process, and sinks.

use obs_model::Level;
use obs_tracing::LogOutput;
#[cfg(feature = "elasticsearch")]
use obs_tracing::sink::ElasticsearchConfig;
#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
use obs_tracing::sink::Endpoint;
#[cfg(feature = "loki")]
use obs_tracing::sink::LokiConfig;
#[cfg(feature = "otlp")]
use obs_tracing::sink::OtlpLogsConfig;
use obs_tracing::sink::{
    Facility, FileCompression, FileConfig, FileSync, IntoSink, LogSink, Reopen, RotationPeriod,
    SinkFilter, SyslogBody, SyslogConfig, SyslogFraming,
};

#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
use super::sinks::{Wanted, with_headers, with_login};
use crate::config::{self, LogOutputSettings, OutputKind, OutputRotation, Settings};

/// What the settings name.
pub(crate) struct Outputs {
    /// The output of the process.
    pub(crate) process: LogOutput,
    /// Files and syslog servers.
    pub(crate) sinks: Vec<LogSink>,
    /// The files that are opened anew at a `SIGHUP`.
    pub(crate) reopened: Vec<Reopen>,
    /// What is sent to over HTTP or gRPC, and can have a spool.
    #[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
    pub(crate) wanted: Vec<Wanted>,
}

/// The output of the process and the sinks that the settings name.
pub(crate) fn of(settings: &Settings) -> Outputs {
    let mut all = Outputs {
        process: LogOutput::None,
        sinks: Vec::new(),
        reopened: Vec::new(),
        #[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
        wanted: Vec::new(),
    };
    for one in settings.log.outputs_beside(settings.section_sinks()) {
        // OK because settings with another scheme, or with a URL that cannot be read, are refused before this.
        match OutputKind::of(&one.url) {
            Some(OutputKind::Stdout) => all.process = LogOutput::Stdout,
            Some(OutputKind::Stderr) => all.process = LogOutput::Stderr,
            Some(OutputKind::File) => {
                let file = file(&one);
                all.reopened.extend(one.file.reopen_on_sighup.then(|| file.reopen()));
                all.sinks.push(sink(&one, file));
            }
            Some(OutputKind::Syslog) => all.sinks.push(sink(&one, syslog(&one))),
            #[cfg(feature = "loki")]
            Some(OutputKind::Loki) => all.want(&one, loki(&one)),
            #[cfg(feature = "elasticsearch")]
            Some(OutputKind::Elasticsearch) => all.want(&one, elasticsearch(&one)),
            #[cfg(feature = "otlp")]
            Some(OutputKind::Otlp) => all.want(&one, otlp(&one)),
            _ => {}
        }
    }
    all
}

#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
impl Outputs {
    fn want<K: IntoSink + 'static>(&mut self, output: &LogOutputSettings, kind: Result<K, String>) {
        self.wanted.extend(kind.ok().map(|kind| Wanted::of_output(output, sink(output, kind))));
    }
}

/// What is wrong with what the settings name, as far as that can be told before it starts.
pub(crate) fn problems(settings: &Settings) -> Vec<String> {
    let of_one = |one: &LogOutputSettings| match OutputKind::of(&one.url) {
        Some(OutputKind::Stdout | OutputKind::Stderr) => Vec::new(),
        Some(OutputKind::File) => {
            let unknown = (cfg!(not(unix)) && one.file.reopen_on_sighup)
                .then(|| "reopen_on_sighup is for Unix: expected false".to_owned());
            file(one).problems().into_iter().chain(unknown).collect()
        }
        Some(OutputKind::Syslog) => {
            let facility = one.syslog.facility.as_deref().map(str::parse::<Facility>);
            let unknown = facility.and_then(Result::err);
            syslog(one).problems().into_iter().chain(unknown).collect()
        }
        #[cfg(feature = "loki")]
        Some(OutputKind::Loki) => of_kind(loki(one)),
        #[cfg(feature = "elasticsearch")]
        Some(OutputKind::Elasticsearch) => of_kind(elasticsearch(one)),
        #[cfg(feature = "otlp")]
        Some(OutputKind::Otlp) => of_kind(otlp(one)),
        #[cfg(not(all(feature = "elasticsearch", feature = "loki", feature = "otlp")))]
        Some(kind) => vec![format!("{0} outputs need the feature {0} of obskit", kind.as_str())],
        None => vec![format!("{:?} is no output: expected stdout, file:PATH or a URL", one.url)],
    };
    settings.log.outputs_beside(settings.section_sinks()).iter().flat_map(of_one).collect()
}

#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
fn of_kind(kind: Result<impl IntoSink, String>) -> Vec<String> {
    kind.map_or_else(|problem| vec![problem], |kind| kind.problems())
}

fn sink(output: &LogOutputSettings, kind: impl IntoSink + 'static) -> LogSink {
    let mut filter = SinkFilter::at(output.level.unwrap_or(Level::Trace));
    for target in &output.only_targets {
        filter = filter.only_target(target);
    }
    for target in &output.without_targets {
        filter = filter.without_target(target);
    }
    for (name, value) in &output.only_fields {
        filter = filter.only_field(name, value);
    }
    for (name, value) in &output.without_fields {
        filter = filter.without_field(name, value);
    }
    let sink = LogSink::new(output.name.clone().unwrap_or_default(), kind).filtered(filter);
    output.fields.iter().fold(sink, |sink, (name, value)| sink.with_field(name, value.clone()))
}

fn file(output: &LogOutputSettings) -> FileConfig {
    let config::FileOutputSettings {
        format,
        mode,
        sync,
        reopen_on_sighup: _,
        max_bytes,
        rotate,
        keep_files,
        keep_bytes,
        keep_for,
        compress,
    } = output.file;
    let mut file = FileConfig::new(output.path().unwrap_or_default());
    file.format = super::logs::format(format);
    file.mode = mode.unwrap_or(file.mode);
    file.sync = match sync {
        config::OutputSync::Never => FileSync::Never,
        config::OutputSync::Rotation => FileSync::OnRotation,
        config::OutputSync::Write => FileSync::EveryWrite,
    };
    file.rotation.max_bytes = max_bytes.or(file.rotation.max_bytes);
    file.rotation.every = rotate.map(|rotate| match rotate {
        OutputRotation::Hourly => RotationPeriod::Hour,
        OutputRotation::Daily => RotationPeriod::Day,
    });
    file.keep.files = keep_files.or(file.keep.files);
    file.keep.bytes = keep_bytes;
    file.keep.age = keep_for;
    if compress {
        file.compression = FileCompression::Gzip;
    }
    file
}

fn syslog(output: &LogOutputSettings) -> SyslogConfig {
    let settings = &output.syslog;
    let mut syslog = SyslogConfig::new(&output.url);
    if let Some(fallback) = &settings.fallback {
        syslog = syslog.or(fallback);
    }
    if let Some(Ok(facility)) = settings.facility.as_deref().map(str::parse) {
        syslog.facility = facility;
    }
    syslog.hostname.clone_from(&settings.hostname);
    syslog.app_name.clone_from(&settings.app_name);
    syslog.message_id.clone_from(&settings.message_id);
    syslog.framing = match settings.framing {
        config::OutputFraming::Auto => SyslogFraming::Auto,
        config::OutputFraming::OctetCounting => SyslogFraming::OctetCounting,
        config::OutputFraming::LineFeed => SyslogFraming::LineFeed,
    };
    syslog.body = match settings.body {
        config::SyslogBody::Message => SyslogBody::Message,
        config::SyslogBody::Json => SyslogBody::Json,
    };
    syslog.enterprise = settings.enterprise.unwrap_or(syslog.enterprise);
    #[cfg(feature = "syslog-tls")]
    {
        syslog.tls = output.tls.config();
    }
    syslog
}

/// What is said to be let in, to every endpoint of an output.
#[cfg(any(feature = "elasticsearch", feature = "loki", feature = "otlp"))]
fn with_credentials(endpoint: Endpoint, output: &LogOutputSettings) -> Endpoint {
    let http = &output.http;
    let endpoint = with_login(endpoint.with_tls(output.tls.config()), &http.user, &http.password);
    let endpoint = match (&http.token, &http.api_key) {
        (Some(token), _) => endpoint.with_bearer_token(token),
        (None, Some(key)) => endpoint.with_api_key(key),
        (None, None) => endpoint,
    };
    with_headers(endpoint, &http.headers)
}

#[cfg(feature = "loki")]
fn loki(output: &LogOutputSettings) -> Result<LokiConfig, String> {
    let http = &output.http;
    let mut loki = LokiConfig::from_url(&output.url).map_err(|error| error.to_string())?;
    if let Some(fallback) = &http.fallback {
        loki = loki.with_fallback(fallback.as_str());
    }
    loki = loki.each_endpoint(|endpoint| with_credentials(endpoint, output));
    if let Some(tenant) = &http.tenant {
        loki = loki.with_tenant(tenant);
    }
    if !http.label_fields.is_empty() {
        loki = loki.with_label_fields(http.label_fields.iter().map(String::as_str));
    }
    for (name, value) in &http.labels {
        loki = loki.with_label(name, value);
    }
    if http.structured_metadata == Some(false) {
        loki = loki.without_structured_metadata();
    }
    Ok(loki)
}

#[cfg(feature = "elasticsearch")]
fn elasticsearch(output: &LogOutputSettings) -> Result<ElasticsearchConfig, String> {
    let http = &output.http;
    let search = ElasticsearchConfig::from_url(&output.url);
    let mut search = search.map_err(|error| error.to_string())?;
    if let Some(fallback) = &http.fallback {
        search = search.with_fallback(fallback.as_str());
    }
    search = search.each_endpoint(|endpoint| with_credentials(endpoint, output));
    if let Some(pipeline) = &http.pipeline {
        search = search.with_pipeline(pipeline);
    }
    Ok(search)
}

#[cfg(feature = "otlp")]
fn otlp(output: &LogOutputSettings) -> Result<OtlpLogsConfig, String> {
    let http = &output.http;
    let mut otlp = OtlpLogsConfig::from_url(&output.url).map_err(|error| error.to_string())?;
    if let Some(fallback) = &http.fallback {
        otlp = otlp.with_fallback(fallback.as_str());
    }
    Ok(otlp.each_endpoint(|endpoint| with_credentials(endpoint, output)))
}
