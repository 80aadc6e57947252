//! Which group each series of an aggregation is in, as the series are shown.

use std::sync::Arc;

use super::identity::{Identity, Subject};
use super::matching::Groups;
use crate::promql::ast::Grouping;
use crate::store::{GroupingKey, SeriesList};

/// The numbers of groups, in the order in which they are first met.
///
/// For series that a store shows from a list, the list remembers from query to query which of its series belong together,
/// so that no label is looked at.
pub(super) struct Numbers<'n> {
    grouping: &'n Grouping,
    groups: Groups<'n>,
    listed: Option<Listed>,
}

/// The groups of a list's series.
struct Listed {
    list: Arc<SeriesList>,
    bare: bool,
    /// The list's number of the group of each series.
    groups: Arc<[u32]>,
    /// Our number of each of the list's, or [`UNMET`].
    numbers: Vec<u32>,
    met: u32,
}

const UNMET: u32 = u32::MAX;

impl<'n> Numbers<'n> {
    pub(super) fn new(grouping: &'n Grouping) -> Self {
        let groups = Groups::new(!grouping.without, &grouping.labels);
        Self { grouping, groups, listed: None }
    }

    /// The number of a series' group: one that was given out, or the next.
    ///
    /// The series must be all of one list, or all of none.
    pub(super) fn of(&mut self, subject: Subject<'_>) -> usize {
        let Some((list, place)) = subject.place else {
            return self.groups.of(&subject.identity());
        };
        let known = self
            .listed
            .as_ref()
            .is_some_and(|known| known.bare == subject.bare && Arc::ptr_eq(&known.list, list));
        if !known {
            self.listed = Some(Listed::new(self.grouping, list, subject.bare));
        }
        self.listed.as_mut().map_or(0, |listed| listed.of(place))
    }
}

impl Listed {
    fn new(grouping: &Grouping, list: &Arc<SeriesList>, bare: bool) -> Self {
        let names = grouping.labels.clone();
        let key = GroupingKey { without: grouping.without, names, bare };
        let groups = list.grouping(&key, |series| {
            let mut groups = Groups::new(!grouping.without, &grouping.labels);
            let mut number = |labels: &obs_model::Labels| {
                let mut identity = Identity::from(labels.clone());
                if bare {
                    identity.drop_metric();
                }
                // OK because there are no more groups than series, which 24 bits count.
                groups.of(&identity) as u32
            };
            series.iter().map(&mut number).collect()
        });
        Self { list: Arc::clone(list), bare, groups, numbers: Vec::new(), met: 0 }
    }

    fn of(&mut self, place: usize) -> usize {
        let group = self.groups[place] as usize;
        if group >= self.numbers.len() {
            self.numbers.resize(group + 1, UNMET);
        }
        let number = &mut self.numbers[group];
        if *number == UNMET {
            *number = self.met;
            self.met += 1;
        }
        *number as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Queryable, SeriesStore, StoreConfig, TimeRange};
    use obs_model::{Labels, Sample, Timestamp};
    use std::ops::ControlFlow;

    #[test]
    fn a_list_gives_the_numbers_that_the_labels_give() {
        let store = SeriesStore::new(StoreConfig::default());
        for (a, b) in [("1", "x"), ("2", "x"), ("1", "y"), ("3", "z"), ("2", "y")] {
            let labels = Labels::new([("__name__", "m"), ("a", a), ("b", b)]).unwrap();
            let sample = Sample { timestamp: Timestamp::EPOCH, value: 1.0 };
            store.append(&labels, sample).unwrap();
        }
        for (without, labels) in
            [(false, vec!["b"]), (true, vec!["a"]), (false, vec![]), (true, vec![])]
        {
            let labels = labels.into_iter().map(str::to_owned).collect();
            let grouping = Grouping { without, labels };
            for _ in 0..2 {
                let (mut by_list, mut by_labels) =
                    (Numbers::new(&grouping), Numbers::new(&grouping));
                store.scan(&"m{a!=\"3\"}".parse().unwrap(), TimeRange::all(), &mut |series| {
                    let bare = Subject { bare: true, ..Subject::new(series.labels) };
                    let listed = Subject { place: series.place(), ..bare };
                    assert!(listed.place.is_some());
                    assert_eq!(by_list.of(listed), by_labels.of(bare));
                    ControlFlow::Continue(())
                });
            }
        }
    }
}
