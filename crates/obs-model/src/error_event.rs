//! An error as a record.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use uuid::Uuid;

use crate::{Context, InvalidId, Timestamp};

/// One occurrence of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorEvent {
    /// This occurrence's own id.
    pub id: Uuid,
    /// When it was captured.
    pub timestamp: Timestamp,
    /// Which group it belongs to.
    pub fingerprint: Fingerprint,
    /// How it was caught.
    pub mechanism: Mechanism,
    /// The name of the error's type, or `panic`.
    pub error_type: String,
    /// What the error says, redacted.
    pub message: String,
    /// What its sources say, outermost first, redacted.
    pub chain: Vec<String>,
    /// The innermost frames first; empty when no stack was taken.
    pub stack: Vec<StackFrame>,
    /// The name of the thread that panicked, when it panicked and has one.
    pub thread: Option<Arc<str>>,
    /// Whom and what the failed work was for.
    pub context: Context,
    /// The input of the failed work, redacted and cut to size, when the caller gave it.
    pub input: Option<String>,
    /// `deployment.environment.name`.
    pub environment: Option<Arc<str>>,
    /// `service.version`.
    pub version: Option<Arc<str>>,
}

/// How an error was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// The code handed it over.
    Captured,
    /// It was logged at level ERROR.
    Logged,
    /// A thread panicked.
    Panic,
}

impl Mechanism {
    /// The lower-case name, as it stands in labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Logged => "logged",
            Self::Panic => "panic",
        }
    }
}

/// One frame of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StackFrame {
    /// The demangled function, with its path.
    pub function: String,
    /// The source file, when it is known.
    pub file: Option<String>,
    /// The line in that file, counted from 1, when it is known.
    pub line: Option<u32>,
}

/// The identity of an error group: 128 bits, the same for the same error in every build and on every host.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// The fingerprint with this value.
    #[must_use]
    pub const fn from_u128(value: u128) -> Self {
        Self(value)
    }

    /// The value.
    #[must_use]
    pub const fn as_u128(self) -> u128 {
        self.0
    }
}

/// Written as 32 lower-case hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u128::from_str_radix(text, 16)
            .ok()
            .filter(|_| digits)
            .map(Self)
            .ok_or(InvalidId::new("fingerprint", "32 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back() {
        let fingerprint = Fingerprint::from_u128(0xdead_beef);
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for bad in ["", "xyz", "+000000000000000000000000deadbee"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
