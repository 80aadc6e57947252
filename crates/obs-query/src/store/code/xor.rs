//! Floats as the bits in which each differs from the one before.
//!
//! Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", 2015, section 4.1.2: a `0` bit for a
//! value that is the same; `10` and the differing bits for one that differs where the last one did; `11`, five bits of
//! leading zeros, six bits of length less one, and the differing bits for any other. Bits run from the highest down.

use super::varint;

/// The most leading zeros that five bits can say.
const MAX_LEADING: u32 = 31;

/// Appends `values`; gives up, with `out` in any state, as soon as it is longer than `limit` bytes.
pub(super) fn write(values: &[f64], limit: usize, out: &mut Vec<u8>) -> bool {
    let [first, rest @ ..] = values else {
        return true;
    };
    let end = out.len().saturating_add(limit);
    out.extend_from_slice(&first.to_le_bytes());
    let mut bits = Writer { out, pending: 0, free: 64 };
    let mut before = first.to_bits();
    // Where the last difference stood: leading zeros and length; none yet.
    let (mut leading, mut length) = (0, 0);
    for value in rest {
        let difference = value.to_bits() ^ before;
        before = value.to_bits();
        if difference == 0 {
            bits.push(0, 1);
            continue;
        }
        let (zeros, trailing) =
            (difference.leading_zeros().min(MAX_LEADING), difference.trailing_zeros());
        if length > 0 && zeros >= leading && trailing >= 64 - leading - length {
            bits.push(0b10, 2);
        } else {
            (leading, length) = (zeros, 64 - zeros - trailing);
            bits.push(0b11 << 11 | u64::from(leading) << 6 | u64::from(length - 1), 13);
        }
        bits.push(difference >> (64 - leading - length), length);
        if bits.out.len() > end {
            return false;
        }
    }
    bits.finish();
    out.len() <= end
}

/// Cuts as many floats as `out` has room for off the front.
pub(super) fn read(input: &mut &[u8], out: &mut [f64]) -> Option<()> {
    let [first, rest @ ..] = out else {
        return Some(());
    };
    *first = varint::take_float(input)?;
    let whole = *input;
    let mut bits = Reader { input, word: 0, left: 0 };
    let mut before = first.to_bits();
    let (mut leading, mut length) = (0, 0);
    for out in rest {
        if bits.take(1)? == 1 {
            if bits.take(1)? == 1 {
                leading = bits.take(5)? as u32;
                length = bits.take(6)? as u32 + 1;
            }
            if length == 0 || leading + length > 64 {
                return None;
            }
            before ^= bits.take(length)? << (64 - leading - length);
        }
        *out = f64::from_bits(before);
    }
    // Whole bytes that were loaded and not needed belong to what follows.
    let unread = bits.input.len() + bits.left as usize / 8;
    *input = &whole[whole.len() - unread..];
    Some(())
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    /// Filled from the highest bit down.
    pending: u64,
    free: u32,
}

impl Writer<'_> {
    /// Appends the lowest `count` bits, of which there are 1 to 64; those above must be zero.
    fn push(&mut self, bits: u64, count: u32) {
        if count <= self.free {
            self.free -= count;
            self.pending |= bits << self.free;
        } else {
            let over = count - self.free;
            self.pending |= bits >> over;
            self.out.extend_from_slice(&self.pending.to_be_bytes());
            self.free = 64 - over;
            self.pending = bits << self.free;
        }
        if self.free == 0 {
            self.out.extend_from_slice(&self.pending.to_be_bytes());
            (self.pending, self.free) = (0, 64);
        }
    }

    fn finish(self) {
        let used = (64 - self.free).div_ceil(8) as usize;
        self.out.extend_from_slice(&self.pending.to_be_bytes()[..used]);
    }
}

struct Reader<'r, 'b> {
    input: &'r mut &'b [u8],
    /// The bits that were loaded and not taken yet, from the highest down; those below are zero.
    word: u64,
    left: u32,
}

impl Reader<'_, '_> {
    /// The next `count` bits, of which there are 1 to 64.
    fn take(&mut self, count: u32) -> Option<u64> {
        if count <= self.left {
            return Some(self.cut(count));
        }
        let (high, missing) = (self.left, count - self.left);
        let above = if high == 0 { 0 } else { self.cut(high) };
        self.load();
        if missing > self.left {
            return None;
        }
        let below = self.cut(missing);
        Some(if missing == 64 { below } else { above << missing | below })
    }

    fn cut(&mut self, count: u32) -> u64 {
        let taken = self.word >> (64 - count);
        self.word = if count == 64 { 0 } else { self.word << count };
        self.left -= count;
        taken
    }

    fn load(&mut self) {
        if let Some((word, rest)) = self.input.split_first_chunk::<8>() {
            (self.word, self.left) = (u64::from_be_bytes(*word), 64);
            *self.input = rest;
        } else {
            let mut word = [0; 8];
            word[..self.input.len()].copy_from_slice(self.input);
            // OK because fewer than eight bytes are left.
            (self.word, self.left) = (u64::from_be_bytes(word), self.input.len() as u32 * 8);
            *self.input = &[];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[f64]) -> usize {
        let mut bytes = Vec::new();
        assert!(write(values, usize::MAX, &mut bytes));
        let mut back = vec![0.0; values.len()];
        let followed = [&bytes[..], &[7; 9]].concat();
        let mut rest = &followed[..];
        assert_eq!(read(&mut rest, &mut back), Some(()));
        assert_eq!(rest, [7; 9]);
        assert!(
            back.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())),
            "{values:?}"
        );
        let mut cut = Vec::new();
        assert!(!write(values, bytes.len() - 1, &mut cut));
        bytes.len()
    }

    #[test]
    fn what_stays_the_same_takes_one_bit() {
        assert_eq!(check(&[0.1; 120]), 8 + 15);
        check(&[f64::NAN, f64::INFINITY, -0.0, 0.0, crate::STALE, f64::MIN, f64::from_bits(1)]);
        check(&[0.0, f64::from_bits(u64::MAX), 0.0]);
    }

    proptest! {
        #[test]
        fn floats_come_back(bits in proptest::collection::vec(
            prop_oneof![any::<u64>(), any::<f64>().prop_map(f64::to_bits), Just(1.5_f64.to_bits())], 1..=120)) {
            check(&bits.into_iter().map(f64::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn garbage_is_refused_or_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), count in 0..=120_usize) {
            let mut out = vec![0.0; count];
            let _ = read(&mut &bytes[..], &mut out);
        }
    }
}
