//! What one evaluation of a rule finds.

use obs_model::Labels;

/// Everything for which a rule's condition holds at one time; nothing when it is clear.
///
/// A closure rule may return anything that becomes one: a `bool`, one [`Finding`], or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    findings: Vec<Finding>,
}

impl Verdict {
    /// The condition holds for nothing.
    #[must_use]
    pub const fn clear() -> Self {
        Self { findings: Vec::new() }
    }

    /// The condition holds for each of `findings`: one alert each, told apart by their labels.
    #[must_use]
    pub fn active(findings: impl IntoIterator<Item = Finding>) -> Self {
        Self { findings: findings.into_iter().collect() }
    }

    /// What the condition holds for.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}

impl From<bool> for Verdict {
    /// `true` is one finding without labels, value or message.
    fn from(holds: bool) -> Self {
        if holds { Self::active([Finding::default()]) } else { Self::clear() }
    }
}

impl From<Finding> for Verdict {
    fn from(finding: Finding) -> Self {
        Self::active([finding])
    }
}

impl From<Option<Finding>> for Verdict {
    fn from(finding: Option<Finding>) -> Self {
        Self::active(finding)
    }
}

impl From<Vec<Finding>> for Verdict {
    fn from(findings: Vec<Finding>) -> Self {
        Self { findings }
    }
}

/// One thing for which a rule's condition holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Finding {
    /// What tells it from the rule's other findings; the rule's own labels are added to them.
    pub labels: Labels,
    /// The value that the condition was decided on.
    pub value: Option<f64>,
    /// What is wrong, for people, in place of the rule's description.
    pub message: Option<String>,
}

impl Finding {
    /// A finding with a value.
    #[must_use]
    pub fn of(value: f64) -> Self {
        Self { value: Some(value), ..Self::default() }
    }

    /// This finding with `labels`.
    #[must_use]
    pub fn with_labels(mut self, labels: Labels) -> Self {
        self.labels = labels;
        self
    }

    /// This finding with a message of its own.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }
}
