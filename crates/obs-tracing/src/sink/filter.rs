//! Which lines a sink gets.

use obs_model::Level;

use super::Line;

/// Which lines a sink gets, of those that are logged at all: those that pass every part.
///
/// ```
/// use obs_model::Level;
/// use obs_tracing::sink::SinkFilter;
///
/// let audit = SinkFilter::at(Level::Info).only_target("shop::audit").only_field("kind", "payment");
/// let rest = SinkFilter::default().without_target("shop::audit").without_field("kind", "probe");
/// # let _ = (audit, rest);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkFilter {
    level: Level,
    targets: Vec<String>,
    without_targets: Vec<String>,
    fields: Vec<(String, String)>,
    without_fields: Vec<(String, String)>,
}

impl Default for SinkFilter {
    /// Every line.
    fn default() -> Self {
        Self::at(Level::Trace)
    }
}

impl SinkFilter {
    /// Lines at this level or a more important one.
    #[must_use]
    pub const fn at(level: Level) -> Self {
        Self {
            level,
            targets: Vec::new(),
            without_targets: Vec::new(),
            fields: Vec::new(),
            without_fields: Vec::new(),
        }
    }

    /// Only lines of this target and of the modules in it, or of another that is named so.
    #[must_use]
    pub fn only_target(mut self, target: impl Into<String>) -> Self {
        self.targets.push(target.into());
        self
    }

    /// No lines of this target and of the modules in it.
    #[must_use]
    pub fn without_target(mut self, target: impl Into<String>) -> Self {
        self.without_targets.push(target.into());
        self
    }

    /// Only lines whose field has this value, written as text. The field is a member of the line or of its `metadata`;
    /// of several fields every one must match.
    #[must_use]
    pub fn only_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// No lines whose field has this value.
    #[must_use]
    pub fn without_field(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.without_fields.push((name.into(), value.into()));
        self
    }

    /// The least important level that passes.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Whether a line passes.
    #[must_use]
    pub fn passes(&self, line: &Line<'_>) -> bool {
        let is_in = |target: &String| {
            line.target()
                .strip_prefix(target.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let has = |(name, value): &(String, String)| {
            line.text_of(name).is_some_and(|is| is == value.as_str())
        };
        line.level() >= self.level
            && (self.targets.is_empty() || self.targets.iter().any(is_in))
            && !self.without_targets.iter().any(is_in)
            && self.fields.iter().all(has)
            && !self.without_fields.iter().any(has)
    }
}
