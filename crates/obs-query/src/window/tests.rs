//! Tests of window functions, many with the cases of Prometheus' own test data.

use std::time::Duration;

use obs_model::{Labels, Timestamp};

use super::*;
use crate::STALE;

/// Samples `step` seconds apart from time 0 on.
fn series(step: i64, values: impl IntoIterator<Item = f64>) -> Vec<Sample> {
    (0..)
        .zip(values)
        .map(|(tick, value)| Sample {
            timestamp: Timestamp::from_millis(tick * step * 1_000),
            value,
        })
        .collect()
}

/// The window of so many seconds that ends at second `at`.
fn window(at: i64, seconds: u64) -> TimeRange {
    TimeRange::last(Timestamp::from_millis(at * 1_000), Duration::from_secs(seconds))
}

fn line(start: f64, step: f64, count: u32) -> impl Iterator<Item = f64> {
    (0..=count).map(move |index| start + step * f64::from(index))
}

#[track_caller]
fn check(got: Option<f64>, expected: Option<f64>) {
    let equal = match (got, expected) {
        (Some(got), Some(expected)) => {
            got == expected
                || (got.is_nan() && expected.is_nan())
                || (got - expected).abs() <= 1e-12 * (got.abs() + expected.abs())
        }
        (None, None) => true,
        _ => false,
    };
    assert!(equal, "got {got:?}, expected {expected:?}");
}

const MINUTE: i64 = 60;

#[test]
fn increase_agrees_with_prometheus() {
    let cases: [(Vec<f64>, i64, u64, f64); 9] = [
        // From Prometheus' functions.test: `increase(http_requests_total[50m])` and `[100m]`.
        (line(0.0, 10.0, 10).collect(), 50, 50, 100.0),
        (line(0.0, 18.0, 5).chain(line(0.0, 18.0, 5)).collect(), 50, 50, 160.0),
        (line(10.0, 10.0, 10).collect(), 50, 50, 100.0),
        (line(0.0, 10.0, 10).collect(), 50, 100, 100.0),
        (line(0.0, 18.0, 5).chain(line(0.0, 18.0, 5)).collect(), 50, 100, 162.0),
        (line(10.0, 10.0, 10).collect(), 50, 100, 105.0),
        (line(1.0, 10.0, 10).collect(), 50, 100, 101.0),
        // A fall to 2 is read as a reset to 0 and a growth to 2.
        (vec![0.0, 1.0, 2.0, 3.0, 2.0, 3.0, 4.0], 30, 30, 7.0),
        // By hand: 2 samples 5 min apart, 10 → 20, in a window of 30 min that ends 10 min after the second: half a gap
        // on either side, 10 · (5 + 2.5 + 2.5) / 5.
        (vec![10.0, 20.0], 15, 30, 20.0),
    ];
    for (values, at, minutes, expected) in cases {
        let range = window(at * MINUTE, minutes * 60);
        check(increase(&series(300, values), &range), Some(expected));
    }
}

#[test]
fn rate_agrees_with_prometheus() {
    let range = window(50 * MINUTE, 50 * 60);
    check(rate(&series(300, line(0.0, 27.0, 4).chain(line(0.0, 27.0, 5))), &range), Some(0.08));
    check(rate(&series(300, line(0.0, 80.0, 10)), &range), Some(0.26666666666666666));
    let reset_at_end = series(300, line(0.0, 10.0, 9).chain([0.0, 10.0]));
    check(rate(&reset_at_end, &window(50 * MINUTE, 5 * 60)), None);
    check(rate(&reset_at_end, &window(50 * MINUTE, 6 * 60)), Some(0.0));
    // `testcounter_zero_cutoff_total`, starting 0 to 5 minutes before the first sample.
    for (start, early) in
        [(0.0, 0.5), (60.0, 0.55), (120.0, 0.6), (180.0, 0.6), (240.0, 0.6), (300.0, 0.6)]
    {
        let samples = series(240, line(start, 240.0, 10));
        check(rate(&samples, &window(10 * MINUTE, 20 * 60)), Some(early));
        check(rate(&samples, &window(50 * MINUTE, 20 * 60)), Some(0.6));
    }
}

#[test]
fn the_window_is_filled_only_if_its_end_is_less_than_one_and_a_tenth_gaps_away() {
    // A gap is 100 s and a growth 10; the counter starts at zero, so nothing is added before it.
    for (end, expected) in [(100, 10.0), (209, 20.9), (211, 15.0), (215, 15.0), (220, 15.0)] {
        check(increase(&series(100, [0.0, 10.0]), &window(end, 1_000)), Some(expected));
    }
    // A gauge may have come from anywhere: the same holds at the window's start.
    for (seconds, expected) in [(101, 10.1), (209, 20.9), (211, 15.0), (215, 15.0)] {
        check(delta(&series(100, [0.0, 10.0]), &window(100, seconds)), Some(expected));
    }
}

#[test]
fn the_sample_at_the_left_edge_is_outside() {
    let samples = series(60, [100.0, 1.0, 2.0]);
    // Were the first sample inside, its fall to 1 would be a reset.
    check(increase(&samples, &window(120, 120)), Some(2.0));
    check(last(&samples, &window(0, 60)), Some(100.0));
    check(last(&samples, &window(60, 0)), None);
    check(max(&samples, &window(120, 120)), Some(2.0));
}

#[test]
fn delta_follows_a_gauge_down_and_does_not_stop_at_zero() {
    check(
        delta(&series(300, [0.0, 50.0, 100.0, 150.0, 200.0]), &window(20 * MINUTE, 20 * 60)),
        Some(200.0),
    );
    check(
        delta(&series(300, [200.0, 150.0, 100.0, 50.0, 0.0]), &window(20 * MINUTE, 20 * 60)),
        Some(-200.0),
    );
    check(delta(&series(60, [1.0, 11.0]), &window(60, 120)), Some(20.0));
    check(increase(&series(60, [1.0, 11.0]), &window(60, 120)), Some(11.0));
}

#[test]
fn too_few_samples_have_no_rate() {
    for samples in [series(5, []), series(5, [1.0])] {
        for function in [rate, increase, delta] {
            check(function(&samples, &window(5, 60)), None);
        }
    }
    let backwards = TimeRange { start: Timestamp::from_millis(9_000), end: Timestamp::EPOCH };
    check(rate(&series(5, [1.0, 2.0, 3.0]), &backwards), None);
    check(max(&series(5, [1.0, 2.0, 3.0]), &backwards), None);
}

#[test]
fn a_stale_marker_is_no_value_and_ends_the_series_for_last() {
    let samples = series(10, [0.0, 1.0, STALE, 2.0]);
    let all = TimeRange::all();
    check(last(&samples, &all), Some(2.0));
    check(last(&samples[..3], &all), None);
    check(max(&samples[..3], &all), Some(1.0));
    check(average_over(&samples, &all), Some(1.0));
    check(
        increase(&samples, &window(30, 31)),
        increase(&[samples[0], samples[1], samples[3]], &window(30, 31)),
    );
}

#[test]
fn averages_agree_with_prometheus_at_the_extremes() {
    const INF: f64 = f64::INFINITY;
    const BIG: f64 = 9.988_465_674_311_58e307;
    let cases: [(&[f64], f64); 13] = [
        (&[1.0, 2.0, 3.0, 4.0, 5.0], 3.0),
        (&[5.0], 5.0),
        (&[1.0, 2.0, 3.0, 4.0, INF], INF),
        (&[1.0, 2.0, 3.0, 4.0, -INF], -INF),
        (&[1.0, 2.0, 3.0, INF, -INF], f64::NAN),
        (&[INF, 0.0, INF], INF),
        (&[INF, INF, INF, -INF], f64::NAN),
        (&[-INF, 0.0, -INF], -INF),
        (&[1.0, f64::NAN, 3.0], f64::NAN),
        (&[BIG, BIG, BIG, BIG], BIG),
        (&[-BIG, -BIG, -BIG, -BIG], -BIG),
        (&[1.0, 1e100, 1.0, -1e100], 0.5),
        (&[BIG, -BIG, BIG, -BIG], 0.0),
    ];
    for (values, expected) in cases {
        check(average_over(&series(10, values.iter().copied()), &TimeRange::all()), Some(expected));
    }
    check(average_over(&[], &TimeRange::all()), None);
}

#[test]
fn extremes_pass_over_nan_unless_there_is_nothing_else() {
    let mixed = series(10, [f64::NAN, 2.0, f64::NAN, -1.0]);
    check(max(&mixed, &TimeRange::all()), Some(2.0));
    check(min(&mixed, &TimeRange::all()), Some(-1.0));
    check(max(&series(10, [f64::NAN]), &TimeRange::all()), Some(f64::NAN));
    check(min(&[], &TimeRange::all()), None);
}

fn buckets(pairs: &[(f64, f64)]) -> Vec<HistogramBucket> {
    pairs
        .iter()
        .map(|&(upper_bound, cumulative)| HistogramBucket { upper_bound, cumulative })
        .collect()
}

#[test]
fn quantiles_agree_with_prometheus() {
    const INF: f64 = f64::INFINITY;
    // From Prometheus' histograms.test: testhistogram positive and negative, testhistogram2 and testhistogram3.
    let positive = [(0.1, 50.0), (0.2, 70.0), (1.0, 110.0), (INF, 120.0)];
    let negative = [(-0.2, 10.0), (-0.1, 20.0), (0.3, 20.0), (INF, 30.0)];
    let second = [(0.0, 0.0), (2.0, 1.0), (4.0, 2.0), (6.0, 3.0), (INF, 3.0)];
    let third = [(-0.25, 0.0), (-0.2, 10.0), (-0.1, 20.0), (0.3, 20.0), (INF, 20.0)];
    type Case<'a> = (&'a [(f64, f64)], f64, f64);
    let cases: [Case<'_>; 25] = [
        (&positive, -0.1, -INF),
        (&positive, 1.01, INF),
        (&positive, f64::NAN, f64::NAN),
        (&positive, 0.0, 0.0),
        (&positive, 0.2, 0.048),
        (&positive, 0.5, 0.15),
        (&positive, 0.8, 0.72),
        (&positive, 1.0, 1.0),
        (&negative, 0.0, -0.2),
        (&negative, 0.2, -0.2),
        (&negative, 0.5, -0.15),
        (&negative, 0.8, 0.3),
        (&negative, 1.0, 0.3),
        (&second, 1.0 / 6.0, 1.0),
        (&second, 0.5, 3.0),
        (&second, 5.0 / 6.0, 5.0),
        (&third, 0.25, -0.225),
        (&third, 0.75, -0.15),
        (&third, 1.0, -0.1),
        // Nothing to go by.
        (&[], 0.5, f64::NAN),
        (&[(INF, 5.0)], 0.5, f64::NAN),
        (&[(1.0, 0.0), (INF, 0.0)], 0.5, f64::NAN),
        (&[(1.0, 1.0), (2.0, 2.0)], 0.5, f64::NAN),
        // Any order, a bound that stands twice, and a count that falls.
        (&[(INF, 4.0), (0.2, 1.0), (0.1, 2.0), (0.2, 1.0)], 0.5, 0.1),
        (&[(1.0, 4.0), (2.0, 3.0), (4.0, 8.0), (INF, 8.0)], 0.75, 3.0),
    ];
    for (given, q, expected) in cases {
        check(Some(histogram_quantile(q, &buckets(given))), Some(expected));
    }
}

#[test]
fn buckets_are_put_together_by_histogram() {
    let series = |job: &str, le: &str| {
        Labels::new([("__name__", "h_bucket"), ("job", job), ("le", le)]).unwrap()
    };
    let given = [
        (series("b", "+Inf"), 3.0),
        (series("a", "+Inf"), 2.0),
        (series("a", "1e-1"), 1.0),
        (series("a", "many"), 9.0),
    ];
    let found = buckets_by_series(given.iter().map(|(labels, value)| (labels, *value)));
    let job = |name| Labels::new([("job", name)]).unwrap();
    assert_eq!(
        found,
        [
            (job("a"), buckets(&[(f64::INFINITY, 2.0), (0.1, 1.0)])),
            (job("b"), buckets(&[(f64::INFINITY, 3.0)])),
        ]
    );
}

#[test]
fn the_average_of_a_histogram_is_its_sum_by_its_count() {
    let range = window(20, 21);
    let (sum, count) = (series(10, [0.0, 3.0, 9.0]), series(10, [0.0, 1.0, 3.0]));
    check(histogram_average(&sum, &count, &range), Some(3.0));
    check(histogram_average(&sum, &series(10, [5.0, 5.0, 5.0]), &range), None);
}
