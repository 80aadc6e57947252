//! Lines of which all but a few values are known beforehand: they are put together from parts that are ready.

use std::ops::Range;
use std::time::Duration;

use obs_model::{FieldValue, Level, SpanId, Timestamp, TraceId};

use super::write::{self, TimeWriter};
use super::{END_ROOM, LineRules, MAX_NAME};
use crate::duration::nanoseconds;
use crate::fields::keys::{FieldKind, IdField, Key};
use crate::fields::{FieldBuffer, MAX_ID};

/// What every line of one kind says.
#[derive(Clone, Copy)]
pub(crate) struct Outline<'a> {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) message: &'static str,
    pub(crate) status: u16,
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
}

/// The parts of a JSON line that one pipeline would write of an outline: between them stand the time, the correlation id,
/// and how long the work took.
pub(crate) struct Template {
    /// Whose rules it was made by.
    owner: u32,
    to_correlation: Vec<u8>,
    /// With room for the digits of trace and span.
    to_duration: Vec<u8>,
    to_end: Vec<u8>,
}

/// What stands before the time.
const TO_TIME: &[u8] = b"{\"timestamp\":\"";

/// What comes after the correlation id, up to the digits of the trace.
const TO_TRACE: &[u8] = b"\",\"traceId\":\"";
const TRACE: Range<usize> = TO_TRACE.len()..TO_TRACE.len() + 32;

/// What comes between the digits of the trace and those of the span.
const TO_SPAN: &[u8] = b"\",\"spanId\":\"";
const SPAN: Range<usize> = TRACE.end + TO_SPAN.len()..TRACE.end + TO_SPAN.len() + 16;

/// The room for what is not in the parts: a time, an id and a number.
const VALUES: usize = 64 + MAX_ID + 64;

impl Template {
    /// `None` where such a line is not what these rules make of most: a field is secret, or something is cut.
    pub(crate) fn new(outline: Outline<'_>, rules: &LineRules) -> Option<Self> {
        let redactor = &rules.fields.redactor;
        let mut fields = FieldBuffer::default();
        for (name, value) in [
            ("status", FieldValue::U64(outline.status.into())),
            ("duration_ms", FieldValue::F64(0.0)),
            ("method", FieldValue::from(outline.method)),
            ("path", FieldValue::from(outline.path.to_owned())),
        ] {
            let key = Key::new(name, redactor);
            if key.kind != FieldKind::Plain {
                return None;
            }
            fields.put_value(key, &value, &rules.fields);
        }
        let mut cut = fields.truncated || rules.service_member.1;
        let mut to_correlation = b"\",\"level\":\"".to_vec();
        to_correlation.extend_from_slice(outline.level.as_str().as_bytes());
        to_correlation.extend_from_slice(b"\",\"message\":");
        let message = redactor.text(outline.message);
        cut |= write::push_string(&mut to_correlation, &message, 0, rules.fields.max_text);
        to_correlation.extend_from_slice(&rules.service_member.0);
        to_correlation.extend_from_slice(b",\"target\":");
        cut |= write::push_string(&mut to_correlation, outline.target, 0, MAX_NAME);
        to_correlation.extend_from_slice(b",\"");
        to_correlation.extend_from_slice(IdField::Correlation.name().as_bytes());
        to_correlation.extend_from_slice(b"\":\"");

        let members: Vec<_> = fields.pairs().collect();
        let [status, duration, rest @ ..] = &*members else { return None };
        let mut to_duration = Vec::new();
        let ids = [TO_TRACE, &[b'0'; 32], TO_SPAN, &[b'0'; 16], b"\",\"metadata\":{"];
        for part in ids.into_iter().chain([status.0, b":", status.1, b",", duration.0, b":"]) {
            to_duration.extend_from_slice(part);
        }
        let mut to_end = Vec::new();
        for (name, value) in rest {
            for part in [b",", *name, b":", *value] {
                to_end.extend_from_slice(part);
            }
        }
        to_end.extend_from_slice(b"}}\n");
        let length = to_correlation.len() + to_duration.len() + to_end.len();
        let fits = length + VALUES + END_ROOM <= rules.max_line;
        let owner = rules.fields.owner;
        (!cut && fits).then_some(Self { owner, to_correlation, to_duration, to_end })
    }

    /// Whether it was made by these rules.
    pub(crate) fn is_of(&self, rules: &LineRules) -> bool {
        self.owner == rules.fields.owner
    }

    /// Appends the line with its end.
    pub(crate) fn render(
        &self,
        out: &mut Vec<u8>,
        time: &mut TimeWriter,
        at: Timestamp,
        (trace, span): (TraceId, SpanId),
        correlation: &str,
        took: Duration,
    ) {
        out.extend_from_slice(TO_TIME);
        time.push(out, at);
        out.extend_from_slice(&self.to_correlation);
        // OK because neither the characters of an id nor what stands in place of a secret is special in JSON.
        out.extend_from_slice(correlation.as_bytes());
        let start = out.len();
        out.extend_from_slice(&self.to_duration);
        let written = &mut out[start..];
        written[TRACE].copy_from_slice(&write::hex_128(trace.get()));
        written[SPAN].copy_from_slice(&write::hex_64(span.get()));
        write::push_milliseconds(out, nanoseconds(took));
        out.extend_from_slice(&self.to_end);
    }
}
