//! Classic histograms turned into native ones with the same bounds, as `load_with_nhcb` has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use obs_model::{Labels, METRIC_NAME_LABEL, Sample, Timestamp};

use super::series::SequenceValue;
use crate::promql::{
    BucketSpan, CUSTOM_BUCKETS_SCHEMA, HistogramSample, NativeHistogram, label_set,
};

/// What is known of a histogram at one time.
#[derive(Default)]
struct Parts {
    /// Upper bound and cumulative count.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// The native histograms of all classic ones among `series`.
pub(super) fn native(
    series: &[(Labels, Vec<SequenceValue>)],
    step_millis: i64,
) -> Result<Vec<(Labels, Vec<HistogramSample>)>, String> {
    let mut found: BTreeMap<Labels, BTreeMap<Timestamp, Parts>> = BTreeMap::new();
    for (labels, values) in series {
        let Some((base, part)) = part_of(labels)? else {
            continue;
        };
        let times = found.entry(base).or_default();
        for Sample { timestamp, value } in floats(values, step_millis) {
            let parts = times.entry(timestamp).or_default();
            match part {
                Part::Bucket(bound) => parts.buckets.push((bound, value)),
                Part::Count => parts.count = Some(value),
                Part::Sum => parts.sum = value,
            }
        }
    }
    found
        .into_iter()
        .map(|(labels, times)| {
            let samples = times
                .into_iter()
                .map(|(timestamp, parts)| {
                    let value = Arc::new(parts.histogram()?);
                    Ok(HistogramSample { timestamp, value })
                })
                .collect::<Result<_, String>>()?;
            Ok((labels, samples))
        })
        .collect()
}

/// The numbers of a sequence with their times.
pub(super) fn floats(
    values: &[SequenceValue],
    step_millis: i64,
) -> impl Iterator<Item = Sample> + use<'_> {
    values.iter().enumerate().filter_map(move |(index, value)| match value {
        SequenceValue::Float(value) => {
            let timestamp = Timestamp::from_millis(index as i64 * step_millis);
            Some(Sample { timestamp, value: *value })
        }
        _ => None,
    })
}

#[derive(Clone, Copy)]
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

/// Which part of which histogram a series is, if it is one.
fn part_of(labels: &Labels) -> Result<Option<(Labels, Part)>, String> {
    let name = labels.metric_name().unwrap_or_default();
    let (base, part) = if let Some(base) = name.strip_suffix("_bucket") {
        let bound = labels.get("le").ok_or_else(|| format!("{labels} has no label le"))?;
        match bound.parse::<f64>() {
            Ok(bound) if !bound.is_nan() => (base, Part::Bucket(bound)),
            _ => return Ok(None),
        }
    } else if let Some(base) = name.strip_suffix("_count") {
        (base, Part::Count)
    } else if let Some(base) = name.strip_suffix("_sum") {
        (base, Part::Sum)
    } else {
        return Ok(None);
    };
    let rest = labels.iter().filter(|(name, _)| *name != METRIC_NAME_LABEL && *name != "le");
    let labels =
        label_set(rest.chain([(METRIC_NAME_LABEL, base)])).map_err(|error| error.to_string())?;
    Ok(Some((labels, part)))
}

impl Parts {
    fn histogram(mut self) -> Result<NativeHistogram, String> {
        self.buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let highest = self.buckets.last().map_or(0.0, |(_, count)| *count);
        let count = self.count.unwrap_or(highest);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut before = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (bound, cumulative) in &self.buckets {
            if *cumulative < before {
                return Err(format!("the bucket up to {bound} has fewer than the one before it"));
            }
            counts.push(cumulative - before);
            before = *cumulative;
        }
        let bounds = &self.buckets[..self.buckets.len() - 1];
        Ok(NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            positive_spans: vec![BucketSpan { offset: 0, length: counts.len() as u32 }],
            positive_buckets: counts,
            custom_values: bounds.iter().map(|(bound, _)| *bound).collect(),
            ..NativeHistogram::default()
        }
        .compacted())
    }
}
