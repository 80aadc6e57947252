//! Integers in as few bytes as they need (LEB128, and zigzag for those with a sign), and cutting fixed-size pieces off.

/// Appends `number`, seven bits a byte.
pub(crate) fn write(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        // OK because only the lowest seven bits are kept.
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a number that may be negative.
pub(crate) fn write_signed(number: i64, out: &mut Vec<u8>) {
    write(zigzag(number), out);
}

/// Cuts a number off the front.
pub(crate) fn read(input: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(input)?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Cuts a number that may be negative off the front.
pub(crate) fn read_signed(input: &mut &[u8]) -> Option<i64> {
    read(input).map(|number| (number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// How many bytes [`write_signed`] takes.
pub(in crate::store) fn signed_len(number: i64) -> usize {
    len_of_bits(64 - zigzag(number).leading_zeros())
}

/// How many bytes a number of so many bits takes.
pub(in crate::store) fn len_of_bits(bits: u32) -> usize {
    bits.div_ceil(7).max(1) as usize
}

/// Cuts one byte off the front.
pub(crate) fn take_byte(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

/// Cuts the bits of a float off the front.
pub(crate) fn take_float(input: &mut &[u8]) -> Option<f64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(f64::from_le_bytes(*bytes))
}

/// Cuts `count` bytes off the front.
pub(in crate::store) fn take<'b>(input: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = input.split_at_checked(count)?;
    *input = rest;
    Some(taken)
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_that_is_cut_off_or_too_long_is_none() {
        for bytes in [
            &[][..],
            &[0x80],
            &[0xff; 10],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ] {
            assert_eq!(read(&mut &*bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_come_back_and_take_what_is_said(number in any::<i64>(), small in -200_i64..200) {
            for number in [number, small] {
                let mut bytes = Vec::new();
                write_signed(number, &mut bytes);
                prop_assert_eq!(bytes.len(), signed_len(number));
                let mut rest = &bytes[..];
                prop_assert_eq!(read_signed(&mut rest), Some(number));
                prop_assert!(rest.is_empty());
            }
        }
    }
}
