//! Up to 120 floats, in whichever of five encodings is the smallest for them.
//!
//! Most series are counters, buckets or decimal readings, that is integers, divided by a power of ten perhaps; their
//! distances pack into a few bits and unpack without a branch. What is no such number (NaN, the stale marker, −0)
//! stands apart, if there is little of it. Everything else is XORed or, if that does not pay, kept as it is.
//!
//! Layout: a tag byte (encoding in the low three bits, [`HAS_ODD`], the power of ten in the high four); the odd
//! values, if any (their count, then index and bits of each); what the encoding says.

use super::{CHUNK_SAMPLES, packed, varint, xor};

/// Every value has the same bits: those.
const CONSTANT: u8 = 0;
/// Packed integers.
const INTEGERS: u8 = 1;
/// The first integer, and packed steps from each to the next.
const STEPS: u8 = 2;
/// XORed floats.
const XOR: u8 = 3;
/// The bits of every value.
const RAW: u8 = 4;
const KIND_BITS: u8 = 0x07;
const HAS_ODD: u8 = 0x08;
const SCALE_SHIFT: u32 = 4;

/// The most values that stand apart.
const MAX_ODD: usize = 12;
/// The largest integer up to which every one is a float.
const MAX_INTEGER: i64 = 1 << 53;
/// The powers of ten by which integers may be divided.
const POWERS: [f64; 13] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12];

/// Appends `values`, of which there are at most [`CHUNK_SAMPLES`].
pub(in crate::store) fn write(values: &[f64], out: &mut Vec<u8>) {
    debug_assert!(values.len() <= CHUNK_SAMPLES, "a column is one chunk's");
    let first = values.first().copied().unwrap_or_default();
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        out.push(CONSTANT);
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    let raw_bytes = 1 + values.len() * 8;
    let integers = Integers::of(values);
    let integer_bytes = integers.as_ref().map_or(raw_bytes, Integers::bytes);
    // Integers of a byte or less are about as small as anything gets, and read much faster.
    if let Some(integers) = integers.as_ref().filter(|_| integer_bytes <= values.len()) {
        return integers.write(out);
    }
    let start = out.len();
    out.push(XOR);
    if xor::write(values, integer_bytes.min(raw_bytes) - 2, out) {
        return;
    }
    out.truncate(start);
    match integers {
        Some(integers) if integer_bytes < raw_bytes => integers.write(out),
        _ => {
            out.push(RAW);
            values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes()));
        }
    }
}

/// Cuts as many floats as `out` has room for off the front.
pub(in crate::store) fn read(input: &mut &[u8], out: &mut [f64]) -> Option<()> {
    let tag = varint::take_byte(input)?;
    let mut odd: &[u8] = &[];
    if tag & HAS_ODD != 0 {
        let count = varint::take_byte(input)?;
        odd = varint::take(input, usize::from(count) * 9)?;
    }
    let power = *POWERS.get(usize::from(tag >> SCALE_SHIFT))?;
    match tag & KIND_BITS {
        CONSTANT => out.fill(varint::take_float(input)?),
        INTEGERS => read_integers(input, out, power)?,
        STEPS => read_steps(input, out, power)?,
        XOR => xor::read(input, out)?,
        RAW => {
            for out in out.iter_mut() {
                *out = varint::take_float(input)?;
            }
        }
        _ => return None,
    }
    while let Some((index, rest)) = odd.split_first() {
        odd = rest;
        *out.get_mut(usize::from(*index))? = varint::take_float(&mut odd)?;
    }
    Some(())
}

fn read_integers(input: &mut &[u8], out: &mut [f64], power: f64) -> Option<()> {
    let packed = packed::cut(input, out.len())?;
    if packed.is_plain() {
        packed.each(out, |out, integer| *out = integer as f64);
    } else {
        let mut space = [0; CHUNK_SAMPLES];
        let integers = space.get_mut(..out.len())?;
        packed.unpack(integers)?;
        out.iter_mut().zip(integers).for_each(|(out, integer)| *out = *integer as f64);
    }
    scale(out, power);
    Some(())
}

fn read_steps(input: &mut &[u8], out: &mut [f64], power: f64) -> Option<()> {
    let [first, rest @ ..] = &mut *out else {
        return Some(());
    };
    let mut before = varint::read_signed(input)?;
    *first = before as f64;
    let packed = packed::cut(input, rest.len())?;
    let mut put = |out: &mut f64, step: i64| {
        before = before.wrapping_add(step);
        *out = before as f64;
    };
    if packed.is_plain() {
        packed.each(rest, put);
    } else {
        let mut space = [0; CHUNK_SAMPLES];
        let steps = space.get_mut(..rest.len())?;
        packed.unpack(steps)?;
        rest.iter_mut().zip(steps).for_each(|(out, step)| put(out, *step));
    }
    scale(out, power);
    Some(())
}

fn scale(values: &mut [f64], power: f64) {
    if power != 1.0 {
        values.iter_mut().for_each(|value| *value /= power);
    }
}

/// Floats that are integers divided by a power of ten, but for a few odd ones.
struct Integers {
    len: usize,
    scale: usize,
    /// An odd value is the same as the one before it.
    integers: [i64; CHUNK_SAMPLES],
    /// From each to the next; one fewer.
    steps: [i64; CHUNK_SAMPLES],
    odd: [(u8, f64); MAX_ODD],
    odd_count: usize,
    plain: packed::Plan,
    stepped: packed::Plan,
}

impl Integers {
    fn of(values: &[f64]) -> Option<Self> {
        let scale = scale_of(values)?;
        let (mut integers, mut steps) = ([0; CHUNK_SAMPLES], [0; CHUNK_SAMPLES]);
        let (mut odd, mut odd_count) = ([(0, 0.0); MAX_ODD], 0);
        // What an odd value at the beginning counts as.
        let mut before = values.iter().find_map(|value| integer(*value, scale))?;
        for (index, value) in values.iter().enumerate() {
            let number = match integer(*value, scale) {
                Some(number) => number,
                None => {
                    // OK because there are at most 120 values.
                    *odd.get_mut(odd_count)? = (index as u8, *value);
                    odd_count += 1;
                    before
                }
            };
            integers[index] = number;
            if index > 0 {
                steps[index - 1] = number - before;
            }
            before = number;
        }
        let len = values.len();
        let plain = packed::Plan::of(&integers[..len]);
        let stepped = packed::Plan::of(&steps[..len - 1]);
        Some(Self { len, scale, integers, steps, odd, odd_count, plain, stepped })
    }

    fn stepped_bytes(&self) -> usize {
        varint::signed_len(self.integers[0]) + self.stepped.bytes
    }

    fn bytes(&self) -> usize {
        let odd = if self.odd_count > 0 { 1 + self.odd_count * 9 } else { 0 };
        1 + odd + self.plain.bytes.min(self.stepped_bytes())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let stepped = self.stepped_bytes() < self.plain.bytes;
        // OK because there are thirteen powers, and at most twelve odd values.
        let mut tag = (self.scale as u8) << SCALE_SHIFT;
        tag |= if stepped { STEPS } else { INTEGERS };
        tag |= if self.odd_count > 0 { HAS_ODD } else { 0 };
        out.push(tag);
        if self.odd_count > 0 {
            out.push(self.odd_count as u8);
            for (index, value) in &self.odd[..self.odd_count] {
                out.push(*index);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
        if stepped {
            varint::write_signed(self.integers[0], out);
            self.stepped.write(&self.steps[..self.len - 1], out);
        } else {
            self.plain.write(&self.integers[..self.len], out);
        }
    }
}

/// The smallest power of ten that makes integers of all values but a few; `None` if there is none.
fn scale_of(values: &[f64]) -> Option<usize> {
    let (mut scale, mut odd) = (0, 0);
    for value in values {
        if integer(*value, scale).is_some() {
            continue;
        }
        match (scale + 1..POWERS.len()).find(|scale| integer(*value, *scale).is_some()) {
            Some(larger) => scale = larger,
            None if odd < MAX_ODD => odd += 1,
            None => return None,
        }
    }
    Some(scale)
}

/// The integer that, divided by the power of ten, gives exactly the bits of `value`.
pub(in crate::store) fn integer(value: f64, scale: usize) -> Option<i64> {
    let power = POWERS[scale];
    let scaled = value * power;
    // OK because the conversion saturates, makes 0 of NaN, and only what comes back to the same bits counts.
    let integer =
        if scale == 0 { value as i64 } else { (scaled + 0.5_f64.copysign(scaled)) as i64 };
    let back = if scale == 0 { integer as f64 } else { integer as f64 / power };
    (back.to_bits() == value.to_bits() && integer.unsigned_abs() <= MAX_INTEGER.unsigned_abs())
        .then_some(integer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[f64], kind: u8, most: usize) {
        let mut bytes = Vec::new();
        write(values, &mut bytes);
        assert_eq!(bytes[0] & KIND_BITS, kind, "{values:?}");
        assert!(bytes.len() <= most, "{} bytes for {values:?}", bytes.len());
        let mut back = vec![0.0; values.len()];
        let mut rest = &bytes[..];
        assert_eq!(read(&mut rest, &mut back), Some(()));
        assert!(rest.is_empty());
        assert!(
            back.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())),
            "{values:?}"
        );
    }

    fn column(value: impl Fn(u64) -> f64) -> Vec<f64> {
        (0..120).map(value).collect()
    }

    /// Digits without a pattern.
    fn scattered(index: u64) -> u64 {
        (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
    }

    #[test]
    fn each_shape_gets_the_encoding_that_suits_it() {
        check(&column(|_| f64::NAN), CONSTANT, 9);
        check(&column(|i| 1e6 + (i * 10 + scattered(i) % 8) as f64), STEPS, 70);
        check(&column(|i| (scattered(i) % 100) as f64), INTEGERS, 110);
        check(&column(|i| (scattered(i) % 1_000) as f64 / 100.0), INTEGERS, 160);
        check(&column(|i| [0.1, 1.0 / 3.0][usize::from(i > 60)]), XOR, 40);
        check(&column(|i| f64::from_bits(scattered(i) << 20 | scattered(i * 7))), RAW, 961);
    }

    #[test]
    fn a_reset_and_an_end_do_not_change_the_encoding_of_a_counter() {
        let mut counter = column(|i| (5_000 + i * 10) as f64);
        for (value, i) in counter[70..].iter_mut().zip(0..) {
            *value = f64::from(i);
        }
        counter[119] = crate::STALE;
        check(&counter, STEPS, 120);
        counter[0] = -0.0;
        check(&counter, STEPS, 130);
    }

    #[test]
    fn integers_that_are_no_floats_are_not_taken_for_some() {
        let most = MAX_INTEGER as f64;
        for value in
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, most * 2.0, 1e300, f64::MIN_POSITIVE]
        {
            assert_eq!((0..POWERS.len()).find_map(|scale| integer(value, scale)), None, "{value}");
        }
        assert_eq!(integer(most, 0), Some(MAX_INTEGER));
        assert_eq!(integer(-0.25, 2), Some(-25));
        assert_eq!(integer(0.1 + 0.2, 12), None);
    }

    proptest! {
        #[test]
        fn columns_come_back(
            values in proptest::collection::vec(prop_oneof![
                any::<u64>().prop_map(f64::from_bits),
                (-1_000_i64..1_000).prop_map(|i| i as f64),
                (-100_000_i64..100_000).prop_map(|i| i as f64 / 1e3),
                Just(crate::STALE),
            ], 0..=CHUNK_SAMPLES),
        ) {
            let mut bytes = Vec::new();
            write(&values, &mut bytes);
            prop_assert!(bytes.len() <= values.len() * 8 + 9);
            let mut back = vec![0.0; values.len()];
            prop_assert_eq!(read(&mut &bytes[..], &mut back), Some(()));
            prop_assert!(back.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
        }

        #[test]
        fn decimals_come_back(start in -1e6_f64..1e6, steps in proptest::collection::vec((-500_i32..500, 0_u8..50), 1..=CHUNK_SAMPLES), digits in 0_i32..6) {
            let power = 10_f64.powi(digits);
            let mut number = (start * power).round();
            let values: Vec<f64> = steps.iter().map(|(step, odd)| {
                number += f64::from(*step);
                if *odd == 0 { f64::NAN } else { number / power }
            }).collect();
            let mut bytes = Vec::new();
            write(&values, &mut bytes);
            let mut back = vec![0.0; values.len()];
            prop_assert_eq!(read(&mut &bytes[..], &mut back), Some(()));
            prop_assert!(back.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
        }

        #[test]
        fn garbage_is_refused_or_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), count in 0..=CHUNK_SAMPLES) {
            let mut out = vec![0.0; count];
            let _ = read(&mut &bytes[..], &mut out);
        }
    }
}
