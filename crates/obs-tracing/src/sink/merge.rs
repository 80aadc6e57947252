//! Puts lines, or spans, together that are protobuf messages, by what they have in common.
//!
//! Protocols nest: lines lie in streams or scopes, and those in resources. Each line is encoded once, when it
//! is written, as a [`Part`] that has everything with it, so that it can wait in a spool and outlive its process. A
//! request is then made by copying bytes: fields of an embedded message may follow one another in any number, so the
//! lines of one group stand behind the field that says what the group is.

use std::collections::HashMap;

use bytes::{Buf, BufMut};
use obs_delivery::{EncodeError, Message};
use prost::encoding::{WireType, encode_key, encode_varint};

/// What a part begins with; it changes with its form.
const FORMAT: u8 = 1;

/// The size of what a part has beside its fields.
const HEAD: usize = 1 + 8 + 4 + 4;

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    /// Nanoseconds since 1970.
    pub(crate) at: u64,
    /// Encoded fields that all lines of a request must share.
    pub(crate) shared: &'a [u8],
    /// Encoded fields that all lines of a group share.
    pub(crate) group: &'a [u8],
    /// The encoded field that is the line itself.
    pub(crate) item: &'a [u8],
}

impl<'a> Part<'a> {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let Self { at, shared, group, item } = self;
        let mut bytes = Vec::with_capacity(HEAD + shared.len() + group.len() + item.len());
        bytes.put_u8(FORMAT);
        bytes.put_u64_le(at);
        // OK because a line has some hundred kilobytes at most.
        bytes.put_u32_le(shared.len() as u32);
        bytes.put_u32_le(group.len() as u32);
        bytes.extend_from_slice(shared);
        bytes.extend_from_slice(group);
        bytes.extend_from_slice(item);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; `None` if it is something else.
    pub(crate) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        if bytes.try_get_u8().ok()? != FORMAT {
            return None;
        }
        let at = bytes.try_get_u64_le().ok()?;
        let shared = bytes.try_get_u32_le().ok()? as usize;
        let group = bytes.try_get_u32_le().ok()? as usize;
        let (shared, bytes) = bytes.split_at_checked(shared)?;
        let (group, item) = bytes.split_at_checked(group)?;
        Some(Self { at, shared, group, item })
    }
}

/// Lines of one group.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    fields: &'a [u8],
    items: Vec<(u64, &'a [u8])>,
}

impl Group<'_> {
    /// Appends the group as the embedded message of this number.
    pub(crate) fn append(&self, number: u32, out: &mut Vec<u8>) {
        let items: usize = self.items.iter().map(|(_, item)| item.len()).sum();
        begin_message(number, self.fields.len() + items, out);
        out.extend_from_slice(self.fields);
        self.items.iter().for_each(|(_, item)| out.extend_from_slice(item));
    }
}

/// Appends what stands before an embedded message of this number and length.
pub(crate) fn begin_message(number: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

/// The groups in the order of their first lines, with the lines of each in the order of their times; and what all lines
/// share.
pub(crate) fn grouped<'a>(
    messages: &[&'a Message],
) -> Result<(&'a [u8], Vec<Group<'a>>), EncodeError> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let mut shared: &[u8] = &[];
    for message in messages {
        let part = Part::read(message.body())
            .ok_or_else(|| EncodeError::new("a line of a form that another version wrote"))?;
        shared = part.shared;
        let entry = (part.at, part.item);
        let next = groups.len();
        let place = *places.entry(part.group).or_insert(next);
        if place == next {
            groups.push(Group { fields: part.group, items: Vec::new() });
        }
        groups[place].items.push(entry);
    }
    for group in &mut groups {
        group.items.sort_by_key(|(at, _)| *at);
    }
    Ok((shared, groups))
}

/// Whether two lines may stand in one request.
#[cfg(feature = "otlp")]
pub(crate) fn share(first: &Message, next: &Message) -> bool {
    let shared = |message| Part::read(message).map(|part: Part<'_>| part.shared);
    shared(first.body().as_ref()) == shared(next.body().as_ref())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_part_reads_back(
            at: u64,
            shared in proptest::collection::vec(any::<u8>(), 0..50),
            group in proptest::collection::vec(any::<u8>(), 0..50),
            item in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let part = Part { at, shared: &shared, group: &group, item: &item };
            let bytes = part.to_bytes();
            prop_assert_eq!(Part::read(&bytes), Some(part));
        }

        #[test]
        fn what_is_no_part_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(part) = Part::read(&bytes) {
                prop_assert_eq!(part.to_bytes(), bytes);
            }
        }
    }

    #[test]
    fn lines_are_grouped_and_each_group_is_in_order() {
        let message = |at, group: &'static str, item: &'static str| {
            let (group, item) = (group.as_bytes(), item.as_bytes());
            Message::new(Part { at, shared: b"", group, item }.to_bytes())
        };
        let all = [
            message(3, "b", "3"),
            message(1, "a", "1"),
            message(2, "b", "2"),
            message(2, "a", "x"),
        ];
        let (_, groups) = grouped(&all.iter().collect::<Vec<_>>()).unwrap();
        let mut out = Vec::new();
        groups.iter().for_each(|group| group.append(1, &mut out));
        assert_eq!(out, b"\x0a\x03b23\x0a\x03a1x");
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn lines_with_other_resources_do_not_share_a_request() {
        let of = |shared: &'static [u8]| {
            Message::new(Part { at: 0, shared, group: b"", item: b"" }.to_bytes())
        };
        assert!(share(&of(b"v1"), &of(b"v1")));
        assert!(!share(&of(b"v1"), &of(b"v2")));
    }
}
