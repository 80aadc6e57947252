//! What a histogram may show beside its fixed buckets: exemplars and native buckets.

use obs_model::{Labels, Timestamp};

use super::proto;
use crate::number::push_f64;

/// How many characters OpenMetrics allows the labels of an exemplar to have together.
const MAX_CHARACTERS: usize = 128;

/// One observation that stands for the others of its bucket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Exemplar {
    /// What leads to more about it, such as `trace_id`.
    pub(crate) labels: Labels,
    /// What was observed.
    pub(crate) value: f64,
    /// When.
    pub(crate) time: Timestamp,
}

impl Exemplar {
    /// Writes what stands behind the value of an OpenMetrics line; nothing when the labels are too long for that.
    pub(super) fn push(&self, out: &mut Vec<u8>) {
        let characters = |(name, value): (&str, &str)| name.chars().count() + value.chars().count();
        if self.labels.iter().map(characters).sum::<usize>() > MAX_CHARACTERS {
            return;
        }
        out.extend_from_slice(b" # {");
        out.extend_from_slice(super::label_text(self.labels.iter()).as_bytes());
        out.extend_from_slice(b"} ");
        push_f64(out, self.value);
        out.push(b' ');
        super::text::push_seconds(out, self.time);
    }

    pub(super) fn to_proto(&self) -> proto::Exemplar {
        let pair = |(name, value): (&str, &str)| proto::LabelPair {
            name: Some(name.to_owned()),
            value: Some(value.to_owned()),
        };
        proto::Exemplar {
            label: self.labels.iter().map(pair).collect(),
            value: Some(self.value),
            timestamp: Some(self.time.into()),
        }
    }
}

/// Exponential buckets: those that have counts, by rising index, not cumulative.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NativeBuckets {
    /// Bucket `index` ends at `2^(index * 2^-schema)`.
    pub(crate) schema: i32,
    /// Observations at most that far from zero are in the zero bucket.
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    pub(crate) positive: Vec<(i32, u64)>,
    pub(crate) negative: Vec<(i32, u64)>,
}

impl NativeBuckets {
    /// Puts the buckets into a message that has everything else.
    pub(super) fn fill(&self, histogram: &mut proto::Histogram) {
        histogram.schema = Some(self.schema);
        histogram.zero_threshold = Some(self.zero_threshold);
        histogram.zero_count = Some(self.zero_count);
        (histogram.positive_span, histogram.positive_delta) = spans(&self.positive);
        (histogram.negative_span, histogram.negative_delta) = spans(&self.negative);
        let is_empty = self.positive.is_empty() && self.negative.is_empty();
        if is_empty && self.zero_threshold == 0.0 && self.zero_count == 0 {
            // An empty span is what tells a native histogram without observations from one with fixed buckets.
            histogram.positive_span.push(proto::BucketSpan { offset: Some(0), length: Some(0) });
        }
    }
}

/// Rows of buckets without gaps, and each count as the difference from the one before.
pub(crate) fn spans(buckets: &[(i32, u64)]) -> (Vec<proto::BucketSpan>, Vec<i64>) {
    let mut spans: Vec<proto::BucketSpan> = Vec::new();
    let mut deltas = Vec::with_capacity(buckets.len());
    let mut next = 0;
    let mut before = 0;
    for (index, count) in buckets {
        match spans.last_mut() {
            Some(span) if *index == next => *span.length.get_or_insert_default() += 1,
            _ => spans.push(proto::BucketSpan { offset: Some(index - next), length: Some(1) }),
        }
        // OK because a count beyond the range of signed numbers is out of reach in practice.
        deltas.push(count.wrapping_sub(before) as i64);
        (next, before) = (index + 1, *count);
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exemplar_stands_behind_the_value_unless_its_labels_are_too_long() {
        let exemplar = |value: &str| Exemplar {
            labels: Labels::new([("trace_id", value)]).unwrap(),
            value: 0.25,
            time: Timestamp::from_millis(1_500),
        };
        let text = |exemplar: &Exemplar| {
            let mut out = Vec::new();
            exemplar.push(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&exemplar("a\"b")), " # {trace_id=\"a\\\"b\"} 0.25 1.500");
        assert_eq!(text(&exemplar(&"é".repeat(120))).len(), 267);
        assert_eq!(text(&exemplar(&"é".repeat(121))), "");
        let message = exemplar("ab").to_proto();
        assert_eq!((message.label[0].value(), message.value()), ("ab", 0.25));
        assert_eq!(message.timestamp, Some(proto::Timestamp { seconds: 1, nanos: 500_000_000 }));
    }

    #[test]
    fn native_buckets_are_rows_and_differences() {
        let native = NativeBuckets {
            schema: 3,
            zero_threshold: 1e-128,
            zero_count: 2,
            positive: vec![(-2, 5), (-1, 3), (4, 7)],
            negative: vec![(10, 1)],
        };
        let mut message = proto::Histogram::default();
        native.fill(&mut message);
        let span =
            |offset, length| proto::BucketSpan { offset: Some(offset), length: Some(length) };
        assert_eq!(message.positive_span, [span(-2, 2), span(4, 1)]);
        assert_eq!(message.positive_delta, [5, -2, 4]);
        assert_eq!((message.negative_span, message.negative_delta), (vec![span(10, 1)], vec![1]));
        assert_eq!((message.schema, message.zero_count), (Some(3), Some(2)));

        let mut empty = proto::Histogram::default();
        NativeBuckets::default().fill(&mut empty);
        assert_eq!(empty.positive_span, [span(0, 0)]);
    }
}
