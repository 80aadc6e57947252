//! One log line: its parts, and how they become JSON, logfmt or text for people.

mod json;
mod logfmt;
mod recast;
pub(crate) mod record;
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only requests have templates"))]
mod template;
mod text;
pub(crate) mod write;

use std::sync::Arc;

use obs_model::{Context, Level, SpanId, Timestamp, TraceId};

use crate::config::LogFormat;
use crate::fields::keys::{FieldKind, IdField, Key};
use crate::fields::{EventParts, EventText, FieldBuffer, FieldRules};
pub(crate) use recast::recast;
#[cfg(feature = "http")]
pub(crate) use template::Outline;
pub(crate) use template::{Template, TemplatedLine};
use write::TimeWriter;

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
    pub(crate) fields: Arc<FieldRules>,
    pub(crate) format: LogFormat,
    /// Whether text for people has colours.
    pub(crate) colored: bool,
    pub(crate) service: String,
    /// The service as a member of a JSON line, and whether it was cut.
    service_member: (Vec<u8>, bool),
    pub(crate) max_line: usize,
    /// Whether there can be a secret in an id that had none by the default rules.
    #[cfg(feature = "http")]
    pub(crate) checks_ids: bool,
}

impl LineRules {
    pub(crate) fn new(
        fields: Arc<FieldRules>,
        format: LogFormat,
        colored: bool,
        service: String,
        max_line: usize,
    ) -> Self {
        let mut member = Vec::new();
        let is_cut = json::push_service(&mut member, &service);
        #[cfg(feature = "http")]
        let checks_ids = fields.redactor.has_added_keys();
        let service_member = (member, is_cut);
        Self {
            fields,
            format,
            colored,
            service,
            service_member,
            max_line,
            #[cfg(feature = "http")]
            checks_ids,
        }
    }
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

/// What is kept free for the end of a line: the ids and the mark that it was truncated.
const END_ROOM: usize = 512;

impl Scratch {
    pub(crate) fn clear(&mut self) {
        self.fields.clear();
        self.event.clear();
        self.line.clear();
    }

    /// Adds what the context says and the spans do not.
    pub(crate) fn add_context(&mut self, context: &Context, rules: &FieldRules) {
        if context.is_unset() {
            return;
        }
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
        add(IdField::Agent, context.agent());
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

    /// Renders the line in the form of the output.
    pub(crate) fn render(&mut self, head: Head<'_>, rules: &LineRules) {
        self.render_as(rules.format, head, rules);
    }

    /// Renders the line as JSON, whatever the form of the output is.
    pub(crate) fn render_json(&mut self, head: Head<'_>, rules: &LineRules) {
        self.render_as(LogFormat::Json, head, rules);
    }

    fn render_as(&mut self, format: LogFormat, head: Head<'_>, rules: &LineRules) {
        // OK because the buffers are put back at once: only the borrow checker needs them apart.
        let mut out = std::mem::take(&mut self.line);
        let mut time = std::mem::take(&mut self.time);
        match format {
            LogFormat::Json => json::render(self, &mut out, &mut time, head, rules),
            LogFormat::Logfmt => logfmt::render(self, &mut out, &mut time, head, rules),
            LogFormat::Text => text::render(self, &mut out, &mut time, head, rules),
        }
        out.push(b'\n');
        self.line = out;
        self.time = time;
    }

    /// The name of the error that the line reports.
    fn error_name(&self) -> &EventText {
        static UNNAMED: std::sync::LazyLock<EventText> =
            std::sync::LazyLock::new(|| EventText { text: "Error".to_owned(), lost: 0 });
        let name = &self.event.error.name;
        if name.text.is_empty() { &UNNAMED } else { name }
    }
}
