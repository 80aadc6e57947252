//! Which series there were in the round before, so that those that vanished can be marked.

use std::collections::HashMap;
use std::sync::Arc;

use obs_model::Labels;

/// What a series of ours is on the wire.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parts {
    /// A sample, or the fixed buckets of a histogram with these bounds.
    pub(super) fixed: Option<Fixed>,
    /// Whether there is a native histogram.
    pub(super) native: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fixed {
    Sample,
    Buckets(Arc<[f64]>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    name: Arc<str>,
    labels: Labels,
}

/// The series of the last round.
#[derive(Debug, Default)]
pub(super) struct Seen {
    round: u64,
    series: HashMap<Key, (u64, Parts)>,
    /// The bounds that came last: all series of a metric have the same ones.
    bounds: Option<Arc<[f64]>>,
}

impl Seen {
    pub(super) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Notes that a series is there.
    pub(super) fn note(&mut self, name: &Arc<str>, labels: &Labels, parts: Parts) {
        let key = Key { name: Arc::clone(name), labels: labels.clone() };
        self.series.insert(key, (self.round, parts));
    }

    /// The bounds as they are kept; as long as they stay the same, they are kept once.
    pub(super) fn bounds(&mut self, bounds: &[f64]) -> Arc<[f64]> {
        match &self.bounds {
            Some(kept) if **kept == *bounds => Arc::clone(kept),
            _ => Arc::clone(self.bounds.insert(Arc::from(bounds))),
        }
    }

    /// Forgets the series that were not in this round, and shows each.
    pub(super) fn take_vanished(&mut self, mut show: impl FnMut(&str, &Labels, &Parts)) {
        let round = self.round;
        self.series.retain(|key, (seen, parts)| {
            let stays = *seen == round;
            if !stays {
                show(&key.name, &key.labels, parts);
            }
            stays
        });
    }
}
