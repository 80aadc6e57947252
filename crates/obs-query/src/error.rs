//! The crate's error: why a sample was not stored, a selector not understood or a query not answered.

use std::fmt;

use obs_model::{Labels, Timestamp};

use crate::promql::{Position, QueryError};
use crate::rules::RuleProblem;

/// Why a sample was not stored, a selector not understood or a query not answered.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Kind>);

#[derive(Clone, Debug, thiserror::Error)]
enum Kind {
    #[error(
        "sample of {series} at {at} is before the series' last one at {last}: expected a later time"
    )]
    OutOfOrder { series: Labels, at: Timestamp, last: Timestamp },
    #[error(
        "sample of {series} at {at} is a duplicate: the series already has one at that time with another value"
    )]
    Duplicate { series: Labels, at: Timestamp },
    #[error(
        "sample of {series} at {at} is too old: expected a time after {oldest}, where the retention ends"
    )]
    TooOld { series: Labels, at: Timestamp, oldest: Timestamp },
    #[error("series {series} was refused: the store already has {limit} series, its limit")]
    SeriesLimit { series: Labels, limit: usize },
    #[error("series {series} was refused: expected a label __name__ that is not empty")]
    Unnamed { series: Labels },
    #[error("the series was removed from the store: expected an id that is resolved anew")]
    UnknownSeries,
    #[error("exemplar of {series} at {at} was refused: {problem}")]
    Exemplar { series: Labels, at: Timestamp, problem: &'static str },
    #[error("chunk of {series} is not valid: expected {expected}")]
    Chunk { series: Labels, expected: &'static str },
    #[error("selector {given:?} is not valid: {}", Listed(problems))]
    Selector { given: String, problems: Vec<Problem> },
    #[error("matcher {matcher} is not valid: {message}")]
    Matcher { matcher: String, message: String },
    #[error(transparent)]
    Query(QueryError),
    #[error("the rules are not valid: {}", Listed(.0))]
    Rules(Vec<RuleProblem>),
    #[error("{position}: {message}")]
    Template { position: Position, message: String, is_expansion: bool },
    #[cfg(feature = "persist")]
    #[error("the samples could not be kept on the disk: {0}")]
    State(#[source] obs_store::Error),
}

impl Error {
    pub(crate) fn out_of_order(series: &Labels, at: Timestamp, last: Timestamp) -> Self {
        Self::from(Kind::OutOfOrder { series: series.clone(), at, last })
    }

    pub(crate) fn duplicate(series: &Labels, at: Timestamp) -> Self {
        Self::from(Kind::Duplicate { series: series.clone(), at })
    }

    pub(crate) fn too_old(series: &Labels, at: Timestamp, oldest: Timestamp) -> Self {
        Self::from(Kind::TooOld { series: series.clone(), at, oldest })
    }

    pub(crate) fn series_limit(series: &Labels, limit: usize) -> Self {
        Self::from(Kind::SeriesLimit { series: series.clone(), limit })
    }

    pub(crate) fn unnamed(series: &Labels) -> Self {
        Self::from(Kind::Unnamed { series: series.clone() })
    }

    pub(crate) fn unknown_series() -> Self {
        Self::from(Kind::UnknownSeries)
    }

    pub(crate) fn exemplar(series: &Labels, at: Timestamp, problem: &'static str) -> Self {
        Self::from(Kind::Exemplar { series: series.clone(), at, problem })
    }

    pub(crate) fn chunk(series: &Labels, expected: &'static str) -> Self {
        Self::from(Kind::Chunk { series: series.clone(), expected })
    }

    pub(crate) fn selector(given: &str, problems: Vec<Problem>) -> Self {
        let given = given.chars().take(MAX_QUOTED_CHARS).collect();
        Self::from(Kind::Selector { given, problems })
    }

    pub(crate) fn matcher(matcher: String, message: String) -> Self {
        Self::from(Kind::Matcher { matcher, message })
    }

    pub(crate) fn query(error: QueryError) -> Self {
        Self::from(Kind::Query(error))
    }

    pub(crate) fn rules(problems: Vec<RuleProblem>) -> Self {
        Self::from(Kind::Rules(problems))
    }

    pub(crate) fn template(position: Position, message: String, is_expansion: bool) -> Self {
        Self::from(Kind::Template { position, message, is_expansion })
    }

    #[cfg(feature = "persist")]
    pub(crate) fn state(error: obs_store::Error) -> Self {
        Self::from(Kind::State(error))
    }

    /// The error of the state file, if the samples could not be kept on the disk.
    #[cfg(feature = "persist")]
    #[must_use]
    pub fn as_state(&self) -> Option<&obs_store::Error> {
        match &*self.0 {
            Kind::State(error) => Some(error),
            _ => None,
        }
    }

    pub(crate) fn as_query(&self) -> Option<&QueryError> {
        match &*self.0 {
            Kind::Query(error) => Some(error),
            _ => None,
        }
    }

    /// Whether an exemplar was refused, for whatever reason.
    #[must_use]
    pub fn is_exemplar(&self) -> bool {
        matches!(*self.0, Kind::Exemplar { .. })
    }

    /// Whether the sample was before the last one of its series.
    #[must_use]
    pub fn is_out_of_order(&self) -> bool {
        matches!(*self.0, Kind::OutOfOrder { .. })
    }

    /// Whether the series already had a sample at that time, with another value.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        matches!(*self.0, Kind::Duplicate { .. })
    }

    /// Whether the sample was before the time that the store keeps.
    #[must_use]
    pub fn is_too_old(&self) -> bool {
        matches!(*self.0, Kind::TooOld { .. })
    }

    /// Whether a new series was refused because the store is full.
    #[must_use]
    pub fn is_series_limit(&self) -> bool {
        matches!(*self.0, Kind::SeriesLimit { .. })
    }

    /// Whether the series had no metric name.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        matches!(*self.0, Kind::Unnamed { .. })
    }

    /// Whether a series' id is not known, or not any more: its labels may be resolved again.
    #[must_use]
    pub fn is_unknown_series(&self) -> bool {
        matches!(*self.0, Kind::UnknownSeries)
    }

    /// Whether the bytes of a chunk could not be read or did not fit what was there.
    #[must_use]
    pub fn is_invalid_chunk(&self) -> bool {
        matches!(*self.0, Kind::Chunk { .. })
    }

    /// Whether a selector or a matcher could not be understood.
    #[must_use]
    pub fn is_invalid_selector(&self) -> bool {
        matches!(*self.0, Kind::Selector { .. } | Kind::Matcher { .. })
    }

    /// Whether rules or a rule file were refused.
    #[must_use]
    pub fn is_invalid_rules(&self) -> bool {
        matches!(*self.0, Kind::Rules(_))
    }

    /// Whether a template could not be understood.
    #[must_use]
    pub fn is_invalid_template(&self) -> bool {
        matches!(*self.0, Kind::Template { is_expansion: false, .. })
    }

    /// Whether a template could not be expanded.
    #[must_use]
    pub fn is_expansion(&self) -> bool {
        matches!(*self.0, Kind::Template { is_expansion: true, .. })
    }

    /// Where in a template something is wrong, and what; `None` for any other error.
    #[must_use]
    pub fn template_problem(&self) -> Option<(Position, &str)> {
        match &*self.0 {
            Kind::Template { position, message, .. } => Some((*position, message)),
            _ => None,
        }
    }

    /// What is wrong with rules or a rule file, in order of position; empty for any other error.
    #[must_use]
    pub fn rule_problems(&self) -> &[RuleProblem] {
        match &*self.0 {
            Kind::Rules(problems) => problems,
            _ => &[],
        }
    }

    /// What is wrong with a selector's text, in order of column; empty for any other error.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match &*self.0 {
            Kind::Selector { problems, .. } => problems,
            _ => &[],
        }
    }
}

impl From<Kind> for Error {
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

/// The longest part of a given text that an error repeats, in characters.
const MAX_QUOTED_CHARS: usize = 200;

/// One thing that is wrong with a text, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    column: usize,
    message: String,
}

impl Problem {
    pub(crate) fn new(column: usize, message: impl Into<String>) -> Self {
        Self { column, message: message.into() }
    }

    /// Where it is: the number of the character, the first of the text being 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong and what would be accepted.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

/// Problems one after the other.
struct Listed<'a, P>(&'a [P]);

impl<P: fmt::Display> fmt::Display for Listed<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}
