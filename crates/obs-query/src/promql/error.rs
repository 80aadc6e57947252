//! Why a query was not understood or not answered.

use std::fmt;
use std::time::Duration;

use super::span::Position;
use crate::Error;

/// What is wrong with a query or its evaluation.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error("{}", Listed(.0))]
    Parse(Vec<ParseProblem>),
    #[error(
        "query processing would load too many samples into memory in query execution: at most {limit} are accepted"
    )]
    TooManySamples { limit: usize },
    #[error(
        "query processing would read too many samples in query execution: at most {limit} are accepted"
    )]
    TooManySamplesRead { limit: usize },
    #[error(
        "the query would evaluate {steps} steps: at most {limit} are accepted; choose a longer step or a shorter range"
    )]
    TooManySteps { steps: u64, limit: usize },
    #[error("query timed out in expression evaluation after {}", Seconds(.0))]
    TimedOut(Duration),
    #[error("query was canceled in expression evaluation")]
    Canceled,
    #[error("{0}")]
    Execution(String),
    #[error("{0}")]
    Invalid(String),
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Self::query(error)
    }
}

/// An error of evaluation, in upstream's words where upstream has it.
pub(crate) fn execution(message: impl Into<String>) -> Error {
    QueryError::Execution(message.into()).into()
}

impl Error {
    /// Whether the text of a query could not be understood.
    #[must_use]
    pub fn is_parse(&self) -> bool {
        matches!(self.as_query(), Some(QueryError::Parse(_)))
    }

    /// Whether a query was refused because of its times or step.
    #[must_use]
    pub fn is_invalid_query(&self) -> bool {
        matches!(self.as_query(), Some(QueryError::Invalid(_) | QueryError::TooManySteps { .. }))
    }

    /// Whether the evaluation of a query failed for what it computes, such as a duplicate in its result.
    #[must_use]
    pub fn is_execution(&self) -> bool {
        matches!(self.as_query(), Some(QueryError::Execution(_)))
    }

    /// Whether a query would have needed more samples than it may.
    #[must_use]
    pub fn is_too_many_samples(&self) -> bool {
        matches!(
            self.as_query(),
            Some(QueryError::TooManySamples { .. } | QueryError::TooManySamplesRead { .. })
        )
    }

    /// Whether a query took longer than it may.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.as_query(), Some(QueryError::TimedOut(_)))
    }

    /// Whether a query was called off.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        matches!(self.as_query(), Some(QueryError::Canceled))
    }

    /// What is wrong with the text of a query, in order of position; empty for any other error.
    #[must_use]
    pub fn parse_problems(&self) -> &[ParseProblem] {
        match self.as_query() {
            Some(QueryError::Parse(problems)) => problems,
            _ => &[],
        }
    }
}

/// One thing that is wrong with the text of a query, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseProblem {
    position: Position,
    message: String,
}

impl ParseProblem {
    pub(crate) fn new(position: Position, message: impl Into<String>) -> Self {
        Self { position, message: message.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// What is wrong and what would be accepted.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Written as Prometheus does: `line:column: parse error: message`.
impl fmt::Display for ParseProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: parse error: {}", self.position, self.message)
    }
}

struct Listed<'a>(&'a [ParseProblem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

struct Seconds<'a>(&'a Duration);

impl fmt::Display for Seconds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}
