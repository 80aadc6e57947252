//! What is wrong with a rule file, and where.

use std::fmt;

use crate::promql::Position;

/// One thing that is wrong with a rule file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleProblem {
    position: Option<Position>,
    message: String,
}

impl RuleProblem {
    pub(super) fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position: Some(position), message: message.into() }
    }

    pub(super) fn unplaced(message: String) -> Self {
        Self { position: None, message }
    }

    /// Where it is in the file; `None` for rules that do not come from a file.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// What is wrong and what would be accepted; it names the group and the rule.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Written as `line:column: message`.
impl fmt::Display for RuleProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "{position}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
