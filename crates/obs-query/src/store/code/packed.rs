//! Up to 120 integers, each as its distance from a common base in a common number of bits.
//!
//! The few that would need many more bits than the others stand apart, so that one reset of a counter does not widen
//! the whole chunk (patched frame of reference: Zukowski et al., "Super-Scalar RAM-CPU Cache Compression", 2006).
//! Equally spaced times and counters of a steady rate have distances of zero bits and cost nothing but the base.
//!
//! Layout: base (signed varint); control byte (width in the low six bits, [`HAS_OUTLIERS`], [`HAS_SHIFT`]); the
//! shift, if any; the outliers, if any (their count, then index and distance of each); the distances, lowest bit first.

use super::{CHUNK_SAMPLES, varint};

/// The widest distance that is packed: with the seven bits before it, it still fits in 64 bits.
const MAX_WIDTH: u32 = 56;
const WIDTH_BITS: u8 = 0x3f;
const HAS_OUTLIERS: u8 = 0x40;
const HAS_SHIFT: u8 = 0x80;

/// How a list of integers is best written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    base: i64,
    /// How many low bits of every distance are zero.
    shift: u32,
    width: u32,
    /// How many bytes it takes.
    pub(super) bytes: usize,
}

impl Plan {
    /// The best plan for `values`, of which there are at most [`CHUNK_SAMPLES`].
    pub(super) fn of(values: &[i64]) -> Self {
        let least = values.iter().copied().min().unwrap_or(0);
        let plan = Self::with_base(least, values);
        if least < 0 {
            // A counter that was reset fell once and rose all the other times: then the base is the smallest rise.
            let rising = values.iter().copied().filter(|value| *value >= 0).min();
            if let Some(other) = rising.map(|base| Self::with_base(base, values))
                && other.bytes < plan.bytes
            {
                return other;
            }
        }
        plan
    }

    fn with_base(base: i64, values: &[i64]) -> Self {
        let all = values
            .iter()
            .filter(|value| **value >= base)
            .fold(0, |all, value| all | distance(*value, base));
        let shift = if all == 0 { 0 } else { all.trailing_zeros() };
        // How many distances there are of each number of bits, and how many bytes they take as outliers.
        let (mut counts, mut below_bytes, mut below) = ([0_usize; 65], 0, 0);
        for value in values {
            if *value < base {
                below += 1;
                below_bytes += 1 + varint::signed_len(value.wrapping_sub(base));
            } else {
                counts[bits(distance(*value, base) >> shift) as usize] += 1;
            }
        }
        let head = varint::signed_len(base) + 1 + usize::from(shift > 0);
        let widest = bits(all >> shift);
        let (mut outliers, mut outlier_bytes) = (below, below_bytes);
        let (mut best_width, mut best_bytes) = (0, usize::MAX);
        // From the widest to the narrowest, each step turns the widest packed distances into outliers.
        for width in (0..=widest).rev() {
            if width <= MAX_WIDTH {
                let patches = if outliers > 0 { 1 + outlier_bytes } else { 0 };
                let bytes = head + patches + packed_len(values.len(), width);
                if bytes < best_bytes {
                    (best_width, best_bytes) = (width, bytes);
                }
            }
            outliers += counts[width as usize];
            // OK because zigzag takes one bit more than the distance, which is at most 64.
            outlier_bytes +=
                counts[width as usize] * (1 + varint::len_of_bits((width + shift + 1).min(64)));
        }
        Self { base, shift, width: best_width, bytes: best_bytes }
    }

    /// Appends `values`, which must be those of the plan.
    pub(super) fn write(&self, values: &[i64], out: &mut Vec<u8>) {
        let Self { base, shift, width, .. } = *self;
        let is_outlier = |value: i64| value < base || bits(distance(value, base) >> shift) > width;
        let outliers = values.iter().filter(|value| is_outlier(**value)).count();
        varint::write_signed(base, out);
        // OK because a width is at most 56 and a shift at most 63.
        let mut control = width as u8;
        control |= if outliers > 0 { HAS_OUTLIERS } else { 0 };
        control |= if shift > 0 { HAS_SHIFT } else { 0 };
        out.push(control);
        if shift > 0 {
            out.push(shift as u8);
        }
        if outliers > 0 {
            // OK because there are at most 120 values, here and below.
            out.push(outliers as u8);
            for (index, value) in values.iter().enumerate() {
                if is_outlier(*value) {
                    out.push(index as u8);
                    varint::write_signed(value.wrapping_sub(base), out);
                }
            }
        }
        if width == 0 {
            return;
        }
        let (mut pending, mut pending_bits) = (0_u128, 0);
        for value in values {
            let packed = if is_outlier(*value) { 0 } else { distance(*value, base) >> shift };
            pending |= u128::from(packed) << pending_bits;
            pending_bits += width;
            if pending_bits >= 64 {
                out.extend_from_slice(&(pending as u64).to_le_bytes());
                pending >>= 64;
                pending_bits -= 64;
            }
        }
        let left = (pending as u64).to_le_bytes();
        out.extend_from_slice(&left[..pending_bits.div_ceil(8) as usize]);
    }
}

/// Appends `values`, of which there are at most [`CHUNK_SAMPLES`].
pub(in crate::store) fn write(values: &[i64], out: &mut Vec<u8>) {
    Plan::of(values).write(values, out);
}

/// A list of integers as it was cut off, not unpacked yet.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Packed<'b> {
    base: i64,
    shift: u32,
    width: u32,
    outlier_count: u8,
    outliers: &'b [u8],
    payload: &'b [u8],
}

/// Cuts a list of `count` integers off the front.
pub(in crate::store) fn cut<'b>(input: &mut &'b [u8], count: usize) -> Option<Packed<'b>> {
    let base = varint::read_signed(input)?;
    let control = varint::take_byte(input)?;
    let width = u32::from(control & WIDTH_BITS);
    let shift = if control & HAS_SHIFT != 0 { u32::from(varint::take_byte(input)?) } else { 0 };
    if width > MAX_WIDTH || shift > 63 || count > CHUNK_SAMPLES {
        return None;
    }
    let mut outliers: &[u8] = &[];
    let mut outlier_count = 0;
    if control & HAS_OUTLIERS != 0 {
        outlier_count = varint::take_byte(input)?;
        outliers = input;
        for _ in 0..outlier_count {
            let index = varint::take_byte(input)?;
            varint::read(input)?;
            if usize::from(index) >= count {
                return None;
            }
        }
    }
    let payload = varint::take(input, packed_len(count, width))?;
    Some(Packed { base, shift, width, outlier_count, outliers, payload })
}

impl Packed<'_> {
    /// The integer that all are, if they are for sure.
    pub(in crate::store) fn constant(&self) -> Option<i64> {
        (self.width == 0 && self.outlier_count == 0).then_some(self.base)
    }

    /// Whether every integer is packed, so that [`Packed::each`] shows them all.
    pub(in crate::store) fn is_plain(&self) -> bool {
        self.outlier_count == 0
    }

    /// Writes the integers to `out`, which has room for exactly them.
    pub(in crate::store) fn unpack(&self, out: &mut [i64]) -> Option<()> {
        self.each(out, |out, integer| *out = integer);
        let mut outliers = self.outliers;
        for _ in 0..self.outlier_count {
            let index = usize::from(varint::take_byte(&mut outliers)?);
            let distance = varint::read_signed(&mut outliers)?;
            *out.get_mut(index)? = self.base.wrapping_add(distance);
        }
        Some(())
    }

    /// Puts each integer that is not an outlier into its place of `out`, in order; an outlier is shown as the base.
    pub(in crate::store) fn each<T>(&self, out: &mut [T], mut put: impl FnMut(&mut T, i64)) {
        let Self { base, shift, width, payload, .. } = *self;
        if width == 0 {
            out.iter_mut().for_each(|out| put(out, base));
            return;
        }
        let width = width as usize;
        let mask = (1_u64 << width) - 1;
        let mut number = |bytes: &[u8], bit: usize, out: &mut T| {
            let word = bytes.get(bit / 8..).and_then(<[u8]>::first_chunk::<8>);
            let word = word.map_or(0, |word| u64::from_le_bytes(*word));
            let packed = ((word >> (bit % 8)) & mask) << shift;
            put(out, base.wrapping_add(packed.cast_signed()));
        };
        // Those of which eight bytes can be loaded at once, and the rest from a copy with some bytes more.
        let direct = ((payload.len().saturating_sub(7) * 8).div_ceil(width)).min(out.len());
        let (first, rest) = out.split_at_mut(direct);
        let mut bit = 0;
        for out in first {
            number(payload, bit, out);
            bit += width;
        }
        let mut padded = [0; 24];
        let start = bit / 8;
        let tail = payload.get(start..).unwrap_or_default();
        if let Some(place) = padded.get_mut(..tail.len()) {
            place.copy_from_slice(tail);
        }
        bit -= start * 8;
        for out in rest {
            number(&padded, bit, out);
            bit += width;
        }
    }
}

fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// How far `value` is above `base`, which may be more than an `i64` holds.
fn distance(value: i64, base: i64) -> u64 {
    value.wrapping_sub(base).cast_unsigned()
}

fn bits(number: u64) -> u32 {
    64 - number.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(values: &[i64]) -> Vec<u8> {
        let plan = Plan::of(values);
        let mut bytes = Vec::new();
        write(values, &mut bytes);
        assert!(bytes.len() <= plan.bytes, "{} of {}: {values:?}", bytes.len(), plan.bytes);
        bytes
    }

    fn check(values: &[i64], most: usize) {
        let bytes = written(values);
        assert!(bytes.len() <= most, "{} bytes for {values:?}", bytes.len());
        let mut back = vec![0; values.len()];
        let mut rest = &bytes[..];
        assert_eq!(
            cut(&mut rest, back.len()).and_then(|packed| packed.unpack(&mut back)),
            Some(())
        );
        assert!(rest.is_empty());
        assert_eq!(back, values);
    }

    #[test]
    fn the_common_shapes_are_small() {
        check(&[], 2);
        check(&[15_000; 119], 4);
        // Deltas of at most seven take three bits.
        check(&(0..120).map(|i| i % 8).collect::<Vec<_>>(), 2 + 45);
        // One reset among them costs what it is, not more bits for all.
        let mut reset: Vec<i64> = (0..120).map(|i| i % 8).collect();
        reset[60] = -1_000_000;
        check(&reset, 2 + 45 + 6);
        // Pages of memory are multiples of 4,096.
        check(&(0..120).map(|i| (i % 4) * 4_096).collect::<Vec<_>>(), 3 + 30);
    }

    #[test]
    fn the_extremes_come_back() {
        check(&[i64::MIN, i64::MAX, 0, -1, 1], 60);
        check(&[i64::MAX; 3], 12);
        check(&[i64::MIN; 3], 12);
    }

    proptest! {
        #[test]
        fn lists_come_back(values in proptest::collection::vec(
            prop_oneof![8 => -50_i64..5_000, 1 => any::<i64>(), 1 => Just(0)], 0..=CHUNK_SAMPLES)) {
            check(&values, usize::MAX);
        }

        #[test]
        fn garbage_is_refused_or_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), count in 0..=CHUNK_SAMPLES) {
            let mut out = vec![0; count];
            let _ = cut(&mut &bytes[..], count).and_then(|packed| packed.unpack(&mut out));
        }
    }
}
