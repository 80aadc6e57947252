//! The series that a selector accepts, and what evaluations work out about them again and again.

use std::sync::{Arc, OnceLock};

use obs_model::Labels;
use parking_lot::Mutex;

use super::blocks::SeriesId;

/// How many groupings of a list are kept at most.
const MAX_GROUPINGS: usize = 4;

/// The series that a selector accepts, in order of labels.
#[derive(Debug, Default)]
pub(crate) struct SeriesList {
    ids: Box<[SeriesId]>,
    labels: Box<[Labels]>,
    /// Whether the series can be told apart by other labels than those about the metric.
    differ_without_metric: OnceLock<bool>,
    groupings: Mutex<Vec<(GroupingKey, Arc<[u32]>)>>,
}

/// By which labels series are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupingKey {
    /// Whether all labels but those named count, instead of those named.
    pub(crate) without: bool,
    pub(crate) names: Vec<String>,
    /// Whether the labels about the metric do not count.
    pub(crate) bare: bool,
}

impl SeriesList {
    /// The most memory that each series of a list takes, in bytes.
    pub(super) const BYTES_PER_SERIES: usize =
        size_of::<SeriesId>() + size_of::<Labels>() + MAX_GROUPINGS * size_of::<u32>();

    pub(super) fn new(series: impl Iterator<Item = (SeriesId, Labels)>) -> Self {
        let (ids, labels): (Vec<_>, Vec<_>) = series.unzip();
        Self { ids: ids.into(), labels: labels.into(), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SeriesId, &Labels)> {
        self.ids.iter().copied().zip(&self.labels)
    }

    /// Whether the series can be told apart by other labels than those about the metric, worked out by `differ` once.
    pub(crate) fn differ_without_metric(&self, differ: impl FnOnce(&[Labels]) -> bool) -> bool {
        *self.differ_without_metric.get_or_init(|| differ(&self.labels))
    }

    /// The number of the group that each series is in, worked out by `number` once.
    pub(crate) fn grouping(
        &self,
        key: &GroupingKey,
        number: impl FnOnce(&[Labels]) -> Vec<u32>,
    ) -> Arc<[u32]> {
        let mut groupings = self.groupings.lock();
        if let Some((_, known)) = groupings.iter().find(|(known, _)| known == key) {
            return Arc::clone(known);
        }
        let numbers: Arc<[u32]> = number(&self.labels).into();
        if groupings.len() == MAX_GROUPINGS {
            groupings.remove(0);
        }
        groupings.push((key.clone(), Arc::clone(&numbers)));
        numbers
    }
}
