//! The settings of OTLP.

use std::fmt;
use std::time::Duration;

use obs_model::{Level, REDACTED};

use super::value::Expected;
use super::{BatchSettings, TlsSettings, names, redacted};

/// The port on which collectors take OTLP by gRPC.
const GRPC_PORT: &str = ":4317";

/// Spans, metrics and log lines by OTLP; nothing is exported without an endpoint.
#[derive(Clone)]
#[non_exhaustive]
pub struct OtlpSettings {
    /// Whether anything is exported; true.
    pub enabled: bool,
    /// The collector's base URL; `/v1/traces`, `/v1/metrics` and `/v1/logs` are added.
    pub endpoint: Option<String>,
    /// The full URL for spans, used as it is; it goes before `endpoint`.
    pub traces_endpoint: Option<String>,
    /// The URL that gets spans while that fails, in the same form.
    pub traces_fallback: Option<String>,
    /// How spans are sent; by gRPC when `endpoint` has gRPC's port, else by HTTP, unless set.
    pub traces_protocol: Option<OtlpProtocol>,
    /// How metrics are sent; in the same way.
    pub metrics_protocol: Option<OtlpProtocol>,
    /// How spans are compressed; with gzip.
    pub traces_compression: Compression,
    /// Whether spans are exported; true.
    pub traces: bool,
    /// Headers to send along with spans, in place of `headers`.
    pub traces_headers: Option<Vec<(String, String)>>,
    /// How long one export of spans may take; as `timeout` unless set.
    pub traces_timeout: Option<Duration>,
    /// Certificates for the export of spans, before those of `tls`.
    pub traces_tls: TlsSettings,
    /// How spans are gathered into requests.
    pub traces_batch: BatchSettings,
    /// Headers to send along.
    pub headers: Vec<(String, String)>,
    /// An API key, sent as `Authorization: Bearer …`.
    pub api_key: Option<String>,
    /// Whom to trust over TLS, and how to prove who is asking.
    pub tls: TlsSettings,
    /// How long one export may take; 10 s.
    pub timeout: Duration,
    /// Whether metrics are exported too; true.
    pub metrics: bool,
    /// The full URL for metrics, used as it is; it goes before `endpoint`.
    pub metrics_endpoint: Option<String>,
    /// Headers to send along with metrics, in place of `headers`.
    pub metrics_headers: Option<Vec<(String, String)>>,
    /// How long one export of metrics may take; as `timeout` unless set.
    pub metrics_timeout: Option<Duration>,
    /// Certificates for the export of metrics, before those of `tls`.
    pub metrics_tls: TlsSettings,
    /// How exports of metrics are compressed; with gzip.
    pub metrics_compression: Compression,
    /// Whether metrics are exported as totals or as differences; as totals.
    pub metrics_temporality: Temporality,
    /// How often metrics are exported; 60 s.
    pub metrics_interval: Duration,
    /// Log lines.
    pub logs: OtlpLogSettings,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// Protobuf over HTTP.
    HttpProtobuf,
    /// gRPC.
    Grpc,
}

/// How what is sent is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// With gzip.
    #[default]
    Gzip,
    /// Not at all.
    None,
}

/// Whether metrics are sent as totals or as differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Temporality {
    /// Counters and histograms have their totals since each series began.
    #[default]
    Cumulative,
    /// Counters and histograms have what was added since the last point of each series.
    Delta,
    /// As `Delta`, but counters that are observed have their totals: those of a registry over another recorder.
    LowMemory,
}

/// Log lines by OTLP; nothing is exported without an endpoint here or in [`OtlpSettings`].
#[derive(Clone)]
#[non_exhaustive]
pub struct OtlpLogSettings {
    /// Whether they are exported; true.
    pub enabled: bool,
    /// The full URL, used as it is; it goes before the collector's base URL.
    pub endpoint: Option<String>,
    /// Headers to send along, in place of those of all exports.
    pub headers: Option<Vec<(String, String)>>,
    /// How they are sent; by gRPC when the collector's base URL has gRPC's port, else by HTTP, unless set.
    pub protocol: Option<OtlpProtocol>,
    /// How long one export may take; as any export unless set.
    pub timeout: Option<Duration>,
    /// Certificates for the export of log lines, before those of all exports.
    pub tls: TlsSettings,
    /// How exports are compressed; with gzip.
    pub compression: Compression,
    /// How lines are gathered into requests.
    pub batch: BatchSettings,
    /// The least important level that is exported; every level that is logged.
    pub level: Level,
}

impl Default for OtlpSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            endpoint: None,
            traces_endpoint: None,
            traces_fallback: None,
            traces_protocol: None,
            metrics_protocol: None,
            traces_compression: Compression::Gzip,
            traces: true,
            traces_headers: None,
            traces_timeout: None,
            traces_tls: TlsSettings::default(),
            traces_batch: BatchSettings::SPANS,
            headers: Vec::new(),
            api_key: None,
            tls: TlsSettings::default(),
            timeout: Duration::from_secs(10),
            metrics: true,
            metrics_endpoint: None,
            metrics_headers: None,
            metrics_timeout: None,
            metrics_tls: TlsSettings::default(),
            metrics_compression: Compression::Gzip,
            metrics_temporality: Temporality::Cumulative,
            metrics_interval: Duration::from_secs(60),
            logs: OtlpLogSettings::default(),
        }
    }
}

impl Default for OtlpLogSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            endpoint: None,
            headers: None,
            protocol: None,
            timeout: None,
            tls: TlsSettings::default(),
            compression: Compression::Gzip,
            batch: BatchSettings::LINES,
            level: Level::Trace,
        }
    }
}

/// Shows neither headers nor the key, which are secrets.
impl fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpSettings")
            .field("enabled", &self.enabled)
            .field("endpoint", &self.endpoint.as_deref().map(redacted))
            .field("traces_endpoint", &self.traces_endpoint.as_deref().map(redacted))
            .field("traces_fallback", &self.traces_fallback.as_deref().map(redacted))
            .field("traces_protocol", &self.traces_protocol)
            .field("metrics_protocol", &self.metrics_protocol)
            .field("traces_compression", &self.traces_compression)
            .field("traces", &self.traces)
            .field("traces_headers", &self.traces_headers.as_deref().map(names))
            .field("traces_timeout", &self.traces_timeout)
            .field("traces_tls", &self.traces_tls)
            .field("traces_batch", &self.traces_batch)
            .field("headers", &names(&self.headers))
            .field("api_key", &self.api_key.as_ref().map(|_| REDACTED))
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .field("metrics", &self.metrics)
            .field("metrics_endpoint", &self.metrics_endpoint.as_deref().map(redacted))
            .field("metrics_headers", &self.metrics_headers.as_deref().map(names))
            .field("metrics_timeout", &self.metrics_timeout)
            .field("metrics_tls", &self.metrics_tls)
            .field("metrics_compression", &self.metrics_compression)
            .field("metrics_temporality", &self.metrics_temporality)
            .field("metrics_interval", &self.metrics_interval)
            .field("logs", &self.logs)
            .finish()
    }
}

/// Shows no values of headers.
impl fmt::Debug for OtlpLogSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpLogSettings")
            .field("enabled", &self.enabled)
            .field("endpoint", &self.endpoint.as_deref().map(redacted))
            .field("headers", &self.headers.as_deref().map(names))
            .field("protocol", &self.protocol)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .field("compression", &self.compression)
            .field("batch", &self.batch)
            .field("level", &self.level)
            .finish()
    }
}

/// Where one signal goes by OTLP.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OtlpTarget {
    /// The URL that is posted to.
    Http(String),
    /// The server that is called.
    Grpc(String),
}

impl OtlpSettings {
    /// Where a signal goes whose own settings are these, when an endpoint is set and exports are on; `path` is added to the base URL where
    /// it goes by HTTP.
    pub(crate) fn target(
        &self,
        protocol: Option<OtlpProtocol>,
        own: Option<&String>,
        path: &str,
    ) -> Option<OtlpTarget> {
        if !self.enabled {
            return None;
        }
        let base = self.endpoint.as_deref().map(|base| base.trim_end_matches('/'));
        let is_grpc = match protocol {
            Some(protocol) => protocol == OtlpProtocol::Grpc,
            None => own.is_none() && base.is_some_and(|base| base.ends_with(GRPC_PORT)),
        };
        Some(match (own, is_grpc) {
            (Some(own), true) => OtlpTarget::Grpc(own.clone()),
            (Some(own), false) => OtlpTarget::Http(own.clone()),
            (None, true) => OtlpTarget::Grpc(base?.to_owned()),
            (None, false) => OtlpTarget::Http(format!("{}{path}", base?)),
        })
    }
}

/// How something is sent by OTLP.
pub(super) fn protocol(text: &str) -> Result<OtlpProtocol, Expected> {
    match text.trim().to_ascii_lowercase().as_str() {
        "grpc" => Ok(OtlpProtocol::Grpc),
        "http/protobuf" => Ok(OtlpProtocol::HttpProtobuf),
        _ => Err(String::from("grpc or http/protobuf")),
    }
}

/// Whether metrics are sent as totals or as differences.
pub(super) fn temporality(text: &str) -> Result<Temporality, Expected> {
    match text.trim().to_ascii_lowercase().as_str() {
        "cumulative" => Ok(Temporality::Cumulative),
        "delta" => Ok(Temporality::Delta),
        "lowmemory" => Ok(Temporality::LowMemory),
        _ => Err(String::from("cumulative, delta or lowmemory")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;

    fn environment(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let mut settings = Settings::default();
        let given = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        settings.read_environment(given).map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn a_disabled_sdk_exports_nothing() {
        for (value, is_enabled) in [("true", false), ("TRUE", false), ("false", true), ("", true)] {
            let settings = environment(&[
                ("OTEL_SDK_DISABLED", value),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
            ]);
            let otlp = settings.unwrap().otlp;
            let target = otlp.target(None, None, "/v1/traces");
            assert_eq!((otlp.enabled, target.is_some()), (is_enabled, is_enabled), "{value}");
        }
        assert!(
            environment(&[("OTEL_SDK_DISABLED", "maybe")]).unwrap_err().contains("true or false")
        );
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn certificates_of_a_signal_go_before_those_of_all() {
        let settings = environment(&[
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/all.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/client.pem"),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/client.key"),
            ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
            ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", "/metrics.pem"),
            ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "/metrics.key"),
        ]);
        let settings = settings.unwrap();
        let otlp = &settings.otlp;
        for (own, root, certificate, key) in [
            (&otlp.traces_tls, "/traces.pem", "/client.pem", "/client.key"),
            (&otlp.metrics_tls, "/all.pem", "/metrics.pem", "/metrics.key"),
            (&otlp.logs.tls, "/all.pem", "/client.pem", "/client.key"),
        ] {
            let tls = own.or(&otlp.tls);
            assert_eq!(tls.root_file.unwrap().to_str(), Some(root));
            assert_eq!(tls.certificate_file.unwrap().to_str(), Some(certificate));
            assert_eq!(tls.key_file.unwrap().to_str(), Some(key));
        }
    }

    #[test]
    fn what_is_wrong_with_certificates_is_said_of_each() {
        let settings = environment(&[
            ("OBSKIT_SERVICE_NAME", "x"),
            ("OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "/logs.key"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/root.pem"),
            ("OBSKIT_LOKI_CERTIFICATE_FILE", "/loki.pem"),
        ]);
        let error = settings.unwrap().validate().unwrap_err().to_string();
        let mut parts = vec![
            "otlp.logs: certificate_file and key_file go together: expected both or neither",
            "loki: certificate_file and key_file go together: expected both or neither",
        ];
        if cfg!(feature = "otlp") {
            parts.push("/nowhere/root.pem cannot be read");
        }
        for part in parts {
            assert!(error.contains(part), "{part}: {error}");
        }

        // Where nothing is exported, its certificates need not be there.
        let settings = environment(&[
            ("OBSKIT_SERVICE_NAME", "x"),
            ("OTEL_SDK_DISABLED", "true"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/root.pem"),
        ]);
        settings.unwrap().validate().unwrap();
    }

    #[test]
    fn limits_and_exemplars_are_set_by_the_usual_variables() {
        let settings = environment(&[
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "1024"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "128"),
            ("OTEL_METRICS_EXEMPLAR_FILTER", "trace_based"),
        ]);
        let settings = settings.unwrap();
        assert_eq!((settings.log.max_field_bytes, settings.log.max_fields), (1_024, 128));
        assert!(settings.metrics.exemplars);
        let error = environment(&[
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "0"),
            ("OTEL_METRICS_EXEMPLAR_FILTER", "always_on"),
        ])
        .unwrap_err();
        for part in [
            "a whole number of bytes from 64 to 1048576",
            "a whole number of fields from 1 to 1024",
            "trace_based or always_off",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
