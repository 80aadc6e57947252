//! The series store: what it offers, and how its parts stand together.
//!
//! Series are kept in blocks, each behind a lock of its own; the directory says which series there are and has the index;
//! the evictor knows whose chunks are the oldest. Locks are taken in this order only: evictor, directory,
//! exemplars, block. An
//! append by id takes none but blocks'.

mod append;
mod blocks;
mod chunk;
pub(crate) mod code;
mod config;
mod directory;
mod evict;
mod exemplars;
mod head;
mod heap;
mod index;
mod ingest;
mod level;
mod list;
mod native;
mod persist;
mod read;
mod selections;
mod series;
mod tally;
mod values;

use std::fmt;
use std::time::Instant;

use metrics::{gauge, histogram};
use obs_model::{Gather, Timestamp};
use parking_lot::{Mutex, RwLock};

use self::blocks::Blocks;
use self::directory::Directory;
use self::evict::Evictor;
use self::exemplars::Exemplars;
use self::level::Level;

pub use self::append::BatchReport;
pub use self::blocks::SeriesId;
pub use self::config::StoreConfig;
pub use self::exemplars::ExemplarSeries;
pub use self::ingest::Feed;
pub(crate) use self::list::{GroupingKey, SeriesList};
pub use self::persist::SealedChunk;
pub use self::tally::describe_metrics;
pub(crate) use self::tally::{count_failed_tick, count_missed_ticks};

/// The recent samples of every series, in memory.
///
/// It is bounded in time, in series, in samples and in bytes by its [`StoreConfig`]; what does not fit is refused or
/// removed, and counted. Every method takes `&self`: share it as `Arc<SeriesStore>`. Samples are compressed in chunks
/// of 120; the newest of a series are read as they are. A reading and an append wait for each other for no longer
/// than it takes to copy one series out or to store one sample of each of 256 series, so a reading may see part of
/// the newest tick.
pub struct SeriesStore {
    config: StoreConfig,
    blocks: Blocks,
    directory: RwLock<Directory>,
    evictor: Evictor,
    exemplars: Exemplars,
    level: Level,
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
    /// Samples, stale markers included, and those that are past the retention but share a chunk with others that
    /// are not.
    pub samples: usize,
    /// Exemplars.
    pub exemplars: usize,
    /// The memory that it takes, in bytes: samples, exemplars, labels, index, and what an allocator adds to each piece.
    pub bytes: usize,
    /// The time of the newest sample or gathering; `None` before the first.
    pub newest: Option<Timestamp>,
}

/// How the samples of a store lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkStats {
    /// Sealed chunks, and for each series the open one.
    pub chunks: usize,
    /// What the chunks take, in bytes, without labels and index.
    pub bytes: usize,
    /// The time of the oldest sample; `None` if there is none.
    pub oldest: Option<Timestamp>,
    /// The time of the newest sample; `None` if there is none.
    pub newest: Option<Timestamp>,
}

impl SeriesStore {
    /// An empty store.
    #[must_use]
    pub fn new(config: StoreConfig) -> Self {
        let config = config.in_range();
        Self {
            blocks: Blocks::new(config.max_series),
            level: Level::new(Blocks::bytes(config.max_series)),
            directory: RwLock::default(),
            evictor: Evictor::new(),
            exemplars: Exemplars::default(),
            feed: Mutex::new(Feed::new()),
            config,
        }
    }

    /// What the store may keep, every value in its range.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// Gathers everything from `source` and stores it with the time `at`.
    ///
    /// Counters and gauges are stored as they are, histograms as `_bucket{le}`, `_sum` and `_count`, those with
    /// exponential buckets as native histograms, too, and with the exemplars of their buckets. A series that
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
        gauge!(tally::EXEMPLARS).set(stats.exemplars as f64);
        gauge!(tally::BYTES).set(stats.bytes as f64);
        histogram!(tally::INGEST_DURATION).record(started.elapsed().as_secs_f64());
        report
    }

    /// How the samples lie. Every series is looked at, one block of 256 after the other.
    #[must_use]
    pub fn chunk_stats(&self) -> ChunkStats {
        let mut stats = ChunkStats::default();
        let (mut oldest, mut newest) = (None::<i64>, None);
        for block in self.blocks.iter() {
            for stored in block.read().iter() {
                stats.chunks += stored.chunks();
                stats.bytes += stored.bytes();
                let first = stored.first_millis();
                oldest = oldest.map_or(first, |oldest| Some(first.unwrap_or(oldest).min(oldest)));
                newest = newest.max(stored.last_millis());
            }
        }
        stats.oldest = oldest.map(Timestamp::from_millis);
        stats.newest = newest.map(Timestamp::from_millis);
        stats
    }

    /// How much there is.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            series: self.directory.read().len(),
            samples: self.level.samples(),
            exemplars: self.exemplars.len(),
            bytes: self.level.bytes(),
            newest: self.level.newest(),
        }
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
