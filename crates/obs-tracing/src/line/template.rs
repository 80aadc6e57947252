//! Lines of which all but a few values are known beforehand: they are put together from parts that are ready, by who
//! takes them away, so that their callers hand over the values only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::LazyLock;

use obs_model::{FieldValue, Level, SpanId, Timestamp, TraceId};
use parking_lot::Mutex;

use super::write::{self, TimeWriter};
use super::{END_ROOM, LineRules, MAX_NAME};
use crate::fields::keys::{FieldKind, IdField, Key};
use crate::fields::{FieldBuffer, MAX_ID};

/// The most templates of a process: a line that has none is written as any other.
const MOST: usize = 4_096;

/// What every line of one kind says.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Outline {
    pub(crate) level: Level,
    pub(crate) target: &'static str,
    pub(crate) message: &'static str,
    pub(crate) status: u16,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
}

/// The parts of a JSON line that one pipeline would write of an outline: between them stand the time, the correlation id,
/// and how long the work took.
pub(crate) struct Template {
    to_correlation: Vec<u8>,
    /// With room for the digits of trace and span.
    to_duration: Vec<u8>,
    to_end: Vec<u8>,
}

/// What was made of each outline by the rules of each pipeline.
type Known = HashMap<(u32, Outline), Option<&'static Template>>;

/// What stands before the time.
const TO_TIME: &[u8] = b"{\"timestamp\":\"";

/// What comes after the correlation id, up to the digits of the trace.
const TO_TRACE: &[u8] = b"\",\"traceId\":\"";
const TRACE: Range<usize> = TO_TRACE.len()..TO_TRACE.len() + 32;

/// What comes between the digits of the trace and those of the span.
const TO_SPAN: &[u8] = b"\",\"spanId\":\"";
const SPAN: Range<usize> = TRACE.end + TO_SPAN.len()..TRACE.end + TO_SPAN.len() + 16;

/// The room for what is not in the parts, beside the correlation id: a time and a number.
const VALUES: usize = 64;

/// The bytes of the numbers that wait for being put together: trace, span and duration.
const NUMBERS: usize = size_of::<u128>() + 2 * size_of::<u64>();

impl Template {
    /// The template of an outline, which lives as long as the process; `None` where there is none, or no room for one
    /// more.
    pub(crate) fn of(outline: Outline, rules: &LineRules) -> Option<&'static Self> {
        static ALL: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
        let mut all = ALL.lock();
        let has_room = all.len() < MOST;
        match all.entry((rules.fields.owner, outline)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) if has_room => {
                let made = Self::new(outline, rules);
                *new.insert(made.map(|template| &*Box::leak(Box::new(template))))
            }
            Entry::Vacant(_) => None,
        }
    }

    /// `None` where such a line is not what these rules make of most: a field is secret, or something is cut.
    fn new(outline: Outline, rules: &LineRules) -> Option<Self> {
        let redactor = &rules.fields.redactor;
        let mut fields = FieldBuffer::default();
        for (name, value) in [
            ("status", FieldValue::U64(outline.status.into())),
            ("duration_ms", FieldValue::F64(0.0)),
            ("method", FieldValue::from(outline.method)),
            ("path", FieldValue::from(outline.path)),
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
        let template = Self { to_correlation, to_duration, to_end };
        (!cut && template.most_bytes() + MAX_ID + END_ROOM <= rules.max_line).then_some(template)
    }

    /// The most bytes that a line takes beside its correlation id.
    fn most_bytes(&self) -> usize {
        self.to_correlation.len() + self.to_duration.len() + self.to_end.len() + VALUES
    }
}

/// A line of a template.
#[derive(Clone, Copy)]
pub(crate) struct TemplatedLine<'a> {
    pub(crate) template: &'static Template,
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    /// How long the work took, in nanoseconds.
    pub(crate) took: u64,
    /// The correlation id as it stands on lines.
    pub(crate) correlation: &'a [u8],
}

impl<'a> TemplatedLine<'a> {
    /// The most bytes that it takes once it is put together.
    pub(crate) fn most_bytes(&self) -> usize {
        self.template.most_bytes() + self.correlation.len()
    }

    /// Appends the values as they wait for being put together.
    pub(crate) fn keep(&self, out: &mut Vec<u8>) {
        let mut numbers = [0; NUMBERS];
        let (trace, rest) = numbers.split_at_mut(size_of::<u128>());
        let (span, took) = rest.split_at_mut(size_of::<u64>());
        trace.copy_from_slice(&self.trace.get().to_ne_bytes());
        span.copy_from_slice(&self.span.get().to_ne_bytes());
        took.copy_from_slice(&self.took.to_ne_bytes());
        out.extend_from_slice(&numbers);
        out.extend_from_slice(self.correlation);
    }

    /// The line whose values were kept so; `None` if they were not.
    pub(crate) fn kept(template: &'static Template, values: &'a [u8]) -> Option<Self> {
        let (trace, rest) = values.split_first_chunk()?;
        let (span, rest) = rest.split_first_chunk()?;
        let (took, correlation) = rest.split_first_chunk()?;
        Some(Self {
            template,
            trace: TraceId::new(u128::from_ne_bytes(*trace))?,
            span: SpanId::new(u64::from_ne_bytes(*span))?,
            took: u64::from_ne_bytes(*took),
            correlation,
        })
    }

    /// Appends the line with its end.
    pub(crate) fn render(&self, out: &mut Vec<u8>, time: &mut TimeWriter, at: Timestamp) {
        let Template { to_correlation, to_duration, to_end } = self.template;
        out.extend_from_slice(TO_TIME);
        time.push(out, at);
        out.extend_from_slice(to_correlation);
        // OK because neither the characters of an id nor what stands in place of a secret is special in JSON.
        out.extend_from_slice(self.correlation);
        let start = out.len();
        out.extend_from_slice(to_duration);
        let written = &mut out[start..];
        written[TRACE].copy_from_slice(&write::hex_128(self.trace.get()));
        written[SPAN].copy_from_slice(&write::hex_64(self.span.get()));
        write::push_milliseconds(out, self.took);
        out.extend_from_slice(to_end);
    }
}
