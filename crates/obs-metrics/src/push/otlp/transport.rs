//! What the answers to OTLP requests mean.

use obs_delivery::{Answer, GrpcTransport, HttpTransport, Transport, Verdict};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;

use super::Compression;
use crate::error::Error;
use crate::push::outbox::rejected;
use crate::push::{Endpoint, endpoint_error};

/// The call that takes metrics.
const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// A transport to an OTLP endpoint, whose URL is used as it is (`…/v1/metrics`); `destination` is the name of the
/// delivery that will use it.
///
/// # Errors
///
/// `is_invalid_push` if the endpoint's URL or headers are not acceptable.
pub fn transport(endpoint: &Endpoint, destination: &str) -> Result<impl Transport + use<>, Error> {
    let rejected = rejected(destination);
    let config = endpoint.http().with_classifier(move |answer: &Answer<'_>| match answer.status {
        200..=299 => {
            rejected.increment(rejected_points(answer.body));
            Verdict::Delivered
        }
        429 | 502 | 503 | 504 => Verdict::Passing,
        _ => Verdict::Permanent,
    });
    HttpTransport::new(config).map_err(|error| endpoint_error("OTLP", &error))
}

/// A transport to a server that takes OTLP by gRPC, whose URL is `http://host:port` or, with TLS, `https://host:port`.
///
/// It compresses by itself, because gRPC does so inside its own frame: [`OtlpConfig::compression`](super::OtlpConfig) has to
/// be `None`.
///
/// # Errors
///
/// `is_invalid_push` if the endpoint's URL or headers are not acceptable.
pub fn grpc_transport(
    endpoint: &Endpoint,
    destination: &str,
    compression: Compression,
) -> Result<impl Transport + use<>, Error> {
    let rejected = rejected(destination);
    let compression = match compression {
        Compression::Gzip => obs_delivery::Compression::Gzip(1),
        Compression::None => obs_delivery::Compression::None,
    };
    let config = endpoint
        .grpc(EXPORT)
        .with_compression(compression)
        .with_answer(move |answer| rejected.increment(rejected_points(answer)));
    GrpcTransport::new(config).map_err(|error| endpoint_error("OTLP", &error))
}

/// How many points were not stored; none when the answer does not say.
fn rejected_points(body: &[u8]) -> u64 {
    ExportMetricsServiceResponse::decode(body)
        .ok()
        .and_then(|response| response.partial_success)
        .and_then(|partial| u64::try_from(partial.rejected_data_points).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;

    use super::*;

    #[test]
    fn a_partial_success_says_how_many_points_were_lost() {
        let partial_success = Some(ExportMetricsPartialSuccess {
            rejected_data_points: 3,
            error_message: "too old".to_owned(),
        });
        let body = ExportMetricsServiceResponse { partial_success }.encode_to_vec();
        assert_eq!(rejected_points(&body), 3);
        assert_eq!(rejected_points(b""), 0);
        assert_eq!(rejected_points(b"<html>"), 0);
    }
}
