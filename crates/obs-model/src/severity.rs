//! How bad something is.

use std::fmt;
use std::str::FromStr;

/// How bad an alert, an error or an incident is; ordered from the mildest to the worst.
///
/// ```
/// use obs_model::Severity;
///
/// assert!(Severity::Low < Severity::Critical);
/// assert_eq!("warning".parse(), Ok(Severity::Medium));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nobody has to act.
    Info,
    /// Act when convenient.
    Low,
    /// Act within the day. Read from "warning" too, the usual word in Prometheus rules.
    #[default]
    Medium,
    /// Act soon.
    High,
    /// Somebody is woken.
    Critical,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The lower-case name, as it stands in labels and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = UnknownSeverity;

    /// Reads a name in any case; "warning" is [`Severity::Medium`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("warning") {
            return Ok(Self::Medium);
        }
        Self::ALL
            .into_iter()
            .find(|severity| text.eq_ignore_ascii_case(severity.as_str()))
            .ok_or_else(|| UnknownSeverity { given: text.chars().take(32).collect() })
    }
}

/// A text that names no severity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown severity {given:?}: expected info, low, medium (or warning), high or critical")]
pub struct UnknownSeverity {
    given: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_and_the_order_is_from_mild_to_bad() {
        for pair in Severity::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for severity in Severity::ALL {
            assert_eq!(severity.as_str().parse(), Ok(severity));
        }
        assert_eq!("Warning".parse(), Ok(Severity::Medium));
        assert!("urgent".parse::<Severity>().unwrap_err().to_string().contains("\"urgent\""));
    }
}
