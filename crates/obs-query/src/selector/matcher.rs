//! One condition on one label.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use obs_model::{METRIC_NAME_LABEL, is_valid_label_name};

use super::literal;
use super::pattern::Pattern;
use crate::Error;

/// How a label's value is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    /// `=`: the value is this.
    Equal,
    /// `!=`: the value is not this.
    NotEqual,
    /// `=~`: the whole value matches this regular expression.
    Regex,
    /// `!~`: the whole value does not match this regular expression.
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// One condition on one label.
///
/// A regular expression is RE2's: it must match the whole value, `.` matches line breaks too, `\d`, `\s`, `\w` and `\b`
/// are about ASCII. Compiled it may take up to 1 MiB.
///
/// ```
/// use obs_query::{MatchOp, Matcher};
///
/// let matcher = Matcher::new("code", MatchOp::Regex, "2..|304")?;
/// assert!(matcher.matches("204") && !matcher.matches("1204"));
/// assert_eq!(matcher.to_string(), r#"code=~"2..|304""#);
/// # Ok::<(), obs_query::Error>(())
/// ```
#[derive(Clone)]
pub struct Matcher {
    label: Arc<str>,
    op: MatchOp,
    value: Arc<str>,
    /// Set for the two operators that take a regular expression.
    pattern: Option<Arc<Pattern>>,
}

impl Matcher {
    /// A condition on `label`.
    ///
    /// A label name that is not `[a-zA-Z_][a-zA-Z0-9_]*` is accepted, as in Prometheus 3; no series has it, so its
    /// value is always the empty string.
    ///
    /// # Errors
    ///
    /// The value of a regular-expression operator is not a regular expression or compiles to more than 1 MiB.
    pub fn new(label: &str, op: MatchOp, value: &str) -> Result<Self, Error> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => {
                let pattern = Pattern::new(value).map_err(|message| {
                    let matcher = format!("{label}{}{}", op.as_str(), literal::Quoted(value));
                    Error::matcher(matcher, message)
                })?;
                Some(Arc::new(pattern))
            }
        };
        Ok(Self { label: label.into(), op, value: value.into(), pattern })
    }

    /// `label="value"`.
    #[must_use]
    pub fn equal(label: &str, value: &str) -> Self {
        Self { label: label.into(), op: MatchOp::Equal, value: value.into(), pattern: None }
    }

    /// `label!="value"`.
    #[must_use]
    pub fn not_equal(label: &str, value: &str) -> Self {
        Self { label: label.into(), op: MatchOp::NotEqual, value: value.into(), pattern: None }
    }

    /// The label that it is about.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// How it compares.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it compares with.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a value of the label meets the condition; an absent label's value is the empty string.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.pattern {
            Some(pattern) => pattern.is_match(value),
            None => *value == *self.value,
        };
        found == matches!(self.op, MatchOp::Equal | MatchOp::Regex)
    }

    /// The regular expression, for the two operators that take one.
    pub(crate) fn pattern(&self) -> Option<&Pattern> {
        self.pattern.as_deref()
    }

    fn key(&self) -> (bool, &str, MatchOp, &str) {
        (&*self.label != METRIC_NAME_LABEL, &self.label, self.op, &self.value)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Matcher {}

impl PartialOrd for Matcher {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Conditions on the metric name first, then in order of label name, operator and value.
impl Ord for Matcher {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl Hash for Matcher {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Written as PromQL writes it: `label=~"value"`, the label quoted where it has to be.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_valid_label_name(&self.label) {
            f.write_str(&self.label)?;
        } else {
            write!(f, "{}", literal::Quoted(&self.label))?;
        }
        write!(f, "{}{}", self.op.as_str(), literal::Quoted(&self.value))
    }
}
