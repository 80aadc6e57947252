//! A line for people: time, level, service, target, message, then `key=value`; with colours on a terminal.

use obs_model::Level;

use super::recast::Members;
use super::write::{self, TimeWriter};
use super::{END_ROOM, Head, LineRules, Scratch};
use crate::fields::EventText;
use crate::fields::keys::{FieldKind, IdField};

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Writes with colours or without.
struct Paint<'a> {
    out: &'a mut Vec<u8>,
    colored: bool,
    limit: usize,
}

impl Paint<'_> {
    fn styled(&mut self, style: &str, write: impl FnOnce(&mut Self)) {
        if self.colored {
            self.out.extend_from_slice(style.as_bytes());
        }
        write(self);
        if self.colored {
            self.out.extend_from_slice(RESET.as_bytes());
        }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Appends text for people on one line: control characters are escaped, quotes are not.
    fn plain(&mut self, text: &str, lost: usize) {
        for (at, character) in text.char_indices() {
            if self.out.len() + 10 > self.limit {
                return write::push_cut_mark(self.out, lost + text.len() - at);
            }
            if character.is_control() {
                write::push_display(self.out, format_args!("{}", character.escape_default()));
            } else {
                self.raw(character.encode_utf8(&mut [0; 4]));
            }
        }
        if lost > 0 {
            write::push_cut_mark(self.out, lost);
        }
    }

    fn text(&mut self, text: &EventText) {
        self.plain(&text.text, text.lost);
    }

    /// Appends text that is JSON already, where control characters beyond ASCII stand as they are.
    fn rendered(&mut self, text: &[u8]) {
        match std::str::from_utf8(text) {
            Ok(text) if !text.is_ascii() || text.contains('\x7f') => self.plain(text, 0),
            _ => self.out.extend_from_slice(text),
        }
    }

    fn key(&mut self, key: &[u8]) {
        self.out.push(b' ');
        self.styled(DIM, |paint| {
            paint.rendered(key);
            paint.out.push(b'=');
        });
    }
}

const fn style_of(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1;31m",
        Level::Warn => "\x1b[33m",
        Level::Info => "\x1b[32m",
        Level::Debug => "\x1b[34m",
        Level::Trace => "\x1b[35m",
    }
}

/// Appends the line without its end.
pub(super) fn render(
    scratch: &Scratch,
    out: &mut Vec<u8>,
    time: &mut TimeWriter,
    head: Head<'_>,
    rules: &LineRules,
) {
    let limit = rules.max_line - END_ROOM;
    let mut paint = Paint { out, colored: rules.colored, limit };
    paint.styled(DIM, |paint| time.push(paint.out, head.at));
    paint.raw(" ");
    paint.styled(style_of(head.level), |paint| {
        write::push_display(paint.out, format_args!("{:<5}", head.level.as_str()));
    });
    paint.raw(" ");
    paint.plain(scratch.service(rules), 0);
    paint.raw(" ");
    paint.styled(DIM, |paint| {
        paint.plain(head.target, 0);
        paint.raw(":");
    });
    paint.raw(" ");
    paint.styled(BOLD, |paint| paint.text(&scratch.event.message));
    let error = &scratch.event.error;
    if error.present {
        paint.key(b"error");
        paint.text(scratch.error_name());
        for (text, before) in [(&error.message, ": "), (&error.stack, "; ")] {
            if !text.text.is_empty() {
                paint.raw(before);
                paint.text(text);
            }
        }
    }
    for (key, value) in scratch.fields.pairs() {
        if paint.out.len() + key.len() + value.len() > limit {
            break;
        }
        paint.key(&key[1..key.len() - 1]);
        paint.rendered(value);
    }
    for field in IdField::ALL {
        if let Some(value) = scratch.fields.find_value(FieldKind::Id(field)) {
            paint.key(field.name().as_bytes());
            paint.rendered(&value[1..value.len() - 1]);
        }
    }
    if let Some(trace) = head.trace {
        paint.key(b"traceId");
        paint.out.extend_from_slice(&write::hex_128(trace.get()));
    }
    if let Some(span) = head.span {
        paint.key(b"spanId");
        paint.out.extend_from_slice(&write::hex_64(span.get()));
    }
}

/// Appends a line that is JSON, without its end and without colours.
pub(super) fn recast(json: &[u8], out: &mut Vec<u8>) {
    // OK because the pipeline writes nothing but texts there.
    let text = |value: &[u8]| serde_json::from_slice::<String>(value).unwrap_or_default();
    let member = |object: &[u8], name: &[u8]| {
        let found = Members::of(object).find(|(key, _)| *key == name);
        found.map(|(_, value)| text(value)).unwrap_or_default()
    };
    let mut paint = Paint { out, colored: false, limit: usize::MAX };
    paint.raw(&member(json, b"timestamp"));
    write::push_display(paint.out, format_args!(" {:<5} ", member(json, b"level")));
    paint.plain(&member(json, b"service"), 0);
    paint.raw(" ");
    paint.plain(&member(json, b"target"), 0);
    paint.raw(": ");
    paint.plain(&member(json, b"message"), 0);
    let object = |name: &[u8]| Members::of(json).find(|(key, _)| *key == name);
    if let Some((_, error)) = object(b"error") {
        paint.key(b"error");
        paint.plain(&member(error, b"name"), 0);
        for (part, before) in [(&b"message"[..], ": "), (b"stack", "; ")] {
            let text = member(error, part);
            if !text.is_empty() {
                paint.raw(before);
                paint.plain(&text, 0);
            }
        }
    }
    for (key, value) in object(b"metadata").into_iter().flat_map(|(_, value)| Members::of(value)) {
        paint.key(key);
        paint.rendered(value);
    }
    for name in IdField::ALL.map(IdField::name).into_iter().chain(["traceId", "spanId"]) {
        if let Some((key, [b'"', value @ .., b'"'])) = object(name.as_bytes()) {
            paint.key(key);
            paint.rendered(value);
        }
    }
}
