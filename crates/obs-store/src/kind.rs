//! The kinds of table, and how a table is named inside the file.

use std::fmt;

use crate::Error;
use crate::error::Kind;

const MAX_NAME_BYTES: usize = 64;

/// What a table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableKind {
    /// Keys and values: a [`Table`](crate::Table).
    Table,
    /// Items in order: a [`Queue`](crate::Queue).
    Queue,
    /// Chunks by time: [`Chunks`](crate::Chunks).
    Chunks,
}

impl TableKind {
    const ALL: [Self; 3] = [Self::Table, Self::Queue, Self::Chunks];

    /// The kind in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Queue => "queue",
            Self::Chunks => "chunks",
        }
    }

    /// The name inside the file.
    pub(crate) fn stored_name(self, name: &str) -> String {
        format!("{}:{name}", self.as_str())
    }

    /// The kind and the name of a name inside the file.
    pub(crate) fn of_stored_name(stored: &str) -> Option<(Self, &str)> {
        let (kind, name) = stored.split_once(':')?;
        let kind = Self::ALL.into_iter().find(|known| known.as_str() == kind)?;
        check_name(name).ok()?;
        Some((kind, name))
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Refuses a name that could not be told apart from others, or is too long to print.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let accepted =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-./".contains(&byte);
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(accepted) {
        Ok(())
    } else {
        let name = name.chars().take(MAX_NAME_BYTES).collect();
        Err(Kind::Name { name }.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_name_is_read_back_and_nothing_else_is() {
        for kind in TableKind::ALL {
            assert_eq!(TableKind::of_stored_name(&kind.stored_name("a/b")), Some((kind, "a/b")));
        }
        for other in ["", "table", "table:", "stack:a", "table:A", "queue:a b"] {
            assert_eq!(TableKind::of_stored_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_name_that_is_not_accepted_is_named_in_the_error() {
        let error = check_name("Sil ences").expect_err("a capital and a space");
        assert!(error.is_usage() && error.to_string().contains("\"Sil ences\""), "{error}");
        check_name(&"a".repeat(65)).expect_err("too long");
        check_name(&"a".repeat(64)).expect("just short enough");
    }
}
