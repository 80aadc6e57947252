//! Keys whose order as bytes is the order that is meant.

use obs_model::Timestamp;

/// The key of a queue's item.
pub(crate) fn of_item(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}

/// The id of a queue's item.
pub(crate) fn item(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// Where the chunks that start then begin: before those of every series.
pub(crate) fn of_start(start: Timestamp) -> [u8; 8] {
    // Turning the sign over makes earlier times smaller bytes, those before the epoch too.
    (start.as_millis() ^ i64::MIN).to_be_bytes()
}

/// The key of a series' chunk.
pub(crate) fn of_chunk(series: &[u8], start: Timestamp) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + series.len());
    key.extend_from_slice(&of_start(start));
    key.extend_from_slice(series);
    key
}

/// The start and the series of a chunk's key.
pub(crate) fn chunk(key: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (start, series) = key.split_first_chunk::<8>()?;
    Some((Timestamp::from_millis(i64::from_be_bytes(*start) ^ i64::MIN), series))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_sort_by_start_and_then_by_series(
            one in (any::<i64>(), prop::collection::vec(any::<u8>(), 0..20)),
            two in (any::<i64>(), prop::collection::vec(any::<u8>(), 0..20)),
        ) {
            let key = |(start, series): &(i64, Vec<u8>)| of_chunk(series, Timestamp::from_millis(*start));
            prop_assert_eq!(key(&one).cmp(&key(&two)), one.cmp(&two));
            prop_assert!(of_start(Timestamp::from_millis(one.0)).as_slice() <= key(&one).as_slice());
        }

        #[test]
        fn a_chunks_key_is_read_back(start in any::<i64>(), series in prop::collection::vec(any::<u8>(), 0..300)) {
            let start = Timestamp::from_millis(start);
            let key = of_chunk(&series, start);
            prop_assert_eq!(chunk(&key), Some((start, series.as_slice())));
        }

        #[test]
        fn items_sort_by_id(one in any::<u64>(), two in any::<u64>()) {
            prop_assert_eq!(of_item(one).cmp(&of_item(two)), one.cmp(&two));
            prop_assert_eq!(item(&of_item(one)), Some(one));
        }

        #[test]
        fn bytes_that_are_no_key_are_none_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(item(&bytes).is_some(), bytes.len() == 8);
            prop_assert_eq!(chunk(&bytes).is_some(), bytes.len() >= 8);
        }
    }
}
