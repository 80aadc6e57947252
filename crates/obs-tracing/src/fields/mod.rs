//! Fields of spans and events: what their names mean, and their values as JSON, rendered once.

mod bounded;
mod buffer;
pub(crate) mod keys;
mod raw;
mod visitor;

use obs_model::Redactor;

pub(crate) use bounded::cut;
use bounded::{Bounded, Text};
pub(crate) use buffer::FieldBuffer;
#[cfg(feature = "otlp")]
pub(crate) use raw::{EventVisitor, Given, GivenValue};
pub(crate) use raw::{RawFields, RawVisitor};
pub(crate) use visitor::{EventParts, EventText, FieldVisitor, field_value};

/// What holds for every field of one pipeline.
#[derive(Debug)]
pub(crate) struct FieldRules {
    /// Tells this pipeline's rules from another's.
    pub(crate) owner: u32,
    pub(crate) redactor: Redactor,
    /// The most fields in one line or span.
    pub(crate) max_fields: usize,
    /// The most bytes of one text, escaped.
    pub(crate) max_text: usize,
    /// The most bytes of all fields of a line or span.
    pub(crate) max_bytes: usize,
}

/// The longest id of a kind that has a place of its own in the line, escaped.
pub(crate) const MAX_ID: usize = 512;

/// How far beyond a cut secrets are looked for, so that one across it is found.
const BEYOND_CUT: usize = 256;

impl FieldRules {
    /// How much of a text is looked at: enough to cut it, so that a huge one costs no more.
    const fn window(&self) -> usize {
        self.max_text + BEYOND_CUT
    }
}
