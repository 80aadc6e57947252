//! Spans on their way to a collector, by OTLP over HTTP or gRPC.

mod batch;
mod convert;
mod export;
pub(crate) mod once;
mod redact;
mod request;
mod tracer;
mod transport;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_delivery::{Proxy, Spool, SpoolConfig, TlsConfig};
use obs_model::{Clock, Redactor, Resource};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{self, SdkTracerProvider};

use crate::Error;
use crate::sampling::{Sampler, Sampling, Tail, TailConfig};
use crate::spans::SpanTable;

pub(crate) use batch::{CloseQueueOnDrop, SpanQueue};
pub(crate) use convert::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE};
pub(crate) use export::Export;
use export::Said;
use tracer::{LinkedIds, LinkedTracer};

/// The name of the instrumentation scope of every span.
const SCOPE: &str = "obskit";

/// The port on which collectors take OTLP by gRPC.
const GRPC_PORT: &str = ":4317";

/// How long spans on the disk are tried to be sent at least.
const SPOOLED_FOR: Duration = Duration::from_secs(24 * 3_600);

/// Where spans are exported to, and how.
///
/// ```
/// use obs_tracing::{OtlpCompression, OtlpConfig, OtlpProtocol};
///
/// let mut config = OtlpConfig::new("http://near:4317").with_fallback("http://far:4317");
/// config.compression = OtlpCompression::Gzip;
/// assert_eq!((config.protocol, &*config.endpoint), (OtlpProtocol::Grpc, "http://near:4317"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct OtlpConfig {
    /// The URL that spans are posted to, or the server that is called by gRPC.
    pub endpoint: String,
    /// Others, each of which gets spans while those before it do not take any.
    pub fallbacks: Vec<String>,
    /// How they are sent.
    pub protocol: OtlpProtocol,
    /// Whether they are compressed.
    pub compression: OtlpCompression,
    /// Headers of every request, such as an API key.
    pub headers: Vec<(String, String)>,
    /// Whom to trust over TLS, and how to prove who is asking; at every endpoint.
    pub tls: TlsConfig,
    /// Through which proxy requests go.
    pub proxy: Proxy,
    /// Which traces are exported.
    pub sampling: Sampling,
    /// How many ended spans wait for export at most; more are dropped and counted.
    pub queue_spans: usize,
    /// How many spans one request carries at most.
    pub batch_spans: usize,
    /// How long a span waits for others before it is exported.
    pub interval: Duration,
    /// How long one attempt at sending may take.
    pub timeout: Duration,
    /// How long spans are tried to be sent, at every endpoint, before they are given up. Meanwhile others wait in the
    /// queue.
    pub give_up_after: Duration,
    /// Whether OpenTelemetry's current context follows the spans that are entered.
    pub context: OpenTelemetryContext,
    /// Which of the traces that are not sampled are kept all the same; `None` keeps none.
    pub tail: Option<TailConfig>,
    /// Where spans wait on the disk until they are delivered: see [`with_spool`](Self::with_spool). `None` keeps them in
    /// memory.
    pub spool: Option<Arc<dyn Spool>>,
    /// How much of the disk they may take.
    pub spool_limits: SpoolConfig,
}

/// How spans are sent, as in `OTEL_EXPORTER_OTLP_PROTOCOL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpProtocol {
    /// `http/protobuf`.
    #[default]
    HttpProtobuf,
    /// `grpc`.
    Grpc,
}

/// Whether spans are compressed, as in `OTEL_EXPORTER_OTLP_COMPRESSION`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtlpCompression {
    /// `none`.
    #[default]
    None,
    /// `gzip`.
    Gzip,
}

/// Whether OpenTelemetry's current context (`opentelemetry::Context::current`) follows the spans that are entered.
///
/// Either way `OpenTelemetrySpanExt` works on sampled spans: their context, links, attributes, events and status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenTelemetryContext {
    /// It does not, so that a sampled span costs a fraction of what it costs otherwise.
    #[default]
    OnDemand,
    /// It does, for libraries that look there.
    Entered,
}

impl OtlpConfig {
    /// A collector's base URL, as in `OTEL_EXPORTER_OTLP_ENDPOINT`: by gRPC if its port is 4317, which is gRPC's, else by
    /// HTTP to that with `/v1/traces` appended.
    ///
    /// ```
    /// use obs_tracing::OtlpConfig;
    ///
    /// let config = OtlpConfig::new("http://localhost:4318/");
    /// assert_eq!(config.endpoint, "http://localhost:4318/v1/traces");
    /// ```
    #[must_use]
    pub fn new(base: &str) -> Self {
        let base = base.trim_end_matches('/');
        if base.ends_with(GRPC_PORT) {
            Self::grpc(base)
        } else {
            Self::traces(format!("{base}/v1/traces"))
        }
    }

    /// A collector that is called by gRPC: `http://host:port` or, with TLS, `https://host:port`.
    #[must_use]
    pub fn grpc(server: impl Into<String>) -> Self {
        Self { protocol: OtlpProtocol::Grpc, ..Self::traces(server) }
    }

    /// The URL that spans are posted to, as in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: nothing is appended.
    #[must_use]
    pub fn traces(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            fallbacks: Vec::new(),
            protocol: OtlpProtocol::default(),
            compression: OtlpCompression::default(),
            headers: Vec::new(),
            tls: TlsConfig::default(),
            proxy: Proxy::default(),
            sampling: Sampling::new(Sampler::AlwaysOn),
            queue_spans: 8_192,
            batch_spans: 512,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            give_up_after: Duration::from_secs(300),
            context: OpenTelemetryContext::default(),
            tail: None,
            spool: None,
            spool_limits: SpoolConfig::default(),
        }
    }

    /// This configuration with one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// This configuration with one more endpoint, in the form in which [`endpoint`](Self::endpoint) is. It gets spans
    /// while those before it do not take any.
    #[must_use]
    pub fn with_fallback(mut self, endpoint: impl Into<String>) -> Self {
        self.fallbacks.push(endpoint.into());
        self
    }

    /// This configuration with a spool, in which spans are before they are sent, and which is tried for a day at least.
    ///
    /// What is not delivered when the process ends, whatever ends it, is sent by the next one, with the resource of the
    /// process that it is from. A flush waits until spans are in the spool, and then as long as its deadline lets it until
    /// they are delivered. Spans may arrive twice after an attempt whose answer was lost: collectors know them by their
    /// ids.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use obs_delivery::StoreSpool;
    /// use obs_store::{Store, StoreOptions};
    /// use obs_tracing::OtlpConfig;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// let (store, _) = Store::open(folder.path().join("state.redb"), StoreOptions::default())?;
    /// let spool = StoreSpool::open(&store, "delivery/otlp_traces", 64 << 20)?;
    /// let config = OtlpConfig::new("http://localhost:4318").with_spool(Arc::new(spool));
    /// assert!(config.spool.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_spool(mut self, spool: Arc<dyn Spool>) -> Self {
        self.spool = Some(spool);
        self.give_up_after = self.give_up_after.max(SPOOLED_FOR);
        self
    }

    /// Checks everything without starting anything; `Err` is all that is wrong.
    pub(crate) fn prepare(self) -> Result<Prepared, Vec<String>> {
        let mut problems = Vec::new();
        let endpoints = transport::endpoints(&self, &mut problems);
        problems.extend(self.sampling.problems());
        problems.extend(self.tail.iter().flat_map(TailConfig::problems));
        if self.queue_spans == 0 || self.batch_spans == 0 {
            problems.push("the OTLP queue and batch take 0 spans: expected 1 or more".to_owned());
        } else if let Err(error) = transport::delivery(&self).validate() {
            problems.push(format!("OTLP: {error}"));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Prepared { endpoints, sampling: self.sampling.clone(), config: self })
    }
}

/// Header values may be keys, so that only the names are shown.
impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("fallbacks", &self.fallbacks)
            .field("protocol", &self.protocol)
            .field("headers", &names)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .field("sampling", &self.sampling)
            .finish_non_exhaustive()
    }
}

/// An export that can be started.
pub(crate) struct Prepared {
    endpoints: Vec<transport::Endpoint>,
    pub(crate) sampling: Sampling,
    config: OtlpConfig,
}

impl Prepared {
    /// What keeps traces that are not sampled, by the pipeline's clock.
    pub(crate) fn tail(&self, clock: &Arc<dyn Clock>) -> Option<Arc<Tail>> {
        let clock = Arc::clone(clock);
        self.config.tail.clone().map(|config| Tail::new(config, move || clock.monotonic()))
    }

    /// Starts the exporting thread and makes the layer that feeds it.
    pub(crate) fn start(
        self,
        resource: &Resource,
        redactor: Redactor,
        spans: Arc<SpanTable>,
        tail: Option<Arc<Tail>>,
    ) -> Result<(Export, SpanQueue), Error> {
        let queue = SpanQueue::start(self.endpoints, &self.config, resource, redactor, tail)?;
        let provider = SdkTracerProvider::builder()
            // What is not sampled never gets this far.
            .with_sampler(trace::Sampler::AlwaysOn)
            .with_id_generator(LinkedIds)
            .with_span_processor(Said)
            .build();
        let tracer = LinkedTracer(provider.tracer(SCOPE));
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_threads(false)
            // The span that it stands for has its own times and place.
            .with_location(false)
            .with_tracked_inactivity(false);
        Ok((Export::new(layer, provider, spans, self.config.context), queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_and_no_key_is_shown() {
        let mut config = OtlpConfig::traces("localhost:4318").with_header("x api key", "s3cret");
        config.sampling = Sampling::new(Sampler::Share(f64::NAN));
        assert!(!format!("{config:?}").contains("s3cret"));
        let problems = config.prepare().err().unwrap().join("; ");
        for part in ["localhost:4318", "x api key", "sample share"] {
            assert!(problems.contains(part), "{part} is not named: {problems}");
        }
        assert!(!problems.contains("s3cret"));
    }

    #[test]
    fn an_https_endpoint_needs_no_process_wide_provider() {
        OtlpConfig::new("https://collector.example").prepare().map(drop).unwrap();
        OtlpConfig::grpc("https://collector.example:4317").prepare().map(drop).unwrap();
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }
}
