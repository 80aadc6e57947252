//! From lines to push requests.

use std::hash::{BuildHasher, Hasher, RandomState};

use obs_delivery::{EncodeError, Encoder, Message};
use obs_model::Timestamp;
use prost::Message as _;
use serde_json::Value;

use super::labels::{Labels, label_name};
use super::proto::{self, Entry, Pair};
use super::{LokiConfig, LokiLine};
use crate::sink::Line;
use crate::sink::endpoint::Render;
use crate::sink::merge::{self, Part};
use crate::sink::names::ids_of;

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Makes an entry of each line, with the labels of its stream.
pub(super) struct LokiRender {
    labels: Labels,
    line: LokiLine,
    structured_metadata: bool,
    times: Times,
}

impl LokiRender {
    pub(super) fn new(config: &LokiConfig, labels: Labels) -> Self {
        Self {
            labels,
            line: config.line,
            structured_metadata: config.structured_metadata,
            times: Times::starting_at(RandomState::new().build_hasher().finish()),
        }
    }

    /// What is said of a line beside its text: its ids, and all the rest where the text is the message alone.
    fn metadata(&self, line: &Line<'_>) -> Vec<Pair> {
        let mut pairs = Vec::new();
        if !self.structured_metadata {
            return pairs;
        }
        let mut add = |name: &str, value: String| {
            if !value.is_empty() {
                pairs.push(Pair { name: name.to_owned(), value });
            }
        };
        if let Some(trace) = line.trace() {
            add("trace_id", trace.to_string());
        }
        if let Some(span) = line.span() {
            add("span_id", span.to_string());
        }
        for (id, value) in ids_of(line).filter(|(id, _)| !self.labels.has_field(id.member)) {
            add(id.snake, value.to_owned());
        }
        if self.line == LokiLine::Message {
            add("target", line.target().to_owned());
            let error = line.members().get("error").and_then(Value::as_object);
            for (name, value) in error.into_iter().flatten() {
                add(&format!("error_{name}"), text(value));
            }
            for (name, value) in line.metadata().filter(|(name, _)| !self.labels.has_field(name)) {
                add(&label_name(name), text(value));
            }
        }
        pairs
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Render for LokiRender {
    fn render(&mut self, line: &Line<'_>) -> Vec<u8> {
        let at = self.times.next(line.at());
        let entry = Entry {
            // OK because the seconds of 64 bits of nanoseconds fit, and so do the nanoseconds of a second.
            timestamp: Some(proto::Timestamp {
                seconds: (at / NANOS_PER_SECOND) as i64,
                nanos: (at % NANOS_PER_SECOND) as i32,
            }),
            line: match self.line {
                LokiLine::Json => String::from_utf8_lossy(line.json()).into_owned(),
                LokiLine::Message => line.message().to_owned(),
            },
            structured_metadata: self.metadata(line),
        };
        let (mut stream, mut item) = (Vec::new(), Vec::new());
        prost::encoding::string::encode(proto::LABELS, &self.labels.of(line), &mut stream);
        merge::begin_message(proto::ENTRY, entry.encoded_len(), &mut item);
        // OK because a vector has room for every message.
        let _ = entry.encode(&mut item);
        Part { at, shared: &[], group: &stream, item: &item }.to_bytes()
    }
}

/// Gives each line a time of its own.
///
/// Loki takes a second line of a stream with the same time and text for the first one come again. Lines have
/// milliseconds, so a number that goes round takes the place of the smaller units: it keeps lines apart and in their
/// order, and makes a request that is sent twice the same both times. It begins somewhere else in each process, because
/// instances of a service that share a stream may say the same in the same millisecond.
#[derive(Debug)]
struct Times {
    start: u64,
    number: u64,
    latest: u64,
}

impl Times {
    /// After so many lines a new millisecond begins anew, so that the order within one holds.
    const ROUND: u64 = NANOS_PER_MILLI / 2;

    fn starting_at(anywhere: u64) -> Self {
        let start = anywhere % Self::ROUND;
        Self { start, number: start, latest: 0 }
    }

    fn next(&mut self, at: Timestamp) -> u64 {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        let is_round = self.number >= self.start + Self::ROUND;
        if self.number >= NANOS_PER_MILLI || (is_round && millis > self.latest) {
            self.number = self.start;
        }
        self.latest = self.latest.max(millis);
        let nanos = millis.saturating_mul(NANOS_PER_MILLI).saturating_add(self.number);
        self.number += 1;
        nanos
    }
}

/// Puts entries into streams, and streams into a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct LokiEncoder;

impl Encoder for LokiEncoder {
    fn encode(&self, messages: &[&Message]) -> Result<Message, EncodeError> {
        let (_, streams) = merge::grouped(messages)?;
        let mut request = Vec::new();
        streams.iter().for_each(|stream| stream.append(proto::STREAM, &mut request));
        Ok(Message::new(request).with_content_type("application/x-protobuf"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_never_the_same_and_keep_the_order_of_lines() {
        for start in [0, 1, Times::ROUND - 1, u64::MAX] {
            let mut times = Times::starting_at(start);
            let mut last = None;
            for line in 0..2 * NANOS_PER_MILLI {
                let at = times.next(Timestamp::from_millis((line / 1_000) as i64));
                assert_eq!(at / NANOS_PER_MILLI, line / 1_000);
                assert!(last < Some(at), "{line}: {at} after {last:?}");
                last = Some(at);
            }
            let again = times.next(Timestamp::from_millis(1));
            assert_eq!(again / NANOS_PER_MILLI, 1);
        }
    }

    #[test]
    fn a_time_before_1970_counts_as_1970() {
        assert_eq!(Times::starting_at(0).next(Timestamp::from_millis(-5)), 0);
    }
}
