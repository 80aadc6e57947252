//! What is wrong with a template, and where.

use crate::Error;
use crate::promql::{Position, Span};

/// What is wrong, and at which byte of the text.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn at(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    fn position(&self, text: &str) -> Position {
        Span { start: self.at, end: self.at }.position(text)
    }

    /// The error for a template that could not be understood.
    pub(super) fn parsing(self, text: &str) -> Error {
        Error::template(self.position(text), self.message, false)
    }

    /// The error for a template that could not be expanded.
    pub(super) fn expanding(self, text: &str) -> Error {
        Error::template(self.position(text), self.message, true)
    }
}
