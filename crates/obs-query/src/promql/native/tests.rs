//! Buckets, sums and quantiles of native histograms.

use super::*;

fn histogram(schema: i32, offset: i32, counts: &[f64]) -> NativeHistogram {
    NativeHistogram {
        schema,
        count: counts.iter().sum(),
        sum: 1.0,
        positive_spans: vec![BucketSpan { offset, length: counts.len() as u32 }],
        positive_buckets: counts.to_vec(),
        ..NativeHistogram::default()
    }
}

#[test]
fn a_histogram_is_written_as_prometheus_writes_it() {
    let mut both = histogram(0, 0, &[1.0, 2.0]);
    both.negative_spans = vec![BucketSpan { offset: 0, length: 2 }];
    both.negative_buckets = vec![1.0, 2.0];
    (both.count, both.sum) = (20.0, 10.0);
    (both.zero_threshold, both.zero_count) = (0.001, 2.0);
    assert_eq!(
        both.to_string(),
        "{count:20, sum:10, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:2}"
    );
}

#[test]
fn sums_are_in_the_coarser_schema() {
    let fine = histogram(1, 1, &[1.0, 2.0, 3.0]);
    let coarse = histogram(0, 1, &[4.0]);
    let sum = fine.plus(&coarse).unwrap();
    assert_eq!(sum.schema, 0);
    assert_eq!(sum.positive(), [(1, 7.0), (2, 3.0)]);
    assert_eq!(sum.minus(&coarse).unwrap().positive(), [(1, 3.0), (2, 3.0)]);
    let mut custom = histogram(CUSTOM_BUCKETS_SCHEMA, 0, &[1.0]);
    custom.custom_values = vec![1.0];
    assert_eq!(fine.plus(&custom).unwrap_err(), Mismatch::Schema);
    let mut other = custom.clone();
    other.custom_values = vec![2.0];
    assert_eq!(custom.plus(&other).unwrap_err(), Mismatch::Bounds);
}

#[test]
fn a_wider_zero_bucket_takes_buckets_in() {
    let plain = histogram(0, 0, &[1.0, 2.0, 3.0]);
    let mut wide = histogram(0, 2, &[1.0]);
    (wide.zero_threshold, wide.zero_count) = (0.75, 5.0);
    let sum = plain.plus(&wide).unwrap();
    // 0.75 is within the bucket up to 1, which is not empty.
    assert_eq!((sum.zero_threshold, sum.zero_count), (1.0, 6.0));
    assert_eq!(sum.positive(), [(1, 2.0), (2, 4.0)]);
}

#[test]
fn a_reset_is_seen_in_any_bucket() {
    let before = histogram(0, 0, &[1.0, 2.0]);
    assert!(!histogram(0, 0, &[1.0, 3.0]).is_reset_after(&before));
    assert!(histogram(0, 0, &[4.0, 1.0]).is_reset_after(&before));
    assert!(histogram(1, 0, &[9.0, 9.0]).is_reset_after(&before));
    let mut hinted = histogram(0, 0, &[0.0, 1.0]);
    hinted.hint = CounterResetHint::NotReset;
    assert!(!hinted.is_reset_after(&before));
}

#[test]
fn quantiles_are_interpolated_exponentially() {
    let one = histogram(0, 1, &[4.0]);
    assert_eq!(one.quantile(0.5), Quantile::Value(2_f64.sqrt()));
    assert!((one.fraction(1.0, 2_f64.sqrt()) - 0.5).abs() < 1e-12);
    let mut with_nan = histogram(0, 1, &[4.0]);
    (with_nan.sum, with_nan.count) = (f64::NAN, 8.0);
    assert_eq!(with_nan.quantile(0.9), Quantile::Nan);
    assert_eq!(with_nan.quantile(0.5), Quantile::Skewed(2.0));
}

#[test]
fn empty_buckets_go_away() {
    let compact = histogram(0, 3, &[0.0, 1.0, 0.0, 2.0, 0.0]).compacted();
    assert_eq!(
        compact.positive_spans,
        [BucketSpan { offset: 4, length: 1 }, BucketSpan { offset: 1, length: 1 }]
    );
    assert_eq!(compact.positive_buckets, [1.0, 2.0]);
}
