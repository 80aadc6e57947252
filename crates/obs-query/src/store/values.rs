//! The values of a series' newest samples, each as narrow as the others let it be.
//!
//! A value that stays the same is kept once. Integers near each other, which is what counters have, take two bytes each,
//! integers within 32 bits four; anything else takes eight. A list that does not suit what comes is made anew, with
//! room for more of the kind, so that this happens a few times at most before the oldest are dropped.

use obs_model::{Sample, Timestamp};

use super::code::column;
use super::heap;

/// How many values there may be.
pub(super) const MOST: usize = 184;
/// How far the next values may be below those that there are before two bytes are too few. What grows, as counters do,
/// has the rest of the range.
const BELOW: i64 = 8_192;

/// The values of the newest samples of a series.
#[derive(Debug)]
pub(super) enum Values {
    /// The same bits for every one of so many samples.
    Same(f64, u32),
    /// Integers, each as what it is more than the number.
    Narrow(i64, Vec<u16>),
    /// As above, further apart.
    Wide(i64, Vec<u32>),
    /// One for each sample.
    Each(Vec<f64>),
}

impl Values {
    pub(super) const fn new() -> Self {
        Self::Same(0.0, 0)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Same(_, len) => *len as usize,
            Self::Narrow(_, offsets) => offsets.len(),
            Self::Wide(_, offsets) => offsets.len(),
            Self::Each(values) => values.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> f64 {
        match self {
            Self::Same(value, _) => *value,
            Self::Narrow(base, offsets) => value(*base, offsets[index]),
            Self::Wide(base, offsets) => value(*base, offsets[index]),
            Self::Each(values) => values[index],
        }
    }

    /// Adds a value; there must be fewer than [`MOST`].
    pub(super) fn push(&mut self, value: f64) {
        let fits = match self {
            Self::Same(same, len) => {
                let fits = *len == 0 || same.to_bits() == value.to_bits();
                if fits {
                    (*same, *len) = (value, *len + 1);
                }
                fits
            }
            Self::Narrow(base, offsets) => push_offset(*base, offsets, value),
            Self::Wide(base, offsets) => push_offset(*base, offsets, value),
            Self::Each(values) => {
                grown(values).push(value);
                true
            }
        };
        if !fits {
            let mut space = [0.0; MOST];
            let len = self.len();
            self.copy(0, &mut space[..len]);
            space[len] = value;
            self.set(&space[..=len]);
        }
    }

    /// Removes the `count` oldest of more values, and looks anew how those that are left are best kept.
    pub(super) fn drop_oldest(&mut self, count: usize) {
        let mut space = [0.0; MOST];
        let left = self.len() - count;
        let left = &mut space[..left];
        self.copy(count, left);
        self.set(left);
    }

    /// Takes other values, of which there must be one, and keeps the room that there is if it suits them.
    fn set(&mut self, values: &[f64]) {
        let first = values[0];
        if values.iter().all(|value| value.to_bits() == first.to_bits()) {
            // OK because there are at most 184.
            *self = Self::Same(first, values.len() as u32);
            return;
        }
        let Some((least, most)) = span(values) else {
            if let Self::Each(kept) = self {
                kept.clear();
                kept.extend_from_slice(values);
            } else {
                let mut list = Vec::with_capacity(room(values.len()));
                list.extend_from_slice(values);
                *self = Self::Each(list);
            }
            return;
        };
        let extent = most - least;
        let narrow = i64::from(u16::MAX);
        if extent <= narrow {
            let base = least - BELOW.min(narrow - extent);
            let kept =
                if let Self::Narrow(_, kept) = self { std::mem::take(kept) } else { Vec::new() };
            *self = Self::Narrow(base, offsets(base, values, kept));
        } else {
            let base = least - (i64::from(u32::MAX) - extent) / 8;
            let kept =
                if let Self::Wide(_, kept) = self { std::mem::take(kept) } else { Vec::new() };
            *self = Self::Wide(base, offsets(base, values, kept));
        }
    }

    /// Writes the values from the one at `from` to `out`, of which there must be so many.
    pub(super) fn copy(&self, from: usize, out: &mut [f64]) {
        match self {
            Self::Same(value, _) => out.fill(*value),
            Self::Narrow(base, offsets) => copy_offsets(*base, &offsets[from..], out),
            Self::Wide(base, offsets) => copy_offsets(*base, &offsets[from..], out),
            Self::Each(values) => out.copy_from_slice(&values[from..from + out.len()]),
        }
    }

    /// Appends the values `from..to` to `out`, each with its time.
    pub(super) fn read_into(
        &self,
        from: usize,
        to: usize,
        at: impl Fn(usize) -> Timestamp,
        out: &mut Vec<Sample>,
    ) {
        let sample = |(index, value)| Sample { timestamp: at(index), value };
        match self {
            Self::Same(value, _) => {
                out.extend((from..to).map(|index| sample((index, *value))));
            }
            Self::Narrow(base, offsets) => {
                let values = offsets[from..to].iter().map(|offset| value(*base, *offset));
                out.extend((from..).zip(values).map(sample));
            }
            Self::Wide(base, offsets) => {
                let values = offsets[from..to].iter().map(|offset| value(*base, *offset));
                out.extend((from..).zip(values).map(sample));
            }
            Self::Each(values) => {
                out.extend((from..).zip(values[from..to].iter().copied()).map(sample));
            }
        }
    }

    /// What they take on the heap, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Same(..) => 0,
            Self::Narrow(_, offsets) => heap::vector(offsets),
            Self::Wide(_, offsets) => heap::vector(offsets),
            Self::Each(values) => heap::vector(values),
        }
    }
}

/// The smallest and the largest of values that are all integers and near enough for offsets of 32 bits.
fn span(values: &[f64]) -> Option<(i64, i64)> {
    let (mut least, mut most) = (i64::MAX, i64::MIN);
    for value in values {
        let integer = near(*value)?;
        (least, most) = (least.min(integer), most.max(integer));
    }
    // OK because integers are exact in a float, so far below what an `i64` holds.
    (most - least <= i64::from(u32::MAX)).then_some((least, most))
}

/// The integer that a value is, if it is one.
fn near(value: f64) -> Option<i64> {
    column::integer(value, 0)
}

fn value<T: Into<i64>>(base: i64, offset: T) -> f64 {
    (base + offset.into()) as f64
}

/// Offsets of values that all fit, in the list that is given.
fn offsets<T: TryFrom<i64>>(base: i64, values: &[f64], mut list: Vec<T>) -> Vec<T> {
    list.clear();
    if list.capacity() < values.len() {
        list.reserve_exact(room(values.len()));
    }
    list.extend(values.iter().filter_map(|value| T::try_from(near(*value)? - base).ok()));
    list
}

/// Adds a value to a list, if it fits.
fn push_offset<T: TryFrom<i64>>(base: i64, list: &mut Vec<T>, value: f64) -> bool {
    match near(value).and_then(|integer| T::try_from(integer - base).ok()) {
        Some(offset) => {
            grown(list).push(offset);
            true
        }
        None => false,
    }
}

fn copy_offsets<T: Into<i64> + Copy>(base: i64, offsets: &[T], out: &mut [f64]) {
    for (out, offset) in out.iter_mut().zip(offsets) {
        *out = value(base, *offset);
    }
}

/// How much room a list of so many gets: a power of two, but no more than is ever needed.
pub(super) fn room(len: usize) -> usize {
    len.next_power_of_two().clamp(8, MOST)
}

/// A list with room for one more.
pub(super) fn grown<T>(list: &mut Vec<T>) -> &mut Vec<T> {
    if list.len() == list.capacity() {
        list.reserve_exact(room(list.len() + 1).saturating_sub(list.len()).max(1));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Values {
        let mut kept = Values::new();
        values.iter().for_each(|value| kept.push(*value));
        kept
    }

    #[test]
    fn values_are_kept_as_narrow_as_they_can_be() {
        for (values, bytes) in [
            (&[7.5; 20][..], 0),
            (&[-1.0, 1.0, 65_534.0], 2),
            (&[0.0, 8_192.0, -8_192.0], 2),
            (&[0.0, 1.0, 65_536.0], 4),
            (&[0.0, 1.0, -8_193.0], 2),
            (&[0.0, 1.0, 4_294_967_295.0], 4),
            (&[4_294_967_295.0, 1.0, 0.0], 4),
            (&[0.0, 1.0, 4_294_967_296.0], 8),
            (&[1.0, -0.0, 2.0], 8),
            (&[1.0, 0.5], 8),
        ] {
            assert_eq!(of(values).bytes(), heap::allocation(8 * bytes), "{values:?}");
        }
    }

    #[test]
    fn what_is_left_is_kept_as_if_there_had_been_nothing_else() {
        let mut values = of(&[0.5, 1e12, 70_000.0, 1.0, 2.0, 3.0]);
        for (count, expected) in [(1, 8), (1, 4), (1, 2)] {
            values.drop_oldest(count);
            assert_eq!(values.bytes(), heap::allocation(8 * expected), "{values:?}");
        }
        let before = values.len();
        values.drop_oldest(before - 1);
        assert_eq!((values.bytes(), values.get(0)), (0, 3.0));
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => (-100_i64..100).prop_map(|integer| integer as f64),
            2 => (-100_000_i64..100_000).prop_map(|integer| integer as f64),
            1 => any::<i64>().prop_map(|integer| integer as f64),
            1 => any::<f64>(),
            1 => Just(crate::STALE),
        ]
    }

    proptest! {
        #[test]
        fn values_come_back_as_they_were_put_in(
            runs in proptest::collection::vec((any_value(), 1_usize..20, any::<bool>(), 0_usize..40), 1..60),
        ) {
            let (mut kept, mut expected) = (Values::new(), Vec::new());
            for (value, times, rises, dropped) in runs {
                for step in 0..times.min(MOST - expected.len()) {
                    let value = if rises { value + step as f64 } else { value };
                    kept.push(value);
                    expected.push(value);
                }
                if dropped < expected.len() && (expected.len() > 100 || dropped < 5) {
                    kept.drop_oldest(dropped);
                    expected.drain(..dropped);
                }
                let bits: Vec<u64> = expected.iter().map(|value| value.to_bits()).collect();
                let each: Vec<u64> = (0..kept.len()).map(|index| kept.get(index).to_bits()).collect();
                prop_assert_eq!(&each, &bits);
                let from = dropped.min(expected.len() - 1);
                let mut copied = vec![0.0; expected.len() - from];
                kept.copy(from, &mut copied);
                let mut read = Vec::new();
                let at = |index: usize| Timestamp::from_millis(index as i64);
                kept.read_into(from, expected.len(), at, &mut read);
                for (index, (copied, read)) in copied.iter().zip(&read).enumerate() {
                    prop_assert_eq!(copied.to_bits(), bits[from + index]);
                    prop_assert_eq!((read.timestamp, read.value.to_bits()), (at(from + index), bits[from + index]));
                }
            }
        }
    }
}
