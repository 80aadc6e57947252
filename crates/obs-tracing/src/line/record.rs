//! A log line as a record, for those who want more than text.

use std::borrow::Cow;

use obs_model::{Context, LogError, LogRecord};

use super::{Head, LineRules, Scratch};
use crate::fields::field_value;
use crate::fields::keys::{FieldKind, IdField};

/// The record of the event whose line is in `scratch`, with the same redacted and bounded values.
///
/// It is made from the rendered fields, because only ERROR events are worth it.
pub(crate) fn of(
    scratch: &Scratch,
    head: Head<'_>,
    rules: &LineRules,
    location: Option<(&'static str, u32)>,
) -> LogRecord {
    let error = &scratch.event.error;
    let fields = scratch.fields.pairs().filter_map(|(key, value)| {
        let key: String = serde_json::from_slice(key).ok()?;
        let value: serde_json::Value = serde_json::from_slice(value).ok()?;
        let value = field_value(&value).unwrap_or_else(|| value.to_string().into());
        Some((Cow::Owned(key), value))
    });
    LogRecord {
        timestamp: head.at,
        level: head.level,
        target: head.target.to_owned().into(),
        message: scratch.event.message.marked(),
        service: scratch.service(rules).into(),
        context: context_of(scratch, head),
        error: error.present.then(|| LogError {
            name: scratch.error_name().marked(),
            message: error.message.marked(),
            stack: error.stack.marked(),
        }),
        fields: fields.collect(),
        location: location.map(|(file, line)| (Cow::Borrowed(file), line)),
    }
}

fn context_of(scratch: &Scratch, head: Head<'_>) -> Context {
    let mut context = Context::new();
    if let Some(id) = text(scratch, IdField::Correlation).and_then(|id| id.parse().ok()) {
        context = context.with_correlation(id);
    }
    if let Some(trace) = head.trace {
        context = context.with_trace(trace);
    }
    if let Some(span) = head.span {
        context = context.with_span(span);
    }
    for (field, set) in [
        (IdField::User, Context::with_user as fn(Context, String) -> Context),
        (IdField::Organization, Context::with_organization),
        (IdField::Agent, Context::with_agent),
        (IdField::Session, Context::with_session),
        (IdField::Request, Context::with_request),
        (IdField::Workflow, Context::with_workflow),
        (IdField::Step, Context::with_step),
        (IdField::Tool, Context::with_tool),
    ] {
        if let Some(value) = text(scratch, field) {
            context = set(context, value);
        }
    }
    context
}

fn text(scratch: &Scratch, field: IdField) -> Option<String> {
    serde_json::from_slice(scratch.fields.find_value(FieldKind::Id(field))?).ok()
}
