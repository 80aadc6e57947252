//! The series store: what it offers, and the lock that it stands behind.

mod chunk;
mod config;
mod index;
mod ingest;
mod series;
mod shelf;
mod tally;

use std::fmt;
use std::time::Instant;

use metrics::{gauge, histogram};
use obs_model::{Gather, Labels, Sample, Timestamp};
use parking_lot::{Mutex, RwLock};

use self::shelf::Shelf;
use self::tally::Tally;
use crate::queryable::LOOK_BACK;
use crate::stale::is_stale;
use crate::{Error, Queryable, Selector, Series, Snapshot, TimeRange};

pub use self::config::StoreConfig;
pub use self::ingest::Feed;
pub use self::tally::describe_metrics;
pub(crate) use self::tally::{count_failed_tick, count_missed_ticks};

/// The recent samples of every series, in memory.
///
/// It is bounded in time, in series and in samples by its [`StoreConfig`]; what does not fit is refused or removed,
/// and counted. Every method takes `&self`: share it as `Arc<SeriesStore>`. A reading waits for the family that is
/// being stored at the moment, not for the whole gathering, so it may see part of the newest tick.
pub struct SeriesStore {
    config: StoreConfig,
    shelf: RwLock<Shelf>,
    /// The feed of [`SeriesStore::ingest`].
    feed: Mutex<Feed>,
}

/// What a gathering brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// Series that were shown, each bucket, sum and count of a histogram being one.
    pub series: usize,
    /// Samples that were stored, stale markers apart.
    pub samples: usize,
    /// Series that had vanished and were ended with a stale marker.
    pub ended: usize,
    /// Samples that were refused.
    pub dropped: usize,
}

/// How much a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// Series.
    pub series: usize,
    /// Samples, stale markers included, and those that are past the retention but share a block with others that
    /// are not.
    pub samples: usize,
    /// The memory that the samples take, in bytes; labels and index come on top.
    pub bytes: usize,
    /// The time of the newest sample or gathering; `None` before the first.
    pub newest: Option<Timestamp>,
}

impl SeriesStore {
    /// An empty store.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        Self {
            config: config.in_range(),
            shelf: RwLock::new(Shelf::new()),
            feed: Mutex::new(Feed::new()),
        }
    }

    /// What the store may keep, every value in its range.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// Appends a sample to the series with these labels, `__name__` included.
    ///
    /// # Errors
    ///
    /// The sample is not after the last one of its series or is older than the retention; the series has no
    /// `__name__`; the series is new and there is no room for it. All of these are counted.
    pub fn append(&self, series: &Labels, sample: Sample) -> Result<(), Error> {
        let mut tally = Tally::default();
        let (_, result) = self.shelf.write().append(&self.config, series, sample, &mut tally);
        tally.record();
        result
    }

    /// Gathers everything from `source` and stores it with the time `at`.
    ///
    /// Counters and gauges are stored as they are, histograms as `_bucket{le}`, `_sum` and `_count`. A series that
    /// the previous call stored and this one does not see is ended with a stale marker, so all calls must be about
    /// the same source; [`SeriesStore::ingest_feed`] serves several.
    ///
    /// It blocks for as long as the gathering takes: see [`sample_on_grid`](crate::sample_on_grid) for async code.
    pub fn ingest(&self, at: Timestamp, source: &dyn Gather) -> IngestReport {
        self.ingest_feed(&mut self.feed.lock(), at, source)
    }

    /// As [`SeriesStore::ingest`], for a source that has a feed of its own.
    pub fn ingest_feed(&self, feed: &mut Feed, at: Timestamp, source: &dyn Gather) -> IngestReport {
        let started = Instant::now();
        let (report, tally) = ingest::ingest(self, feed, at, source);
        let stats = self.stats();
        tally.record();
        gauge!(tally::SERIES).set(stats.series as f64);
        gauge!(tally::SAMPLES).set(stats.samples as f64);
        gauge!(tally::BYTES).set(stats.bytes as f64);
        histogram!(tally::INGEST_DURATION).record(started.elapsed().as_secs_f64());
        report
    }

    /// What a range selector sees: see [`Queryable::select`].
    #[must_use]
    pub fn select(&self, selector: &Selector, range: TimeRange) -> Vec<Series> {
        Queryable::select(self, selector, range)
    }

    /// What an instant selector sees: see [`Queryable::latest`].
    #[must_use]
    pub fn latest(&self, selector: &Selector, at: Timestamp) -> Snapshot {
        let shelf = self.shelf.read();
        let range = shelf.kept(&self.config, TimeRange::last(at, LOOK_BACK));
        let mut points: Vec<_> = shelf
            .find(selector)
            .filter_map(|stored| Some((stored.labels.clone(), stored.last_in(range)?)))
            .filter(|(_, sample)| !is_stale(sample.value))
            .collect();
        drop(shelf);
        points.sort_by(|(a, _), (b, _)| a.cmp(b));
        Snapshot { at, points }
    }

    /// How much there is.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let shelf = self.shelf.read();
        StoreStats {
            series: shelf.series_count(),
            samples: shelf.sample_count(),
            bytes: shelf.chunk_bytes(),
            newest: shelf.newest(),
        }
    }
}

impl Queryable for SeriesStore {
    fn read(&self, selector: &Selector, range: TimeRange) -> Vec<Series> {
        let shelf = self.shelf.read();
        let range = shelf.kept(&self.config, range);
        let mut found: Vec<_> = shelf
            .find(selector)
            .map(|stored| Series { labels: stored.labels.clone(), samples: stored.read(range) })
            .filter(|series| !series.samples.is_empty())
            .collect();
        drop(shelf);
        found.sort_by(|a, b| a.labels.cmp(&b.labels));
        found
    }

    fn series(&self, selector: &Selector, range: TimeRange) -> Vec<Labels> {
        let shelf = self.shelf.read();
        let range = shelf.kept(&self.config, range);
        let mut found: Vec<_> = shelf
            .find(selector)
            .filter(|stored| stored.has_sample_in(range))
            .map(|stored| stored.labels.clone())
            .collect();
        drop(shelf);
        found.sort();
        found
    }

    fn label_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.shelf.read().index().names().map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    fn label_values(&self, name: &str) -> Vec<String> {
        self.shelf.read().index().values(name).map(str::to_owned).collect()
    }

    fn latest(&self, selector: &Selector, at: Timestamp) -> Snapshot {
        Self::latest(self, selector, at)
    }
}

impl fmt::Debug for SeriesStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesStore")
            .field("config", &self.config)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
