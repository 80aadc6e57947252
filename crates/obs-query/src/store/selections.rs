//! What selectors found, kept until a series comes or goes that they accept.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use obs_model::Labels;

use super::list::SeriesList;
use crate::Selector;

/// How many selectors are kept at most.
const MAX_SELECTORS: usize = 4_096;
/// How many series are kept at most in all lists together, beside four for each series of the store.
const MIN_SERIES: usize = 16_384;
/// About what an entry takes beside its ids, in bytes.
const ENTRY_BYTES: usize = 512;

/// What a selector found.
pub(super) type Selection = Arc<SeriesList>;

/// What selectors found, by the one metric that they are about, if they are about one.
#[derive(Debug, Default)]
pub(super) struct Selections {
    by_metric: HashMap<Option<Box<str>>, HashMap<Selector, Entry>>,
    selectors: usize,
    ids: usize,
    /// How often anything was asked for: the time by which entries are old.
    uses: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    selection: Selection,
    used: AtomicU64,
}

impl Selections {
    /// What a selector found, if that is known.
    pub(super) fn get(&self, selector: &Selector) -> Option<Selection> {
        let entry = self.by_metric.get(&key(selector.metric_name()))?.get(selector)?;
        entry.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(Arc::clone(&entry.selection))
    }

    /// Keeps what a selector found in a store of so many series, unless it takes more than half of the room that
    /// there is for all, in bytes.
    #[expect(
        clippy::mutable_key_type,
        reason = "what changes inside a regex is no part of its key"
    )]
    pub(super) fn put(
        &mut self,
        selector: &Selector,
        selection: &Selection,
        series: usize,
        room: usize,
    ) {
        let most = (MIN_SERIES + 4 * series).min(room / 2 / SeriesList::BYTES_PER_SERIES);
        let most_selectors = MAX_SELECTORS.min(room / 2 / ENTRY_BYTES);
        if selection.len() > most / 2 || most_selectors == 0 {
            return;
        }
        // This ends because of one entry the half is forgotten, too.
        while self.selectors >= most_selectors || self.ids + selection.len() > most {
            self.forget_half();
        }
        let used = AtomicU64::new(self.uses.fetch_add(1, Ordering::Relaxed));
        let entry = Entry { selection: Arc::clone(selection), used };
        let metric = self.by_metric.entry(key(selector.metric_name())).or_default();
        match metric.insert(selector.clone(), entry) {
            Some(before) => self.ids -= before.selection.len(),
            None => self.selectors += 1,
        }
        self.ids += selection.len();
    }

    /// Forgets what every selector found that accepts these labels.
    pub(super) fn forget(&mut self, labels: &Labels) {
        for metric in [labels.metric_name(), None] {
            if self.by_metric.is_empty() {
                return;
            }
            self.retain_in(&key(metric), |selector, _| !selector.matches(labels));
        }
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.selectors * ENTRY_BYTES + self.ids * SeriesList::BYTES_PER_SERIES
    }

    /// Forgets the half that was not asked for the longest.
    fn forget_half(&mut self) {
        let entries = self.by_metric.values().flat_map(HashMap::values);
        let mut used: Vec<u64> = entries.map(|entry| entry.used.load(Ordering::Relaxed)).collect();
        if used.is_empty() {
            return;
        }
        let middle = used.len() / 2;
        let oldest = *used.select_nth_unstable(middle).1;
        let metrics: Vec<_> = self.by_metric.keys().cloned().collect();
        for metric in metrics {
            self.retain_in(&metric, |_, entry| entry.used.load(Ordering::Relaxed) > oldest);
        }
    }

    fn retain_in(&mut self, metric: &Option<Box<str>>, keep: impl Fn(&Selector, &Entry) -> bool) {
        let Some(selectors) = self.by_metric.get_mut(metric) else {
            return;
        };
        selectors.retain(|selector, entry| {
            let kept = keep(selector, entry);
            if !kept {
                self.selectors -= 1;
                self.ids -= entry.selection.len();
            }
            kept
        });
        if selectors.is_empty() {
            self.by_metric.remove(metric);
        }
    }
}

fn key(metric: Option<&str>) -> Option<Box<str>> {
    metric.map(Box::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::blocks::SeriesId;

    fn selector(text: &str) -> Selector {
        text.parse().unwrap()
    }

    fn ids(count: u32) -> Selection {
        let id = |slot| SeriesId { slot, version: 0 };
        Arc::new(SeriesList::new((0..count).map(|slot| (id(slot), Labels::empty()))))
    }

    #[test]
    fn only_what_accepts_a_series_is_forgotten_with_it() {
        let mut selections = Selections::default();
        let texts = ["a", r#"a{l="1"}"#, r#"a{l="2"}"#, "b", r#"{l="1"}"#, r#"{m="1"}"#];
        for text in texts {
            selections.put(&selector(text), &ids(3), 10, usize::MAX);
        }
        selections.forget(&Labels::new([("__name__", "a"), ("l", "1")]).unwrap());
        let left: Vec<_> =
            texts.into_iter().filter(|text| selections.get(&selector(text)).is_some()).collect();
        assert_eq!(left, [r#"a{l="2"}"#, "b", r#"{m="1"}"#]);
        assert_eq!(selections.bytes(), 3 * (ENTRY_BYTES + 3 * SeriesList::BYTES_PER_SERIES));
    }

    #[test]
    fn what_was_not_asked_for_goes_when_there_is_too_much() {
        let mut selections = Selections::default();
        for number in 0..100 {
            selections.put(&selector(&format!("m{number}")), &ids(1_000), 0, usize::MAX);
            assert!(selections.get(&selector("m0")).is_some());
            assert!(selections.ids <= MIN_SERIES);
        }
        assert!(selections.get(&selector("m99")).is_some());
        assert!(selections.get(&selector("m1")).is_none());
        selections.put(&selector("huge"), &ids(MIN_SERIES as u32), 0, usize::MAX);
        assert!(selections.get(&selector("huge")).is_none(), "it would push everything else out");
    }

    #[test]
    fn a_small_store_keeps_little() {
        let mut selections = Selections::default();
        for number in 0..1_000 {
            selections.put(&selector(&format!("m{number}")), &ids(10), 1_000, 100_000);
            assert!(selections.bytes() <= 100_000);
        }
        assert!(selections.get(&selector("m999")).is_some());
        selections.put(&selector("other"), &ids(1), 1_000, 100);
        assert!(selections.get(&selector("other")).is_none());
    }
}
