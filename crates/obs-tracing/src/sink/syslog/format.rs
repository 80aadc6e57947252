//! A line as a message of RFC 5424.

use obs_model::{Level, Resource};
use serde_json::{Map, Value};

use super::{Facility, SyslogBody, SyslogConfig};
use crate::line::write::{self, TimeWriter};
use crate::sink::Line;

/// The members of a line that have a place of their own in a message.
const IN_HEADER: [&str; 4] = ["timestamp", "level", "message", "service"];

/// The longest APP-NAME, PROCID and MSGID, and the longest name of a parameter, in characters; RFC 5424, 6.
const MAX_APP_NAME: usize = 48;
const MAX_PROCID: usize = 128;
const MAX_MSGID: usize = 32;
const MAX_HOSTNAME: usize = 255;
const MAX_PARAM_NAME: usize = 32;

/// The parameter that says that others were left out.
const TRUNCATED: &[u8] = b" truncated=\"true\"";

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Writes lines as messages.
pub(super) struct Formatter {
    facility: Facility,
    hostname: Vec<u8>,
    app_name: Option<Vec<u8>>,
    process: Vec<u8>,
    message_id: Option<Vec<u8>>,
    /// `[obskit@32473`.
    element: Vec<u8>,
    body: SyslogBody,
    byte_order_mark: bool,
    max_bytes: usize,
    time: TimeWriter,
    /// Kept for its room.
    parameters: Vec<u8>,
}

impl Formatter {
    pub(super) fn new(config: &SyslogConfig, resource: &Resource, max_bytes: usize) -> Self {
        let of_resource = || {
            let found = resource.attributes().find(|(name, _)| *name == "host.name");
            found.map(|(_, host)| host.to_owned())
        };
        let hostname = config.hostname.clone().or_else(of_resource).or_else(machine_name);
        let token = |text: &str, most| {
            let mut out = Vec::new();
            push_token(&mut out, text, most);
            out
        };
        let given = |text: &Option<String>, most| text.as_ref().map(|text| token(text, most));
        Self {
            facility: config.facility,
            hostname: token(hostname.as_deref().unwrap_or_default(), MAX_HOSTNAME),
            app_name: given(&config.app_name, MAX_APP_NAME),
            process: token(&std::process::id().to_string(), MAX_PROCID),
            message_id: given(&config.message_id, MAX_MSGID),
            element: format!("[obskit@{}", config.enterprise).into_bytes(),
            body: config.body,
            byte_order_mark: config.byte_order_mark,
            max_bytes,
            time: TimeWriter::default(),
            parameters: Vec::new(),
        }
    }

    /// The message, no longer than it may be.
    pub(super) fn render(&mut self, line: &Line<'_>) -> Vec<u8> {
        let text = match self.body {
            SyslogBody::Message => line.message(),
            // OK because the pipeline writes nothing but UTF-8.
            SyslogBody::Json => std::str::from_utf8(line.json()).unwrap_or_default(),
        };
        let mut out = Vec::with_capacity(self.max_bytes.min(256 + 2 * line.json().len()));
        self.push_header(&mut out, line);
        if self.body == SyslogBody::Message {
            let left = self.max_bytes.saturating_sub(out.len());
            let mark = if self.byte_order_mark { BYTE_ORDER_MARK.len() } else { 0 };
            // OK because half of what a header leaves of the smallest message is room enough for a text that is cut.
            let room = left.saturating_sub(1 + mark + text.len()).max(left / 2);
            self.push_element(&mut out, line.members(), room);
        } else {
            out.push(b'-');
        }
        self.push_text(&mut out, text);
        out
    }

    fn push_header(&mut self, out: &mut Vec<u8>, line: &Line<'_>) {
        out.push(b'<');
        write::push_u64(out, u64::from(self.facility as u8 * 8 + severity(line.level())));
        out.extend_from_slice(b">1 ");
        self.time.push(out, line.at());
        out.push(b' ');
        out.extend_from_slice(&self.hostname);
        out.push(b' ');
        match &self.app_name {
            Some(name) => out.extend_from_slice(name),
            None => push_token(out, line.service(), MAX_APP_NAME),
        }
        out.push(b' ');
        out.extend_from_slice(&self.process);
        out.push(b' ');
        match &self.message_id {
            Some(id) => out.extend_from_slice(id),
            None => push_token(out, line.target(), MAX_MSGID),
        }
        out.push(b' ');
    }

    /// Appends the element with as many parameters as have room, or a hyphen if the line has none.
    fn push_element(&mut self, out: &mut Vec<u8>, members: &Map<String, Value>, room: usize) {
        let room = room.saturating_sub(self.element.len() + TRUNCATED.len() + 1);
        let parameters = &mut self.parameters;
        parameters.clear();
        let mut is_cut = false;
        let mut push = |prefix: &str, name: &str, value: &Value| {
            let start = parameters.len();
            push_parameter(parameters, prefix, name, value);
            if parameters.len() > room {
                parameters.truncate(start);
                is_cut = true;
            }
        };
        for (name, value) in members.iter().filter(|(name, _)| !IN_HEADER.contains(&name.as_str()))
        {
            let prefix = if name == "error" { "error." } else { "" };
            match value {
                Value::Object(inner) => {
                    inner.iter().for_each(|(name, value)| push(prefix, name, value))
                }
                value => push("", name, value),
            }
        }
        if parameters.is_empty() && !is_cut {
            return out.push(b'-');
        }
        out.extend_from_slice(&self.element);
        out.extend_from_slice(parameters);
        let is_said = members.contains_key("truncated");
        if is_cut && !is_said {
            out.extend_from_slice(TRUNCATED);
        }
        out.push(b']');
    }

    fn push_text(&self, out: &mut Vec<u8>, text: &str) {
        if text.is_empty() {
            return;
        }
        out.push(b' ');
        if self.byte_order_mark {
            out.extend_from_slice(BYTE_ORDER_MARK);
        }
        let room = self.max_bytes.saturating_sub(out.len());
        if text.len() <= room {
            return out.extend_from_slice(text.as_bytes());
        }
        let end = text.floor_char_boundary(room.saturating_sub(write::CUT_MARK_BYTES));
        out.extend_from_slice(&text.as_bytes()[..end]);
        write::push_cut_mark(out, text.len() - end);
    }
}

/// Severities of RFC 5424, 6.2.1.
const fn severity(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Appends a word of printable ASCII; every other character becomes `_`, and a word that is empty `-`.
fn push_token(out: &mut Vec<u8>, text: &str, most: usize) {
    if text.is_empty() {
        return out.push(b'-');
    }
    let word = text.chars().take(most);
    out.extend(
        word.map(|character| if character.is_ascii_graphic() { character as u8 } else { b'_' }),
    );
}

/// Appends ` name="value"`, RFC 5424, 6.3.3.
fn push_parameter(out: &mut Vec<u8>, prefix: &str, name: &str, value: &Value) {
    out.push(b' ');
    let characters = prefix.chars().chain(name.chars()).take(MAX_PARAM_NAME);
    let before = out.len();
    out.extend(characters.map(|character| match character {
        '=' | ']' | '"' => b'_',
        other if other.is_ascii_graphic() => other as u8,
        _ => b'_',
    }));
    if out.len() == before {
        out.push(b'_');
    }
    out.extend_from_slice(b"=\"");
    match value {
        Value::String(text) => push_value(out, text),
        other => push_value(out, &other.to_string()),
    }
    out.push(b'"');
}

/// Appends a value in which `"`, `\` and `]` have a backslash before them.
fn push_value(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr3(b'"', b'\\', b']', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// What the machine is called, where that can be read.
fn machine_name() -> Option<String> {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let read = files.iter().find_map(|file| std::fs::read_to_string(file).ok());
    let name = read
        .or_else(|| std::env::var("HOSTNAME").ok())
        .or_else(|| std::env::var("COMPUTERNAME").ok());
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
