//! Samples over a restart: a [`SeriesStore`] kept in a file of `obs-store`.
//!
//! Three tables of the file hold it. *Segments* are sealed chunks, put there when they are sealed. The *log* has the
//! samples that are not in a segment yet, in the order in which they came. *Names* says which series the numbers in both
//! stand for. When the log has grown, it is written anew with what is not sealed (a checkpoint), in the same transaction
//! that removes the old one.
//!
//! There are two ways into the log. [`Persistence::save`], called once a sample interval, looks at what is new in the
//! store: a crash loses at most that interval. [`Persistence::log`] returns when the samples that it is given are on the
//! disk, so that a remote write can be acknowledged; many such calls at a time share one flush.
//!
//! ```
//! use std::sync::Arc;
//!
//! use obs_model::{Labels, Sample, Timestamp};
//! use obs_query::persist::{PersistConfig, Persistence, Written};
//! use obs_query::{SeriesStore, StoreConfig};
//! use obs_store::{Store, StoreOptions};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("samples.redb");
//! let up = Labels::new([("__name__", "up")])?;
//! let sample = Sample { timestamp: Timestamp::from_millis(5_000), value: 1.0 };
//! {
//!     let (file, _) = Store::open(&path, StoreOptions::default())?;
//!     let series = Arc::new(SeriesStore::new(StoreConfig::default()));
//!     let (persistence, _) = Persistence::open(Arc::clone(&series), &file, PersistConfig::default())?;
//!     series.append(&up, sample)?;
//!     persistence.log(&[Written { labels: &up, samples: &[sample], histograms: &[] }])?;
//! } // A crash here would make no difference.
//! let (file, _) = Store::open(&path, StoreOptions::default())?;
//! let series = Arc::new(SeriesStore::new(StoreConfig::default()));
//! let (_persistence, recovery) = Persistence::open(Arc::clone(&series), &file, PersistConfig::default())?;
//! assert_eq!((recovery.samples, series.stats().samples), (1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! A chunk that the store evicts from memory before it was saved is lost, as in memory. One saver at a time: whoever else
//! calls [`SeriesStore::take_open`] or [`SeriesStore::take_sealed`] takes away what is to be saved.

mod ids;
mod labels;
mod record;
mod replay;
mod self_metrics;
mod writing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use obs_model::{Labels, Sample, Timestamp};
use obs_store::{Chunks, ChunksOptions, Durability, Overflow, Queue, QueueOptions, Store, Table};
use parking_lot::{Mutex, MutexGuard};

use self::ids::Ids;
use self::replay::{Place, replay};
use self::self_metrics::SelfMetrics;
use self::writing::{Ready, Writing};
use crate::promql::HistogramSample;
use crate::{Error, SealedChunk, SeriesStore};

pub use self::replay::Recovery;
pub use self::self_metrics::describe;

/// How often segments are looked through for what is past the retention, by the samples' own time.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// How much may wait for a disk that does not work, before the oldest chunks are given up.
const MAX_UNSAVED_BYTES: usize = 64 * 1024 * 1024;

/// What may be kept on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistConfig {
    /// How much sealed chunks may take, in bytes: 256 MiB by default. Above it the oldest go first.
    pub max_bytes: u64,
    /// How large the log may become before it is written anew: 32 MiB by default, or four times what it had the last
    /// time, if that is more. Reading it takes a start in the order of 10 ms a MiB.
    pub checkpoint_bytes: u64,
}

impl Default for PersistConfig {
    fn default() -> Self {
        Self { max_bytes: 256 << 20, checkpoint_bytes: 32 << 20 }
    }
}

/// Samples that were appended to a series, and have to be on the disk.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// What the series is, `__name__` included.
    pub labels: &'a Labels,
    /// Numbers, by rising time.
    pub samples: &'a [Sample],
    /// Native histograms, by rising time.
    pub histograms: &'a [HistogramSample],
}

/// Keeps a series store in a file.
///
/// Its methods wait for the disk: from asynchronous code, call them where blocking is allowed.
pub struct Persistence {
    series: Arc<SeriesStore>,
    file: Store,
    names: Table,
    segments: Chunks,
    log: Queue,
    config: PersistConfig,
    state: Mutex<State>,
    metrics: SelfMetrics,
}

struct State {
    ids: Ids,
    place: Place,
    /// Sealed chunks that were taken and are not on the disk.
    unsaved: Vec<SealedChunk>,
    /// Before when segments were removed.
    floor: i64,
    /// How large the log was when it was written anew.
    checkpoint_bytes: u64,
    /// Something that counts as logged may not be, so the log has to be written anew.
    doubtful: bool,
}

impl Persistence {
    /// Loads what the file has into the store, which should be empty, and keeps it there from now on.
    ///
    /// # Errors
    ///
    /// The file cannot be read. What it has and cannot be understood is no error, but counted in the [`Recovery`].
    pub fn open(
        series: Arc<SeriesStore>,
        file: &Store,
        config: PersistConfig,
    ) -> Result<(Self, Recovery), Error> {
        let names = file.table("samples/names").map_err(Error::state)?;
        let segments = ChunksOptions { max_bytes: config.max_bytes };
        let segments = file.chunks("samples/segments", segments).map_err(Error::state)?;
        // What is acknowledged is never dropped for what is new. Long before it is full, it is written anew.
        let log = QueueOptions { max_bytes: u64::MAX, overflow: Overflow::Refuse };
        let log = file.queue("samples/log", log).map_err(Error::state)?;
        let (ids, place, recovery) = replay(&series, &names, &segments, &log)?;
        let state = State {
            ids,
            place,
            unsaved: Vec::new(),
            floor: i64::MIN,
            checkpoint_bytes: 0,
            doubtful: false,
        };
        let metrics = SelfMetrics::bind();
        metrics.replayed.increment(recovery.samples as u64);
        metrics.skipped.increment(recovery.skipped as u64);
        let state = Mutex::new(state);
        let persistence =
            Self { series, file: file.clone(), names, segments, log, config, state, metrics };
        persistence.show_sizes();
        Ok((persistence, recovery))
    }

    /// Puts on the disk what came into the store since the last time, and chunks that were sealed; removes what is past
    /// the retention.
    ///
    /// # Errors
    ///
    /// The file cannot be written. Nothing is lost by that: the next saving includes it.
    pub fn save(&self) -> Result<(), Error> {
        let state = self.state.lock();
        let limit = self.config.checkpoint_bytes.max(state.checkpoint_bytes.saturating_mul(4));
        let anew = state.doubtful || self.log.bytes() > limit;
        self.save_with(state, anew)
    }

    /// Writes the log anew, without what is in segments: the last thing before the end, so that the next start is quick.
    ///
    /// # Errors
    ///
    /// As [`Persistence::save`].
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.save_with(self.state.lock(), true)
    }

    /// Returns when these samples, which are in the store already, are on the disk.
    ///
    /// The samples of one series have to come here in their order, so from one sender at a time, as those who write
    /// remotely do it.
    ///
    /// # Errors
    ///
    /// The file cannot be written, or is full. Samples of a write that is not acknowledged may be there all the same.
    pub fn log(&self, written: &[Written<'_>]) -> Result<(), Error> {
        let mut state = self.state.lock();
        let mut writing = Writing::new(&mut state.ids, &self.names);
        for written in written {
            writing.written(written);
        }
        let ready = writing.finish(&self.log);
        self.finish(state, ready, Wait::IfNew).map(drop)
    }

    fn save_with(&self, mut guard: MutexGuard<'_, State>, anew: bool) -> Result<(), Error> {
        let begun = Instant::now();
        let state = &mut *guard;
        // In this order: what is sealed in between is in both. The samples that a log entry has were in the store before
        // the entry was handed over, so they are in here, and a log that is written anew lacks nothing of what it had.
        let news = self.series.take_open();
        let open =
            if anew { self.series.open_chunks(Timestamp::from_millis(i64::MIN)) } else { news };
        state.unsaved.extend(self.series.take_sealed(usize::MAX));
        self.bound_unsaved(&mut state.unsaved);
        let floor = self.floor();

        let mut writing = Writing::new(&mut state.ids, &self.names);
        if anew {
            writing.batch.clear(&self.log);
            open.iter().for_each(|chunk| writing.whole(chunk));
        } else {
            open.iter().for_each(|chunk| writing.news(chunk));
        }
        writing.segments(&self.segments, &state.unsaved, &mut state.place);
        if floor > state.floor.saturating_add(RETAIN_EVERY.as_millis() as i64) {
            writing.batch.remove_chunks_before(&self.segments, Timestamp::from_millis(floor));
            state.floor = floor;
        }
        if anew {
            writing.forget(state.floor);
        }
        let ready = writing.finish(&self.log);
        let chunks = state.unsaved.len();
        let wait = if anew || chunks > 0 { Wait::Locked } else { Wait::IfNew };
        let result = self.finish(guard, ready, wait);
        self.metrics.save_seconds.record(begun.elapsed().as_secs_f64());
        if let Some(mut state) = result? {
            state.unsaved.clear();
            self.metrics.saved_chunks.increment(chunks as u64);
            if anew {
                state.doubtful = false;
                state.checkpoint_bytes = self.log.bytes();
                self.metrics.checkpoints.increment(1);
            }
        }
        self.show_sizes();
        Ok(())
    }

    /// Hands a batch over in the order that the lock gives and waits for it; the lock comes back if it was kept.
    fn finish<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        ready: Result<Ready, (obs_store::Error, Vec<Labels>)>,
        wait: Wait,
    ) -> Result<Option<MutexGuard<'s, State>>, Error> {
        let fail = |state: &mut State, error: obs_store::Error, made: &[Labels]| {
            for labels in made {
                state.ids.remove(labels);
            }
            state.doubtful = true;
            self.metrics.failures.increment(1);
            Error::state(error)
        };
        let Ready { batch, made, samples } = match ready {
            Ok(ready) => ready,
            Err((error, made)) => return Err(fail(&mut state, error, &made)),
        };
        let commit = match self.file.start(batch, Durability::Immediate) {
            Ok(commit) => commit,
            Err(error) => return Err(fail(&mut state, error, &made)),
        };
        // The next batch may use the number of a series only once its name is on the disk.
        let keep = matches!(wait, Wait::Locked) || !made.is_empty();
        let (result, state) = if keep {
            let result = commit.wait();
            if let Err(error) = result {
                return Err(fail(&mut state, error, &made));
            }
            (Ok(()), matches!(wait, Wait::Locked).then_some(state))
        } else {
            drop(state);
            (commit.wait().map(drop), None)
        };
        if let Err(error) = result {
            return Err(fail(&mut self.state.lock(), error, &[]));
        }
        self.metrics.logged_samples.increment(samples as u64);
        Ok(state)
    }

    fn bound_unsaved(&self, unsaved: &mut Vec<SealedChunk>) {
        let mut bytes: usize = unsaved.iter().map(|chunk| chunk.bytes.len()).sum();
        let surplus = unsaved.iter().take_while(|chunk| {
            let over = bytes > MAX_UNSAVED_BYTES;
            bytes -= if over { chunk.bytes.len() } else { 0 };
            over
        });
        let surplus = surplus.count();
        unsaved.drain(..surplus);
        self.metrics.unsaved.increment(surplus as u64);
    }

    /// Before when the store keeps nothing.
    fn floor(&self) -> i64 {
        let newest = self.series.stats().newest;
        newest.map_or(i64::MIN, |newest| newest.minus(self.series.config().retention).as_millis())
    }

    fn show_sizes(&self) {
        self.metrics.log_bytes.set(self.log.bytes() as f64);
        self.metrics.segment_bytes.set(self.segments.bytes() as f64);
    }
}

impl std::fmt::Debug for Persistence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Persistence")
            .field("file", &self.file)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Whether the lock is held until a batch is on the disk.
#[derive(Clone, Copy, Debug)]
enum Wait {
    /// Only if there are new series in it.
    IfNew,
    Locked,
}

/// Saves twice a sample interval, for ever: so a crash loses less than an interval. Failures are counted in
/// `obskit_store_save_failures_total`, and the next saving makes up for them.
///
/// Spawn this future and abort it to end; then call [`Persistence::checkpoint`].
///
/// # Panics
///
/// Outside a tokio runtime that has its time driver on.
pub async fn save_on_grid(persistence: Arc<Persistence>) {
    let every = (persistence.series.config().sample_interval / 2).max(Duration::from_millis(1));
    loop {
        tokio::time::sleep(every).await;
        let persistence = Arc::clone(&persistence);
        // A failure is counted where it happens; a panic costs this saving only.
        let _ = tokio::task::spawn_blocking(move || persistence.save()).await;
    }
}
