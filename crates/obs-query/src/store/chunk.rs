//! Up to 120 samples of one series, sealed: bytes that are written once and read as often as a query asks.
//!
//! The bytes are the format in which chunks persist, too: a version, what kind of samples they are, how many; the
//! times (the first as a signed varint, then the packed distance of each from the one before); then the values, one
//! column of floats or, for native histograms, several.

use obs_model::{Sample, Timestamp};

use super::code::packed::{self, Packed};
use super::code::{CHUNK_SAMPLES, column, varint};
use crate::TimeRange;

/// The version of the format; others are refused.
const VERSION: u8 = 1;

/// What kind of samples a chunk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Floats,
    Histograms,
}

/// Bytes that are not a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Samples that are sealed: their bytes, and what is asked of them too often to read it anew each time.
#[derive(Debug)]
pub(super) struct Chunk {
    end: i64,
    bytes: Box<[u8]>,
}

/// Room for the samples of one chunk, used again for the next.
#[derive(Debug)]
pub(super) struct Decoded {
    len: usize,
    /// The first time and the distance of equally spaced ones.
    grid: Option<(i64, i64)>,
    /// Set unless the times are on a grid.
    times: [i64; CHUNK_SAMPLES],
    values: [f64; CHUNK_SAMPLES],
}

impl Chunk {
    /// Seals samples of rising times, of which there are 1 to [`CHUNK_SAMPLES`]; `scratch` is used again.
    pub(super) fn seal(times: &[i64], values: &[f64], scratch: &mut Vec<u8>) -> Self {
        scratch.clear();
        write_times(Kind::Floats, times, scratch);
        column::write(values, scratch);
        Self { end: times.last().copied().unwrap_or(i64::MIN), bytes: scratch.as_slice().into() }
    }

    /// Takes bytes for a chunk that can be read from the first sample to the last, with times that rise.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut decoded = Decoded::new();
        decoded.read(bytes).ok_or(Malformed)?;
        let end = decoded.samples().last().ok_or(Malformed)?.timestamp.as_millis();
        Ok(Self { end, bytes: bytes.into() })
    }

    /// The time of the last sample, in milliseconds.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The time of the first sample, in milliseconds.
    pub(super) fn start(&self) -> i64 {
        read_head(&mut &*self.bytes).map_or(self.end, |head| head.start)
    }

    pub(super) fn len(&self) -> usize {
        read_head(&mut &*self.bytes).map_or(0, |head| head.len)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends the samples in `range` to `out`.
    pub(super) fn read_into(&self, range: TimeRange, decoded: &mut Decoded, out: &mut Vec<Sample>) {
        let whole = decoded.read(&self.bytes);
        debug_assert!(whole.is_some(), "a chunk is made of bytes that can be read");
        decoded.copy(range, out);
    }
}

impl Decoded {
    pub(super) fn new() -> Self {
        Self { len: 0, grid: None, times: [0; CHUNK_SAMPLES], values: [0.0; CHUNK_SAMPLES] }
    }

    /// Every sample.
    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> {
        (0..self.len).map(|index| Sample {
            timestamp: Timestamp::from_millis(self.millis(index)),
            value: self.values[index],
        })
    }

    /// Reads a chunk of floats; there are no samples if it is none.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<()> {
        self.len = 0;
        let mut input = bytes;
        let head = read_head(&mut input).filter(|head| head.kind == Kind::Floats)?;
        let steps = packed::cut(&mut input, head.len - 1)?;
        self.grid = steps.constant().map(|step| (head.start, step));
        match steps.constant() {
            Some(step) if head.len > 1 => {
                // The last time exists, and so do all.
                let last = step.checked_mul(head.len as i64 - 1)?;
                head.start.checked_add(last).filter(|_| step > 0)?;
            }
            Some(_) => {}
            None => head.unpack_times(steps, &mut self.times[..head.len])?,
        }
        column::read(&mut input, &mut self.values[..head.len])?;
        self.len = head.len;
        input.is_empty().then_some(())
    }

    /// Appends the samples in `range` to `out`.
    fn copy(&self, range: TimeRange, out: &mut Vec<Sample>) {
        let from = self.count_until(range.start.as_millis());
        let to = self.count_until(range.end.as_millis());
        if from >= to {
            return;
        }
        let values = &self.values[from..to];
        if let Some((start, step)) = self.grid {
            let mut at = start.wrapping_add(step.wrapping_mul(from as i64));
            out.extend(values.iter().map(|value| {
                let timestamp = Timestamp::from_millis(at);
                at = at.wrapping_add(step);
                Sample { timestamp, value: *value }
            }));
        } else {
            out.extend(self.times[from..to].iter().zip(values).map(|(time, value)| Sample {
                timestamp: Timestamp::from_millis(*time),
                value: *value,
            }));
        }
    }

    /// How many samples are at `at` or before it: the index of the first one after it.
    fn count_until(&self, at: i64) -> usize {
        let Some((start, step)) = self.grid else {
            return self.times[..self.len].partition_point(|time| *time <= at);
        };
        if at < start {
            return 0;
        }
        let steps = at.abs_diff(start) / step.unsigned_abs().max(1);
        usize::try_from(steps).map_or(self.len, |steps| self.len.min(steps.saturating_add(1)))
    }

    fn millis(&self, index: usize) -> i64 {
        match self.grid {
            // OK because the last time was checked to exist.
            Some((start, step)) => start.wrapping_add(step.wrapping_mul(index as i64)),
            None => self.times[index],
        }
    }
}

/// What stands at the beginning of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) len: usize,
    pub(super) start: i64,
}

/// Cuts the beginning of a chunk off.
pub(super) fn read_head(input: &mut &[u8]) -> Option<Head> {
    let [VERSION, kind, len, rest @ ..] = *input else {
        return None;
    };
    let kind = match kind {
        0 => Kind::Floats,
        1 => Kind::Histograms,
        _ => return None,
    };
    let len = usize::from(*len);
    *input = rest;
    let start = varint::read_signed(input)?;
    (1..=CHUNK_SAMPLES).contains(&len).then_some(Head { kind, len, start })
}

impl Head {
    /// Cuts the times off into `out`, which has room for exactly them; they rise.
    pub(super) fn read_times(&self, input: &mut &[u8], out: &mut [i64]) -> Option<()> {
        let steps = packed::cut(input, out.len().checked_sub(1)?)?;
        self.unpack_times(steps, out)
    }

    fn unpack_times(&self, steps: Packed<'_>, out: &mut [i64]) -> Option<()> {
        let [first, rest @ ..] = out else {
            return None;
        };
        *first = self.start;
        steps.unpack(rest)?;
        let mut before = self.start;
        for time in rest {
            let next = before.wrapping_add(*time);
            if next <= before {
                return None;
            }
            (*time, before) = (next, next);
        }
        Some(())
    }
}

/// Appends the beginning of a chunk and its times, of which there are 1 to [`CHUNK_SAMPLES`].
pub(super) fn write_times(kind: Kind, times: &[i64], out: &mut Vec<u8>) {
    let kind = match kind {
        Kind::Floats => 0,
        Kind::Histograms => 1,
    };
    // OK because there are at most 120.
    out.extend_from_slice(&[VERSION, kind, times.len() as u8]);
    varint::write_signed(times.first().copied().unwrap_or_default(), out);
    let mut steps = [0; CHUNK_SAMPLES];
    let steps = &mut steps[..times.len().saturating_sub(1)];
    for (step, pair) in steps.iter_mut().zip(times.windows(2)) {
        *step = pair[1].wrapping_sub(pair[0]);
    }
    packed::write(steps, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(samples: &[(i64, f64)]) -> Chunk {
        let (times, values): (Vec<_>, Vec<_>) = samples.iter().copied().unzip();
        Chunk::seal(&times, &values, &mut Vec::new())
    }

    fn read(chunk: &Chunk, range: TimeRange) -> Vec<(i64, u64)> {
        let mut out = Vec::new();
        chunk.read_into(range, &mut Decoded::new(), &mut out);
        out.iter().map(|sample| (sample.timestamp.as_millis(), sample.value.to_bits())).collect()
    }

    #[test]
    fn a_counter_on_the_grid_takes_about_a_byte_a_sample() {
        let samples: Vec<_> = (0..120)
            .map(|i| (1_700_000_000_000 + i * 15_000, (i * 40 + i * i % 50) as f64))
            .collect();
        let chunk = sealed(&samples);
        assert!(chunk.bytes().len() < 125, "{}", chunk.bytes().len());
        let constant: Vec<_> = samples.iter().map(|(time, _)| (*time, 7.0)).collect();
        assert!(sealed(&constant).bytes().len() < 30);
    }

    #[test]
    fn the_format_does_not_change_by_accident() {
        let chunk = sealed(&[(1_000, 5.0), (2_000, 7.0), (3_500, 7.5)]);
        let head = [1, 0, 3, 0xd0, 15];
        // Steps of a second and a half more: the base, seven bits each after a shift of two.
        let times = [0xd0, 15, 0x87, 2, 0x80, 62];
        // Tenths, of at least fifty, in five bits each.
        let values = [0x11, 100, 5, 0x80, 102];
        assert_eq!(*chunk.bytes(), *[&head[..], &times, &values].concat());
    }

    #[test]
    fn bytes_with_a_piece_too_many_or_too_few_are_no_chunk() {
        let bytes = sealed(&[(1, 1.0), (5, 1.5), (6, f64::NAN)]).bytes;
        assert!(Chunk::from_bytes(&bytes).is_ok());
        for end in 0..bytes.len() {
            assert!(Chunk::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        assert!(Chunk::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
        for (place, byte) in [(0, 2), (1, 1), (1, 9), (2, 0), (2, 121)] {
            let mut changed = bytes.to_vec();
            changed[place] = byte;
            assert!(Chunk::from_bytes(&changed).is_err(), "{place}: {byte}");
        }
    }

    fn any_time() -> impl Strategy<Value = i64> {
        prop_oneof![4 => -1_000_000_i64..1_000_000, 1 => any::<i64>()]
    }

    proptest! {
        #[test]
        fn a_chunk_gives_back_what_was_put_in(
            start in any_time(),
            steps in proptest::collection::vec(
                (prop_oneof![8 => Just(5_000_i64), 2 => 1_i64..20_000, 1 => 1..=i64::MAX], prop_oneof![any::<u64>(), Just(crate::STALE.to_bits()), (0_u64..9).prop_map(|i| (i as f64).to_bits())]),
                1..=CHUNK_SAMPLES,
            ),
            (from, to) in (any_time(), any_time()),
        ) {
            let mut at = Some(start);
            let mut samples = Vec::new();
            for (step, bits) in steps {
                let Some(time) = at else { break };
                samples.push((time, f64::from_bits(bits)));
                at = time.checked_add(step);
            }
            let chunk = sealed(&samples);
            prop_assert_eq!((chunk.start(), chunk.end(), chunk.len()), (samples[0].0, samples[samples.len() - 1].0, samples.len()));
            let range = TimeRange { start: Timestamp::from_millis(from), end: Timestamp::from_millis(to) };
            let expected: Vec<_> = samples.iter().map(|(time, value)| (*time, value.to_bits())).filter(|(time, _)| from < *time && *time <= to).collect();
            prop_assert_eq!(read(&chunk, range), expected);
            let again = Chunk::from_bytes(chunk.bytes()).map_err(|_| TestCaseError::fail("not read back"))?;
            prop_assert_eq!(again.end(), chunk.end());
        }

        #[test]
        fn changed_bytes_never_do_harm(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            len in 1..=CHUNK_SAMPLES as i64,
        ) {
            let _ = Chunk::from_bytes(&bytes);
            let samples: Vec<_> = (0..len).map(|i| (i * 15_000, (i * i % 17) as f64)).collect();
            let mut bytes = sealed(&samples).bytes.to_vec();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Ok(chunk) = Chunk::from_bytes(&bytes) {
                prop_assert!(read(&chunk, TimeRange::all()).len() <= CHUNK_SAMPLES);
            }
        }
    }
}
