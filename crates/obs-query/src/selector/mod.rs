//! Which series are meant: a metric name and conditions on labels, in PromQL's notation.

mod dialect;
pub(crate) mod literal;
mod matcher;
mod parse;
mod pattern;
mod wildcard;

use std::fmt;
use std::str::FromStr;

use obs_model::{Labels, METRIC_NAME_LABEL, is_valid_metric_name};

use crate::Error;

pub use matcher::{MatchOp, Matcher};
pub(crate) use pattern::compile;

/// Which series are meant: those that meet every one of its matchers.
///
/// Its text is PromQL's vector selector: `name{a="b",c!="d",e=~"x.*",f!~"y"}`, where the name may also stand quoted
/// among the matchers (`{"any name",a="b"}`), strings are in double quotes, single quotes or backquotes, and white
/// space and `#` comments are skipped. The matchers are kept in order of label name, each once, so two selectors
/// that say the same are equal.
///
/// ```
/// use obs_query::Selector;
///
/// let selector: Selector = r#"http_requests_total{code!~"5..",method="GET"}"#.parse()?;
/// assert_eq!(selector.metric_name(), Some("http_requests_total"));
/// assert_eq!(selector, Selector::metric("http_requests_total").equal("method", "GET").not_regex("code", "5..")?);
/// assert_eq!(selector.to_string(), r#"http_requests_total{code!~"5..",method="GET"}"#);
/// # Ok::<(), obs_query::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Sorted, the metric name's first, without repetition.
    matchers: Vec<Matcher>,
}

impl Selector {
    /// Every series of one metric.
    ///
    /// An empty name selects nothing, because no series is stored without one.
    #[must_use]
    pub fn metric(name: &str) -> Self {
        Self { matchers: vec![Matcher::equal(METRIC_NAME_LABEL, name)] }
    }

    /// The series that meet every one of `matchers`.
    ///
    /// # Errors
    ///
    /// There is no matcher that an absent label fails, so the selector would take in whatever the store has.
    pub fn new(matchers: impl IntoIterator<Item = Matcher>) -> Result<Self, Error> {
        let selector = Self { matchers: Vec::new() }.with_all(matchers);
        if selector.matchers.iter().any(|matcher| !matcher.matches("")) {
            Ok(selector)
        } else {
            Err(Error::matcher(selector.to_string(), NEEDS_ONE_MATCHER.to_owned()))
        }
    }

    /// This selector, with the label equal to `value`; an empty value means that the label is absent.
    #[must_use]
    pub fn equal(self, label: &str, value: &str) -> Self {
        self.matching(Matcher::equal(label, value))
    }

    /// This selector, with the label other than `value`.
    #[must_use]
    pub fn not_equal(self, label: &str, value: &str) -> Self {
        self.matching(Matcher::not_equal(label, value))
    }

    /// This selector, with the whole value of the label matching `pattern`.
    ///
    /// # Errors
    ///
    /// As [`Matcher::new`].
    pub fn regex(self, label: &str, pattern: &str) -> Result<Self, Error> {
        Ok(self.matching(Matcher::new(label, MatchOp::Regex, pattern)?))
    }

    /// This selector, with the whole value of the label not matching `pattern`.
    ///
    /// # Errors
    ///
    /// As [`Matcher::new`].
    pub fn not_regex(self, label: &str, pattern: &str) -> Result<Self, Error> {
        Ok(self.matching(Matcher::new(label, MatchOp::NotRegex, pattern)?))
    }

    /// This selector, narrowed by one more matcher.
    #[must_use]
    pub fn matching(self, matcher: Matcher) -> Self {
        self.with_all([matcher])
    }

    /// The matchers: the metric name's first, then in order of label name.
    #[must_use]
    pub fn matchers(&self) -> &[Matcher] {
        &self.matchers
    }

    /// The one metric that is meant, if it is one.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.matchers
            .iter()
            .find(|matcher| matcher.label() == METRIC_NAME_LABEL && matcher.op() == MatchOp::Equal)
            .map(Matcher::value)
    }

    /// Whether a series is meant. A label that it does not have reads as the empty string.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.matchers
            .iter()
            .all(|matcher| matcher.matches(labels.get(matcher.label()).unwrap_or_default()))
    }

    fn with_all(mut self, more: impl IntoIterator<Item = Matcher>) -> Self {
        self.matchers.extend(more);
        self.matchers.sort();
        self.matchers.dedup();
        self
    }
}

/// What is wrong with a selector that an absent label would meet throughout.
const NEEDS_ONE_MATCHER: &str =
    "expected at least one matcher that does not match the empty string, or a metric name";

/// Reads PromQL's vector selector, without range, offset or `@`.
impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse::selector(text).map_err(|problems| Error::selector(text, problems))
    }
}

/// Written as PromQL's vector selector, in one way only: it reads back as an equal selector.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = &self.matchers[..];
        let mut separator = "";
        let about_name = rest.iter().filter(|matcher| matcher.label() == METRIC_NAME_LABEL).count();
        if about_name == 1 && rest[0].op() == MatchOp::Equal && !rest[0].value().is_empty() {
            let name = rest[0].value();
            rest = &rest[1..];
            if is_valid_metric_name(name) && !parse::is_reserved(name) {
                f.write_str(name)?;
                if rest.is_empty() {
                    return Ok(());
                }
                f.write_str("{")?;
            } else {
                write!(f, "{{{}", literal::Quoted(name))?;
                separator = ",";
            }
        } else {
            f.write_str("{")?;
        }
        for matcher in rest {
            write!(f, "{separator}{matcher}")?;
            separator = ",";
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests;
