//! What the name of a field means, remembered per thread so that a known name costs one comparison.

use std::cell::RefCell;

use obs_model::Redactor;

/// What a field is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    /// Goes to `metadata`.
    Plain,
    /// Goes to `metadata`, without its value.
    Secret,
    /// Speaks to the OpenTelemetry layer only.
    Hidden,
    /// The text of an event.
    Message,
    /// One of the ids with a place of its own in the line.
    Id(IdField),
    /// The error that an event reports, as a value or as text.
    Error,
    /// The parts of such an error, given one by one.
    ErrorName,
    /// See [`FieldKind::ErrorName`].
    ErrorMessage,
    /// See [`FieldKind::ErrorName`].
    ErrorStack,
    /// A JSON object whose members are fields of their own.
    Metadata,
    /// The service that an event is written for.
    Service,
}

/// The ids with a place of their own in the line, in the order in which they stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdField {
    Correlation,
    User,
    Organization,
    Agent,
    Session,
    Request,
    Workflow,
    Step,
    Tool,
}

impl IdField {
    pub(crate) const ALL: [Self; 9] = [
        Self::Correlation,
        Self::User,
        Self::Organization,
        Self::Agent,
        Self::Session,
        Self::Request,
        Self::Workflow,
        Self::Step,
        Self::Tool,
    ];

    /// The name in the line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Correlation => "correlationId",
            Self::User => "userId",
            Self::Organization => "organizationId",
            Self::Agent => "agentId",
            Self::Session => "sessionId",
            Self::Request => "requestId",
            Self::Workflow => "workflow",
            Self::Step => "step",
            Self::Tool => "tool",
        }
    }
}

/// A field's name with its meaning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a> {
    /// The name under which it is written.
    pub(crate) name: &'a str,
    pub(crate) kind: FieldKind,
    /// A hash of `name`: keys with different tags are different.
    pub(crate) tag: u32,
}

impl<'a> Key<'a> {
    /// Classifies a name that may not live for ever.
    pub(crate) fn new(name: &'a str, redactor: &Redactor) -> Self {
        let kind = kind_of(name, redactor);
        let name = match kind {
            FieldKind::Id(field) => field.name(),
            _ => name,
        };
        Self { name, kind, tag: tag_of(name) }
    }

    /// The key of an id field.
    pub(crate) fn id(field: IdField) -> Key<'static> {
        let name = field.name();
        Key { name, kind: FieldKind::Id(field), tag: tag_of(name) }
    }
}

#[derive(Clone, Copy)]
struct Known {
    owner: u32,
    given: &'static str,
    key: Key<'static>,
}

const SLOTS: usize = 256;

thread_local! {
    static KNOWN: RefCell<Box<[Option<Known>; SLOTS]>> = RefCell::new(Box::new([None; SLOTS]));
}

/// Classifies a field's name by the rules of the layer `owner`.
pub(crate) fn classify(given: &'static str, owner: u32, redactor: &Redactor) -> Key<'static> {
    let address = given.as_ptr().addr();
    let slot = (address ^ address >> 8 ^ given.len()) % SLOTS;
    KNOWN
        .try_with(|known| {
            let mut known = known.try_borrow_mut().ok()?;
            // OK because a static text never changes, so the same place and length mean the same name.
            if let Some(found) = &known[slot]
                && std::ptr::eq(found.given, given)
                && found.owner == owner
            {
                return Some(found.key);
            }
            let key = Key::new(given, redactor);
            known[slot] = Some(Known { owner, given, key });
            Some(key)
        })
        .ok()
        .flatten()
        .unwrap_or_else(|| Key::new(given, redactor))
}

fn kind_of(name: &str, redactor: &Redactor) -> FieldKind {
    match name {
        "message" => FieldKind::Message,
        "correlation_id" | "correlationId" => FieldKind::Id(IdField::Correlation),
        "user_id" | "userId" => FieldKind::Id(IdField::User),
        "organization_id" | "organizationId" => FieldKind::Id(IdField::Organization),
        "agent_id" | "agentId" => FieldKind::Id(IdField::Agent),
        "session_id" | "sessionId" => FieldKind::Id(IdField::Session),
        "request_id" | "requestId" => FieldKind::Id(IdField::Request),
        "workflow" => FieldKind::Id(IdField::Workflow),
        "step" => FieldKind::Id(IdField::Step),
        "tool" => FieldKind::Id(IdField::Tool),
        "error" | "err" => FieldKind::Error,
        "error.name" | "error.type" => FieldKind::ErrorName,
        "error.message" => FieldKind::ErrorMessage,
        "error.stack" => FieldKind::ErrorStack,
        "metadata" => FieldKind::Metadata,
        "obskit.service" => FieldKind::Service,
        _ if name.starts_with("otel.") => FieldKind::Hidden,
        _ if redactor.is_secret_key(name) => FieldKind::Secret,
        _ => FieldKind::Plain,
    }
}

/// FNV-1a (Fowler, Noll, Vo), 32 bits.
fn tag_of(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_meaning_when_it_is_seen_again_and_per_owner() {
        let (strict, plain) = (Redactor::new().with_key("iban"), Redactor::new());
        for _ in 0..2 {
            assert_eq!(classify("iban", 1, &strict).kind, FieldKind::Secret);
            assert_eq!(classify("iban", 2, &plain).kind, FieldKind::Plain);
            assert_eq!(classify("user_id", 1, &strict).name, "userId");
        }
    }
}
