//! Threshold rules: a signal, an operator and a number, which compile to one PromQL expression.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use obs_model::{Labels, Severity};

use crate::signal::Signal;

/// A comparison of PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Operator {
    /// All operators.
    pub const ALL: [Self; 6] = [
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Equal,
        Self::NotEqual,
    ];

    /// How PromQL writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }

    /// Whether it holds between `value` and `threshold`, by IEEE 754 as in PromQL: of a NaN only
    /// [`Operator::NotEqual`] holds.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "PromQL's == and != compare floats exactly")]
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Greater => value > threshold,
            Self::GreaterOrEqual => value >= threshold,
            Self::Less => value < threshold,
            Self::LessOrEqual => value <= threshold,
            Self::Equal => value == threshold,
            Self::NotEqual => value != threshold,
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Operator {
    type Err = UnknownOperator;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.as_str() == text)
            .ok_or_else(|| UnknownOperator { given: text.chars().take(32).collect() })
    }
}

/// A text that names no operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown operator {given:?}: expected one of > >= < <= == !=")]
pub struct UnknownOperator {
    given: String,
}

/// A rule that compares a signal with a number.
///
/// ```
/// use obs_alerts::{Operator, Signal, ThresholdRule};
/// use obs_query::Selector;
/// use std::time::Duration;
///
/// let rule = ThresholdRule {
///     for_: Duration::from_secs(300),
///     ..ThresholdRule::new(
///         "deep-queue",
///         "Queue is deep",
///         Signal::Last(Selector::metric("queue_depth")),
///         Operator::Greater,
///         100.0,
///     )
/// };
/// assert_eq!(rule.promql(), "queue_depth > 100");
/// ```
#[derive(Clone, Debug)]
pub struct ThresholdRule {
    /// What tells the rule from all others.
    pub id: String,
    /// Its name for people; the `alertname` of its alerts.
    pub name: String,
    /// What is compared.
    pub signal: Signal,
    /// How it is compared.
    pub operator: Operator,
    /// With what, in the signal's unit; any number but NaN.
    pub threshold: f64,
    /// How long the comparison must hold before an alert fires; zero fires at once.
    pub for_: Duration,
    /// How long an alert goes on firing after the comparison last held; zero resolves at once.
    pub keep_firing_for: Duration,
    /// How bad its alerts are.
    pub severity: Severity,
    /// The names of the channels that are told; empty means all.
    pub channels: Vec<String>,
    /// Whether it is evaluated from the start.
    pub enabled: bool,
    /// Labels added to every alert, in place of a series' own of the same name.
    pub labels: Labels,
    /// What is wrong, for people: the alert's message. When empty, the message is the expression and
    /// its value.
    pub description: String,
}

impl ThresholdRule {
    /// A rule that is enabled, fires at once with [`Severity::Medium`] and tells every channel.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        name: impl Into<String>,
        signal: Signal,
        operator: Operator,
        threshold: f64,
    ) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            signal,
            operator,
            threshold,
            for_: Duration::ZERO,
            keep_firing_for: Duration::ZERO,
            severity: Severity::default(),
            channels: Vec::new(),
            enabled: true,
            labels: Labels::empty(),
            description: String::new(),
        }
    }

    /// The expression that the rule compiles to: it has a value for exactly the series that the rule
    /// raises an alert for.
    #[must_use]
    pub fn promql(&self) -> String {
        Comparison {
            signal: self.signal.clone(),
            operator: self.operator,
            threshold: self.threshold,
        }
        .promql()
    }
}

/// The compiled condition of a threshold rule.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub(crate) signal: Signal,
    pub(crate) operator: Operator,
    pub(crate) threshold: f64,
}

impl Comparison {
    pub(crate) fn promql(&self) -> String {
        format!("{} {} {}", self.signal.promql(), self.operator, Number(self.threshold))
    }

    /// The message of an alert whose rule has no description.
    pub(crate) fn describe(&self, value: f64) -> String {
        format!(
            "{} is {}, {} {}",
            self.signal.promql(),
            Number(value),
            self.operator,
            Number(self.threshold)
        )
    }

    pub(crate) fn check(&self, problems: &mut Vec<String>) {
        if self.threshold.is_nan() {
            problems.push("the threshold is NaN: expected a number".to_owned());
        }
        if self.operator == Operator::NotEqual && self.signal.is_quotient() {
            problems.push(format!(
                "{} is NaN without traffic, and NaN != {} holds: expected another operator",
                self.signal.promql(),
                Number(self.threshold)
            ));
        }
    }
}

/// A number as PromQL reads it.
pub(crate) struct Number(pub(crate) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.abs();
        if self.0.is_nan() {
            f.write_str("NaN")
        } else if self.0.is_infinite() {
            f.write_str(if self.0 > 0.0 { "+Inf" } else { "-Inf" })
        } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
            write!(f, "{:e}", self.0)
        } else {
            write!(f, "{}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_reads_back() {
        for operator in Operator::ALL {
            assert_eq!(operator.as_str().parse(), Ok(operator));
        }
        assert!("=>".parse::<Operator>().unwrap_err().to_string().contains("\"=>\""));
    }

    #[test]
    fn operators_compare_as_promql_does() {
        let holding = |value, threshold| -> Vec<&str> {
            Operator::ALL
                .into_iter()
                .filter(|operator| operator.holds(value, threshold))
                .map(Operator::as_str)
                .collect()
        };
        assert_eq!(holding(1.0, 2.0), ["<", "<=", "!="]);
        assert_eq!(holding(2.0, 2.0), [">=", "<=", "=="]);
        assert_eq!(holding(3.0, 2.0), [">", ">=", "!="]);
        assert_eq!(holding(f64::NAN, 2.0), ["!="]);
        assert_eq!(holding(f64::INFINITY, 2.0), [">", ">=", "!="]);
    }

    #[test]
    fn numbers_are_written_as_promql_reads_them() {
        for (number, expected) in [
            (0.2, "0.2"),
            (0.0, "0"),
            (-3.0, "-3"),
            (858_993_459.2, "858993459.2"),
            (1e-9, "1e-9"),
            (2.5e300, "2.5e300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(Number(number).to_string(), expected);
        }
    }
}
