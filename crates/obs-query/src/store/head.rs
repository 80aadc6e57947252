//! The newest samples of a series, as they can be read without decoding.
//!
//! When there are a chunk's worth more than [`KEPT`], the oldest are sealed, so that what rules ask for again and again,
//! the last few minutes, is never among the sealed. Samples on a grid need no times; values take as few bytes as the
//! others let them.

use obs_model::{Sample, Timestamp};

use super::chunk::Chunk;
use super::code::CHUNK_SAMPLES;
use super::heap;
use super::values::{MOST, Values, grown, room};
use crate::TimeRange;

/// How many samples stay when the oldest are sealed: five minutes of a 5 s grid.
const KEPT: usize = 64;
const _: () =
    assert!(MOST == CHUNK_SAMPLES + KEPT, "values have room for as many samples as there may be");

/// The newest samples of a series.
#[derive(Debug)]
pub(super) struct Head {
    first: i64,
    /// Of the last sample, in milliseconds after the first.
    last: u32,
    times: Times,
    values: Values,
}

#[derive(Debug)]
enum Times {
    /// Equally spaced, by so many milliseconds; 0 while there is one sample.
    Every(u32),
    /// Milliseconds after the first, for each sample.
    At(Vec<u32>),
}

impl Head {
    /// A head without samples.
    pub(super) const fn new() -> Self {
        Self { first: 0, last: 0, times: Times::Every(0), values: Values::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The time of the first sample, in milliseconds.
    pub(super) fn first_millis(&self) -> Option<i64> {
        (self.len() > 0).then_some(self.first)
    }

    /// The time of the last sample, in milliseconds.
    pub(super) fn last_millis(&self) -> Option<i64> {
        // OK because the last offset was made of a time that exists.
        (self.len() > 0).then(|| self.first.wrapping_add(i64::from(self.last)))
    }

    /// The last sample.
    pub(super) fn last(&self) -> Option<Sample> {
        Some(self.sample(self.len().checked_sub(1)?))
    }

    /// The time of the last sample of the first chunk's worth, in milliseconds.
    pub(super) fn oldest_end(&self) -> Option<i64> {
        let last = self.len().min(CHUNK_SAMPLES).checked_sub(1)?;
        Some(self.millis(last))
    }

    /// Adds a sample that is later than every other; `false` if it does not fit before the oldest are sealed.
    pub(super) fn push(&mut self, at: i64, value: f64) -> bool {
        let len = self.len();
        if len == 0 {
            self.begin(at, value);
            return true;
        }
        // The difference of two times may be more than an `i64` holds; then it is not an offset either.
        let Some(Ok(offset)) = at.checked_sub(self.first).map(u32::try_from) else {
            return false;
        };
        if len == MOST {
            return false;
        }
        match &mut self.times {
            Times::Every(step) if len == 1 => *step = offset,
            Times::Every(step) if offset - self.last == *step => {}
            Times::Every(step) => {
                let step = *step;
                // OK because these are offsets below the one at hand.
                let mut offsets: Vec<u32> = Vec::with_capacity(room(len + 1));
                offsets.extend((0..len as u32).map(|index| index * step));
                offsets.push(offset);
                self.times = Times::At(offsets);
            }
            Times::At(offsets) => grown(offsets).push(offset),
        }
        self.last = offset;
        self.values.push(value);
        true
    }

    fn begin(&mut self, at: i64, value: f64) {
        *self = Self { first: at, last: 0, times: Times::Every(0), values: Values::Same(value, 1) };
    }

    /// Seals the oldest samples, a chunk's worth if there are so many; there must be one.
    pub(super) fn seal(&mut self, scratch: &mut Vec<u8>) -> Chunk {
        let count = self.len().min(CHUNK_SAMPLES);
        let chunk = self.as_chunk(0, count, scratch);
        self.drop_oldest(count);
        chunk
    }

    /// Removes the `count` oldest samples.
    pub(super) fn drop_oldest(&mut self, count: usize) {
        if count >= self.len() {
            *self = Self::new();
            return;
        }
        let first = self.millis(count);
        // OK because the difference was an offset before.
        let passed = first.abs_diff(self.first) as u32;
        (self.first, self.last) = (first, self.last - passed);
        if let Times::At(offsets) = &mut self.times {
            offsets.drain(..count);
            offsets.iter_mut().for_each(|offset| *offset -= passed);
            if let Some(step) = grid_step(offsets) {
                self.times = Times::Every(step);
            }
        }
        self.values.drop_oldest(count);
    }

    /// The samples `from..to` as a chunk, of which there are 1 to [`CHUNK_SAMPLES`].
    pub(super) fn as_chunk(&self, from: usize, to: usize, scratch: &mut Vec<u8>) -> Chunk {
        let (mut times, mut values) = ([0; CHUNK_SAMPLES], [0.0; CHUNK_SAMPLES]);
        let (times, values) = (&mut times[..to - from], &mut values[..to - from]);
        times.iter_mut().zip(from..).for_each(|(time, index)| *time = self.millis(index));
        self.values.copy(from, values);
        Chunk::seal(times, values, scratch)
    }

    /// Appends the samples in `range` to `out`.
    pub(super) fn read_into(&self, range: TimeRange, out: &mut Vec<Sample>) {
        let from = self.count_until(range.start.as_millis());
        let to = self.count_until(range.end.as_millis());
        if from >= to {
            return;
        }
        let at = |index: usize| Timestamp::from_millis(self.millis(index));
        self.values.read_into(from, to, at, out);
    }

    /// The last sample in `range`.
    pub(super) fn last_in(&self, range: TimeRange) -> Option<Sample> {
        let last = self.count_until(range.end.as_millis()).checked_sub(1)?;
        Some(self.sample(last)).filter(|sample| sample.timestamp > range.start)
    }

    /// How many samples are at `at` or before it: the index of the first one after it.
    pub(super) fn count_until(&self, at: i64) -> usize {
        let len = self.len();
        if len == 0 || at < self.first {
            return 0;
        }
        let offset = at.abs_diff(self.first);
        if offset >= u64::from(self.last) {
            return len;
        }
        match &self.times {
            // OK because there are two samples at least, and what is before the last fits.
            Times::Every(step) => (offset / u64::from((*step).max(1))) as usize + 1,
            Times::At(offsets) => offsets.partition_point(|known| u64::from(*known) <= offset),
        }
    }

    /// What it takes on the heap, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let times = match &self.times {
            Times::Every(_) => 0,
            Times::At(offsets) => heap::vector(offsets),
        };
        times + self.values.bytes()
    }

    fn sample(&self, index: usize) -> Sample {
        let timestamp = Timestamp::from_millis(self.millis(index));
        Sample { timestamp, value: self.values.get(index) }
    }

    fn millis(&self, index: usize) -> i64 {
        let offset = match &self.times {
            Times::Every(step) => i64::from(*step) * index as i64,
            Times::At(offsets) => i64::from(offsets[index]),
        };
        // OK because the time of every sample exists.
        self.first.wrapping_add(offset)
    }
}

/// The distance of offsets that are equally spaced; `None` if they are not.
fn grid_step(offsets: &[u32]) -> Option<u32> {
    let step = offsets.get(1).copied().unwrap_or_default();
    offsets.windows(2).all(|pair| pair[1] - pair[0] == step).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::chunk::Decoded;
    use proptest::prelude::*;

    fn filled(samples: impl IntoIterator<Item = (i64, f64)>) -> (Head, usize) {
        let mut head = Head::new();
        let taken = samples.into_iter().take_while(|(at, value)| head.push(*at, *value)).count();
        (head, taken)
    }

    #[test]
    fn counters_on_the_grid_take_two_bytes_a_sample_and_constants_none() {
        let (mut head, taken) = filled((0..200).map(|tick| (tick * 5_000, (tick * tick) as f64)));
        assert_eq!((taken, head.bytes()), (MOST, heap::allocation(MOST * 2)));
        assert_eq!(head.seal(&mut Vec::new()).len(), CHUNK_SAMPLES);
        assert_eq!((head.len(), head.bytes()), (KEPT, heap::allocation(MOST * 2)));
        let (head, _) = filled((0..120).map(|tick| (tick * 5_000, 0.25)));
        assert_eq!(head.bytes(), 0);
        let (head, _) = filled((0..200).map(|tick| (tick * 5_000, tick as f64 / 3.0)));
        assert_eq!(head.bytes(), heap::allocation(MOST * 8));
    }

    #[test]
    fn an_odd_value_widens_the_others_only_until_it_is_sealed() {
        let values = |tick: i64| if tick == 50 { f64::NAN } else { tick as f64 };
        let (mut head, _) = filled((0..MOST as i64).map(|tick| (tick * 5_000, values(tick))));
        assert!(head.bytes() >= MOST * 8);
        head.seal(&mut Vec::new());
        assert!(head.bytes() <= heap::allocation(MOST * 2));
    }

    #[test]
    fn a_sample_too_far_from_the_first_does_not_fit() {
        assert_eq!(filled([(i64::MIN, 1.0), (0, 1.0)]).1, 1);
        assert_eq!(filled([(i64::MIN, 1.0), (i64::MAX, 1.0)]).1, 1);
        let most = i64::from(u32::MAX);
        assert_eq!(filled([(0, 1.0), (most, 2.0), (most + 1, 2.0)]).1, 2);
        let (head, _) = filled([(i64::MAX - 5, 1.0), (i64::MAX, 1.0)]);
        assert_eq!(head.last_millis(), Some(i64::MAX));
        assert_eq!(head.count_until(i64::MIN), 0);
    }

    proptest! {
        #[test]
        fn a_head_gives_back_what_was_put_in_before_and_after_it_is_sealed(
            start in -1_000_000_i64..1_000_000,
            steps in proptest::collection::vec(
                (prop_oneof![8 => Just(5_000_i64), 1 => 1_i64..20_000], prop_oneof![6 => 0_usize..3, 1 => 3_usize..7]), 1..500),
            probes in proptest::collection::vec((-1_100_000_i64..4_000_000, 0_i64..1_000_000), 3),
        ) {
            let values = [0.0, 7.0, 1e6, -0.0, crate::STALE, 0.5, 1e12];
            let (mut head, mut scratch, mut at) = (Head::new(), Vec::new(), start);
            let mut given: Vec<(i64, f64)> = Vec::new();
            for (step, value) in steps {
                at += step;
                if !head.push(at, values[value]) {
                    prop_assert_eq!(head.oldest_end(), Some(given[CHUNK_SAMPLES - 1].0));
                    let chunk = head.seal(&mut scratch);
                    let mut decoded = Decoded::new();
                    decoded.read(chunk.bytes()).unwrap();
                    let sealed: Vec<_> = given.drain(..CHUNK_SAMPLES).collect();
                    prop_assert!(decoded.samples().map(|s| (s.timestamp.as_millis(), s.value.to_bits())).eq(sealed.iter().map(|(at, v)| (*at, v.to_bits()))));
                    prop_assert!(head.push(at, values[value]));
                }
                given.push((at, values[value]));
                prop_assert_eq!((head.len(), head.last_millis()), (given.len(), Some(at)));
            }
            for (from, length) in probes {
                let range = TimeRange { start: Timestamp::from_millis(from), end: Timestamp::from_millis(from + length) };
                let mut read = Vec::new();
                head.read_into(range, &mut read);
                let bits = |sample: &Sample| (sample.timestamp.as_millis(), sample.value.to_bits());
                let expected: Vec<_> = given.iter().filter(|(at, _)| from < *at && *at <= from + length).map(|(at, v)| (*at, v.to_bits())).collect();
                prop_assert_eq!(read.iter().map(bits).collect::<Vec<_>>(), expected.clone());
                prop_assert_eq!(head.last_in(range).as_ref().map(bits), expected.last().copied());
            }
        }
    }
}
