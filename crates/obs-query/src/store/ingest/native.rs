//! Native histograms of a registry, as the store keeps them.

use std::sync::Arc;

use obs_model::{HistogramSnapshot, NativeBuckets, Timestamp};

use super::super::SeriesStore;
use super::super::blocks::SeriesId;
use super::super::tally::Tally;
use crate::promql::{BucketSpan, HistogramSample, NativeHistogram};

impl SeriesStore {
    /// Appends native histograms; what is refused is counted.
    pub(super) fn append_natives(
        &self,
        at: Timestamp,
        histograms: Vec<(SeriesId, NativeHistogram)>,
        tally: &mut Tally,
    ) {
        for (id, value) in histograms {
            let sample = HistogramSample { timestamp: at, value: Arc::new(value) };
            // OK because the tally has what is refused.
            let _ = self.append_native(id, sample, tally);
        }
    }
}

/// A histogram's exponential buckets with its count and sum.
pub(super) fn histogram(histogram: &HistogramSnapshot, buckets: &NativeBuckets) -> NativeHistogram {
    let (positive_spans, positive_buckets) = spans(&buckets.positive);
    let (negative_spans, negative_buckets) = spans(&buckets.negative);
    NativeHistogram {
        schema: buckets.schema,
        zero_threshold: buckets.zero_threshold,
        // OK because counts beyond 2^53 are out of reach in practice, and would only be rounded.
        zero_count: buckets.zero_count as f64,
        count: histogram.count as f64,
        sum: super::storable(histogram.sum),
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        ..NativeHistogram::default()
    }
}

/// Runs of buckets without gaps, and the count of each bucket.
fn spans(buckets: &[(i32, u64)]) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut next = 0;
    for (index, _) in buckets {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: index.wrapping_sub(next), length: 1 }),
        }
        next = index.wrapping_add(1);
    }
    (spans, buckets.iter().map(|(_, count)| *count as f64).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_that_follow_each_other_are_one_span() {
        let span = |offset, length| BucketSpan { offset, length };
        for (buckets, expected) in [
            (&[][..], vec![]),
            (&[(-2, 5), (-1, 3), (4, 7)], vec![span(-2, 2), span(4, 1)]),
            (&[(0, 1), (1, 1), (3, 1)], vec![span(0, 2), span(1, 1)]),
        ] {
            let (spans, counts) = spans(buckets);
            assert_eq!(spans, expected, "{buckets:?}");
            assert!(counts.iter().zip(buckets).all(|(count, (_, given))| *count == *given as f64));
        }
    }
}
