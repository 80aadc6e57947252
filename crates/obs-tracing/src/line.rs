//! One log line: its parts, and how they become JSON or text for people.

use obs_model::{Context, Level, SpanId, Timestamp, TraceId};

use crate::config::LogFormat;
use crate::fields::{EventParts, FieldBuffer, FieldRules};
use crate::json::{self, TimeWriter};
use crate::keys::{FieldKind, IdField, Key};

/// Room to render a line in, kept by each thread and used again.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The event's fields, then those of its spans and of the context.
    pub(crate) fields: FieldBuffer,
    pub(crate) event: EventParts,
    pub(crate) raw: String,
    /// The finished line, with its line end.
    pub(crate) line: Vec<u8>,
    pub(crate) time: TimeWriter,
    pub(crate) counters: crate::counters::LevelCounters,
}

/// What every line of one layer has in common.
#[derive(Debug)]
pub(crate) struct LineRules {
    pub(crate) fields: FieldRules,
    pub(crate) format: LogFormat,
    pub(crate) service: String,
    pub(crate) max_line: usize,
}

/// What a line says beside the event's own parts.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    pub(crate) at: Timestamp,
    pub(crate) level: Level,
    pub(crate) target: &'a str,
    pub(crate) trace: Option<TraceId>,
    pub(crate) span: Option<SpanId>,
}

/// The longest target or service name in a line, in bytes.
const MAX_NAME: usize = 256;

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        self.event.clear();
        self.line.clear();
    }

    /// Adds what the context says and the spans do not.
    pub(crate) fn add_context(&mut self, context: &Context, rules: &FieldRules) {
        let mut add = |field: IdField, value: Option<&str>| {
            if let Some(value) = value
                && self.fields.find(FieldKind::Id(field)).is_none()
            {
                self.fields.put_text(Key::id(field), value, rules);
            }
        };
        add(IdField::Correlation, context.correlation().map(|id| id.as_str()));
        add(IdField::User, context.user());
        add(IdField::Organization, context.organization());
        add(IdField::Session, context.session());
        add(IdField::Request, context.request());
        add(IdField::Workflow, context.workflow());
        add(IdField::Step, context.step());
        add(IdField::Tool, context.tool());
    }

    /// The service of this line.
    pub(crate) fn service<'a>(&'a self, rules: &'a LineRules) -> &'a str {
        if self.event.service.is_empty() { &rules.service } else { &self.event.service }
    }

    /// Renders the line.
    pub(crate) fn render(&mut self, head: Head<'_>, rules: &LineRules) {
        // OK because the buffers are put back at once: only the borrow checker needs them apart.
        let mut out = std::mem::take(&mut self.line);
        let mut time = std::mem::take(&mut self.time);
        match rules.format {
            LogFormat::Json => self.render_json(&mut out, &mut time, head, rules),
            LogFormat::Text => self.render_text(&mut out, &mut time, head, rules),
        }
        out.push(b'\n');
        self.line = out;
        self.time = time;
    }

    fn render_json(
        &self,
        out: &mut Vec<u8>,
        time: &mut TimeWriter,
        head: Head<'_>,
        rules: &LineRules,
    ) {
        let quarter = rules.max_line / 4;
        let mut truncated = self.fields.truncated;
        out.extend_from_slice(b"{\"timestamp\":\"");
        time.push(out, head.at);
        out.extend_from_slice(b"\",\"level\":\"");
        out.extend_from_slice(head.level.as_str().as_bytes());
        out.extend_from_slice(b"\",\"message\":");
        truncated |= json::push_string(out, &self.event.message, quarter);
        out.extend_from_slice(b",\"service\":");
        truncated |= json::push_string(out, self.service(rules), MAX_NAME);
        out.extend_from_slice(b",\"target\":");
        truncated |= json::push_string(out, head.target, MAX_NAME);
        self.push_ids(out, head);
        if self.event.error.present {
            truncated |= self.push_error(out, quarter / 2);
        }
        let mut separator: &[u8] = b",\"metadata\":{";
        for member in self.fields.members() {
            if out.len() + member.len() > rules.max_line - END_ROOM {
                truncated = true;
                continue;
            }
            out.extend_from_slice(separator);
            out.extend_from_slice(member);
            separator = b",";
        }
        if separator == b"," {
            out.push(b'}');
        }
        out.extend_from_slice(if truncated { b",\"truncated\":true}" } else { b"}" });
    }

    fn push_ids(&self, out: &mut Vec<u8>, head: Head<'_>) {
        for field in IdField::ALL {
            if let Some(member) = self.fields.find(FieldKind::Id(field)) {
                out.push(b',');
                out.extend_from_slice(member);
            }
            if field == IdField::Correlation {
                if let Some(trace) = head.trace {
                    out.extend_from_slice(b",\"traceId\":\"");
                    json::push_hex::<32>(out, trace.get());
                    out.push(b'"');
                }
                if let Some(span) = head.span {
                    out.extend_from_slice(b",\"spanId\":\"");
                    json::push_hex::<16>(out, u128::from(span.get()));
                    out.push(b'"');
                }
            }
        }
    }

    fn push_error(&self, out: &mut Vec<u8>, budget: usize) -> bool {
        let error = &self.event.error;
        let name = if error.name.is_empty() { "Error" } else { &error.name };
        out.extend_from_slice(b",\"error\":{\"name\":");
        let mut cut = json::push_string(out, name, MAX_NAME);
        out.extend_from_slice(b",\"message\":");
        cut |= json::push_string(out, &error.message, budget);
        out.extend_from_slice(b",\"stack\":");
        cut |= json::push_string(out, &error.stack, budget);
        out.push(b'}');
        cut
    }

    fn render_text(
        &self,
        out: &mut Vec<u8>,
        time: &mut TimeWriter,
        head: Head<'_>,
        rules: &LineRules,
    ) {
        let limit = rules.max_line - END_ROOM;
        time.push(out, head.at);
        json::push_display(out, format_args!(" {:<5} ", head.level.as_str()));
        push_plain(out, self.service(rules), limit);
        out.push(b' ');
        push_plain(out, head.target, limit);
        out.extend_from_slice(b": ");
        push_plain(out, &self.event.message, limit);
        let error = &self.event.error;
        if error.present {
            out.extend_from_slice(b" error=");
            for (text, before) in [(&error.name, ""), (&error.message, ": "), (&error.stack, "; ")]
            {
                if !text.is_empty() {
                    out.extend_from_slice(before.as_bytes());
                    push_plain(out, text, limit);
                }
            }
        }
        for (key, value) in self.fields.pairs() {
            if out.len() + key.len() + value.len() > limit {
                break;
            }
            out.push(b' ');
            out.extend_from_slice(&key[1..key.len() - 1]);
            out.push(b'=');
            out.extend_from_slice(value);
        }
        for field in IdField::ALL {
            if let Some(value) = self.fields.find_value(FieldKind::Id(field)) {
                out.push(b' ');
                out.extend_from_slice(field.name().as_bytes());
                out.push(b'=');
                out.extend_from_slice(&value[1..value.len() - 1]);
            }
        }
        if let Some(trace) = head.trace {
            json::push_display(out, format_args!(" traceId={trace}"));
        }
        if let Some(span) = head.span {
            json::push_display(out, format_args!(" spanId={span}"));
        }
    }
}

/// What is kept free for the end of a line: the ids and the mark that it was truncated.
const END_ROOM: usize = 512;

/// Appends text for people on one line: control characters are escaped, quotes are not.
fn push_plain(out: &mut Vec<u8>, text: &str, limit: usize) {
    for character in text.chars() {
        if out.len() + 10 > limit {
            out.extend_from_slice(json::CUT_MARK.as_bytes());
            return;
        }
        if character.is_control() {
            json::push_display(out, format_args!("{}", character.escape_default()));
        } else {
            let mut buffer = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }
}
