//! A line as one JSON object.

use super::write::{self, TimeWriter};
use super::{END_ROOM, Head, LineRules, MAX_NAME, Scratch};
use crate::fields::EventText;
use crate::fields::keys::{FieldKind, IdField};

/// Appends the line without its end.
pub(super) fn render(
    scratch: &Scratch,
    out: &mut Vec<u8>,
    time: &mut TimeWriter,
    head: Head<'_>,
    rules: &LineRules,
) {
    let quarter = rules.max_line / 4;
    let mut truncated = scratch.fields.truncated;
    out.extend_from_slice(b"{\"timestamp\":\"");
    time.push(out, head.at);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(head.level.as_str().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    truncated |= push_text(out, &scratch.event.message, quarter);
    out.extend_from_slice(b",\"service\":");
    truncated |= write::push_string(out, scratch.service(rules), 0, MAX_NAME);
    out.extend_from_slice(b",\"target\":");
    truncated |= write::push_string(out, head.target, 0, MAX_NAME);
    push_ids(scratch, out, head);
    if scratch.event.error.present {
        truncated |= push_error(scratch, out, quarter / 2);
    }
    let mut separator: &[u8] = b",\"metadata\":{";
    for member in scratch.fields.members() {
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

fn push_text(out: &mut Vec<u8>, text: &EventText, budget: usize) -> bool {
    write::push_string(out, &text.text, text.lost, budget)
}

fn push_ids(scratch: &Scratch, out: &mut Vec<u8>, head: Head<'_>) {
    let push = |out: &mut Vec<u8>, field| {
        if let Some(member) = scratch.fields.find(FieldKind::Id(field)) {
            out.push(b',');
            out.extend_from_slice(member);
        }
    };
    let has_ids = scratch.fields.has_ids();
    if has_ids {
        push(out, IdField::Correlation);
    }
    if let Some(trace) = head.trace {
        out.extend_from_slice(b",\"traceId\":\"");
        write::push_hex::<32>(out, trace.get());
        out.push(b'"');
    }
    if let Some(span) = head.span {
        out.extend_from_slice(b",\"spanId\":\"");
        write::push_hex::<16>(out, u128::from(span.get()));
        out.push(b'"');
    }
    if has_ids {
        IdField::ALL[1..].iter().for_each(|field| push(out, *field));
    }
}

fn push_error(scratch: &Scratch, out: &mut Vec<u8>, budget: usize) -> bool {
    let error = &scratch.event.error;
    out.extend_from_slice(b",\"error\":{\"name\":");
    let mut cut = push_text(out, scratch.error_name(), MAX_NAME);
    out.extend_from_slice(b",\"message\":");
    cut |= push_text(out, &error.message, budget);
    out.extend_from_slice(b",\"stack\":");
    cut |= push_text(out, &error.stack, budget);
    out.push(b'}');
    cut
}
