//! From lines to log records, and from those to requests.

use std::sync::Arc;

use obs_delivery::{EncodeError, Encoder, Message};
use obs_model::{Clock, Level, Resource, Timestamp};
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource as ProtoResource;
use serde_json::Value;

use crate::sink::Line;
use crate::sink::endpoint::Render;
use crate::sink::merge::{self, Part};
use crate::sink::names::ids_of;

/// The fields of <https://github.com/open-telemetry/opentelemetry-proto>, `collector/logs/v1/logs_service.proto` and
/// `logs/v1/logs.proto`: a request has resources, each of which is what it is and its scopes, and a scope is what it is
/// and its records.
const REQUEST_RESOURCE_LOGS: u32 = 1;
const RESOURCE_LOGS_RESOURCE: u32 = 1;
const RESOURCE_LOGS_SCOPE_LOGS: u32 = 2;
const SCOPE_LOGS_SCOPE: u32 = 1;
const SCOPE_LOGS_RECORD: u32 = 2;

/// W3C's flag of a trace that is exported.
const SAMPLED: u32 = 1;

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Makes a log record of each line.
pub(super) struct LogRecords {
    /// The encoded field of the resource.
    resource: Vec<u8>,
    service: String,
    clock: Arc<dyn Clock>,
}

impl LogRecords {
    pub(super) fn new(resource: &Resource, clock: Arc<dyn Clock>) -> Self {
        let attributes = resource.attributes().map(|(name, value)| text(name, value)).collect();
        let message = ProtoResource { attributes, ..ProtoResource::default() };
        let service = resource.service_name().to_owned();
        Self { resource: field(RESOURCE_LOGS_RESOURCE, &message), service, clock }
    }

    fn record(&self, line: &Line<'_>) -> LogRecord {
        LogRecord {
            time_unix_nano: nanos(line.at()),
            observed_time_unix_nano: nanos(self.clock.now()),
            severity_number: severity(line.level()).into(),
            severity_text: line.level().as_str().to_owned(),
            body: Some(text_value(line.message())),
            attributes: self.attributes(line),
            flags: if line.is_sampled() { SAMPLED } else { 0 },
            trace_id: line.trace().map_or_else(Vec::new, |id| id.get().to_be_bytes().to_vec()),
            span_id: line.span().map_or_else(Vec::new, |id| id.get().to_be_bytes().to_vec()),
            ..LogRecord::default()
        }
    }

    /// The ids, the error and the metadata of a line, and its service where that is not the resource's.
    fn attributes(&self, line: &Line<'_>) -> Vec<KeyValue> {
        let mut attributes: Vec<KeyValue> =
            ids_of(line).map(|(id, value)| text(id.attribute, value)).collect();
        let service = line.service();
        if !service.is_empty() && service != self.service {
            attributes.push(text("service.name", service));
        }
        let error = line.members().get("error");
        for (member, name) in [
            ("name", "exception.type"),
            ("message", "exception.message"),
            ("stack", "exception.stacktrace"),
        ] {
            let value = error.and_then(|error| error.get(member)).and_then(Value::as_str);
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                attributes.push(text(name, value));
            }
        }
        attributes.extend(line.metadata().map(|(name, value)| key_value(name, value_of(value))));
        attributes
    }
}

impl Render for LogRecords {
    fn render(&mut self, line: &Line<'_>) -> Vec<u8> {
        let name = line.target().to_owned();
        let scope = InstrumentationScope { name, ..InstrumentationScope::default() };
        let record = self.record(line);
        let part = Part {
            at: record.time_unix_nano,
            shared: &self.resource,
            group: &field(SCOPE_LOGS_SCOPE, &scope),
            item: &field(SCOPE_LOGS_RECORD, &record),
        };
        part.to_bytes()
    }
}

/// <https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>
const fn severity(level: Level) -> SeverityNumber {
    match level {
        Level::Trace => SeverityNumber::Trace,
        Level::Debug => SeverityNumber::Debug,
        Level::Info => SeverityNumber::Info,
        Level::Warn => SeverityNumber::Warn,
        Level::Error => SeverityNumber::Error,
    }
}

fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0).saturating_mul(NANOS_PER_MILLI)
}

fn text(name: &str, value: &str) -> KeyValue {
    key_value(name, text_value(value))
}

fn key_value(name: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn text_value(text: &str) -> AnyValue {
    AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) }
}

/// A value of JSON; what OTLP has no form for is text, such as whole numbers beyond 63 bits.
fn value_of(value: &Value) -> AnyValue {
    let value = match value {
        Value::Bool(value) => any_value::Value::BoolValue(*value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => any_value::Value::IntValue(whole),
            (None, Some(float)) if number.is_f64() => any_value::Value::DoubleValue(float),
            _ => any_value::Value::StringValue(number.to_string()),
        },
        Value::String(text) => any_value::Value::StringValue(text.clone()),
        other => any_value::Value::StringValue(other.to_string()),
    };
    AnyValue { value: Some(value) }
}

/// An embedded message as the field of this number.
fn field(number: u32, message: &impl prost::Message) -> Vec<u8> {
    let mut out = Vec::new();
    merge::begin_message(number, message.encoded_len(), &mut out);
    // OK because a vector has room for every message.
    let _ = message.encode(&mut out);
    out
}

/// Puts records into scopes, and scopes into an `ExportLogsServiceRequest`.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogsEncoder;

impl Encoder for LogsEncoder {
    fn encode(&self, messages: &[&Message]) -> Result<Message, EncodeError> {
        let (resource, scopes) = merge::grouped(messages)?;
        let mut logs = resource.to_vec();
        scopes.iter().for_each(|scope| scope.append(RESOURCE_LOGS_SCOPE_LOGS, &mut logs));
        let mut request = Vec::with_capacity(logs.len() + 8);
        merge::begin_message(REQUEST_RESOURCE_LOGS, logs.len(), &mut request);
        request.extend_from_slice(&logs);
        Ok(Message::new(request).with_content_type("application/x-protobuf"))
    }

    /// Lines that another version of the service left in the spool keep their own resource.
    fn may_join(&self, first: &Message, next: &Message) -> bool {
        merge::share(first, next)
    }
}

#[cfg(test)]
mod tests {
    use obs_model::{ManualClock, SpanId, TraceId};
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use prost::Message as _;

    use super::*;
    use crate::sink::LineHead;

    fn shown(value: &AnyValue) -> String {
        match &value.value {
            Some(any_value::Value::StringValue(text)) => text.clone(),
            Some(any_value::Value::IntValue(number)) => format!("{number}i"),
            Some(any_value::Value::DoubleValue(number)) => format!("{number}f"),
            other => format!("{other:?}"),
        }
    }

    fn head(target: &'static str, level: Level) -> LineHead {
        LineHead {
            at: Timestamp::from_millis(1_700_000_000_123),
            level,
            target,
            trace: TraceId::new(0xa),
            span: SpanId::new(0xb),
            sampled: true,
        }
    }

    fn request(lines: &[Line<'_>]) -> ExportLogsServiceRequest {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_700_000_000_200)));
        let mut render = LogRecords::new(&Resource::new("checkout").with_version("1.4"), clock);
        let all: Vec<Message> =
            lines.iter().map(|line| Message::new(render.render(line))).collect();
        let request = LogsEncoder.encode(&all.iter().collect::<Vec<_>>()).unwrap();
        ExportLogsServiceRequest::decode(request.body().as_ref()).unwrap()
    }

    #[test]
    fn a_line_becomes_a_record_with_everything_that_it_has() {
        let json = br#"{"message":"m","service":"other","userId":"u","tool":"t","error":{"name":"E","message":"why","stack":""},"metadata":{"n":-7,"f":1.5,"big":18446744073709551615,"b":true,"s":"x"}}"#;
        let request = request(&[Line::new(head("shop::pay", Level::Error), json)]);
        let logs = &request.resource_logs[0];
        let resource = logs.resource.as_ref().unwrap();
        assert_eq!(resource.attributes[1].key, "service.version");
        let scope = &logs.scope_logs[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, "shop::pay");
        let record = &scope.log_records[0];
        assert_eq!((record.severity_number, record.severity_text.as_str()), (17, "ERROR"));
        assert_eq!(record.time_unix_nano, 1_700_000_000_123_000_000);
        assert_eq!(record.observed_time_unix_nano, 1_700_000_000_200_000_000);
        assert_eq!(record.trace_id, 0xa_u128.to_be_bytes());
        assert_eq!((record.span_id.as_slice(), record.flags), (&0xb_u64.to_be_bytes()[..], 1));
        assert_eq!(shown(record.body.as_ref().unwrap()), "m");
        let mut attributes: Vec<String> = record
            .attributes
            .iter()
            .map(|pair| format!("{}={}", pair.key, shown(pair.value.as_ref().unwrap())))
            .collect();
        attributes.sort();
        assert_eq!(
            attributes,
            [
                "b=Some(BoolValue(true))",
                "big=18446744073709551615",
                "exception.message=why",
                "exception.type=E",
                "f=1.5f",
                "gen_ai.tool.name=t",
                "n=-7i",
                "s=x",
                "service.name=other",
                "user.id=u",
            ]
        );
    }

    #[test]
    fn lines_of_one_target_share_a_scope() {
        let line = |target| Line::new(head(target, Level::Info), br#"{"message":"m"}"#);
        let request = request(&[line("a"), line("b"), line("a")]);
        let scopes: Vec<_> = request.resource_logs[0]
            .scope_logs
            .iter()
            .map(|logs| (logs.scope.as_ref().unwrap().name.as_str(), logs.log_records.len()))
            .collect();
        assert_eq!(scopes, [("a", 2), ("b", 1)]);
        assert_eq!(request.resource_logs.len(), 1);
    }
}
