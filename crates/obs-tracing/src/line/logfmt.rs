//! A line as logfmt: `key=value` pairs, with the names that the JSON form has.

use super::recast::Members;
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
    out.extend_from_slice(b"timestamp=");
    time.push(out, head.at);
    out.extend_from_slice(b" level=");
    out.extend_from_slice(head.level.as_str().as_bytes());
    truncated |=
        pair(out, "message", &scratch.event.message.text, scratch.event.message.lost, quarter);
    truncated |= pair(out, "service", scratch.service(rules), 0, MAX_NAME);
    truncated |= pair(out, "target", head.target, 0, MAX_NAME);
    for field in IdField::ALL {
        if let Some(value) = scratch.fields.find_value(FieldKind::Id(field)) {
            push_key(out, field.name().as_bytes());
            push_rendered(out, value);
        }
        if field == IdField::Correlation {
            if let Some(trace) = head.trace {
                out.extend_from_slice(b" traceId=");
                out.extend_from_slice(&write::hex_128(trace.get()));
            }
            if let Some(span) = head.span {
                out.extend_from_slice(b" spanId=");
                out.extend_from_slice(&write::hex_64(span.get()));
            }
        }
    }
    let error = &scratch.event.error;
    if error.present {
        let mut part = |key, text: &EventText, budget| {
            truncated |= pair(out, key, &text.text, text.lost, budget);
        };
        part("error.name", scratch.error_name(), MAX_NAME);
        part("error.message", &error.message, quarter / 2);
        if !error.stack.text.is_empty() {
            part("error.stack", &error.stack, quarter / 2);
        }
    }
    for (key, value) in scratch.fields.pairs() {
        if out.len() + key.len() + value.len() > rules.max_line - END_ROOM {
            truncated = true;
            continue;
        }
        push_key(out, &key[1..key.len() - 1]);
        push_rendered(out, value);
    }
    if truncated {
        out.extend_from_slice(b" truncated=true");
    }
}

/// Appends a line that is JSON, without its end.
pub(super) fn recast(json: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    for (key, value) in Members::of(json) {
        match key {
            b"metadata" => Members::of(value).for_each(|(key, value)| {
                push_key(out, key);
                push_rendered(out, value);
            }),
            b"error" => {
                for (part, value) in Members::of(value) {
                    // An error without causes has no stack.
                    if part != b"stack" || value != b"\"\"" {
                        push_key(out, &[b"error.", part].concat());
                        push_rendered(out, value);
                    }
                }
            }
            _ => {
                push_key(out, key);
                push_rendered(out, value);
            }
        }
    }
    if out.len() > start {
        out.remove(start);
    }
}

/// Appends a space, the key and `=`. What would end a key, or is not a character of one, becomes `_`.
fn push_key(out: &mut Vec<u8>, key: &[u8]) {
    out.push(b' ');
    if key.is_empty() {
        out.push(b'_');
    }
    out.extend(key.iter().map(|byte| match byte {
        b' ' | b'=' | b'"' | b'\\' | 0..0x20 | 0x7f => b'_',
        _ => *byte,
    }));
    out.push(b'=');
}

fn pair(out: &mut Vec<u8>, key: &str, text: &str, lost: usize, budget: usize) -> bool {
    push_key(out, key.as_bytes());
    let start = out.len();
    let cut = write::push_string(out, text, lost, budget);
    unquote(out, start);
    cut
}

/// Appends a JSON value, without the quotes of a text that needs none.
fn push_rendered(out: &mut Vec<u8>, value: &[u8]) {
    let start = out.len();
    out.extend_from_slice(value);
    unquote(out, start);
}

/// Takes the quotes off the text that was appended at `start`, when it is not empty and holds nothing that needs them.
fn unquote(out: &mut Vec<u8>, start: usize) {
    let value = &out[start..];
    let [b'"', text @ .., b'"'] = value else { return };
    let plain = |byte: &u8| !matches!(byte, b' ' | b'=' | b'"' | b'\\' | 0x7f);
    if !text.is_empty() && text.iter().all(plain) {
        out.pop();
        out.remove(start);
    }
}
