//! `histogram_quantile` and `histogram_fraction`: of classic histograms, which are kept as cumulative buckets, and of
//! native ones.

use std::collections::HashMap;

use obs_model::{Labels, METRIC_NAME_LABEL};

use super::Evaluator;
use super::call::argument;
use super::column::{Column, Grid, Row};
use crate::Error;
use crate::promql::annotation::Note;
use crate::promql::float::almost_equal;
use crate::promql::plan::Plan;
use crate::promql::span::Span;

/// Differences between neighbouring counts that are smaller than this part of their sum are rounding.
const SMALL_DELTA: f64 = 1e-12;

/// The label that says a bucket's upper bound.
const BUCKET_LABEL: &str = "le";

/// One bucket: its upper bound and how many observations were at most that.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    bound: f64,
    count: f64,
}

/// One classic histogram: the rows of its buckets with their bounds, in order of bound.
struct Classic {
    labels: Labels,
    drop_name: bool,
    buckets: Vec<(f64, usize)>,
}

impl Evaluator<'_> {
    pub(super) fn histogram_quantile(
        &self,
        plans: &[Plan],
        grid: &Grid,
    ) -> Result<Vec<Row>, Error> {
        let (quantile_plan, vector) = (argument(plans, 0)?, argument(plans, 1)?);
        let quantiles = self.eval_scalar(quantile_plan, grid)?;
        let rows = self.eval_vector(vector, grid)?;
        for q in &quantiles {
            // A comparison the other way round would let NaN through.
            if !(0.0..=1.0).contains(q) {
                self.note(Note::InvalidQuantile(*q), quantile_plan.span);
            }
        }
        self.of_distributions(
            rows,
            vector.span,
            grid,
            |step, buckets, metric| {
                let (value, forced) = bucket_quantile(quantiles[step], buckets);
                if forced {
                    self.note(Note::ForcedMonotonicity(metric), vector.span);
                }
                value
            },
            |step, histogram, metric| {
                self.native_quantile(quantiles[step], histogram, metric, quantile_plan.span)
            },
        )
    }

    pub(super) fn histogram_fraction(
        &self,
        plans: &[Plan],
        grid: &Grid,
    ) -> Result<Vec<Row>, Error> {
        let lower = self.eval_scalar(argument(plans, 0)?, grid)?;
        let upper = self.eval_scalar(argument(plans, 1)?, grid)?;
        let vector = argument(plans, 2)?;
        let rows = self.eval_vector(vector, grid)?;
        let span = argument(plans, 0)?.span;
        self.of_distributions(
            rows,
            vector.span,
            grid,
            |step, buckets, _| bucket_fraction(lower[step], upper[step], buckets),
            |step, histogram, metric| {
                self.native_fraction(lower[step], upper[step], histogram, metric, span)
            },
        )
    }

    /// Computes a number of every histogram, classic or native.
    fn of_distributions(
        &self,
        rows: Vec<Row>,
        span: Span,
        grid: &Grid,
        of_buckets: impl Fn(usize, &mut Vec<Bucket>, &str) -> f64,
        of_native: impl Fn(usize, &crate::promql::native::NativeHistogram, &str) -> f64,
    ) -> Result<Vec<Row>, Error> {
        let classics = self.classics(&rows, span);
        let natives: HashMap<Labels, usize> = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.column.histograms.is_some())
            .map(|(index, row)| (row.labels.to_labels(), index))
            .collect();
        let mut columns: HashMap<usize, Column> = HashMap::new();
        let mut results = Vec::new();
        let mut buckets = Vec::new();
        for (signature, classic) in classics {
            self.budget.work(classic.buckets.len() * grid.steps)?;
            let metric = self.metric_of(signature.metric_name());
            let rival = natives.get(&signature).copied();
            let mut column = Column::absent(grid.steps);
            for step in 0..grid.steps {
                buckets.clear();
                buckets.extend(classic.buckets.iter().filter_map(|(bound, index)| {
                    Some(Bucket { bound: *bound, count: rows[*index].column.float(step)? })
                }));
                if buckets.is_empty() {
                    continue;
                }
                if let Some(rival) = rival
                    && rows[rival].column.histogram(step).is_some()
                {
                    self.note(Note::MixedClassicNative(metric), span);
                    let taken = columns.entry(rival).or_insert_with(|| Column::absent(grid.steps));
                    taken.floats[step] = 0.0;
                    continue;
                }
                column.floats[step] = of_buckets(step, &mut buckets, metric);
            }
            results.push(Row {
                labels: classic.labels.into(),
                drop_name: classic.drop_name,
                column,
            });
        }
        for (index, row) in rows.iter().enumerate() {
            let Some(histograms) = &row.column.histograms else {
                continue;
            };
            let metric = self.metric_of(row.labels.metric_name());
            let mut column = Column::absent(grid.steps);
            for (step, histogram) in histograms.iter().enumerate() {
                let conflicts = columns.get(&index).is_some_and(|taken| taken.has(step));
                if let (Some(histogram), false) = (histogram, conflicts) {
                    column.floats[step] = of_native(step, histogram, metric);
                }
            }
            results.push(Row { labels: row.labels.clone(), drop_name: row.drop_name, column });
        }
        for row in &mut results {
            self.drop_name(row);
        }
        self.merged(results)
    }

    /// The metric's name for a message; without delayed name removal it may not be there any more.
    fn metric_of<'l>(&self, name: Option<&'l str>) -> &'l str {
        match self.options.delayed_name_removal {
            true => name.unwrap_or_default(),
            false => "",
        }
    }

    /// The classic histograms among `rows`, each with its labels but for the bucket's bound.
    fn classics(&self, rows: &[Row], span: Span) -> Vec<(Labels, Classic)> {
        let mut places: HashMap<Labels, usize> = HashMap::new();
        let mut classics: Vec<(Labels, Classic)> = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            if !row.column.has_floats() {
                continue;
            }
            let label = row.labels.get(BUCKET_LABEL).unwrap_or_default();
            let Some(bound) = bucket_bound(label) else {
                let metric = self.metric_of(row.labels.metric_name());
                self.note(Note::BadBucketLabel { label, metric }, span);
                continue;
            };
            let signature = row.labels.filter(|name| name != BUCKET_LABEL);
            let place = *places.entry(signature.clone()).or_insert_with(|| {
                let labels = signature.without(METRIC_NAME_LABEL);
                let classic = Classic { labels, drop_name: row.drop_name, buckets: Vec::new() };
                classics.push((signature, classic));
                classics.len() - 1
            });
            classics[place].1.buckets.push((bound, index));
        }
        for (_, classic) in &mut classics {
            classic.buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        }
        classics
    }
}

/// A bound as Go's `strconv.ParseFloat` reads it.
fn bucket_bound(label: &str) -> Option<f64> {
    let digits = label.trim_start_matches(['+', '-']);
    if label.len() - digits.len() > 1 {
        return None;
    }
    label.parse::<f64>().ok()
}

/// The value below which the part `q` of all observations is, and whether counts had to be made to rise
/// (`BucketQuantile` in `promql/quantile.go`).
fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    if !prepare(buckets) {
        return (f64::NAN, false);
    }
    let forced = raise(buckets);
    let [finite @ .., infinite] = &buckets[..] else {
        return (f64::NAN, false);
    };
    let Some(highest) = finite.last() else {
        return (f64::NAN, false);
    };
    let observations = infinite.count;
    if observations == 0.0 || observations.is_nan() {
        return (f64::NAN, false);
    }
    let rank = q * observations;
    let sought = finite.partition_point(|bucket| bucket.count < rank);
    let Some(bucket) = finite.get(sought) else {
        return (highest.bound, forced);
    };
    let (lower, below) = match sought.checked_sub(1) {
        Some(previous) => (finite[previous].bound, finite[previous].count),
        None if bucket.bound <= 0.0 => return (bucket.bound, forced),
        None => (0.0, 0.0),
    };
    let share = (rank - below) / (bucket.count - below);
    (lower + (bucket.bound - lower) * share, forced)
}

/// Adds up buckets with equal bounds; `false` if the highest one is not infinite. They are in order of bound.
fn prepare(buckets: &mut Vec<Bucket>) -> bool {
    if buckets.last().is_none_or(|last| last.bound != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.bound == kept.bound;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

/// Raises counts that are below the one before them; whether any was by more than rounding.
fn raise(buckets: &mut [Bucket]) -> bool {
    let mut forced = false;
    let Some(first) = buckets.first() else {
        return false;
    };
    let mut previous = first.count;
    for bucket in &mut buckets[1..] {
        if almost_equal(previous, bucket.count, SMALL_DELTA) {
            bucket.count = previous;
        } else if bucket.count < previous {
            bucket.count = previous;
            forced = true;
        } else {
            previous = bucket.count;
        }
    }
    forced
}

/// The part of all observations between `lower` and `upper` (`BucketFraction` in `promql/quantile.go`).
fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !prepare(buckets) {
        return f64::NAN;
    }
    let observations = buckets.last().map_or(0.0, |last| last.count);
    if observations == 0.0 || observations.is_nan() || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |bound: f64| rank_of(bound, buckets).min(observations);
    (rank(upper) - rank(lower)) / observations
}

/// How many observations are at most `bound`, spread evenly within their bucket.
fn rank_of(bound: f64, buckets: &[Bucket]) -> f64 {
    let (mut start, mut below) = (f64::NEG_INFINITY, 0.0);
    for (index, bucket) in buckets.iter().enumerate() {
        if index == 0 && bucket.bound > 0.0 {
            start = 0.0;
        }
        if start >= bound {
            return below;
        }
        if bucket.bound > bound {
            // There is no even spread over a bucket without a lower end: all of it counts.
            if start == f64::NEG_INFINITY {
                return bucket.count;
            }
            return below + (bucket.count - below) * (bound - start) / (bucket.bound - start);
        }
        (start, below) = (bucket.bound, bucket.count);
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: &[(f64, f64)]) -> Vec<Bucket> {
        counts.iter().map(|(bound, count)| Bucket { bound: *bound, count: *count }).collect()
    }

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let counts = [(0.1, 5.0), (0.2, 9.0), (f64::INFINITY, 10.0)];
        for (q, expected) in [(0.5, 0.1), (0.7, 0.15), (0.95, 0.2), (-1.0, f64::NEG_INFINITY)] {
            let (value, forced) = bucket_quantile(q, &mut buckets(&counts));
            assert!((value - expected).abs() < 1e-12 || value == expected, "{q}: {value}");
            assert!(!forced);
        }
        let (_, forced) =
            bucket_quantile(0.5, &mut buckets(&[(1.0, 5.0), (2.0, 3.0), (f64::INFINITY, 5.0)]));
        assert!(forced);
    }

    #[test]
    fn fractions_are_of_all_observations() {
        let counts = [(1.0, 4.0), (3.0, 8.0), (f64::INFINITY, 10.0)];
        for (lower, upper, expected) in [
            (0.0, 1.0, 0.4),
            (0.5, 2.0, 0.4),
            (f64::NEG_INFINITY, f64::INFINITY, 1.0),
            (2.0, 2.0, 0.0),
            (3.0, 9.0, 0.0),
        ] {
            let fraction = bucket_fraction(lower, upper, &mut buckets(&counts));
            assert!((fraction - expected).abs() < 1e-12, "{lower}..{upper}: {fraction}");
        }
    }
}
