//! The newest samples of a series, up to a chunk's worth, as they can be read without decoding.
//!
//! Samples on a grid need no times. A value that stays the same is kept once; integers near each other, which is what
//! counters have, take four bytes each; anything else takes eight.

use obs_model::{Sample, Timestamp};

use super::chunk::Chunk;
use super::code::{CHUNK_SAMPLES, column};
use super::heap;
use crate::TimeRange;

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

#[derive(Debug)]
enum Values {
    /// The same bits for every one of so many samples.
    Same(f64, u32),
    /// Integers, each as what it is more than the first number.
    Near(i64, Vec<i32>),
    /// One for each sample.
    Each(Vec<f64>),
}

impl Head {
    /// A head without samples.
    pub(super) const fn new() -> Self {
        Self { first: 0, last: 0, times: Times::Every(0), values: Values::Same(0.0, 0) }
    }

    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Same(_, len) => *len as usize,
            Values::Near(_, offsets) => offsets.len(),
            Values::Each(values) => values.len(),
        }
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

    /// Adds a sample that is later than every other; `false` if it does not fit and the head has to be sealed first.
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
        if len == CHUNK_SAMPLES {
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
        (self.first, self.last) = (at, 0);
        match &mut self.times {
            Times::At(offsets) => offsets.push(0),
            Times::Every(step) => *step = 0,
        }
        self.values.begin(value);
    }

    /// Seals every sample; the room that they had is kept for the next ones.
    pub(super) fn seal(&mut self, scratch: &mut Vec<u8>) -> Chunk {
        let chunk = self.as_chunk(0, scratch);
        let on_grid = match &mut self.times {
            Times::At(offsets) => {
                let on_grid = is_grid(offsets);
                offsets.clear();
                on_grid
            }
            Times::Every(_) => true,
        };
        if on_grid {
            self.times = Times::Every(0);
        }
        match &mut self.values {
            Values::Same(_, len) => *len = 0,
            Values::Near(_, offsets) => offsets.clear(),
            Values::Each(values) => values.clear(),
        }
        chunk
    }

    /// The samples from the one at `from` as a chunk; there must be one.
    pub(super) fn as_chunk(&self, from: usize, scratch: &mut Vec<u8>) -> Chunk {
        let (mut times, mut values) = ([0; CHUNK_SAMPLES], [0.0; CHUNK_SAMPLES]);
        let len = self.len() - from;
        for (index, (time, value)) in times.iter_mut().zip(&mut values).take(len).enumerate() {
            (*time, *value) = (self.millis(from + index), self.values.get(from + index));
        }
        Chunk::seal(&times[..len], &values[..len], scratch)
    }

    /// Appends the samples in `range` to `out`.
    pub(super) fn read_into(&self, range: TimeRange, out: &mut Vec<Sample>) {
        let from = self.count_until(range.start.as_millis());
        let to = self.count_until(range.end.as_millis());
        if from >= to {
            return;
        }
        let at = |index: usize| Timestamp::from_millis(self.millis(index));
        match &self.values {
            Values::Same(value, _) => {
                out.extend((from..to).map(|index| Sample { timestamp: at(index), value: *value }));
            }
            Values::Near(base, offsets) => {
                out.extend((from..).zip(&offsets[from..to]).map(|(index, offset)| Sample {
                    timestamp: at(index),
                    value: (*base + i64::from(*offset)) as f64,
                }));
            }
            Values::Each(values) => {
                out.extend(
                    (from..)
                        .zip(&values[from..to])
                        .map(|(index, value)| Sample { timestamp: at(index), value: *value }),
                );
            }
        }
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
        times
            + match &self.values {
                Values::Same(..) => 0,
                Values::Near(_, offsets) => heap::vector(offsets),
                Values::Each(values) => heap::vector(values),
            }
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

impl Values {
    /// The first value; what room there is, is used again if it suits.
    fn begin(&mut self, value: f64) {
        match (self, near(value)) {
            (Self::Near(base, offsets), Some(integer)) => {
                *base = integer;
                offsets.push(0);
            }
            (Self::Each(values), None) => values.push(value),
            // A change of kind: it may well stay the same now.
            (values, _) => *values = Self::Same(value, 1),
        }
    }

    fn push(&mut self, value: f64) {
        match self {
            Self::Same(same, len) if same.to_bits() == value.to_bits() => *len += 1,
            Self::Same(same, len) => {
                let (same, len) = (*same, *len as usize);
                *self = match (near(same), near(value)) {
                    (Some(base), Some(integer)) if i32::try_from(integer - base).is_ok() => {
                        let mut offsets = Vec::with_capacity(room(len + 1));
                        offsets.resize(len, 0);
                        Self::Near(base, offsets)
                    }
                    _ => {
                        let mut values = Vec::with_capacity(room(len + 1));
                        values.resize(len, same);
                        Self::Each(values)
                    }
                };
                self.push(value);
            }
            Self::Near(base, offsets) => {
                let offset = near(value).and_then(|integer| i32::try_from(integer - *base).ok());
                if let Some(offset) = offset {
                    grown(offsets).push(offset);
                    return;
                }
                let mut values = Vec::with_capacity(room(offsets.len() + 1));
                values.extend(offsets.iter().map(|offset| (*base + i64::from(*offset)) as f64));
                values.push(value);
                *self = Self::Each(values);
            }
            Self::Each(values) => grown(values).push(value),
        }
    }

    fn get(&self, index: usize) -> f64 {
        match self {
            Self::Same(value, _) => *value,
            Self::Near(base, offsets) => (*base + i64::from(offsets[index])) as f64,
            Self::Each(values) => values[index],
        }
    }
}

/// The integer that a value is, if it is one.
fn near(value: f64) -> Option<i64> {
    column::integer(value, 0)
}

/// How much room a list of so many gets: a power of two, but no more than a chunk needs.
fn room(len: usize) -> usize {
    len.next_power_of_two().clamp(8, CHUNK_SAMPLES)
}

/// A list with room for one more.
fn grown<T>(list: &mut Vec<T>) -> &mut Vec<T> {
    if list.len() == list.capacity() {
        list.reserve_exact(room(list.len() + 1).saturating_sub(list.len()).max(1));
    }
    list
}

fn is_grid(offsets: &[u32]) -> bool {
    let step = offsets.get(1).copied().unwrap_or_default();
    offsets.windows(2).all(|pair| pair[1] - pair[0] == step)
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
    fn counters_on_the_grid_take_four_bytes_a_sample_and_constants_none() {
        let (head, taken) = filled((0..130).map(|tick| (tick * 5_000, (tick * tick) as f64)));
        assert_eq!((taken, head.bytes()), (CHUNK_SAMPLES, heap::allocation(CHUNK_SAMPLES * 4)));
        let (head, _) = filled((0..120).map(|tick| (tick * 5_000, 0.25)));
        assert_eq!(head.bytes(), 0);
        let (head, _) = filled((0..120).map(|tick| (tick * 5_000, tick as f64 / 3.0)));
        assert_eq!(head.bytes(), heap::allocation(CHUNK_SAMPLES * 8));
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
                (prop_oneof![8 => Just(5_000_i64), 1 => 1_i64..20_000], prop_oneof![6 => 0_usize..3, 1 => 3_usize..7]), 1..300),
            probes in proptest::collection::vec((-1_100_000_i64..4_000_000, 0_i64..1_000_000), 3),
        ) {
            let values = [0.0, 7.0, 1e6, -0.0, crate::STALE, 0.5, 1e12];
            let (mut head, mut scratch, mut at) = (Head::new(), Vec::new(), start);
            let mut given: Vec<(i64, f64)> = Vec::new();
            for (step, value) in steps {
                at += step;
                if !head.push(at, values[value]) {
                    let chunk = head.seal(&mut scratch);
                    let mut decoded = Decoded::new();
                    decoded.read(chunk.bytes()).unwrap();
                    prop_assert!(decoded.times().iter().copied().eq(given.iter().map(|(at, _)| *at)));
                    prop_assert!(decoded.values().iter().map(|v| v.to_bits()).eq(given.iter().map(|(_, v)| v.to_bits())));
                    given.clear();
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
