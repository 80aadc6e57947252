//! Reading expositions: OpenMetrics 1.0 as strictly as its specification, and the text format 0.0.4.
//!
//! Both readers give the same [`Family`] model and stop at the first line that is wrong, because a document that
//! is wrong in part is wrong as a whole (OpenMetrics, "Data transmission & wire formats").
//!
//! ```
//! use obs_metrics::expose::parse::{FamilyType, openmetrics};
//!
//! let families = openmetrics(b"# TYPE jobs counter\njobs_total{kind=\"mail\"} 3\n# EOF\n")?;
//! assert_eq!((families[0].name.as_str(), families[0].kind), ("jobs", FamilyType::Counter));
//! assert_eq!(families[0].samples[0].value, 3.0);
//!
//! let error = openmetrics(b"# TYPE jobs counter\njobs_total -1\n# EOF\n").unwrap_err();
//! assert_eq!(error.line(), 2);
//! # Ok::<(), obs_metrics::expose::parse::ParseError>(())
//! ```

mod cursor;
mod family;
mod openmetrics;
mod point;
mod text;

use std::fmt;

pub use self::openmetrics::{openmetrics, openmetrics_with};
pub use self::text::{text, text_with};

/// Which names a document may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`, and for labels the same without the colon: what OpenMetrics 1.0 and the text
    /// format 0.0.4 allow.
    #[default]
    Legacy,
    /// Also any UTF-8 name in quotes: `{"my.metric","label.a"="x"} 1`, what `escaping=allow-utf-8` negotiates.
    Utf8,
}

/// What the samples of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FamilyType {
    /// A total that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// Observations counted by size.
    Histogram,
    /// Present values counted by size.
    GaugeHistogram,
    /// A set of named booleans.
    StateSet,
    /// Facts as labels.
    Info,
    /// Quantiles computed by the exposer.
    Summary,
    /// Nobody said; `untyped` in the text format 0.0.4.
    Unknown,
}

impl FamilyType {
    /// The word of an OpenMetrics `# TYPE` line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::StateSet => "stateset",
            Self::Info => "info",
            Self::Summary => "summary",
            Self::Unknown => "unknown",
        }
    }
}

/// One metric family of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name as its metadata lines have it; without metadata the name of its samples.
    pub name: String,
    /// What its samples mean.
    pub kind: FamilyType,
    /// The unit, empty when none is given; the text format has none.
    pub unit: String,
    /// What it measures, unescaped; empty when nobody said.
    pub help: String,
    /// Its samples in the order of the document.
    pub samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The whole name, suffix included.
    pub name: String,
    /// Label names and unescaped values, in the order of the line.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// Seconds since 1970, when the line says; a timestamp of the text format 0.0.4 is turned from milliseconds.
    pub timestamp: Option<f64>,
    /// What was observed in one particular case.
    pub exemplar: Option<Exemplar>,
}

impl Sample {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One observation that stands for those of its sample, with what leads to more about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Label names and unescaped values.
    pub labels: Vec<(String, String)>,
    /// What was observed.
    pub value: f64,
    /// Seconds since 1970, when the line says.
    pub timestamp: Option<f64>,
}

/// Where and why a document is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ParseError {
    line: usize,
    column: usize,
    reason: String,
}

impl ParseError {
    pub(super) fn new(line: usize, column: usize, reason: impl Into<String>) -> Self {
        Self { line, column, reason: reason.into() }
    }

    /// The line, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, counted from 1; 1 when it is the line as a whole.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong and what would be accepted.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.reason)
    }
}

/// The document as text, or where it stops being UTF-8.
fn as_utf8(document: &[u8]) -> Result<&str, ParseError> {
    std::str::from_utf8(document).map_err(|error| {
        let good = &document[..error.valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&good[start..]).chars().count() + 1;
        ParseError::new(line, column, "this is not valid UTF-8")
    })
}
