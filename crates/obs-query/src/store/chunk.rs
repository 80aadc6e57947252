//! Up to 120 samples of one series, one after the other in time.
//!
//! Samples on a grid need no timestamps and a value that stays the same is kept once, so a chunk costs 8 bytes for a
//! sample that changes and next to nothing for one that does not. Everything outside this file goes through `push`,
//! `sample` and the counts: another encoding needs no change elsewhere.

use obs_model::{Sample, Timestamp};

/// How many samples a chunk holds at most, as in Prometheus: ten minutes of a 5 s grid.
pub(super) const CHUNK_SAMPLES: usize = 120;

#[derive(Debug)]
pub(super) struct Chunk {
    first: i64,
    last: i64,
    len: usize,
    times: Times,
    values: Values,
}

#[derive(Debug)]
enum Times {
    /// Equally spaced, by so many milliseconds; 0 while there is one sample.
    Every(i64),
    /// Milliseconds after the first, for each sample.
    At(Vec<u32>),
}

#[derive(Debug)]
enum Values {
    /// The same bits for every sample.
    Same(f64),
    /// One for each sample.
    Each(Vec<f64>),
}

impl Chunk {
    /// A chunk with its first sample.
    pub(super) fn new(sample: Sample) -> Self {
        let at = sample.timestamp.as_millis();
        Self {
            first: at,
            last: at,
            len: 1,
            times: Times::Every(0),
            values: Values::Same(sample.value),
        }
    }

    /// Adds a sample that is later than every other; `false` if it does not fit and a new chunk is due.
    pub(super) fn push(&mut self, sample: Sample) -> bool {
        let at = sample.timestamp.as_millis();
        debug_assert!(at > self.last, "samples are in order of time");
        let Ok(offset) = u32::try_from(at.saturating_sub(self.first)) else {
            return false;
        };
        if self.len == CHUNK_SAMPLES {
            return false;
        }
        match &mut self.times {
            Times::Every(step) if self.len == 1 => *step = at - self.first,
            Times::Every(step) if at - self.last == *step => {}
            Times::Every(step) => {
                let step = *step;
                // OK because the offset of the sample at hand, which is larger than these, fits.
                let offsets = (0..self.len as i64).map(|index| (index * step) as u32);
                self.times = Times::At(offsets.chain([offset]).collect());
            }
            Times::At(offsets) => offsets.push(offset),
        }
        match &mut self.values {
            Values::Same(value) if value.to_bits() == sample.value.to_bits() => {}
            Values::Same(value) => {
                let mut values = vec![*value; self.len];
                values.push(sample.value);
                self.values = Values::Each(values);
            }
            Values::Each(values) => values.push(sample.value),
        }
        self.last = at;
        self.len += 1;
        true
    }

    /// Gives back memory that was set aside for more samples.
    pub(super) fn seal(&mut self) {
        if let Times::At(offsets) = &mut self.times {
            offsets.shrink_to_fit();
        }
        if let Values::Each(values) = &mut self.values {
            values.shrink_to_fit();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The time of the last sample, in milliseconds.
    pub(super) fn last_millis(&self) -> i64 {
        self.last
    }

    /// The sample at `index`, counted from 0.
    ///
    /// # Panics
    ///
    /// There is no such sample.
    pub(super) fn sample(&self, index: usize) -> Sample {
        assert!(index < self.len, "sample {index} of {}", self.len);
        let value = match &self.values {
            Values::Same(value) => *value,
            Values::Each(values) => values[index],
        };
        Sample { timestamp: Timestamp::from_millis(self.millis(index)), value }
    }

    /// How many samples are at `at` or before it: the index of the first one after it.
    pub(super) fn count_until(&self, at: i64) -> usize {
        if at >= self.last {
            return self.len;
        }
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.millis(middle) <= at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The memory it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let times = match &self.times {
            Times::Every(_) => 0,
            Times::At(offsets) => offsets.capacity() * size_of::<u32>(),
        };
        let values = match &self.values {
            Values::Same(_) => 0,
            Values::Each(values) => values.capacity() * size_of::<f64>(),
        };
        size_of::<Self>() + times + values
    }

    fn millis(&self, index: usize) -> i64 {
        match &self.times {
            // OK because an index is below 120 and so no time is after the last.
            Times::Every(step) => self.first + step * index as i64,
            Times::At(offsets) => self.first + i64::from(offsets[index]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(at: i64, value: f64) -> Sample {
        Sample { timestamp: Timestamp::from_millis(at), value }
    }

    fn filled(samples: &[(i64, f64)]) -> (Chunk, usize) {
        let mut chunk = Chunk::new(sample(samples[0].0, samples[0].1));
        let taken = samples[1..].iter().take_while(|(at, value)| chunk.push(sample(*at, *value)));
        let taken = 1 + taken.count();
        (chunk, taken)
    }

    #[test]
    fn a_full_chunk_on_the_grid_costs_eight_bytes_a_sample_and_a_constant_one_less_than_one() {
        let changing: Vec<_> = (0..130).map(|tick| (tick * 5_000, tick as f64)).collect();
        let (mut chunk, taken) = filled(&changing);
        chunk.seal();
        assert_eq!(taken, CHUNK_SAMPLES);
        assert_eq!(chunk.bytes(), size_of::<Chunk>() + CHUNK_SAMPLES * 8);
        let constant: Vec<_> = (0..120).map(|tick| (tick * 5_000, 1.0)).collect();
        assert!(filled(&constant).0.bytes() < CHUNK_SAMPLES);
    }

    #[test]
    fn a_sample_too_far_from_the_first_begins_another_chunk() {
        let (chunk, taken) = filled(&[(i64::MIN, 1.0), (0, 1.0)]);
        assert_eq!((taken, chunk.len()), (1, 1));
        let (_, taken) =
            filled(&[(0, 1.0), (i64::from(u32::MAX), 2.0), (i64::from(u32::MAX) + 1, 2.0)]);
        assert_eq!(taken, 2);
    }

    proptest! {
        #[test]
        fn a_chunk_gives_back_what_was_put_in(
            start in -1_000_000_i64..1_000_000,
            steps in proptest::collection::vec((prop_oneof![8 => Just(5_000_i64), 1 => 1_i64..20_000], 0_u8..3), 1..130),
            probe in -1_100_000_i64..2_000_000,
        ) {
            let mut at = start;
            let given: Vec<_> = steps
                .iter()
                .map(|(step, value)| { at += step; (at, [0.0, -0.0, crate::STALE][usize::from(*value)]) })
                .collect();
            let (chunk, taken) = filled(&given);
            prop_assert_eq!(taken, given.len().min(CHUNK_SAMPLES));
            prop_assert_eq!(chunk.len(), taken);
            for (index, (at, value)) in given[..taken].iter().enumerate() {
                let got = chunk.sample(index);
                prop_assert_eq!((got.timestamp.as_millis(), got.value.to_bits()), (*at, value.to_bits()));
            }
            let until = given[..taken].iter().filter(|(at, _)| *at <= probe).count();
            prop_assert_eq!(chunk.count_until(probe), until);
        }
    }
}
