//! How spans get to a collector: by HTTP or gRPC, to one endpoint or the next.

use std::time::Duration;

use obs_delivery::{
    Answer, BatchConfig, Compression, DeliveryConfig, Endpoint as Server, GrpcTransport,
    HttpTransport, RetryPolicy, Transport, Verdict,
};

use super::request::count_rejected;
use super::{OtlpCompression, OtlpConfig, OtlpProtocol};

/// The call that takes spans.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// The name of the destination in the metrics of deliveries.
const DESTINATION: &str = "otlp_traces";

/// How much of an answer is read: what a partial success says of itself.
const ANSWER_BYTES: usize = 16 * 1024;

/// The largest request, and the largest span, in bytes: what receivers of gRPC take unless they are told otherwise.
const REQUEST_BYTES: usize = 4 << 20;

/// An endpoint with its name.
pub(super) type Endpoint = (String, Box<dyn Transport>);

/// The transports of every endpoint; what is wrong goes to `problems`.
pub(super) fn endpoints(config: &OtlpConfig, problems: &mut Vec<String>) -> Vec<Endpoint> {
    let urls = std::iter::once(&config.endpoint).chain(&config.fallbacks);
    let mut made = Vec::new();
    for (number, url) in urls.enumerate() {
        let authority = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let is_url = authority.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        if !is_url {
            problems.push(format!(
                "the OTLP endpoint {url:?} is not a URL: expected http:// or https:// with a host"
            ));
        }
        // The rest is checked all the same, so that every problem is told at once.
        match transport(config, if is_url { url } else { "http://localhost" }) {
            Ok(transport) => made.push((format!("{number}"), transport)),
            Err(error) => {
                let problem = format!("OTLP: {}", with_causes(&error));
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
    }
    made
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn transport(config: &OtlpConfig, url: &str) -> Result<Box<dyn Transport>, obs_delivery::Error> {
    let headers = config.headers.iter();
    let endpoint = headers
        .fold(Server::new(url), |server, (name, value)| server.with_header(name, value))
        .with_tls(config.tls.clone())
        .with_proxy(config.proxy.clone());
    Ok(match config.protocol {
        OtlpProtocol::HttpProtobuf => {
            let http = endpoint.http().with_content_type("application/x-protobuf");
            Box::new(HttpTransport::new(http.with_classifier(HttpAnswers))?)
        }
        OtlpProtocol::Grpc => {
            let grpc = endpoint.grpc(EXPORT).with_compression(compression(config.compression));
            Box::new(GrpcTransport::new(grpc.with_answer(count_rejected))?)
        }
    })
}

/// What an answer over HTTP means, as OTLP's specification has it.
struct HttpAnswers;

impl obs_delivery::Classifier for HttpAnswers {
    fn classify(&self, answer: &Answer<'_>) -> Verdict {
        match answer.status {
            200..=299 => {
                count_rejected(answer.body);
                Verdict::Delivered
            }
            413 => Verdict::TooLarge,
            429 | 502..=504 => Verdict::Passing,
            _ => Verdict::Permanent,
        }
    }

    fn body_limit(&self, status: u16) -> usize {
        if (200..=299).contains(&status) { ANSWER_BYTES } else { 0 }
    }
}

fn compression(wanted: OtlpCompression) -> Compression {
    match wanted {
        OtlpCompression::None => Compression::None,
        OtlpCompression::Gzip => Compression::Gzip(6),
    }
}

/// How spans are delivered: what is offered is sent at once, in the batches that it comes in.
pub(super) fn delivery(config: &OtlpConfig) -> DeliveryConfig {
    let mut delivery = DeliveryConfig::named(DESTINATION);
    delivery.capacity = config.queue_spans.max(config.batch_spans);
    delivery.max_bytes = 64 << 20;
    delivery.max_message_bytes = REQUEST_BYTES;
    delivery.batch = BatchConfig {
        max_items: config.batch_spans,
        max_bytes: REQUEST_BYTES,
        max_age: Duration::ZERO,
    };
    // gRPC compresses inside its own frame.
    if config.protocol == OtlpProtocol::HttpProtobuf {
        delivery.compression = compression(config.compression);
    }
    if config.spool.is_some() {
        delivery.spool = config.spool_limits.clone();
        // What is on the disk has room for more than one span, whatever they say.
        let half = usize::try_from(delivery.spool.max_bytes / 2).unwrap_or(usize::MAX);
        delivery.max_message_bytes = REQUEST_BYTES.min(half);
    }
    delivery.timeout = config.timeout;
    delivery.retry = RetryPolicy::patient(config.give_up_after);
    delivery
}
