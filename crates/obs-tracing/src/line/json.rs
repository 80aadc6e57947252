//! A line as one JSON object.

use super::write::{self, TimeWriter};
use super::{END_ROOM, Head, LineRules, MAX_NAME, Scratch};
use crate::fields::EventText;
use crate::fields::keys::IdField;

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
    if scratch.event.service.is_empty() {
        let (member, is_cut) = &rules.service_member;
        out.extend_from_slice(member);
        truncated |= is_cut;
    } else {
        truncated |= push_service(out, &scratch.event.service);
    }
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

/// Appends the service as a member of the line.
pub(super) fn push_service(out: &mut Vec<u8>, service: &str) -> bool {
    out.extend_from_slice(b",\"service\":");
    write::push_string(out, service, 0, MAX_NAME)
}

fn push_text(out: &mut Vec<u8>, text: &EventText, budget: usize) -> bool {
    write::push_string(out, &text.text, text.lost, budget)
}

/// Writes the ids: the correlation, the trace and the span first, then the others.
fn push_ids(scratch: &Scratch, out: &mut Vec<u8>, head: Head<'_>) {
    let push = |out: &mut Vec<u8>, member: &[u8]| {
        out.push(b',');
        out.extend_from_slice(member);
    };
    let mut ids = scratch.fields.ids().peekable();
    if let Some((_, member)) = ids.next_if(|(field, _)| *field == IdField::Correlation) {
        push(out, member);
    }
    push_place(out, head);
    ids.for_each(|(_, member)| push(out, member));
}

/// Appends the trace and the span as members of the line.
fn push_place(out: &mut Vec<u8>, head: Head<'_>) {
    if let Some(trace) = head.trace {
        out.extend_from_slice(b",\"traceId\":\"");
        out.extend_from_slice(&write::hex_128(trace.get()));
        out.push(b'"');
    }
    if let Some(span) = head.span {
        out.extend_from_slice(b",\"spanId\":\"");
        out.extend_from_slice(&write::hex_64(span.get()));
        out.push(b'"');
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
