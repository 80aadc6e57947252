//! Log lines to OpenTelemetry collectors.

mod answer;
mod encode;

use std::sync::Arc;

use obs_delivery::{Compression, GrpcTransport};

use self::answer::{LogsAnswers, REASONS};
use self::encode::{LogRecords, LogsEncoder};
use super::Endpoint;
use super::endpoint::{self, Protocol, Refused};
use super::{IntoSink, SinkStart, StartedSink};
use crate::Error;

const PATH: &str = "/v1/logs";

/// The schemes of its URLs.
const HTTP: [(&str, &str); 3] = [("otlp", "http"), ("otlp+http", "http"), ("otlp+https", "https")];
const GRPC: [(&str, &str); 2] = [("otlp+grpc", "http"), ("otlp+grpcs", "https")];

/// The call that takes logs.
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// Log lines by OTLP, as protobuf over HTTP or by gRPC: to an OpenTelemetry collector, or to whatever speaks its protocol.
///
/// A line becomes a log record: its target is the scope, its message the body, its level the severity, and it has the
/// trace, the span and the flag of a trace that is exported. Attributes are the members of `metadata`, the ids as
/// `correlation_id`, `user.id`, `organization.id`, `gen_ai.agent.id`, `session.id`, `request.id`, `workflow.name`,
/// `workflow.step` and `gen_ai.tool.name`, and an error as `exception.type`, `exception.message` and
/// `exception.stacktrace`.
///
/// ```
/// use obs_tracing::sink::{Endpoint, LogSink, OtlpLogsConfig};
///
/// let collector = Endpoint::new("https://collector.example.com:4318").with_header("x-api-key", "s3cret");
/// let sink = LogSink::new("collector", OtlpLogsConfig::new(collector));
/// # let _ = sink;
/// ```
///
/// 429, 502, 503 and 504 are tried again, 413 halves the request, and any other failure is final. Records that a
/// receiver took the request of and did not store are counted in
/// `obskit_log_refused_total{destination,reason="partial_success"}`. Records may arrive twice after an attempt whose
/// answer was lost: OTLP has nothing to know them by.
#[derive(Clone, Debug)]
pub struct OtlpLogsConfig {
    /// Each with its path, if it has one.
    endpoints: Vec<Endpoint>,
    compression: Compression,
    is_grpc: bool,
}

impl OtlpLogsConfig {
    /// A collector by its base URL, as in `OTEL_EXPORTER_OTLP_ENDPOINT`: `/v1/logs` is added unless it is there.
    /// Requests are compressed with gzip.
    #[must_use]
    pub fn new(endpoint: impl Into<Endpoint>) -> Self {
        Self::logs(endpoint.into().with_path(PATH))
    }

    /// The URL that logs are posted to, as in `OTEL_EXPORTER_OTLP_LOGS_ENDPOINT`: nothing is added.
    #[must_use]
    pub fn logs(endpoint: impl Into<Endpoint>) -> Self {
        let compression = Compression::Gzip(1);
        Self { endpoints: vec![endpoint.into()], compression, is_grpc: false }
    }

    /// A server that takes logs by gRPC: `http://host:port` or, with TLS, `https://host:port`.
    #[must_use]
    pub fn grpc(server: impl Into<Endpoint>) -> Self {
        Self { is_grpc: true, ..Self::logs(server) }
    }

    /// A collector as a URL: `otlp://host:4318` over HTTP, `otlp+grpc://host:4317` by gRPC, and `otlp+https` and
    /// `otlp+grpcs` for TLS. Over HTTP `/v1/logs` is added unless it is there. A name and a password in it are those of
    /// basic authentication.
    ///
    /// ```
    /// use obs_tracing::sink::OtlpLogsConfig;
    ///
    /// OtlpLogsConfig::from_url("otlp+grpc://collector:4317")?;
    /// assert!(OtlpLogsConfig::from_url("http://collector:4318").is_err());
    /// # Ok::<(), obs_tracing::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `is_config` if it is another URL. The message has no part of the URL, which may hold a password.
    pub fn from_url(url: &str) -> Result<Self, Error> {
        if let Some(endpoint) = endpoint::of_url(url, &HTTP) {
            return Ok(Self::new(endpoint));
        }
        let server = endpoint::of_url(url, &GRPC).ok_or_else(|| {
            let accepted = "expected otlp://host:4318, otlp+https://host:4318, otlp+grpc://host:4317 or \
                            otlp+grpcs://host:4317";
            Error::config(vec![format!("the URL of an OTLP sink is not one: {accepted}")])
        })?;
        Ok(Self::grpc(server))
    }

    /// This configuration with one more collector by its base URL, which takes over while those before it fail.
    #[must_use]
    pub fn with_fallback(mut self, endpoint: impl Into<Endpoint>) -> Self {
        let endpoint = endpoint.into();
        self.endpoints.push(if self.is_grpc { endpoint } else { endpoint.with_path(PATH) });
        self
    }

    /// This configuration with each of its endpoints changed: for headers and credentials that all of them have.
    ///
    /// ```
    /// use obs_tracing::sink::OtlpLogsConfig;
    ///
    /// let config = OtlpLogsConfig::grpc("https://collector:4317")
    ///     .each_endpoint(|endpoint| endpoint.with_bearer_token("s3cret"));
    /// # let _ = config;
    /// ```
    #[must_use]
    pub fn each_endpoint(mut self, change: impl FnMut(Endpoint) -> Endpoint) -> Self {
        self.endpoints = self.endpoints.into_iter().map(change).collect();
        self
    }

    /// This configuration without gzip.
    #[must_use]
    pub fn without_compression(mut self) -> Self {
        self.compression = Compression::None;
        self
    }
}

impl IntoSink for OtlpLogsConfig {
    fn problems(&self) -> Vec<String> {
        endpoint::problems(&self.endpoints)
    }

    fn start(self: Box<Self>, start: SinkStart) -> Result<StartedSink, String> {
        let render = LogRecords::new(&start.resource, Arc::clone(&start.clock));
        let refused = Refused::bind(&start.name, &REASONS);
        if self.is_grpc {
            let transports = self.endpoints.iter().map(|server| {
                let answers = LogsAnswers { refused: refused.clone() };
                let config = server
                    .grpc(EXPORT)
                    .with_compression(self.compression)
                    .with_answer(move |answer| answers.count_rejected(answer));
                GrpcTransport::new(config).map_err(|error| error.to_string())
            });
            let transports: Vec<_> = transports.collect::<Result<_, _>>()?;
            return endpoint::send(start, render, LogsEncoder, transports);
        }
        let protocol = Protocol {
            render,
            encoder: LogsEncoder,
            classifier: LogsAnswers { refused },
            compression: self.compression,
        };
        protocol.start(start, &self.endpoints)
    }
}
