//! A span from its creation to its close.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use obs_model::Resource;
use obs_tracing::{
    InFlightConfig, LogConfig, LogOutput, OtlpConfig, Sampler, Sampling, TailConfig,
};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler as PeerSampler, SdkTracer, SdkTracerProvider,
};
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::Task;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Spans that wait for export, for every contender: more than are made between two flushes.
const QUEUE: usize = 8_192;

fn two_fields(times: u64) {
    for id in 0..times {
        let span = tracing::info_span!("query", table = "orders", id);
        let _entered = span.enter();
    }
}

/// A span that is open for long and entered and left as often as its future is polled.
fn polled(times: u64) {
    let span = tracing::info_span!("query", table = "orders");
    for _ in 0..times {
        let _entered = span.enter();
    }
}

fn request(times: u64) {
    for _ in 0..times {
        let span = tracing::info_span!(
            "http.request",
            correlation_id = "bench-1",
            method = "GET",
            path = "/orders/{id}",
            status = Empty,
            otel.kind = "server",
        );
        let _entered = span.enter();
        span.record("status", 200);
    }
}

fn task(work: fn(u64), settle: impl Fn() + Send + Sync + 'static) -> Task {
    Task { work: Box::new(work), settle: Box::new(settle) }
}

fn obskit(work: fn(u64), share: Option<f64>) -> Result<Task, Box<dyn Error>> {
    obskit_with(work, share, None)
}

fn obskit_with(
    work: fn(u64),
    share: Option<f64>,
    in_flight: Option<InFlightConfig>,
) -> Result<Task, Box<dyn Error>> {
    let mut config = LogConfig::new(Resource::new("bench"));
    config.in_flight = in_flight;
    if let Some(share) = share {
        config.otlp = Some(otlp(share)?);
    }
    start(work, config)
}

fn start(work: fn(u64), mut config: LogConfig) -> Result<Task, Box<dyn Error>> {
    config.output = LogOutput::Writer(Box::new(std::io::sink()));
    let handle = obs_tracing::install(config)?;
    Ok(task(work, move || handle.flush_blocking(PATIENCE).expect("the collector takes every span")))
}

/// Our export of a share of the traces.
pub(crate) fn otlp(share: f64) -> Result<OtlpConfig, Box<dyn Error>> {
    let mut otlp = OtlpConfig::new(&collector()?);
    otlp.sampling = Sampling::new(Sampler::Share(share));
    otlp.queue_spans = QUEUE;
    Ok(otlp)
}

pub(crate) fn obskit_logged() -> Result<Task, Box<dyn Error>> {
    obskit(two_fields, None)
}

pub(crate) fn obskit_watched() -> Result<Task, Box<dyn Error>> {
    obskit_with(two_fields, None, Some(InFlightConfig::default()))
}

pub(crate) fn obskit_polled() -> Result<Task, Box<dyn Error>> {
    obskit(polled, None)
}

pub(crate) fn obskit_polled_watched() -> Result<Task, Box<dyn Error>> {
    obskit_with(polled, None, Some(InFlightConfig::default()))
}

pub(crate) fn obskit_remembered() -> Result<Task, Box<dyn Error>> {
    let mut config = LogConfig::new(Resource::new("bench"));
    config.span_memory = Some(8 << 20);
    start(two_fields, config)
}

pub(crate) fn obskit_mostly_unsampled() -> Result<Task, Box<dyn Error>> {
    obskit(request, Some(0.01))
}

pub(crate) fn obskit_sampling_tails() -> Result<Task, Box<dyn Error>> {
    let mut config = LogConfig::new(Resource::new("bench"));
    let mut otlp = otlp(0.01)?;
    otlp.tail = Some(TailConfig::default());
    config.otlp = Some(otlp);
    start(request, config)
}

pub(crate) fn obskit_sampled() -> Result<Task, Box<dyn Error>> {
    obskit(request, Some(1.0))
}

pub(crate) fn registry() -> Result<Task, Box<dyn Error>> {
    tracing_subscriber::registry().try_init()?;
    Ok(task(two_fields, || {}))
}

pub(crate) fn registry_polled() -> Result<Task, Box<dyn Error>> {
    tracing_subscriber::registry().try_init()?;
    Ok(task(polled, || {}))
}

pub(crate) fn registry_request() -> Result<Task, Box<dyn Error>> {
    tracing_subscriber::registry().try_init()?;
    Ok(task(request, || {}))
}

pub(crate) fn subscriber() -> Result<Task, Box<dyn Error>> {
    let lines = tracing_subscriber::fmt::layer().json().with_writer(std::io::sink);
    tracing_subscriber::registry().with(lines).try_init()?;
    Ok(task(two_fields, || {}))
}

/// The layer of tracing-opentelemetry, and what waits until all its spans are exported.
type Exporting<S, F> = (OpenTelemetryLayer<S, SdkTracer>, F);

/// The layer of tracing-opentelemetry with an export of a share of the traces, and what waits for that.
pub(crate) fn opentelemetry_layer<S>(
    share: f64,
) -> Result<Exporting<S, impl Fn() + Send + Sync + 'static>, Box<dyn Error>>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    // The exporter's client asks for a provider of the process, even where it does not use TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(reqwest::blocking::Client::new())
        .with_endpoint(format!("{}/v1/traces", collector()?))
        .build()?;
    let batch = BatchConfigBuilder::default().with_max_queue_size(QUEUE).build();
    let processor = BatchSpanProcessor::builder(exporter).with_batch_config(batch).build();
    let sampler = PeerSampler::ParentBased(Box::new(PeerSampler::TraceIdRatioBased(share)));
    let provider =
        SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(processor).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    Ok((layer, move || provider.force_flush().expect("the collector takes every span")))
}

fn opentelemetry(share: f64) -> Result<Task, Box<dyn Error>> {
    let (layer, settle) = opentelemetry_layer(share)?;
    tracing_subscriber::registry().with(layer).try_init()?;
    Ok(task(request, settle))
}

pub(crate) fn opentelemetry_mostly_unsampled() -> Result<Task, Box<dyn Error>> {
    opentelemetry(0.01)
}

pub(crate) fn opentelemetry_sampled() -> Result<Task, Box<dyn Error>> {
    opentelemetry(1.0)
}

/// A collector that reads requests and says yes, on a thread of its own; its URL.
fn collector() -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    Ok(url)
}

/// Answers each request of a connection; `None` when it is closed.
fn serve(mut stream: TcpStream) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(found) = request_length(&buffer) {
                break found;
            }
            read_more(&mut stream, &mut buffer)?;
        };
        while buffer.len() < head + length {
            read_more(&mut stream, &mut buffer)?;
        }
        buffer.drain(..head + length);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 16_384];
    match stream.read(&mut piece) {
        Ok(0) | Err(_) => None,
        Ok(read) => {
            buffer.extend_from_slice(&piece[..read]);
            Some(())
        }
    }
}

/// Where the head of a request ends, and how long its body is.
fn request_length(buffer: &[u8]) -> Option<(usize, usize)> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    Some((end, length.trim().parse().ok()?))
}
