//! What the name of a field means, remembered per thread and place in the code.

use std::cell::RefCell;
use std::rc::Rc;

use obs_model::Redactor;
use tracing_core::{Field, Metadata};

use crate::line::write;

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

    /// The bit that stands for it in a set.
    pub(crate) const fn bit(self) -> u16 {
        1 << self as u16
    }

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
    /// `"name":` as JSON, when it is short.
    rendered: Rendered,
}

/// A short text in place.
#[derive(Clone, Copy, Debug)]
struct Rendered {
    bytes: [u8; RENDERED],
    length: u8,
}

/// The longest `"name":` that is kept ready: longer ones are rendered each time.
const RENDERED: usize = 31;

impl Rendered {
    const NONE: Self = Self { bytes: [0; RENDERED], length: 0 };

    /// Keeps the name ready, if it is short and nothing in it needs escaping.
    const fn new(name: &str) -> Self {
        let name = name.as_bytes();
        if name.len() + 3 > RENDERED {
            return Self::NONE;
        }
        let mut bytes = [0; RENDERED];
        bytes[0] = b'"';
        let mut at = 0;
        while at < name.len() {
            if name[at] < 0x20 || name[at] == b'"' || name[at] == b'\\' {
                return Self::NONE;
            }
            bytes[at + 1] = name[at];
            at += 1;
        }
        bytes[at + 1] = b'"';
        bytes[at + 2] = b':';
        Self { bytes, length: at as u8 + 3 }
    }
}

impl<'a> Key<'a> {
    /// Classifies a name that may not live for ever.
    pub(crate) fn new(name: &'a str, redactor: &Redactor) -> Self {
        let kind = kind_of(name, redactor);
        let name = match kind {
            FieldKind::Id(field) => field.name(),
            _ => name,
        };
        Self { name, kind, tag: tag_of(name), rendered: Rendered::new(name) }
    }

    /// The same name with another meaning.
    pub(crate) const fn as_kind(self, kind: FieldKind) -> Self {
        Self { kind, ..self }
    }

    /// Appends `"name":`, cut to `budget`, and returns whether it was cut.
    pub(crate) fn push(&self, out: &mut Vec<u8>, budget: usize) -> bool {
        if self.rendered.length > 0 {
            out.extend_from_slice(&self.rendered.bytes[..usize::from(self.rendered.length)]);
            return false;
        }
        let cut = write::push_string(out, self.name, 0, budget);
        out.push(b':');
        cut
    }

    /// The key of an id field.
    pub(crate) fn id(field: IdField) -> Key<'static> {
        const KEYS: [Key<'static>; IdField::ALL.len()] = {
            let mut keys = [Key::of_id(IdField::Correlation); IdField::ALL.len()];
            let mut at = 0;
            while at < keys.len() {
                keys[at] = Key::of_id(IdField::ALL[at]);
                at += 1;
            }
            keys
        };
        KEYS[field as usize]
    }

    const fn of_id(field: IdField) -> Key<'static> {
        let name = field.name();
        let kind = FieldKind::Id(field);
        Key { name, kind, tag: tag_of(name), rendered: Rendered::new(name) }
    }
}

/// What the fields of one place in the code are for, by their index.
pub(crate) type Keys = Rc<[Key<'static>]>;

struct Known {
    owner: u32,
    place: &'static Metadata<'static>,
    keys: Keys,
}

const SLOTS: usize = 256;

thread_local! {
    static KNOWN: RefCell<[Option<Known>; SLOTS]> = const { RefCell::new([const { None }; SLOTS]) };
}

/// What the fields of `place` are for, by the rules of the pipeline `owner`.
pub(crate) fn keys_of(place: &'static Metadata<'static>, owner: u32, redactor: &Redactor) -> Keys {
    let make = || place.fields().iter().map(|field| Key::new(field.name(), redactor)).collect();
    let address = std::ptr::from_ref(place).addr();
    let slot = (address >> 4 ^ address >> 12) % SLOTS;
    KNOWN
        .try_with(|known| {
            let mut known = known.try_borrow_mut().ok()?;
            // OK because what is static never changes, so that the same place has the same fields.
            if let Some(found) = &known[slot]
                && std::ptr::eq(found.place, place)
                && found.owner == owner
            {
                return Some(Rc::clone(&found.keys));
            }
            let keys: Keys = make();
            known[slot] = Some(Known { owner, place, keys: Rc::clone(&keys) });
            Some(keys)
        })
        .ok()
        .flatten()
        .unwrap_or_else(make)
}

/// What `field` is for, where `keys` are those of its place.
pub(super) fn at(keys: &[Key<'static>], field: &Field, redactor: &Redactor) -> Key<'static> {
    match keys.get(field.index()) {
        Some(key) => *key,
        None => Key::new(field.name(), redactor),
    }
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
const fn tag_of(name: &str) -> u32 {
    let name = name.as_bytes();
    let mut hash = 0x811c_9dc5_u32;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_every_id_is_that_of_its_name() {
        for field in IdField::ALL {
            let (ready, made) = (Key::id(field), Key::new(field.name(), &Redactor::new()));
            assert_eq!((ready.name, ready.tag, ready.kind), (made.name, made.tag, made.kind));
            let mut text = Vec::new();
            assert!(!ready.push(&mut text, usize::MAX));
            assert_eq!(text, format!("\"{}\":", field.name()).into_bytes());
        }
    }

    #[test]
    fn a_place_keeps_its_keys_per_owner() {
        let (strict, plain) = (Redactor::new().with_key("colour"), Redactor::new());
        let span = tracing::dispatcher::with_default(
            &tracing::Dispatch::new(tracing_subscriber::Registry::default()),
            || tracing::info_span!("place", colour = 1, user_id = 2),
        );
        let place = span.metadata().unwrap();
        for _ in 0..2 {
            assert_eq!(keys_of(place, 1, &strict)[0].kind, FieldKind::Secret);
            assert_eq!(keys_of(place, 2, &plain)[0].kind, FieldKind::Plain);
            assert_eq!(keys_of(place, 1, &strict)[1].name, "userId");
        }
    }
}
