//! One batch for the file: samples, chunks, and the names of the series that are new.

use obs_model::Labels;
use obs_store::{Batch, Chunks, Queue, Table};

use super::Written;
use super::ids::{Ids, Known};
use super::labels;
use super::record::Records;
use super::replay::Place;
use crate::SealedChunk;

/// A batch that is being put together.
pub(super) struct Writing<'s> {
    ids: &'s mut Ids,
    names: &'s Table,
    pub(super) batch: Batch,
    log: Records,
    /// The series that got a number here.
    made: Vec<Labels>,
    refused: Option<obs_store::Error>,
}

/// What is ready to be written.
pub(super) struct Ready {
    pub(super) batch: Batch,
    pub(super) made: Vec<Labels>,
    pub(super) samples: usize,
}

impl<'s> Writing<'s> {
    pub(super) fn new(ids: &'s mut Ids, names: &'s Table) -> Self {
        let (batch, log) = (Batch::new(), Records::default());
        Self { ids, names, batch, log, made: Vec::new(), refused: None }
    }

    /// Logs what somebody wants to be sure of.
    pub(super) fn written(&mut self, written: &Written<'_>) {
        let Written { labels, samples, histograms } = *written;
        let last = samples.iter().map(|sample| sample.timestamp);
        let Some(last) = last.chain(histograms.iter().map(|sample| sample.timestamp)).max() else {
            return;
        };
        let known = self.known(labels);
        known.saved = known.saved.max(last.as_millis());
        let id = known.id;
        if !samples.is_empty() {
            self.log.samples(id, samples);
        }
        for sample in histograms {
            let chunk = SealedChunk::of_histogram(labels, sample);
            self.log.chunk(id, chunk.start.as_millis(), chunk.end.as_millis(), &chunk.bytes);
        }
    }

    /// Logs what of an open chunk is not logged yet.
    pub(super) fn news(&mut self, chunk: &SealedChunk) {
        let (start, end) = (chunk.start.as_millis(), chunk.end.as_millis());
        let known = self.known(&chunk.labels);
        let (id, saved) = (known.id, known.saved);
        if end <= saved {
            return;
        }
        known.saved = end;
        match chunk.samples() {
            Ok(samples) if !chunk.has_histograms() => {
                let new = samples.partition_point(|sample| sample.timestamp.as_millis() <= saved);
                if new < samples.len() {
                    self.log.samples(id, &samples[new..]);
                }
            }
            _ => self.log.chunk(id, start, end, &chunk.bytes),
        }
    }

    /// Logs all of an open chunk, for a log that begins anew.
    pub(super) fn whole(&mut self, chunk: &SealedChunk) {
        let (start, end) = (chunk.start.as_millis(), chunk.end.as_millis());
        let known = self.known(&chunk.labels);
        known.saved = known.saved.max(end);
        let id = known.id;
        self.log.chunk(id, start, end, &chunk.bytes);
    }

    /// Puts sealed chunks into segments.
    pub(super) fn segments(
        &mut self,
        segments: &Chunks,
        sealed: &[SealedChunk],
        place: &mut Place,
    ) {
        let Some(newest) = sealed.iter().map(|chunk| chunk.end.as_millis()).max() else { return };
        place.at = place.at.max(newest);
        let mut records = Records::default();
        for chunk in sealed {
            let (start, end) = (chunk.start.as_millis(), chunk.end.as_millis());
            let known = self.known(&chunk.labels);
            known.saved = known.saved.max(end);
            known.segment = place.at;
            let id = known.id;
            records.chunk(id, start, end, &chunk.bytes);
        }
        for record in records.finish() {
            let at = obs_model::Timestamp::from_millis(place.at);
            let put = self.batch.put_chunk(segments, &place.sequence.to_be_bytes(), at, &record);
            self.note(put);
            place.sequence += 1;
        }
    }

    /// Forgets the series of which nothing is kept any more.
    pub(super) fn forget(&mut self, floor: i64) {
        for (labels, id) in self.ids.older_than(floor) {
            self.batch.remove(self.names, &id.to_be_bytes());
            self.ids.remove(&labels);
        }
    }

    pub(super) fn finish(mut self, log: &Queue) -> Result<Ready, (obs_store::Error, Vec<Labels>)> {
        let samples = self.log.sample_count();
        let records = std::mem::take(&mut self.log).finish();
        if !records.is_empty() {
            let pushed = self.batch.push(log, &records);
            self.note(pushed);
        }
        match self.refused {
            Some(error) => Err((error, self.made)),
            None => Ok(Ready { batch: self.batch, made: self.made, samples }),
        }
    }

    fn known(&mut self, labels: &Labels) -> &mut Known {
        let (names, batch, made, refused) =
            (self.names, &mut self.batch, &mut self.made, &mut self.refused);
        self.ids.get_or_make(labels, |id| {
            made.push(labels.clone());
            if let Err(error) = batch.put(names, &id.to_be_bytes(), &labels::encode(labels)) {
                refused.get_or_insert(error);
            }
        })
    }

    fn note(&mut self, result: Result<(), obs_store::Error>) {
        if let Err(error) = result {
            self.refused.get_or_insert(error);
        }
    }
}
