//! Series as bytes: what the numbers in the log and the segments stand for.

use obs_model::{LabelLimits, Labels};

use crate::store::code::varint::{read, write};

/// Whatever was accepted once is accepted again, also by a version with other limits.
const LIMITS: LabelLimits =
    LabelLimits { max_labels: 4_096, max_name_bytes: 65_536, max_value_bytes: 1 << 20 };

/// Writes a label set.
pub(super) fn encode(labels: &Labels) -> Vec<u8> {
    let mut out = Vec::new();
    write(labels.len() as u64, &mut out);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        write(text.len() as u64, &mut out);
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Reads a label set; nothing if these bytes are not one.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Labels> {
    let input = &mut bytes;
    let count = usize::try_from(read(input)?).ok()?;
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((text(input)?, text(input)?));
    }
    if !input.is_empty() {
        return None;
    }
    Labels::with_limits(pairs, &LIMITS).ok()
}

fn text<'b>(input: &mut &'b [u8]) -> Option<&'b str> {
    let length = usize::try_from(read(input)?).ok()?;
    let (text, rest) = input.split_at_checked(length)?;
    *input = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn labels_are_read_back(pairs in prop::collection::btree_map("[a-z]{1,8}", "\\PC{1,20}", 0..10)) {
            let labels = Labels::new(pairs).expect("valid");
            prop_assert_eq!(decode(&encode(&labels)), Some(labels));
        }

        #[test]
        fn bytes_that_are_no_labels_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = decode(&bytes);
        }
    }
}
