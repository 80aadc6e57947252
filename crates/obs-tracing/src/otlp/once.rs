//! Finished spans on their way to a collector that gets them once, on demand.

use std::time::{Duration, Instant};

use obs_delivery::Delivery;
use obs_model::{Redactor, Resource};
use opentelemetry::InstrumentationScope;

use super::convert::span_data;
use super::redact::redact;
use super::request::Request;
use super::{OtlpConfig, SCOPE, transport};
use crate::traces::{SpanBatch, SpanHead};
use crate::{Error, Sent};

/// The name of the destination in the metrics of deliveries.
const DESTINATION: &str = "export_traces";

/// Sends `spans` in this order, and waits for `deadline` at most.
pub(crate) async fn send(
    spans: &[(&SpanBatch, &SpanHead)],
    to: OtlpConfig,
    service: &Resource,
    redactor: &Redactor,
    deadline: Duration,
) -> Result<Sent, Error> {
    let until = Instant::now() + deadline;
    let left = || until.saturating_duration_since(Instant::now());
    let prepared = to.prepare().map_err(Error::config)?;
    let mut config = transport::delivery(&prepared.config);
    config.name = DESTINATION.to_owned();
    let request = Request::new(service, SCOPE, false);
    let builder = Delivery::builder(config).encoder(request.clone());
    let delivery = prepared
        .endpoints
        .into_iter()
        .fold(builder, |builder, (name, endpoint)| builder.endpoint(name, endpoint))
        .start()
        .map_err(|error| Error::config(vec![format!("OTLP: {error}")]))?;
    let scope = InstrumentationScope::builder(SCOPE).build();
    // One request at a time is in the queue, so that it holds whatever there is to be sent.
    for batch in spans.chunks(prepared.config.batch_spans) {
        for (part, head) in batch {
            let mut span = span_data(part, head, &scope);
            redact(&mut span, redactor);
            // OK because the destination counts what it drops.
            let _ = delivery.offer(request.message_of(span));
        }
        if !delivery.flush(left()).await.is_complete {
            break;
        }
    }
    let report = delivery.shutdown(left()).await;
    Ok(Sent::of(spans.len() as u64, &delivery, report))
}
