//! The series of a test, in memory: numbers and native histograms.

use std::collections::{BTreeMap, BTreeSet};

use obs_model::{Labels, Sample};

use crate::promql::{HistogramSample, HistogramSeries};
use crate::{Queryable, Selector, Series, TimeRange};

/// The series of a test.
#[derive(Debug, Default)]
pub(super) struct Storage {
    series: BTreeMap<Labels, Samples>,
}

#[derive(Debug, Default)]
pub(super) struct Samples {
    pub(super) floats: Vec<Sample>,
    pub(super) histograms: Vec<HistogramSample>,
}

impl Storage {
    /// Adds samples to a series; one at a time that is taken replaces the one that is there.
    pub(super) fn load(&mut self, labels: &Labels, samples: Samples) {
        let stored = self.series.entry(labels.clone()).or_default();
        for sample in samples.floats {
            put(&mut stored.floats, sample, |sample| sample.timestamp);
        }
        for sample in samples.histograms {
            put(&mut stored.histograms, sample, |sample| sample.timestamp);
        }
    }

    fn found<'s>(
        &'s self,
        selector: &'s Selector,
    ) -> impl Iterator<Item = (&'s Labels, &'s Samples)> {
        self.series.iter().filter(|(labels, _)| selector.matches(labels))
    }
}

fn put<S>(samples: &mut Vec<S>, sample: S, time: impl Fn(&S) -> obs_model::Timestamp) {
    match samples.binary_search_by_key(&time(&sample), &time) {
        Ok(place) => samples[place] = sample,
        Err(place) => samples.insert(place, sample),
    }
}

impl Queryable for Storage {
    fn read(&self, selector: &Selector, range: TimeRange) -> Vec<Series> {
        self.found(selector)
            .map(|(labels, samples)| Series {
                labels: labels.clone(),
                samples: samples
                    .floats
                    .iter()
                    .filter(|sample| range.contains(sample.timestamp))
                    .copied()
                    .collect(),
            })
            .filter(|series| !series.samples.is_empty())
            .collect()
    }

    fn read_histograms(&self, selector: &Selector, range: TimeRange) -> Vec<HistogramSeries> {
        self.found(selector)
            .map(|(labels, samples)| HistogramSeries {
                labels: labels.clone(),
                samples: samples
                    .histograms
                    .iter()
                    .filter(|sample| range.contains(sample.timestamp))
                    .cloned()
                    .collect(),
            })
            .filter(|series| !series.samples.is_empty())
            .collect()
    }

    fn label_names(&self) -> Vec<String> {
        let names: BTreeSet<&str> =
            self.series.keys().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    fn label_values(&self, name: &str) -> Vec<String> {
        let values: BTreeSet<&str> =
            self.series.keys().filter_map(|labels| labels.get(name)).collect();
        values.into_iter().map(str::to_owned).collect()
    }
}
