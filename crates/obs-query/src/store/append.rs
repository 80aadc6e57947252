//! Samples in: by labels, by id, and many at a time.

use obs_model::{Labels, METRIC_NAME_LABEL, Sample, Timestamp};

use super::SeriesStore;
use super::blocks::{Block, Blocks, SeriesId};
use super::directory::Directory;
use super::evict::Evictor;
use super::series::{Stored, Taken};
use super::tally::{Refused, Tally};
use crate::Error;
use crate::promql::HistogramSample;

/// How many samples of one series are appended before others get their turn at its block.
const RUN_SAMPLES: usize = 1_024;

/// What became of the samples of one call.
#[derive(Clone, Debug, Default)]
pub struct BatchReport {
    /// How many were stored.
    pub appended: usize,
    /// How many were the same as their series' last sample, time and value, and so were stored already.
    pub repeated: usize,
    /// Those that were refused, by index, and why.
    pub refused: Vec<(usize, Error)>,
}

impl SeriesStore {
    /// Appends a sample to the series with these labels, `__name__` included, which is made if there is none.
    ///
    /// A sample that is the same as the series' last one, time and value, is taken for stored: that is how a sender
    /// that repeats itself is met in Prometheus, too.
    ///
    /// # Errors
    ///
    /// The sample is not after the last one of its series or is older than the retention; the series has no
    /// `__name__`; the series is new and there is no room for it. All of these are counted.
    pub fn append(&self, series: &Labels, sample: Sample) -> Result<(), Error> {
        let mut tally = Tally::default();
        let result = self.place(series, sample.timestamp, &mut tally).and_then(|id| {
            self.append_one(id, sample.timestamp, &mut tally, |stored, scratch| {
                stored.push(sample.timestamp.as_millis(), sample.value, scratch)
            })
        });
        self.enforce(&mut tally);
        tally.record();
        result
    }

    /// As [`SeriesStore::append`], for a native histogram.
    ///
    /// One whose sum is the stale marker says that the series has ended.
    ///
    /// # Errors
    ///
    /// As [`SeriesStore::append`].
    pub fn append_histogram(&self, series: &Labels, sample: HistogramSample) -> Result<(), Error> {
        let mut tally = Tally::default();
        let result = self
            .place(series, sample.timestamp, &mut tally)
            .and_then(|id| self.append_native(id, sample, &mut tally));
        self.enforce(&mut tally);
        tally.record();
        result
    }

    /// Appends a native histogram. What it makes too much is not removed yet.
    pub(super) fn append_native(
        &self,
        id: SeriesId,
        sample: HistogramSample,
        tally: &mut Tally,
    ) -> Result<(), Error> {
        self.append_one(id, sample.timestamp, tally, |stored, scratch| {
            if !stored.has_natives() {
                self.level.note_natives();
            }
            stored.push_histogram(sample, scratch)
        })
    }

    /// The id of the series with these labels, `__name__` included, which is made if there is none.
    ///
    /// The id spares looking the labels up at every append. A series that gets no sample within the retention is
    /// removed, as one is whose samples are all gone.
    ///
    /// # Errors
    ///
    /// The series has no `__name__`, or is new and there is no room for it; both are counted.
    pub fn resolve(&self, series: &Labels) -> Result<SeriesId, Error> {
        let mut tally = Tally::default();
        let result = self.resolve_counted(series, &mut tally);
        tally.record();
        result
    }

    /// Appends a sample for `at` to each of many series.
    ///
    /// The ids need not be in any order; in that in which they were made, this is the fastest: a lock is taken once for
    /// each run of ids that were made one after the other, never for each sample. What is refused does not keep the
    /// others from being stored; it is counted, too.
    pub fn append_batch(&self, at: Timestamp, samples: &[(SeriesId, f64)]) -> BatchReport {
        let (mut tally, mut refused) = (Tally::default(), Vec::new());
        self.append_counted(at, samples, &mut tally, |index, error| refused.push((index, error())));
        tally.record();
        BatchReport { appended: tally.appended, repeated: tally.repeated, refused }
    }

    /// Appends samples, by rising time, to one series.
    ///
    /// What is refused does not keep the others from being stored; it is counted, too.
    pub fn append_samples(&self, series: SeriesId, samples: &[Sample]) -> BatchReport {
        let (mut tally, mut refused) = (Tally::default(), Vec::new());
        let mut scratch = Vec::new();
        // So many at a time, so that nobody waits long for the block.
        for (run, samples) in samples.chunks(RUN_SAMPLES).enumerate() {
            let mut block = self.blocks.write(series);
            for (index, sample) in (run * RUN_SAMPLES..).zip(samples) {
                let (at, millis) = (sample.timestamp, sample.timestamp.as_millis());
                let outcome =
                    self.append_in(block.as_deref_mut(), series, at, &mut tally, |stored| {
                        stored.push(millis, sample.value, &mut scratch)
                    });
                if let Err(error) = outcome {
                    refused.push((index, error));
                }
            }
        }
        self.enforce(&mut tally);
        tally.record();
        BatchReport { appended: tally.appended, repeated: tally.repeated, refused }
    }

    /// The id of a series for a sample at `at`. A series is not made for a sample that it would not take.
    pub(super) fn place(
        &self,
        series: &Labels,
        at: Timestamp,
        tally: &mut Tally,
    ) -> Result<SeriesId, Error> {
        if let Some(id) = self.directory.read().get(series) {
            return Ok(id);
        }
        let floor = self.level.floor(&self.config);
        if at.as_millis() <= floor && series.get(METRIC_NAME_LABEL).is_some() {
            tally.refuse(Refused::TooOld);
            return Err(Error::too_old(series, at, Timestamp::from_millis(floor)));
        }
        self.resolve_counted(series, tally)
    }

    pub(super) fn resolve_counted(
        &self,
        series: &Labels,
        tally: &mut Tally,
    ) -> Result<SeriesId, Error> {
        if let Some(id) = self.directory.read().get(series) {
            return Ok(id);
        }
        if series.iter().any(|(_, value)| value.is_empty()) {
            let series = series.filter(|_, value| !value.is_empty());
            return self.resolve_counted(&series, tally);
        }
        if series.get(METRIC_NAME_LABEL).is_none() {
            tally.refuse(Refused::Unnamed);
            return Err(Error::unnamed(series));
        }
        let mut directory = self.directory.write();
        // It may have been made since.
        if let Some(id) = directory.get(series) {
            return Ok(id);
        }
        if directory.len() >= self.config.max_series {
            tally.refuse(Refused::SeriesLimit);
            return Err(Error::series_limit(series, self.config.max_series));
        }
        let made = self.level.newest_millis();
        let id = directory.insert(series);
        if let Some(mut block) = self.blocks.write(id) {
            block.put(id, Stored::new(series.clone(), made));
        }
        self.note_directory(&directory);
        drop(directory);
        self.evictor.note(id, made);
        Ok(id)
    }

    /// Notes what labels, index and places take by now.
    pub(super) fn note_directory(&self, directory: &Directory) {
        let series = directory.len();
        let fixed = Blocks::bytes(self.config.max_series);
        self.level.set_directory_bytes(fixed + directory.bytes() + Evictor::bytes(series));
    }

    /// Appends one sample, by whichever way `push` takes it. What it makes too much is not removed yet.
    pub(super) fn append_one(
        &self,
        id: SeriesId,
        at: Timestamp,
        tally: &mut Tally,
        push: impl FnOnce(&mut Stored, &mut Vec<u8>) -> Result<(Taken, isize), Refused>,
    ) -> Result<(), Error> {
        let mut block = self.blocks.write(id);
        self.append_in(block.as_deref_mut(), id, at, tally, |stored| push(stored, &mut Vec::new()))
    }

    /// As [`SeriesStore::append_one`], with the series' block locked already.
    fn append_in(
        &self,
        block: Option<&mut Block>,
        id: SeriesId,
        at: Timestamp,
        tally: &mut Tally,
        push: impl FnOnce(&mut Stored) -> Result<(Taken, isize), Refused>,
    ) -> Result<(), Error> {
        let floor = self.level.floor(&self.config);
        let Some(stored) = block.and_then(|block| block.get_mut(id)) else {
            tally.refuse(Refused::UnknownSeries);
            return Err(Error::unknown_series());
        };
        let outcome = too_old(stored, at, floor).map_or_else(|| push(stored), Err);
        match outcome {
            Ok((taken, grown)) => {
                self.level.add(usize::from(taken == Taken::Stored), grown);
                self.level.advance(at.as_millis());
                tally.take(taken);
                Ok(())
            }
            Err(refused) => {
                tally.refuse(refused);
                Err(refusal(stored, refused, at, floor))
            }
        }
    }

    /// As [`SeriesStore::append_batch`]; errors are made for those that ask for them.
    pub(super) fn append_counted(
        &self,
        at: Timestamp,
        samples: &[(SeriesId, f64)],
        tally: &mut Tally,
        mut refused: impl FnMut(usize, &dyn Fn() -> Error),
    ) {
        let floor = self.level.floor(&self.config);
        let mut scratch = Vec::new();
        let mut index = 0;
        for run in samples.chunk_by(|(a, _), (b, _)| a.block() == b.block()) {
            let Some(mut block) = self.blocks.write(run[0].0) else {
                for _ in run {
                    tally.refuse(Refused::UnknownSeries);
                    refused(index, &Error::unknown_series);
                    index += 1;
                }
                continue;
            };
            let (before, mut grown) = (tally.appended, 0);
            for (id, value) in run {
                let (stored, outcome) = push_in(&mut block, *id, at, floor, *value, &mut scratch);
                match outcome {
                    Ok((taken, bytes)) => {
                        grown += bytes;
                        tally.take(taken);
                    }
                    Err(why) => {
                        tally.refuse(why);
                        refused(index, &|| {
                            stored.map_or_else(Error::unknown_series, |stored| {
                                refusal(stored, why, at, floor)
                            })
                        });
                    }
                }
                index += 1;
            }
            drop(block);
            self.level.add(tally.appended - before, grown);
        }
        if tally.appended > 0 {
            self.level.advance(at.as_millis());
        }
        self.enforce(tally);
    }

    /// Lets a series take a chunk of so many samples in as it is, if every one is later than what there is.
    pub(super) fn adopt(
        &self,
        id: SeriesId,
        start: i64,
        end: i64,
        samples: usize,
        adopt: impl FnOnce(&mut Stored) -> Option<isize>,
    ) -> bool {
        let mut block = self.blocks.write(id);
        let Some(stored) = block.as_mut().and_then(|block| block.get_mut(id)) else {
            return false;
        };
        if stored.last_millis().is_some_and(|last| start <= last) {
            return false;
        }
        let Some(grown) = adopt(stored) else {
            return false;
        };
        self.level.add(samples, grown);
        self.level.advance(end);
        true
    }

    /// The time of a series' last sample, in milliseconds.
    pub(super) fn last_of(&self, id: SeriesId) -> Option<i64> {
        self.blocks.read(id)?.get(id)?.last_millis()
    }

    /// Notes that it is at least `at` and removes what is too old by then.
    pub(super) fn advance(&self, at: Timestamp, tally: &mut Tally) {
        self.level.advance(at.as_millis());
        self.enforce(tally);
    }

    /// Whether a series is still there.
    pub(super) fn is_live(&self, id: SeriesId) -> bool {
        self.blocks.read(id).is_some_and(|block| block.get(id).is_some())
    }
}

/// Appends a number to a series of a block.
fn push_in<'b>(
    block: &'b mut Block,
    id: SeriesId,
    at: Timestamp,
    floor: i64,
    value: f64,
    scratch: &mut Vec<u8>,
) -> (Option<&'b Stored>, Result<(Taken, isize), Refused>) {
    let Some(stored) = block.get_mut(id) else {
        return (None, Err(Refused::UnknownSeries));
    };
    let outcome = match too_old(stored, at, floor) {
        Some(refused) => Err(refused),
        None => stored.push(at.as_millis(), value, scratch),
    };
    (Some(stored), outcome)
}

/// Whether a sample is refused for its age. One that is not after its series' last is refused for that instead.
fn too_old(stored: &Stored, at: Timestamp, floor: i64) -> Option<Refused> {
    let at = at.as_millis();
    let later = || stored.last_millis().is_none_or(|last| at > last);
    (at <= floor && later()).then_some(Refused::TooOld)
}

fn refusal(stored: &Stored, refused: Refused, at: Timestamp, floor: i64) -> Error {
    if refused == Refused::TooOld {
        return Error::too_old(&stored.labels, at, Timestamp::from_millis(floor));
    }
    stored.refusal(refused, at)
}
