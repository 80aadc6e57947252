//! A log line as a record.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Context, Timestamp};

/// How important a log line is; ordered from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Every detail.
    Trace,
    /// What a developer wants when looking for a fault.
    Debug,
    /// What an operator wants to see.
    Info,
    /// Something unexpected that was dealt with.
    Warn,
    /// Something that failed.
    Error,
}

impl Level {
    /// All levels, least important first.
    pub const ALL: [Self; 5] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error];

    /// The upper-case name, as it stands in log lines and in the `level` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Reads a name in any case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|level| text.eq_ignore_ascii_case(level.as_str()))
            .ok_or_else(|| UnknownLevel { given: text.chars().take(32).collect() })
    }
}

/// A text that names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown level {given:?}: expected trace, debug, info, warn or error")]
pub struct UnknownLevel {
    given: String,
}

/// The value of a structured field.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// A truth value.
    Bool(bool),
    /// A signed whole number.
    I64(i64),
    /// An unsigned whole number.
    U64(u64),
    /// A floating-point number.
    F64(f64),
    /// Text.
    Text(Cow<'static, str>),
}

/// Written as text, without quotes.
impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::U64(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

macro_rules! field_value_from {
    ($($from:ty => |$value:ident| $made:expr;)*) => {
        $(impl From<$from> for FieldValue {
            fn from($value: $from) -> Self {
                $made
            }
        })*
    };
}

field_value_from! {
    bool => |value| Self::Bool(value);
    i64 => |value| Self::I64(value);
    u64 => |value| Self::U64(value);
    f64 => |value| Self::F64(value);
    &'static str => |value| Self::Text(Cow::Borrowed(value));
    String => |value| Self::Text(Cow::Owned(value));
}

/// The error that a log line reports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogError {
    /// Its type's name.
    pub name: String,
    /// What it says.
    pub message: String,
    /// Its source chain or stack, outermost first, one per line; empty when there is none.
    pub stack: String,
}

/// One log line, before it becomes JSON or any other text.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it was written.
    pub timestamp: Timestamp,
    /// How important it is.
    pub level: Level,
    /// The module or name that it was written under.
    pub target: Cow<'static, str>,
    /// What it says.
    pub message: String,
    /// The service that wrote it.
    pub service: Arc<str>,
    /// Whom and what it was written for.
    pub context: Context,
    /// The error it reports, if it does.
    pub error: Option<LogError>,
    /// Everything else, in the order in which it was given.
    pub fields: Vec<(Cow<'static, str>, FieldValue)>,
    /// The source file and line it was written at, if known.
    pub location: Option<(Cow<'static, str>, u32)>,
}
