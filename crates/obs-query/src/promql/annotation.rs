//! Warnings and infos: what is odd about an answer without being an error.

use super::float::general;
use super::span::Span;

/// What was odd, and where in the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// In Prometheus' words.
    pub message: String,
    /// The part of the query that it is about.
    pub span: Span,
}

impl Annotation {
    /// The message with the place in the query, as Prometheus' API shows it.
    #[must_use]
    pub fn located(&self, query: &str) -> String {
        format!("{} ({})", self.message, self.span.position(query))
    }
}

/// The warnings and infos of a query, each message once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    warnings: Vec<Annotation>,
    infos: Vec<Annotation>,
}

impl Annotations {
    /// What makes the answer doubtful.
    #[must_use]
    pub fn warnings(&self) -> &[Annotation] {
        &self.warnings
    }

    /// What may be other than it was meant.
    #[must_use]
    pub fn infos(&self) -> &[Annotation] {
        &self.infos
    }

    pub(crate) fn add(&mut self, note: Note<'_>, span: Span) {
        let (list, message) = match note.is_info() {
            true => (&mut self.infos, format!("PromQL info: {}", note.text())),
            false => (&mut self.warnings, format!("PromQL warning: {}", note.text())),
        };
        if list.len() < MAX_ANNOTATIONS && list.iter().all(|known| known.message != message) {
            list.push(Annotation { message, span });
        }
    }
}

/// How many warnings, and how many infos, are kept of one query.
const MAX_ANNOTATIONS: usize = 100;

/// Everything that a query can be annotated with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Note<'a> {
    InvalidQuantile(f64),
    InvalidRatio(f64, f64),
    BadBucketLabel { label: &'a str, metric: &'a str },
    MixedFloatsHistograms(&'a str),
    MixedFloatsHistogramsAggregation,
    MixedClassicNative(&'a str),
    NotCounterHistogram(&'a str),
    NotGaugeHistogram(&'a str),
    MixedExponentialCustom(&'a str),
    IncompatibleCustomBuckets(&'a str),
    IncompatibleBuckets(&'a str),
    PossibleNonCounter(&'a str),
    PossibleNonCounterType { label: &'a str, metric: &'a str },
    ForcedMonotonicity(&'a str),
    IncompatibleTypes { left: &'a str, op: &'a str, right: &'a str },
    HistogramIgnored(&'a str),
    HistogramIgnoredInRange(&'a str),
    QuantileNan(&'a str),
    QuantileNanSkew(&'a str),
    FractionNan(&'a str),
}

impl Note<'_> {
    const fn is_info(&self) -> bool {
        matches!(
            self,
            Self::PossibleNonCounter(_)
                | Self::PossibleNonCounterType { .. }
                | Self::ForcedMonotonicity(_)
                | Self::IncompatibleTypes { .. }
                | Self::HistogramIgnored(_)
                | Self::HistogramIgnoredInRange(_)
                | Self::QuantileNan(_)
                | Self::QuantileNanSkew(_)
                | Self::FractionNan(_)
        )
    }

    fn text(&self) -> String {
        match *self {
            Self::InvalidQuantile(q) => {
                format!("quantile value should be between 0 and 1, got {}", general(q))
            }
            Self::InvalidRatio(ratio, capped) => format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                general(ratio),
                general(capped)
            ),
            Self::BadBucketLabel { label, metric } => for_metric(
                &format!("bucket label \"le\" is missing or has a malformed value of {label:?}"),
                metric,
            ),
            Self::MixedFloatsHistograms(metric) => {
                format!("encountered a mix of histograms and floats for metric name {metric:?}")
            }
            Self::MixedFloatsHistogramsAggregation => {
                String::from("encountered a mix of histograms and floats for aggregation")
            }
            Self::MixedClassicNative(metric) => {
                for_metric("vector contains a mix of classic and native histograms", metric)
            }
            Self::NotCounterHistogram(metric) => {
                format!("this native histogram metric is not a counter: {metric:?}")
            }
            Self::NotGaugeHistogram(metric) => {
                format!("this native histogram metric is not a gauge: {metric:?}")
            }
            Self::MixedExponentialCustom(metric) => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {metric:?}"
            ),
            Self::IncompatibleCustomBuckets(metric) => format!(
                "vector contains histograms with incompatible custom buckets for metric name {metric:?}"
            ),
            Self::IncompatibleBuckets(op) => {
                format!("incompatible bucket layout encountered for binary operator {op}")
            }
            Self::PossibleNonCounter(metric) => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {metric:?}"
            ),
            Self::PossibleNonCounterType { label, metric } => format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {label:?}: {metric:?}"
            ),
            Self::ForcedMonotonicity(metric) => for_metric(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
                metric,
            ),
            Self::IncompatibleTypes { left, op, right } => format!(
                "incompatible sample types encountered for binary operator {op:?}: {left} {op} {right}"
            ),
            Self::HistogramIgnored(op) => format!("ignored histogram in {op} aggregation"),
            Self::HistogramIgnoredInRange(metric) => format!(
                "ignored histograms in a range containing both floats and histograms for metric name {metric:?}"
            ),
            Self::QuantileNan(metric) => for_metric(
                "input to histogram_quantile has NaN observations, result is NaN",
                metric,
            ),
            Self::QuantileNanSkew(metric) => for_metric(
                "input to histogram_quantile has NaN observations, result is skewed higher",
                metric,
            ),
            Self::FractionNan(metric) => for_metric(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions",
                metric,
            ),
        }
    }
}

fn for_metric(text: &str, metric: &str) -> String {
    if metric.is_empty() { text.to_owned() } else { format!("{text} for metric name {metric:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_kept_once_and_knows_its_place() {
        let mut annotations = Annotations::default();
        for start in [5, 9] {
            annotations.add(Note::PossibleNonCounter("a"), Span::new(start, start + 1));
        }
        annotations.add(Note::InvalidQuantile(f64::NAN), Span::default());
        assert_eq!(annotations.infos().len(), 1);
        assert_eq!(
            annotations.infos()[0].located("rate(a[5m])"),
            "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"a\" (1:6)"
        );
        assert_eq!(
            annotations.warnings()[0].message,
            "PromQL warning: quantile value should be between 0 and 1, got NaN"
        );
    }
}
