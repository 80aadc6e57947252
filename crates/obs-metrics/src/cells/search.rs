//! Finding the bucket of an observation.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// How many mantissa bits a table may look at; more would make it large.
const MAX_MANTISSA_BITS: u32 = 6;

/// How long a table may be.
const MAX_TABLE: usize = 2_048;

/// How many bounds may share an entry of the table.
const COMPARED: usize = 2;

const MANTISSA_BITS: u32 = 52;

/// The bounds of a histogram, laid out so that a bucket is found without a branch.
///
/// The exponent and the first bits of the mantissa of a positive float rise with the float. A table gives, for each of
/// their values between those of the lowest and of the highest bound, how many bounds are below it; at most two bounds
/// share a value and are compared. Where bounds are not positive, or too close for a table of reasonable length, a
/// binary search does it.
#[derive(Debug)]
pub(crate) struct Search {
    table: Box<[u8]>,
    /// The entry of the lowest bound.
    lowest: i64,
    shift: u32,
    count: usize,
    /// Followed by infinities, so that comparing past the last bound finds nothing below.
    bounds: Box<[f64]>,
}

impl Search {
    /// `bounds` are finite and rising.
    pub(crate) fn new(bounds: &[f64]) -> Self {
        let count = bounds.len();
        let table = (0..=MAX_MANTISSA_BITS).find_map(|bits| table_of(bounds, MANTISSA_BITS - bits));
        let (table, lowest, shift) = table.unwrap_or_default();
        let bounds = bounds.iter().copied().chain([f64::INFINITY; COMPARED]).collect();
        Self { table, lowest, shift, count, bounds }
    }

    /// As [`Search::new`], or one that is in use for the same bounds: most histograms have one of a few lists, and what they
    /// share is in the processor's caches more often.
    pub(crate) fn shared(bounds: &[f64]) -> Arc<Self> {
        static IN_USE: Mutex<Vec<Weak<Search>>> = Mutex::new(Vec::new());
        let mut in_use = IN_USE.lock();
        in_use.retain(|search| search.strong_count() > 0);
        let mut found = in_use.iter().filter_map(Weak::upgrade);
        if let Some(known) = found.find(|search| search.bounds[..search.count] == *bounds) {
            return known;
        }
        drop(found);
        let new = Arc::new(Self::new(bounds));
        in_use.push(Arc::downgrade(&new));
        new
    }

    /// How many buckets there are: one more than bounds.
    pub(crate) const fn buckets(&self) -> usize {
        self.count + 1
    }

    /// The bucket of a number: how many bounds are below it.
    #[inline(always)]
    pub(crate) fn bucket_of(&self, value: f64) -> usize {
        if self.table.is_empty() {
            return self.search(value);
        }
        // OK because the bits of a negative float are a negative integer, which becomes the first entry.
        let entry = ((value.to_bits().cast_signed() >> self.shift) - self.lowest).max(0);
        // OK because the entry is not negative and the minimum is within the table.
        let below = usize::from(self.table[(entry as usize).min(self.table.len() - 1)]);
        match self.bounds.get(below..below + COMPARED) {
            Some(near) => {
                below + near.iter().map(|bound| usize::from(*bound < value)).sum::<usize>()
            }
            None => below,
        }
    }

    #[inline(never)]
    fn search(&self, value: f64) -> usize {
        self.bounds[..self.count].partition_point(|bound| *bound < value)
    }
}

/// The table for floats without their last `shift` bits, where the lowest bound's entry is, and `shift` itself.
fn table_of(bounds: &[f64], shift: u32) -> Option<(Box<[u8]>, i64, u32)> {
    let entry = |bound: &f64| bound.to_bits().cast_signed() >> shift;
    let (lowest, highest) = (entry(bounds.first()?), entry(bounds.last()?));
    let crowded =
        bounds.windows(COMPARED + 1).any(|some| entry(&some[0]) == entry(&some[COMPARED]));
    let length = usize::try_from(highest.checked_sub(lowest)?).ok()? + 1;
    if bounds[0] <= 0.0 || crowded || length > MAX_TABLE || bounds.len() > usize::from(u8::MAX) {
        return None;
    }
    let below = |at| bounds.partition_point(|bound| entry(bound) < at);
    // OK because there are fewer bounds than a byte can count.
    let table = (lowest..=highest).map(|at| below(at) as u8).collect();
    Some((table, lowest, shift))
}

#[cfg(all(test, not(obskit_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{BYTES_BUCKETS, GENERAL_BUCKETS, MILLISECONDS_BUCKETS, SECONDS_BUCKETS};

    fn check(bounds: &[f64], values: impl IntoIterator<Item = f64>) {
        let search = Search::new(bounds);
        let edges = bounds.iter().flat_map(|bound| [bound.next_down(), *bound, bound.next_up()]);
        let odd = [0.0, -0.0, -1.0, 5e-324, f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY];
        for value in values.into_iter().chain(edges).chain(odd) {
            let expected = bounds.partition_point(|bound| *bound < value);
            assert_eq!(search.bucket_of(value), expected, "{value} among {bounds:?}");
        }
    }

    #[test]
    fn equal_bounds_share_a_search_as_long_as_it_is_in_use() {
        let bounds = [0.125, 7.5, 1e9];
        let first = Search::shared(&bounds);
        assert!(Arc::ptr_eq(&first, &Search::shared(&bounds)));
        assert!(!Arc::ptr_eq(&first, &Search::shared(&bounds[1..])));
        assert!(!Arc::ptr_eq(&first, &Search::shared(&[])));
        let before = Arc::downgrade(&first);
        drop(first);
        assert!(before.upgrade().is_none());
        assert_eq!(Search::shared(&bounds).bucket_of(7.5), 1);
    }

    #[test]
    fn every_list_of_bounds_finds_the_bucket_that_a_plain_search_finds() {
        let linear: Vec<f64> = (1..=200).map(f64::from).collect();
        let close: Vec<f64> = (0..50).map(|at| 1.0 + f64::from(at) * 1e-9).collect();
        let around: Vec<f64> = (-20..20).map(f64::from).collect();
        for bounds in [
            SECONDS_BUCKETS,
            MILLISECONDS_BUCKETS,
            BYTES_BUCKETS,
            GENERAL_BUCKETS,
            &linear,
            &close,
            &around,
            &[1.0],
            &[0.0, 1.0],
            &[1e-300, 1e300],
            &[f64::MIN, f64::MAX],
        ] {
            check(bounds, (-300..3_000).map(|step| f64::from(step) * 0.1));
        }
    }

    #[test]
    fn the_default_bounds_and_whole_numbers_have_a_table() {
        let linear: Vec<f64> = (1..=200).map(f64::from).collect();
        for bounds in
            [SECONDS_BUCKETS, MILLISECONDS_BUCKETS, BYTES_BUCKETS, GENERAL_BUCKETS, &linear]
        {
            assert!(!Search::new(bounds).table.is_empty(), "{bounds:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bounds_find_the_right_bucket(
            mut bounds in prop::collection::vec(prop::num::f64::NORMAL, 1..60),
            values in prop::collection::vec(prop::num::f64::NORMAL, 1..60),
        ) {
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            check(&bounds, values);
        }
    }
}
