//! Where log lines go: the output of the process, and sinks.

use obs_model::Level;
use obs_tracing::LogOutput;
use obs_tracing::sink::{
    Facility, FileCompression, FileConfig, IntoSink, LogSink, RotationPeriod, SinkFilter,
    SyslogBody, SyslogConfig,
};

use crate::config::{self, LogOutputSettings, LogSettings, OutputKind, OutputRotation};

/// The output of the process and the sinks that the settings name.
pub(crate) fn of(settings: &LogSettings) -> (LogOutput, Vec<LogSink>) {
    let (mut output, mut sinks) = (LogOutput::None, Vec::new());
    for one in settings.all_outputs() {
        // OK because settings with another scheme are refused before this.
        match OutputKind::of(&one.url) {
            Some(OutputKind::Stdout) => output = LogOutput::Stdout,
            Some(OutputKind::Stderr) => output = LogOutput::Stderr,
            Some(OutputKind::File) => sinks.push(sink(&one, file(&one))),
            Some(OutputKind::Syslog) => sinks.push(sink(&one, syslog(&one))),
            None => {}
        }
    }
    (output, sinks)
}

/// What is wrong with what the settings name, as far as that can be told before it starts.
pub(crate) fn problems(settings: &LogSettings) -> Vec<String> {
    let of_one = |one: &LogOutputSettings| match OutputKind::of(&one.url) {
        Some(OutputKind::Stdout | OutputKind::Stderr) => Vec::new(),
        Some(OutputKind::File) => file(one).problems(),
        Some(OutputKind::Syslog) => {
            let facility = one.syslog.facility.as_deref().map(str::parse::<Facility>);
            let unknown = facility.and_then(Result::err);
            syslog(one).problems().into_iter().chain(unknown).collect()
        }
        None => vec![format!("{:?} is no output: expected stdout, file:PATH or a URL", one.url)],
    };
    settings.all_outputs().iter().flat_map(of_one).collect()
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
        max_bytes,
        rotate,
        keep_files,
        keep_bytes,
        keep_for,
        compress,
    } = output.file;
    let mut file = FileConfig::new(output.path().unwrap_or_default());
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
    syslog.body = match settings.body {
        config::SyslogBody::Message => SyslogBody::Message,
        config::SyslogBody::Json => SyslogBody::Json,
    };
    syslog.enterprise = settings.enterprise.unwrap_or(syslog.enterprise);
    #[cfg(feature = "syslog-tls")]
    {
        syslog.tls = tls(settings);
    }
    syslog
}

#[cfg(feature = "syslog-tls")]
fn tls(settings: &config::SyslogOutputSettings) -> obs_delivery::TlsConfig {
    use obs_delivery::{Pem, TlsConfig};
    let mut tls = TlsConfig::new();
    if let Some(roots) = &settings.root_file {
        tls = tls.with_roots(Pem::file(roots));
    }
    if let (Some(certificate), Some(key)) = (&settings.certificate_file, &settings.key_file) {
        tls = tls.with_identity(Pem::file(certificate), Pem::file(key));
    }
    tls
}
