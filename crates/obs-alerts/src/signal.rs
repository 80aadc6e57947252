//! Signals: what a threshold rule compares. Each compiles to PromQL, which is what is evaluated.

use std::fmt;
use std::time::Duration;

use obs_model::{Labels, METRIC_NAME_LABEL, Timestamp, is_valid_label_name};
use obs_query::promql::{Engine, QueryValue, VectorPoint};
use obs_query::{MatchOp, Matcher, Queryable, Selector, StoreConfig};

use crate::Error;
use crate::threshold::Number;

/// What a threshold rule compares: one value, or one for each of several label sets.
///
/// Each signal is one PromQL expression, [`Signal::promql`], and is evaluated as that: it has the value that Prometheus
/// would give it, stale series, counter resets, extrapolation and NaN included.
///
/// ```
/// use obs_alerts::Signal;
/// use obs_query::Selector;
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// let failed: Selector = r#"jobs_total{status="error"}"#.parse()?;
/// let failures = Signal::ratio(failed, Selector::metric("jobs_total"), minute);
/// assert_eq!(
///     failures.promql(),
///     r#"sum(rate(jobs_total{status="error"}[1m])) / sum(rate(jobs_total[1m]))"#
/// );
/// let slow = Signal::average(Selector::metric("job_seconds"), minute).summed_by(["queue"]);
/// assert_eq!(
///     slow.promql(),
///     "sum by (queue) (increase(job_seconds_sum[1m])) / sum by (queue) (increase(job_seconds_count[1m]))"
/// );
/// # Ok::<(), obs_query::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// The present value of each series: its last sample, at most five minutes old.
    Last(Selector),
    /// How fast each counter grew over a window, per second.
    Rate {
        /// The counters.
        selector: Selector,
        /// How far back it looks.
        window: Duration,
    },
    /// By how much each counter grew over a window, extrapolated to the whole of it.
    Increase {
        /// The counters.
        selector: Selector,
        /// How far back it looks.
        window: Duration,
    },
    /// The sum of another signal's values.
    Sum {
        /// What is added up.
        of: Box<Signal>,
        /// The labels of which each combination gets a sum of its own; none for one sum of all.
        by: Vec<String>,
    },
    /// How fast some counters grew against others, such as failures against attempts; NaN without
    /// traffic, for which no threshold holds.
    Ratio {
        /// The counters of the part.
        numerator: Selector,
        /// The counters of the whole.
        denominator: Selector,
        /// How far back it looks.
        window: Duration,
        /// The labels of which each combination gets a ratio of its own; none for one ratio of all.
        by: Vec<String>,
    },
    /// The average observation of a histogram over a window; NaN without observations, for which no
    /// threshold holds.
    Average {
        /// The histogram, by its name without `_sum` or `_count`.
        histogram: Selector,
        /// How far back it looks.
        window: Duration,
        /// The labels of which each combination gets an average of its own; none for one of all.
        by: Vec<String>,
    },
    /// A quantile of a histogram's observations over a window; NaN without observations, for which no
    /// threshold holds.
    Quantile {
        /// Which quantile, from 0 to 1.
        quantile: f64,
        /// The histogram, by its name without `_bucket`.
        histogram: Selector,
        /// How far back it looks.
        window: Duration,
        /// The labels of which each combination gets a quantile of its own; none for one of all.
        by: Vec<String>,
    },
}

type Values = Vec<(Labels, f64)>;

impl Signal {
    /// [`Signal::Rate`] over `window`.
    #[must_use]
    pub fn rate(selector: Selector, window: Duration) -> Self {
        Self::Rate { selector, window }
    }

    /// [`Signal::Increase`] over `window`.
    #[must_use]
    pub fn increase(selector: Selector, window: Duration) -> Self {
        Self::Increase { selector, window }
    }

    /// [`Signal::Ratio`] of all series together.
    #[must_use]
    pub fn ratio(numerator: Selector, denominator: Selector, window: Duration) -> Self {
        Self::Ratio { numerator, denominator, window, by: Vec::new() }
    }

    /// [`Signal::Average`] of all series together.
    #[must_use]
    pub fn average(histogram: Selector, window: Duration) -> Self {
        Self::Average { histogram, window, by: Vec::new() }
    }

    /// [`Signal::Quantile`] of all series together.
    #[must_use]
    pub fn quantile(quantile: f64, histogram: Selector, window: Duration) -> Self {
        Self::Quantile { quantile, histogram, window, by: Vec::new() }
    }

    /// This signal for each combination of these labels; with no labels, for everything together.
    ///
    /// [`Signal::Last`], [`Signal::Rate`] and [`Signal::Increase`], which are per series, become a
    /// [`Signal::Sum`]; of the others the labels are replaced.
    #[must_use]
    pub fn summed_by(self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let labels = labels.into_iter().map(Into::into).collect();
        match self {
            Self::Ratio { numerator, denominator, window, .. } => {
                Self::Ratio { numerator, denominator, window, by: labels }
            }
            Self::Average { histogram, window, .. } => {
                Self::Average { histogram, window, by: labels }
            }
            Self::Quantile { quantile, histogram, window, .. } => {
                Self::Quantile { quantile, histogram, window, by: labels }
            }
            Self::Sum { of, .. } => Self::Sum { of, by: labels },
            per_series => Self::Sum { of: Box::new(per_series), by: labels },
        }
    }

    /// The expression that it compiles to.
    #[must_use]
    pub fn promql(&self) -> String {
        match self {
            Self::Last(selector) => selector.to_string(),
            Self::Rate { selector, window } => over("rate", selector, *window),
            Self::Increase { selector, window } => over("increase", selector, *window),
            Self::Sum { of, by } => sum_text(&of.promql(), by),
            Self::Ratio { numerator, denominator, window, by } => format!(
                "{} / {}",
                sum_text(&over("rate", numerator, *window), by),
                sum_text(&over("rate", denominator, *window), by)
            ),
            Self::Average { histogram, window, by } => {
                let part = |suffix| over("increase", &suffixed(histogram, suffix), *window);
                format!("{} / {}", sum_text(&part("_sum"), by), sum_text(&part("_count"), by))
            }
            Self::Quantile { quantile, histogram, window, by } => {
                let buckets = over("rate", &suffixed(histogram, "_bucket"), *window);
                let by: Vec<String> = by.iter().cloned().chain([BOUND_LABEL.to_owned()]).collect();
                format!("histogram_quantile({}, {})", Number(*quantile), sum_text(&buckets, &by))
            }
        }
    }

    /// The signal's values at `now`, one for each label set, in order of labels: what its [expression](Self::promql)
    /// gives.
    ///
    /// # Errors
    ///
    /// The expression cannot be evaluated, such as for two series that differ in nothing but their names: a rate has no
    /// name.
    pub fn values(&self, store: &dyn Queryable, now: Timestamp) -> Result<Values, Error> {
        let text = self.promql();
        let engine = Engine::default();
        let evaluated = engine
            .parse(&text)
            .and_then(|expr| engine.instant(store, &expr, now, &|| false))
            .map_err(|error| Error::evaluation(text, error.to_string()))?;
        let QueryValue::Vector(points) = evaluated.value else {
            // OK because every signal is an instant vector.
            return Ok(Values::new());
        };
        let value = |point: VectorPoint| Some((point.labels, point.value.as_float()?));
        let mut values: Values = points.into_iter().filter_map(value).collect();
        values.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(values)
    }

    /// Whether it divides, and so is NaN where there is nothing to divide by.
    pub(crate) fn is_quotient(&self) -> bool {
        match self {
            Self::Last(_) | Self::Rate { .. } | Self::Increase { .. } => false,
            Self::Sum { of, .. } => of.is_quotient(),
            Self::Ratio { .. } | Self::Average { .. } | Self::Quantile { .. } => true,
        }
    }

    /// Adds everything that is wrong with it to `problems`.
    pub(crate) fn check(&self, store: &StoreConfig, problems: &mut Vec<String>) {
        match self {
            Self::Last(selector) => check_selector(selector, problems),
            Self::Rate { selector, window } | Self::Increase { selector, window } => {
                check_selector(selector, problems);
                check_window(*window, store, problems);
            }
            Self::Sum { of, by } => {
                of.check(store, problems);
                check_by(by, problems);
            }
            Self::Ratio { numerator, denominator, window, by } => {
                check_selector(numerator, problems);
                check_selector(denominator, problems);
                check_window(*window, store, problems);
                check_by(by, problems);
            }
            Self::Average { histogram, window, by } => {
                check_selector(histogram, problems);
                check_window(*window, store, problems);
                check_by(by, problems);
            }
            Self::Quantile { quantile, histogram, window, by } => {
                if !(0.0..=1.0).contains(quantile) {
                    problems.push(format!("the quantile is {quantile}: expected 0 to 1"));
                }
                check_selector(histogram, problems);
                check_window(*window, store, problems);
                check_by(by, problems);
            }
        }
    }
}

/// The label that holds a bucket's upper bound.
const BOUND_LABEL: &str = "le";

/// The same series of the metric whose name has `suffix` after it.
fn suffixed(histogram: &Selector, suffix: &str) -> Selector {
    let is_name =
        |matcher: &&Matcher| matcher.label() == METRIC_NAME_LABEL && matcher.op() == MatchOp::Equal;
    let name = format!("{}{suffix}", histogram.metric_name().unwrap_or_default());
    histogram
        .matchers()
        .iter()
        .filter(|matcher| !is_name(matcher))
        .cloned()
        .fold(Selector::metric(&name), Selector::matching)
}

fn over(function: &str, selector: &Selector, window: Duration) -> String {
    format!("{function}({selector}[{}])", Span(window))
}

fn sum_text(of: &str, by: &[String]) -> String {
    if by.is_empty() { format!("sum({of})") } else { format!("sum by ({}) ({of})", by.join(", ")) }
}

fn check_selector(selector: &Selector, problems: &mut Vec<String>) {
    if selector.metric_name().is_none_or(str::is_empty) {
        problems
            .push(format!("the selector {selector} names no metric: expected one, as in up{{}}"));
    }
}

fn check_window(window: Duration, store: &StoreConfig, problems: &mut Vec<String>) {
    let shortest = store.sample_interval.saturating_mul(2);
    if window < shortest {
        problems.push(format!(
            "the window {} is too short: expected at least two sample intervals, {}",
            Span(window),
            Span(shortest)
        ));
    }
    if window > store.retention {
        problems.push(format!(
            "the window {} is too long: expected at most the store's retention, {}",
            Span(window),
            Span(store.retention)
        ));
    }
}

fn check_by(by: &[String], problems: &mut Vec<String>) {
    for label in by.iter().filter(|label| !is_valid_label_name(label)) {
        problems
            .push(format!("the label name {label:?} is invalid: expected [a-zA-Z_][a-zA-Z0-9_]*"));
    }
}

/// A duration as PromQL reads it, to the millisecond.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in
            [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
        {
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
