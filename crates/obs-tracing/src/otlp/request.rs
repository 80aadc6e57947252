//! Spans as the bytes of a request: each is encoded alone, and a request is put together around them.
//!
//! A span that waits on the disk may be sent by another process, of a later version of the service: it has its resource
//! and its scope with it, and shares a request only with those that have the same.

use obs_delivery::{EncodeError, Encoder, Message};
use obs_model::Resource;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_sdk::trace::SpanData;
use prost::Message as _;

use crate::sink::merge::{self, Part};

/// Tags of the fields that hold other messages, of wire type 2: a number below 16, shifted by three, and the type.
const RESOURCE_SPANS: u8 = 1 << 3 | 2;
const RESOURCE: u8 = 1 << 3 | 2;
const SCOPE_SPANS: u8 = 2 << 3 | 2;
const SCOPE: u8 = 1 << 3 | 2;
const SPAN: u8 = 2 << 3 | 2;

/// Puts spans together into an `ExportTraceServiceRequest`.
///
/// A message inside another is its tag, its length and its bytes, so that what every request has in common is encoded
/// once.
#[derive(Clone)]
pub(super) struct Request {
    resource: Vec<u8>,
    scope: Vec<u8>,
    /// Whether spans have what they share with them.
    is_spooled: bool,
}

impl Request {
    pub(super) fn new(of: &Resource, scope: &str, is_spooled: bool) -> Self {
        let attributes = of.attributes().map(|(name, value)| KeyValue {
            key: name.to_owned(),
            value: Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) }),
            ..KeyValue::default()
        });
        let resource =
            resource::v1::Resource { attributes: attributes.collect(), ..Default::default() };
        let scope = InstrumentationScope { name: scope.to_owned(), ..Default::default() };
        let mut request = Self { resource: Vec::new(), scope: Vec::new(), is_spooled };
        put(&mut request.resource, RESOURCE, &[&resource.encode_to_vec()]);
        put(&mut request.scope, SCOPE, &[&scope.encode_to_vec()]);
        request
    }

    /// The message of one span.
    pub(super) fn message_of(&self, span: SpanData) -> Message {
        self.message(&Span::from(span))
    }

    fn message(&self, span: &Span) -> Message {
        if !self.is_spooled {
            return Message::new(span.encode_to_vec());
        }
        let mut item = Vec::with_capacity(span.encoded_len() + 6);
        put(&mut item, SPAN, &[&span.encode_to_vec()]);
        let at = span.start_time_unix_nano;
        let part = Part { at, shared: &self.resource, group: &self.scope, item: &item };
        Message::new(part.to_bytes())
    }
}

impl Encoder for Request {
    fn encode(&self, messages: &[&Message]) -> Result<Message, EncodeError> {
        if self.is_spooled {
            let (resource, scopes) = merge::grouped(messages)?;
            let mut spans = resource.to_vec();
            scopes.iter().for_each(|scope| scope.append(u32::from(SCOPE_SPANS >> 3), &mut spans));
            let mut request = Vec::with_capacity(spans.len() + 6);
            put(&mut request, RESOURCE_SPANS, &[&spans]);
            return Ok(Message::new(request));
        }
        let mut spans = Vec::with_capacity(messages.iter().map(|one| one.body().len() + 6).sum());
        for message in messages {
            put(&mut spans, SPAN, &[message.body()]);
        }
        let mut scope_spans = Vec::with_capacity(self.scope.len() + spans.len() + 6);
        put(&mut scope_spans, SCOPE_SPANS, &[&self.scope, &spans]);
        let mut request = Vec::with_capacity(self.resource.len() + scope_spans.len() + 6);
        put(&mut request, RESOURCE_SPANS, &[&self.resource, &scope_spans]);
        Ok(Message::new(request))
    }

    fn may_join(&self, first: &Message, next: &Message) -> bool {
        !self.is_spooled || merge::share(first, next)
    }
}

/// Appends a message that is made of `parts`.
fn put(out: &mut Vec<u8>, tag: u8, parts: &[&[u8]]) {
    out.push(tag);
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    prost::encode_length_delimiter(length, out).unwrap_or_default();
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Counts the spans that an answer says were not stored though their request was accepted.
pub(super) fn count_rejected(answer: &[u8]) {
    let rejected = ExportTraceServiceResponse::decode(answer)
        .ok()
        .and_then(|answer| answer.partial_success)
        .and_then(|partial| u64::try_from(partial.rejected_spans).ok());
    if let Some(rejected) = rejected.filter(|rejected| *rejected > 0) {
        metrics::counter!("obskit_spans_rejected_total").increment(rejected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_request_is_read_back_with_its_resource_its_scope_and_all_its_spans(
            names in prop::collection::vec("\\PC{0,300}", 1..20),
            is_spooled: bool,
        ) {
            let spans: Vec<Span> =
                names.iter().map(|name| Span { name: name.clone(), ..Span::default() }).collect();
            let request = Request::new(&Resource::new("checkout"), "obskit", is_spooled);
            let messages: Vec<_> = spans.iter().map(|span| request.message(span)).collect();
            let encoded = request.encode(&messages.iter().collect::<Vec<_>>()).unwrap();
            let read = ExportTraceServiceRequest::decode(encoded.body().clone()).unwrap();
            prop_assert_eq!(read.resource_spans.len(), 1);
            let of = &read.resource_spans[0];
            let resource = of.resource.as_ref().unwrap();
            prop_assert!(resource.attributes.iter().any(|pair| pair.key == "service.name"));
            prop_assert_eq!(&of.scope_spans[0].scope.as_ref().unwrap().name, "obskit");
            prop_assert_eq!(&of.scope_spans[0].spans, &spans);
        }
    }

    #[test]
    fn spans_of_two_versions_do_not_share_a_request() {
        let of = |version| Request::new(&Resource::new("x").with_version(version), "obskit", true);
        let messages = ["1", "2"].map(|version| of(version).message(&Span::default()));
        assert!(!of("2").may_join(&messages[0], &messages[1]));
        assert!(of("2").may_join(&messages[0], &messages[0]));
        let plain = Request::new(&Resource::new("x"), "obskit", false);
        assert!(plain.may_join(&plain.message(&Span::default()), &messages[0]));
    }
}
