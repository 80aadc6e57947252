//! What is written to the log and to segments: samples and chunks of numbered series.
//!
//! A record is a version and then entries, each the difference of its series' number to that of the entry before, a head
//! and what the head announces: so many samples, or a chunk. Samples are times as differences, and values that are whole
//! numbers in as few bytes as they need.

use obs_model::{Sample, Timestamp};

use crate::store::code::varint::{read, read_signed, take_byte, take_float, write, write_signed};

const VERSION: u8 = 1;

/// About how large a record becomes.
const RECORD_BYTES: usize = 256 * 1024;

/// Integers up to here are the same as a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a series has in a record.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Entry<'b> {
    Samples(Vec<Sample>),
    /// The bytes of a chunk from its first to its last time.
    Chunk {
        start: i64,
        end: i64,
        bytes: &'b [u8],
    },
}

/// Records that are being written.
#[derive(Default)]
pub(super) struct Records {
    done: Vec<Vec<u8>>,
    open: Vec<u8>,
    series: u64,
    time: i64,
    samples: usize,
}

impl Records {
    /// Adds samples of a series, of which there is at least one.
    pub(super) fn samples(&mut self, series: u64, samples: &[Sample]) {
        self.head(series, (samples.len() as u64) << 1);
        for sample in samples {
            self.time(sample.timestamp.as_millis());
            write_value(sample.value, &mut self.open);
        }
        self.samples += samples.len();
    }

    /// Adds a chunk of a series.
    pub(super) fn chunk(&mut self, series: u64, start: i64, end: i64, bytes: &[u8]) {
        self.head(series, (bytes.len() as u64) << 1 | 1);
        self.time(start);
        write_signed(end.wrapping_sub(start), &mut self.open);
        self.open.extend_from_slice(bytes);
    }

    /// How many samples were added one by one.
    pub(super) fn sample_count(&self) -> usize {
        self.samples
    }

    /// The records; none if nothing was added.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        if !self.open.is_empty() {
            self.done.push(self.open);
        }
        self.done
    }

    fn head(&mut self, series: u64, head: u64) {
        if self.open.len() > RECORD_BYTES {
            self.done.push(std::mem::take(&mut self.open));
        }
        if self.open.is_empty() {
            self.open.push(VERSION);
            (self.series, self.time) = (0, 0);
        }
        write_signed(series.wrapping_sub(self.series).cast_signed(), &mut self.open);
        write(head, &mut self.open);
        self.series = series;
    }

    fn time(&mut self, time: i64) {
        write_signed(time.wrapping_sub(self.time), &mut self.open);
        self.time = time;
    }
}

/// Calls `visit` with the entries of a record; nothing if it cannot be read to its end.
pub(super) fn read_record<'b>(
    mut bytes: &'b [u8],
    mut visit: impl FnMut(u64, Entry<'b>),
) -> Option<()> {
    let input = &mut bytes;
    if take_byte(input)? != VERSION {
        return None;
    }
    let (mut series, mut time) = (0_u64, 0_i64);
    while !input.is_empty() {
        series = series.wrapping_add(read_signed(input)?.cast_unsigned());
        let head = read(input)?;
        let length = usize::try_from(head >> 1).ok()?;
        // Whatever it is takes at least a byte for each.
        if length > input.len() {
            return None;
        }
        if head & 1 == 0 {
            let mut samples = Vec::with_capacity(length);
            for _ in 0..length {
                time = time.wrapping_add(read_signed(input)?);
                samples.push(Sample {
                    timestamp: Timestamp::from_millis(time),
                    value: read_value(input)?,
                });
            }
            visit(series, Entry::Samples(samples));
        } else {
            time = time.wrapping_add(read_signed(input)?);
            let end = time.wrapping_add(read_signed(input)?);
            let (bytes, rest) = input.split_at_checked(length)?;
            *input = rest;
            visit(series, Entry::Chunk { start: time, end, bytes });
        }
    }
    Some(())
}

fn write_value(value: f64, out: &mut Vec<u8>) {
    // OK because such a float is a whole number that fits.
    let whole = value as i64;
    if value.abs() < EXACT && (whole as f64).to_bits() == value.to_bits() {
        let zigzag = (whole << 1 ^ whole >> 63).cast_unsigned();
        write(zigzag << 1, out);
    } else {
        write(1, out);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

fn read_value(input: &mut &[u8]) -> Option<f64> {
    match read(input)? {
        1 => take_float(input),
        whole if whole & 1 == 0 => {
            let zigzag = whole >> 1;
            let whole = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
            // OK because only numbers that a float has exactly are written so.
            Some(whole as f64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Given {
        Samples(Vec<(i64, f64)>),
        Chunk(i64, i64, Vec<u8>),
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            any::<i64>().prop_map(|whole| whole as f64),
            (-1000_i32..1000).prop_map(f64::from),
            Just(-0.0),
            Just(crate::STALE),
            Just(EXACT),
            Just(-EXACT),
        ]
    }

    fn given() -> impl Strategy<Value = Given> {
        prop_oneof![
            prop::collection::vec((any::<i64>(), value()), 1..20).prop_map(Given::Samples),
            (any::<i64>(), any::<i64>(), prop::collection::vec(any::<u8>(), 0..50))
                .prop_map(|(start, end, bytes)| Given::Chunk(start, end, bytes)),
        ]
    }

    proptest! {
        #[test]
        fn entries_are_read_back_to_the_bit(given in prop::collection::vec((any::<u64>(), given()), 0..20)) {
            let mut records = Records::default();
            for (series, given) in &given {
                match given {
                    Given::Samples(samples) => {
                        let samples: Vec<_> = samples.iter()
                            .map(|(time, value)| Sample { timestamp: Timestamp::from_millis(*time), value: *value })
                            .collect();
                        records.samples(*series, &samples);
                    }
                    Given::Chunk(start, end, bytes) => records.chunk(*series, *start, *end, bytes),
                }
            }
            let records = records.finish();
            let mut expected = given.iter();
            for record in &records {
                let whole = read_record(record, |series, entry| {
                    let (number, given) = expected.next().expect("no more than was given");
                    assert_eq!(series, *number);
                    match (given, entry) {
                        (Given::Samples(given), Entry::Samples(samples)) => {
                            let bits = |time: i64, value: f64| (time, value.to_bits());
                            let found: Vec<_> = samples.iter()
                                .map(|sample| bits(sample.timestamp.as_millis(), sample.value)).collect();
                            let given: Vec<_> = given.iter().map(|(time, value)| bits(*time, *value)).collect();
                            assert_eq!(found, given);
                        }
                        (Given::Chunk(start, end, bytes), Entry::Chunk { start: s, end: e, bytes: b }) => {
                            assert_eq!((*start, *end, bytes.as_slice()), (s, e, b));
                        }
                        (given, entry) => panic!("{given:?} became {entry:?}"),
                    }
                });
                prop_assert!(whole.is_some());
            }
            prop_assert!(expected.next().is_none());
        }

        #[test]
        fn bytes_that_are_no_record_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut versioned = bytes;
            if let Some(first) = versioned.first_mut() {
                *first = VERSION;
            }
            let _ = read_record(&versioned, |_, _| {});
        }
    }

    #[test]
    fn a_sample_of_a_counter_on_a_grid_takes_a_handful_of_bytes() {
        let mut records = Records::default();
        for series in 0..1_000 {
            let sample = Sample {
                timestamp: Timestamp::from_millis(1_700_000_000_000),
                value: 1_000.0 + series as f64,
            };
            records.samples(series, &[sample]);
        }
        let bytes: usize = records.finish().iter().map(Vec::len).sum();
        assert!(bytes <= 5_100, "{bytes}");
    }
}
