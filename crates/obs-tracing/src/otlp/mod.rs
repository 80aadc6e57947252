//! Spans on their way to a collector, by OTLP over HTTP.

mod batch;
mod convert;
mod export;
mod redact;
mod tracer;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, Redactor, Resource};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{self, SdkTracerProvider, SpanExporter as _};
use reqwest::header::{HeaderName, HeaderValue};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::Error;
use crate::sampling::{Sampler, Sampling, Tail, TailConfig};
use crate::spans::SpanTable;

pub(crate) use batch::{CloseQueueOnDrop, SpanQueue};
pub(crate) use convert::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE};
pub(crate) use export::Export;
use export::Said;
use tracer::{LinkedIds, LinkedTracer};

/// Where spans are exported to, and how.
#[derive(Clone)]
#[non_exhaustive]
pub struct OtlpConfig {
    /// The URL that spans are posted to.
    pub endpoint: String,
    /// Headers of every request, such as an API key.
    pub headers: Vec<(String, String)>,
    /// Which traces are exported.
    pub sampling: Sampling,
    /// How many ended spans wait for export at most; more are dropped and counted.
    pub queue_spans: usize,
    /// How many spans one request carries at most.
    pub batch_spans: usize,
    /// How long a span waits for others before it is exported.
    pub interval: Duration,
    /// How long one export may take, with its retries.
    pub timeout: Duration,
    /// Whether OpenTelemetry's current context follows the spans that are entered.
    pub context: OpenTelemetryContext,
    /// Which of the traces that are not sampled are kept all the same; `None` keeps none.
    pub tail: Option<TailConfig>,
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
    /// A collector's base URL, as in `OTEL_EXPORTER_OTLP_ENDPOINT`: `/v1/traces` is appended.
    ///
    /// ```
    /// use obs_tracing::OtlpConfig;
    ///
    /// let config = OtlpConfig::new("http://localhost:4318/");
    /// assert_eq!(config.endpoint, "http://localhost:4318/v1/traces");
    /// ```
    #[must_use]
    pub fn new(base: &str) -> Self {
        Self::traces(format!("{}/v1/traces", base.trim_end_matches('/')))
    }

    /// The URL that spans are posted to, as in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: nothing is appended.
    #[must_use]
    pub fn traces(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            sampling: Sampling::new(Sampler::AlwaysOn),
            queue_spans: 8_192,
            batch_spans: 512,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            context: OpenTelemetryContext::default(),
            tail: None,
        }
    }

    /// This configuration with one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Builds the exporter without starting anything; `Err` is everything that is wrong.
    pub(crate) fn prepare(self) -> Result<Prepared, Vec<String>> {
        let mut problems = Vec::new();
        let url = reqwest::Url::parse(&self.endpoint)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            problems.push(format!(
                "the OTLP endpoint {:?} is not a URL: expected http:// or https:// with a host",
                self.endpoint
            ));
        }
        for (name, value) in &self.headers {
            if name.parse::<HeaderName>().is_err() || value.parse::<HeaderValue>().is_err() {
                problems.push(format!(
                    "the OTLP header {name:?} is not a header: expected a token and printable text"
                ));
            }
        }
        problems.extend(self.sampling.problems());
        problems.extend(self.tail.iter().flat_map(TailConfig::problems));
        if self.queue_spans == 0 || self.batch_spans == 0 {
            problems.push("the OTLP queue and batch take 0 spans: expected 1 or more".to_owned());
        }
        let (Some(url), true) = (url, problems.is_empty()) else { return Err(problems) };
        let exporter = self.exporter(url.scheme() == "https").map_err(|problem| vec![problem])?;
        Ok(Prepared { exporter, sampling: self.sampling.clone(), config: self })
    }

    fn exporter(&self, secure: bool) -> Result<SpanExporter, String> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls(secure)?)
            .timeout(self.timeout)
            .redirect(reqwest::redirect::Policy::none())
            // Between two batches nothing drives the connection, so that it would only go stale.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| format!("the OTLP client cannot be built ({error})"))?;
        SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(&self.endpoint)
            .with_timeout(self.timeout)
            .with_headers(self.headers.iter().cloned().collect())
            .build()
            .map_err(|error| format!("the OTLP exporter cannot be built ({error})"))
    }
}

/// TLS by ring, without touching the process's default provider. Plain HTTP needs no trusted roots, which a
/// minimal container may lack.
fn tls(secure: bool) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up ({error})"))?;
    if !secure {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    builder
        .with_platform_verifier()
        .map(|builder| builder.with_no_client_auth())
        .map_err(|error| format!("the system's trusted certificates cannot be read ({error})"))
}

/// Header values may be keys, so that only the names are shown.
impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("OtlpConfig")
            .field("endpoint", &self.endpoint)
            .field("headers", &names)
            .field("sampling", &self.sampling)
            .finish_non_exhaustive()
    }
}

/// An exporter that could be built.
pub(crate) struct Prepared {
    exporter: SpanExporter,
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
        mut self,
        resource: &Resource,
        redactor: Redactor,
        spans: Arc<SpanTable>,
        tail: Option<Arc<Tail>>,
    ) -> Result<(Export, SpanQueue), Error> {
        let attributes = resource
            .attributes()
            .map(|(name, value)| KeyValue::new(name.to_owned(), value.to_owned()));
        let resource =
            opentelemetry_sdk::Resource::builder_empty().with_attributes(attributes).build();
        self.exporter.set_resource(&resource);
        let queue = SpanQueue::start(self.exporter, &self.config, redactor, tail)?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            // What is not sampled never gets this far.
            .with_sampler(trace::Sampler::AlwaysOn)
            .with_id_generator(LinkedIds)
            .with_span_processor(Said)
            .build();
        let tracer = LinkedTracer(provider.tracer("obskit"));
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
        assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    }
}
