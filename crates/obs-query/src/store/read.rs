//! Samples out: what selectors select, one series after the other.

use std::ops::ControlFlow;

use obs_model::{Labels, Timestamp};

use super::SeriesStore;
use super::blocks::SeriesId;
use super::chunk::Decoded;
use super::directory::Unordered;
use super::selections::Selection;
use super::series::Stored;
use crate::promql::HistogramSeries;
use crate::queryable::LOOK_BACK;
use crate::{Queryable, Scanned, Selector, Series, Snapshot, TimeRange};

impl SeriesStore {
    /// What a range selector sees: see [`Queryable::select`].
    #[must_use]
    pub fn select(&self, selector: &Selector, range: TimeRange) -> Vec<Series> {
        Queryable::select(self, selector, range)
    }

    /// What an instant selector sees: see [`Queryable::latest`].
    #[must_use]
    pub fn latest(&self, selector: &Selector, at: Timestamp) -> Snapshot {
        let range = self.kept(TimeRange::last(at, LOOK_BACK));
        let mut points = Vec::new();
        self.each(selector, |stored| {
            points.extend(stored.live_in(range).map(|sample| (stored.labels.clone(), sample)));
        });
        Snapshot { at, points }
    }

    /// The series that `selector` accepts, in order of labels.
    ///
    /// They are looked for while others look, too; only keeping the answer, and putting new series in order before, is
    /// not for two at a time.
    pub(super) fn selection(&self, selector: &Selector) -> Selection {
        let directory = self.directory.read();
        if let Some(known) = directory.known_selection(selector) {
            return known;
        }
        let found = directory.find(selector);
        drop(directory);
        let mut directory = self.directory.write();
        let (selection, changes) = match found {
            Ok(found) => found,
            Err(Unordered) => {
                directory.put_in_order();
                directory.find(selector).unwrap_or_default()
            }
        };
        // A part only, so that samples never have to go for what is merely remembered.
        directory.keep(selector, &selection, changes, self.config.max_bytes / 8);
        self.note_directory(&directory);
        selection
    }

    /// Shows every series that `selector` accepts, in order of labels, each with its block locked.
    fn each(&self, selector: &Selector, mut visit: impl FnMut(&Stored)) {
        for (id, _) in self.selection(selector).iter() {
            self.with(id, &mut visit);
        }
    }

    /// Shows one series with its block locked, unless it is gone.
    fn with<R>(&self, id: SeriesId, visit: impl FnOnce(&Stored) -> R) -> Option<R> {
        let block = self.blocks.read(id)?;
        block.get(id).map(visit)
    }

    /// `range` without the times that are not kept any more, though a chunk may still have some of them.
    pub(super) fn kept(&self, range: TimeRange) -> TimeRange {
        let floor = Timestamp::from_millis(self.level.floor(&self.config));
        TimeRange { start: range.start.max(floor), end: range.end }
    }
}

impl Queryable for SeriesStore {
    fn read(&self, selector: &Selector, range: TimeRange) -> Vec<Series> {
        let mut found = Vec::new();
        self.scan(selector, range, &mut |series| {
            let samples = series.samples.to_vec();
            found.push(Series { labels: series.labels.clone(), samples });
            ControlFlow::Continue(())
        });
        found
    }

    fn scan(
        &self,
        selector: &Selector,
        range: TimeRange,
        visit: &mut dyn FnMut(Scanned<'_>) -> ControlFlow<()>,
    ) {
        let range = self.kept(range);
        let (mut decoded, mut samples) = (Decoded::new(), Vec::new());
        let list = self.selection(selector);
        for (place, (id, labels)) in list.iter().enumerate() {
            samples.clear();
            self.with(id, |stored| stored.read_into(range, &mut decoded, &mut samples));
            if !samples.is_empty()
                && visit(Scanned::of_list(labels, &samples, &list, place)).is_break()
            {
                return;
            }
        }
    }

    fn scan_last(
        &self,
        selector: &Selector,
        range: TimeRange,
        visit: &mut dyn FnMut(Scanned<'_>) -> ControlFlow<()>,
    ) {
        let range = self.kept(range);
        let list = self.selection(selector);
        for (place, (id, labels)) in list.iter().enumerate() {
            if let Some(Some(last)) = self.with(id, |stored| stored.last_in(range))
                && visit(Scanned::of_list(labels, &[last], &list, place)).is_break()
            {
                return;
            }
        }
    }

    fn read_histograms(&self, selector: &Selector, range: TimeRange) -> Vec<HistogramSeries> {
        let mut found = Vec::new();
        if !self.level.has_natives() {
            return found;
        }
        let range = self.kept(range);
        self.each(selector, |stored| {
            let samples = stored.read_histograms(range);
            if !samples.is_empty() {
                found.push(HistogramSeries { labels: stored.labels.clone(), samples });
            }
        });
        found
    }

    fn series(&self, selector: &Selector, range: TimeRange) -> Vec<Labels> {
        let range = self.kept(range);
        let mut found = Vec::new();
        self.each(selector, |stored| {
            if stored.has_sample_in(range) {
                found.push(stored.labels.clone());
            }
        });
        found
    }

    fn label_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.directory.read().index().names().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    fn label_values(&self, name: &str) -> Vec<String> {
        self.directory.read().index().values(name).map(str::to_owned).collect()
    }

    fn latest(&self, selector: &Selector, at: Timestamp) -> Snapshot {
        Self::latest(self, selector, at)
    }
}
