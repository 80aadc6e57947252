//! The native histograms of a series: sealed chunks of one layout each, and the newest as they came.
//!
//! A chunk is what a chunk of floats is, but with several columns: after the times stand the layout that all its
//! histograms share, the hint of each, and a column of floats for the count, the zero bucket, the sum and each bucket.

use std::sync::Arc;

use obs_model::Timestamp;

use super::chunk::{Kind, Malformed, read_head, write_times};
use super::code::{CHUNK_SAMPLES, column, varint};
use super::heap;
use crate::TimeRange;
use crate::promql::{BucketSpan, CounterResetHint, HistogramSample, NativeHistogram};
use crate::stale::{STALE, is_stale};

/// How many histograms a chunk holds at most. They are large, so fewer than numbers stay unsealed.
const SEAL_AT: usize = 40;

/// The native histograms of a series.
#[derive(Debug, Default)]
pub(super) struct Natives {
    pub(super) sealed: Vec<NativeChunk>,
    head: Vec<HistogramSample>,
    /// What the head takes on the heap, in bytes.
    head_bytes: usize,
}

/// Native histograms that are sealed.
#[derive(Debug)]
pub(super) struct NativeChunk {
    end: i64,
    bytes: Box<[u8]>,
}

impl Natives {
    /// The time of the last histogram, in milliseconds.
    pub(super) fn last_millis(&self) -> Option<i64> {
        let sealed = || self.sealed.last().map(NativeChunk::end);
        self.head.last().map(|sample| sample.timestamp.as_millis()).or_else(sealed)
    }

    /// The time of the first histogram, in milliseconds.
    pub(super) fn first_millis(&self) -> Option<i64> {
        let open = || self.head.first().map(|sample| sample.timestamp.as_millis());
        self.sealed.first().map(NativeChunk::start).or_else(open)
    }

    /// The last histogram, if it is not sealed yet.
    pub(super) fn last(&self) -> Option<&HistogramSample> {
        self.head.last()
    }

    /// When the oldest chunk ends, the head being one, in milliseconds.
    pub(super) fn oldest_end(&self) -> Option<i64> {
        self.sealed.first().map(NativeChunk::end).or_else(|| self.last_millis())
    }

    /// Adds a histogram that is later than every other; whether a chunk was sealed for it.
    pub(super) fn push(&mut self, sample: HistogramSample, scratch: &mut Vec<u8>) -> bool {
        let full = self.head.len() >= SEAL_AT;
        let other = self.head.last().is_some_and(|last| !shares_layout(&last.value, &sample.value));
        let seals = full || other;
        if seals {
            self.sealed.extend(self.head_as_chunk(i64::MIN, scratch));
            self.head.clear();
            self.head_bytes = heap::vector(&self.head);
        }
        let before = heap::vector(&self.head);
        self.head_bytes += histogram_bytes(&sample.value);
        self.head.push(sample);
        self.head_bytes += heap::vector(&self.head) - before;
        seals
    }

    /// The histograms after `after` that are not sealed, as a chunk.
    pub(super) fn head_as_chunk(&self, after: i64, scratch: &mut Vec<u8>) -> Option<NativeChunk> {
        let from = self.head.partition_point(|sample| sample.timestamp.as_millis() <= after);
        (from < self.head.len()).then(|| NativeChunk::seal(&self.head[from..], scratch))
    }

    /// Removes the oldest chunk and says how many histograms it had.
    pub(super) fn pop_oldest(&mut self) -> usize {
        if self.sealed.is_empty() {
            self.head_bytes = 0;
            return std::mem::take(&mut self.head).len();
        }
        self.sealed.remove(0).len()
    }

    /// How many chunks there are, the head being one.
    pub(super) fn chunks(&self) -> usize {
        self.sealed.len() + usize::from(!self.head.is_empty())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_empty() && self.head.is_empty()
    }

    /// What it takes on the heap, in bytes, without its own box.
    pub(super) fn bytes(&self) -> usize {
        let chunks = self.sealed.iter().map(|chunk| heap::allocation(chunk.bytes.len()));
        heap::vector(&self.sealed) + chunks.sum::<usize>() + self.head_bytes
    }

    /// The histograms in `range`.
    pub(super) fn read(&self, range: TimeRange) -> Vec<HistogramSample> {
        let mut found = Vec::new();
        let from = self.sealed.partition_point(|chunk| chunk.end <= range.start.as_millis());
        for chunk in &self.sealed[from..] {
            let samples = decode(&chunk.bytes);
            debug_assert!(samples.is_some(), "a chunk is made of bytes that can be read");
            let samples = samples.unwrap_or_default();
            found.extend(samples.into_iter().filter(|sample| range.contains(sample.timestamp)));
            if chunk.end >= range.end.as_millis() {
                return found;
            }
        }
        found.extend(self.head.iter().filter(|sample| range.contains(sample.timestamp)).cloned());
        found
    }

    /// Whether there is a histogram in `range`.
    pub(super) fn has_sample_in(&self, range: TimeRange) -> bool {
        let head = self.head.iter().any(|sample| range.contains(sample.timestamp));
        head || !self.read(range).is_empty()
    }
}

impl NativeChunk {
    /// Seals histograms of rising times and one layout, of which there are 1 to [`CHUNK_SAMPLES`].
    pub(super) fn seal(samples: &[HistogramSample], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        encode(samples, scratch);
        let end = samples.last().map_or(i64::MIN, |sample| sample.timestamp.as_millis());
        Self { end, bytes: scratch.as_slice().into() }
    }

    /// Takes bytes for a chunk that can be read from the first sample to the last, with times that rise.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let samples = decode(bytes).ok_or(Malformed)?;
        let end = samples.last().ok_or(Malformed)?.timestamp.as_millis();
        Ok(Self { end, bytes: bytes.into() })
    }

    /// The time of the last histogram, in milliseconds.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The time of the first histogram, in milliseconds.
    pub(super) fn start(&self) -> i64 {
        read_head(&mut &*self.bytes).map_or(self.end, |head| head.start)
    }

    pub(super) fn len(&self) -> usize {
        read_head(&mut &*self.bytes).map_or(0, |head| head.len)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether two histograms may stand in one chunk. A stale marker has no layout and goes with any.
fn shares_layout(a: &NativeHistogram, b: &NativeHistogram) -> bool {
    if is_stale(a.sum) {
        // What follows a marker starts anew: the marker's chunk has the layout of what was before.
        return is_stale(b.sum);
    }
    is_stale(b.sum)
        || (a.schema == b.schema
            && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
            && a.positive_spans == b.positive_spans
            && a.negative_spans == b.negative_spans
            && a.positive_buckets.len() == b.positive_buckets.len()
            && a.negative_buckets.len() == b.negative_buckets.len()
            && a.custom_values.len() == b.custom_values.len()
            && a.custom_values
                .iter()
                .zip(&b.custom_values)
                .all(|(a, b)| a.to_bits() == b.to_bits()))
}

fn encode(samples: &[HistogramSample], out: &mut Vec<u8>) {
    let Some(first) = samples.first().map(|sample| &*sample.value) else {
        return;
    };
    let mut times = [0; CHUNK_SAMPLES];
    for (time, sample) in times.iter_mut().zip(samples) {
        *time = sample.timestamp.as_millis();
    }
    write_times(Kind::Histograms, &times[..samples.len()], out);
    varint::write_signed(i64::from(first.schema), out);
    out.extend_from_slice(&first.zero_threshold.to_le_bytes());
    for (spans, buckets) in [
        (&first.positive_spans, &first.positive_buckets),
        (&first.negative_spans, &first.negative_buckets),
    ] {
        varint::write(spans.len() as u64, out);
        for span in spans {
            varint::write_signed(i64::from(span.offset), out);
            varint::write(u64::from(span.length), out);
        }
        varint::write(buckets.len() as u64, out);
    }
    varint::write(first.custom_values.len() as u64, out);
    first.custom_values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
    out.extend(samples.iter().map(|sample| match sample.value.hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }));
    let mut write = |value: &dyn Fn(&NativeHistogram) -> f64| {
        let mut values = [0.0; CHUNK_SAMPLES];
        for (out, sample) in values.iter_mut().zip(samples) {
            *out = value(&sample.value);
        }
        column::write(&values[..samples.len()], out);
    };
    write(&|histogram| histogram.count);
    write(&|histogram| histogram.zero_count);
    write(&|histogram| histogram.sum);
    // A stale marker has no buckets; whatever stands for them is not read again.
    for index in 0..first.positive_buckets.len() {
        write(&|histogram| histogram.positive_buckets.get(index).copied().unwrap_or_default());
    }
    for index in 0..first.negative_buckets.len() {
        write(&|histogram| histogram.negative_buckets.get(index).copied().unwrap_or_default());
    }
}

/// Reads a chunk of histograms; `None` if it is none.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<HistogramSample>> {
    let mut input = bytes;
    let head = read_head(&mut input).filter(|head| head.kind == Kind::Histograms)?;
    let mut times = [0; CHUNK_SAMPLES];
    head.read_times(&mut input, &mut times[..head.len])?;
    let mut layout = NativeHistogram {
        schema: i32::try_from(varint::read_signed(&mut input)?).ok()?,
        zero_threshold: varint::take_float(&mut input)?,
        ..NativeHistogram::default()
    };
    let positive_buckets = read_spans(&mut input, &mut layout.positive_spans)?;
    let negative_buckets = read_spans(&mut input, &mut layout.negative_spans)?;
    for _ in 0..counted(&mut input)? {
        layout.custom_values.push(varint::take_float(&mut input)?);
    }
    let hints = varint::take(&mut input, head.len)?;
    let mut histograms = vec![layout; head.len];
    for (histogram, hint) in histograms.iter_mut().zip(hints) {
        histogram.hint = match hint {
            0 => CounterResetHint::Unknown,
            1 => CounterResetHint::Reset,
            2 => CounterResetHint::NotReset,
            3 => CounterResetHint::Gauge,
            _ => return None,
        };
    }
    let mut values = [0.0; CHUNK_SAMPLES];
    let values = &mut values[..head.len];
    let mut read = |put: fn(&mut NativeHistogram, f64)| {
        column::read(&mut input, values)?;
        histograms.iter_mut().zip(&*values).for_each(|(histogram, value)| put(histogram, *value));
        Some(())
    };
    read(|histogram, value| histogram.count = value)?;
    read(|histogram, value| histogram.zero_count = value)?;
    read(|histogram, value| histogram.sum = value)?;
    for _ in 0..positive_buckets {
        read(|histogram, value| histogram.positive_buckets.push(value))?;
    }
    for _ in 0..negative_buckets {
        read(|histogram, value| histogram.negative_buckets.push(value))?;
    }
    let samples = times.iter().zip(histograms).map(|(time, histogram)| HistogramSample {
        timestamp: Timestamp::from_millis(*time),
        value: Arc::new(if is_stale(histogram.sum) { marker() } else { histogram }),
    });
    input.is_empty().then(|| samples.collect())
}

/// Cuts spans off into `spans` and says how many buckets there are.
fn read_spans(input: &mut &[u8], spans: &mut Vec<BucketSpan>) -> Option<usize> {
    for _ in 0..counted(input)? {
        spans.push(BucketSpan {
            offset: i32::try_from(varint::read_signed(input)?).ok()?,
            length: u32::try_from(varint::read(input)?).ok()?,
        });
    }
    counted(input)
}

/// Cuts a count off that says how many things follow, each of at least one byte.
fn counted(input: &mut &[u8]) -> Option<usize> {
    usize::try_from(varint::read(input)?).ok().filter(|count| *count <= input.len())
}

/// The histogram that says that a series has ended.
pub(super) fn marker() -> NativeHistogram {
    NativeHistogram { sum: STALE, ..NativeHistogram::default() }
}

fn histogram_bytes(histogram: &NativeHistogram) -> usize {
    heap::allocation(size_of::<NativeHistogram>() + 16)
        + heap::vector(&histogram.positive_spans)
        + heap::vector(&histogram.negative_spans)
        + heap::vector(&histogram.positive_buckets)
        + heap::vector(&histogram.negative_buckets)
        + heap::vector(&histogram.custom_values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn histogram(schema: i32, buckets: &[f64]) -> NativeHistogram {
        NativeHistogram {
            schema,
            count: buckets.iter().sum(),
            sum: 0.1,
            zero_threshold: 1e-128,
            positive_spans: vec![BucketSpan { offset: -2, length: buckets.len() as u32 }],
            positive_buckets: buckets.to_vec(),
            ..NativeHistogram::default()
        }
    }

    fn any_histogram() -> impl Strategy<Value = NativeHistogram> {
        let buckets = proptest::collection::vec((0_u32..1_000).prop_map(f64::from), 0..5);
        prop_oneof![
            6 => (0..2_i32, buckets, 0_usize..4).prop_map(|(schema, buckets, hint)| {
                let hints = [CounterResetHint::Unknown, CounterResetHint::Reset, CounterResetHint::NotReset, CounterResetHint::Gauge];
                NativeHistogram { hint: hints[hint], negative_buckets: vec![1.5; schema as usize], ..histogram(schema, &buckets) }
            }),
            1 => Just(marker()),
            1 => Just(NativeHistogram { schema: -53, custom_values: vec![0.5, f64::INFINITY], ..histogram(0, &[1.0, 2.0, 3.0]) }),
        ]
    }

    fn same(a: &HistogramSample, b: &HistogramSample) -> bool {
        a.timestamp == b.timestamp
            && (a.value == b.value || (is_stale(a.value.sum) && is_stale(b.value.sum)))
    }

    #[test]
    fn growing_buckets_take_a_byte_or_so_each() {
        let (mut natives, mut scratch) = (Natives::default(), Vec::new());
        for tick in 0..=SEAL_AT as i64 {
            let buckets: Vec<f64> = (0..20).map(|i| (tick * i) as f64).collect();
            let sample = HistogramSample {
                timestamp: Timestamp::from_millis(tick * 15_000),
                value: Arc::new(histogram(3, &buckets)),
            };
            assert_eq!(natives.push(sample, &mut scratch), tick == SEAL_AT as i64);
        }
        let bytes = natives.sealed[0].bytes().len();
        assert!(bytes < 200, "{bytes} for {SEAL_AT} histograms of a steady rate");
    }

    proptest! {
        #[test]
        fn histograms_come_back(given in proptest::collection::vec(any_histogram(), 1..120), from in 0_i64..120, to in 0_i64..120) {
            let (mut natives, mut scratch) = (Natives::default(), Vec::new());
            let given: Vec<_> = (0..).zip(given).map(|(tick, value)| HistogramSample { timestamp: Timestamp::from_millis(tick), value: Arc::new(value) }).collect();
            for sample in &given {
                natives.push(sample.clone(), &mut scratch);
            }
            let read = natives.read(TimeRange::all());
            prop_assert_eq!(read.len(), given.len());
            prop_assert!(read.iter().zip(&given).all(|(a, b)| same(a, b)));
            let range = TimeRange { start: Timestamp::from_millis(from), end: Timestamp::from_millis(to) };
            let expected: Vec<_> = given.iter().filter(|sample| range.contains(sample.timestamp)).collect();
            let read = natives.read(range);
            prop_assert_eq!(read.len(), expected.len());
            prop_assert!(read.iter().zip(expected).all(|(a, b)| same(a, b)));
            for chunk in &natives.sealed {
                prop_assert!(NativeChunk::from_bytes(chunk.bytes()).is_ok());
            }
        }

        #[test]
        fn changed_bytes_never_do_harm(
            given in proptest::collection::vec(any_histogram(), 1..9),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let (mut natives, mut scratch) = (Natives::default(), Vec::new());
            for (tick, value) in (0..).zip(given) {
                natives.push(HistogramSample { timestamp: Timestamp::from_millis(tick), value: Arc::new(value) }, &mut scratch);
            }
            let mut bytes = natives.head_as_chunk(i64::MIN, &mut scratch).unwrap().bytes.to_vec();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            let _ = NativeChunk::from_bytes(&bytes);
        }
    }
}
