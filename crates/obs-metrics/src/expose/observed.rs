//! What a histogram may show beside its fixed buckets: exemplars and native buckets.

use obs_model::{Exemplar, NativeBuckets};

use super::proto;
use crate::number::push_f64;

/// How many characters OpenMetrics allows the labels of an exemplar to have together.
const MAX_CHARACTERS: usize = 128;

/// Writes what stands behind the value of an OpenMetrics line; nothing when the labels are too long for that.
pub(super) fn push_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    let characters = |(name, value): (&str, &str)| name.chars().count() + value.chars().count();
    if exemplar.labels.iter().map(characters).sum::<usize>() > MAX_CHARACTERS {
        return;
    }
    out.extend_from_slice(b" # {");
    out.extend_from_slice(super::label_text(exemplar.labels.iter()).as_bytes());
    out.extend_from_slice(b"} ");
    push_f64(out, exemplar.value);
    out.push(b' ');
    super::text::push_seconds(out, exemplar.timestamp);
}

pub(super) fn exemplar_to_proto(exemplar: &Exemplar) -> proto::Exemplar {
    let pair = |(name, value): (&str, &str)| proto::LabelPair {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    };
    proto::Exemplar {
        label: exemplar.labels.iter().map(pair).collect(),
        value: Some(exemplar.value),
        timestamp: Some(exemplar.timestamp.into()),
    }
}

/// Puts exponential buckets into a message that has everything else.
pub(super) fn fill_native(histogram: &mut proto::Histogram, native: &NativeBuckets) {
    histogram.schema = Some(native.schema);
    histogram.zero_threshold = Some(native.zero_threshold);
    histogram.zero_count = Some(native.zero_count);
    (histogram.positive_span, histogram.positive_delta) = spans(&native.positive);
    (histogram.negative_span, histogram.negative_delta) = spans(&native.negative);
    let is_empty = native.positive.is_empty() && native.negative.is_empty();
    if is_empty && native.zero_threshold == 0.0 && native.zero_count == 0 {
        // An empty span is what tells a native histogram without observations from one with fixed buckets.
        histogram.positive_span.push(proto::BucketSpan { offset: Some(0), length: Some(0) });
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
    use obs_model::{Labels, Timestamp};

    use super::*;

    #[test]
    fn an_exemplar_stands_behind_the_value_unless_its_labels_are_too_long() {
        let exemplar = |value: &str| Exemplar {
            labels: Labels::new([("trace_id", value)]).unwrap(),
            value: 0.25,
            timestamp: Timestamp::from_millis(1_500),
        };
        let text = |exemplar: &Exemplar| {
            let mut out = Vec::new();
            push_exemplar(&mut out, exemplar);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&exemplar("a\"b")), " # {trace_id=\"a\\\"b\"} 0.25 1.500");
        assert_eq!(text(&exemplar(&"é".repeat(120))).len(), 267);
        assert_eq!(text(&exemplar(&"é".repeat(121))), "");
        let message = exemplar_to_proto(&exemplar("ab"));
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
        fill_native(&mut message, &native);
        let span =
            |offset, length| proto::BucketSpan { offset: Some(offset), length: Some(length) };
        assert_eq!(message.positive_span, [span(-2, 2), span(4, 1)]);
        assert_eq!(message.positive_delta, [5, -2, 4]);
        assert_eq!((message.negative_span, message.negative_delta), (vec![span(10, 1)], vec![1]));
        assert_eq!((message.schema, message.zero_count), (Some(3), Some(2)));

        let mut empty = proto::Histogram::default();
        fill_native(&mut empty, &NativeBuckets::default());
        assert_eq!(empty.positive_span, [span(0, 0)]);
    }
}
