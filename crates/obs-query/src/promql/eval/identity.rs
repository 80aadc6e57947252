//! What a row is: labels, of which those about the metric may not count any more.
//!
//! Making a label set costs more than evaluating a few steps, and most names that are dropped belong to series that are
//! aggregated right away, so that a dropped name is only marked until somebody asks for the labels.

use std::cmp::Ordering;
use std::sync::Arc;

use obs_model::{Labels, METRIC_NAME_LABEL};

use crate::store::SeriesList;

/// Whether a label is about the metric rather than about the series: its name, type and unit.
pub(super) fn is_about_metric(name: &str) -> bool {
    name == METRIC_NAME_LABEL || name == "__type__" || name == "__unit__"
}

/// The labels without those that are about the metric.
pub(super) fn without_metric(labels: &Labels) -> Labels {
    if labels.iter().any(|(name, _)| is_about_metric(name)) {
        labels.filter(|name, _| !is_about_metric(name))
    } else {
        labels.clone()
    }
}

/// What a series is, while it is shown: nothing is copied or counted until somebody wants to keep it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'s> {
    pub(super) labels: &'s Labels,
    /// The list of a store that it is shown from, and its place there.
    pub(super) place: Option<(&'s Arc<SeriesList>, usize)>,
    /// Whether the labels about the metric do not count.
    pub(super) bare: bool,
}

impl<'s> Subject<'s> {
    /// A series that is in no list.
    pub(super) fn new(labels: &'s Labels) -> Self {
        Self { labels, place: None, bare: false }
    }

    pub(super) fn identity(&self) -> Identity {
        Identity { labels: self.labels.clone(), bare: self.bare }
    }
}

/// The labels of a row.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    labels: Labels,
    /// Whether the labels about the metric do not count.
    bare: bool,
}

impl Identity {
    /// The labels, of which those about the metric do not count.
    pub(super) fn bare(labels: &Labels) -> Self {
        Self { labels: labels.clone(), bare: true }
    }

    /// Drops the labels about the metric.
    pub(super) fn drop_metric(&mut self) {
        self.bare = true;
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        if self.bare && is_about_metric(name) { None } else { self.labels.get(name) }
    }

    pub(super) fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME_LABEL)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.labels.iter().filter(|(name, _)| !(self.bare && is_about_metric(name)))
    }

    /// The labels that `keep` accepts.
    pub(super) fn filter(&self, keep: impl Fn(&str) -> bool) -> Labels {
        self.labels.filter(|name, _| !(self.bare && is_about_metric(name)) && keep(name))
    }

    pub(super) fn to_labels(&self) -> Labels {
        if self.bare { without_metric(&self.labels) } else { self.labels.clone() }
    }

    /// Makes the labels what they count as.
    pub(super) fn settle(&mut self) -> &Labels {
        if self.bare {
            self.labels = without_metric(&self.labels);
            self.bare = false;
        }
        &self.labels
    }

    pub(super) fn into_labels(mut self) -> Labels {
        self.settle();
        self.labels
    }

    /// Whether two rows differ only if their labels, dropped ones included, do.
    pub(super) fn is_of_same_metric(&self, other: &Self) -> bool {
        let same = |name: &str| self.labels.get(name) == other.labels.get(name);
        self.bare == other.bare
            && (!self.bare || [METRIC_NAME_LABEL, "__type__", "__unit__"].into_iter().all(same))
    }

    /// The hash of the labels, dropped ones included.
    pub(super) fn full_hash(&self) -> u64 {
        self.labels.precomputed_hash()
    }

    /// Whether the labels, dropped ones included, are equal.
    pub(super) fn is_fully_equal(&self, other: &Self) -> bool {
        self.labels == other.labels
    }
}

impl From<Labels> for Identity {
    fn from(labels: Labels) -> Self {
        Self { labels, bare: false }
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Identity {}

impl PartialOrd for Identity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Identity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_metric_does_not_count_any_more() {
        let series = [("__name__", "x"), ("__type__", "gauge"), ("a", "1")];
        let mut identity = Identity::from(Labels::new(series).unwrap());
        let before = identity.clone();
        identity.drop_metric();
        assert_eq!(identity.metric_name(), None);
        assert_eq!(identity.iter().collect::<Vec<_>>(), [("a", "1")]);
        assert_eq!(identity, Identity::from(Labels::new([("a", "1")]).unwrap()));
        assert_ne!(identity, before);
        assert_eq!(identity.into_labels().to_string(), "{a=\"1\"}");
    }
}
