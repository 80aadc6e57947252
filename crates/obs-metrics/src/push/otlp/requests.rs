//! Requests of a bounded size, which the points of a round go into.

use std::io::Write as _;

use flate2::write::GzEncoder;
use obs_delivery::Message;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, Gauge, Histogram, Metric, ResourceMetrics, ScopeMetrics, Sum,
    metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::encode::attribute;
use super::{Compression, OtlpConfig};
use crate::push::outbox::Outbox;

/// Metrics that are put into requests of a bounded size.
pub(super) struct Requests<'a> {
    config: &'a OtlpConfig,
    outbox: &'a mut dyn Outbox,
    resource: Resource,
    /// The metrics of the request; the last one takes more points.
    pub(super) metrics: Vec<Metric>,
    points: usize,
    bytes: usize,
}

impl<'a> Requests<'a> {
    pub(super) fn new(config: &'a OtlpConfig, outbox: &'a mut dyn Outbox) -> Self {
        let attributes =
            config.resource.attributes().map(|(name, value)| attribute(name, value)).collect();
        let resource = Resource { attributes, ..Resource::default() };
        Self { config, outbox, resource, metrics: Vec::new(), points: 0, bytes: 0 }
    }

    /// Counts a point of this encoded size; when it no longer fits, what there is goes first.
    pub(super) fn make_room(&mut self, bytes: usize) {
        let is_full = self.points >= self.config.max_points_per_request
            || self.bytes + bytes > self.config.max_request_bytes;
        if self.points > 0 && is_full {
            // The metric goes on in the next request.
            let next = self.metrics.last().map(without_points);
            self.hand_on();
            self.metrics.extend(next);
        }
        self.points += 1;
        self.bytes += bytes;
    }

    pub(super) fn hand_on(&mut self) {
        if self.points == 0 {
            self.metrics.clear();
            return;
        }
        let mut metrics = std::mem::take(&mut self.metrics);
        metrics.retain(|metric| !is_empty(metric));
        let scope = InstrumentationScope {
            name: "obskit".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_metrics =
            vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics,
                schema_url: String::new(),
            }],
        };
        self.outbox.put(as_message(&request, self.config.compression), self.points as u64);
        (self.points, self.bytes) = (0, 0);
    }
}

fn as_message(request: &ExportMetricsServiceRequest, compression: Compression) -> Message {
    let body = request.encode_to_vec();
    let message = match compression {
        Compression::None => Message::new(body),
        Compression::Gzip => {
            let mut compressed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            // OK because writing to a vector cannot fail.
            let _ = compressed.write_all(&body);
            Message::new(compressed.finish().unwrap_or_default())
                .with_header("Content-Encoding", "gzip")
        }
    };
    message.with_content_type("application/x-protobuf")
}

fn is_empty(metric: &Metric) -> bool {
    match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.is_empty(),
        Some(Data::Gauge(gauge)) => gauge.data_points.is_empty(),
        Some(Data::Histogram(all)) => all.data_points.is_empty(),
        Some(Data::ExponentialHistogram(all)) => all.data_points.is_empty(),
        Some(Data::Summary(_)) | None => true,
    }
}

fn without_points(metric: &Metric) -> Metric {
    let data = metric.data.as_ref().map(|data| match data {
        Data::Sum(sum) => Data::Sum(Sum { data_points: Vec::new(), ..*sum }),
        Data::Histogram(all) => Data::Histogram(Histogram { data_points: Vec::new(), ..*all }),
        Data::ExponentialHistogram(all) => {
            Data::ExponentialHistogram(ExponentialHistogram { data_points: Vec::new(), ..*all })
        }
        Data::Gauge(_) | Data::Summary(_) => Data::Gauge(Gauge::default()),
    });
    Metric {
        name: metric.name.clone(),
        description: metric.description.clone(),
        unit: metric.unit.clone(),
        metadata: Vec::new(),
        data,
    }
}
