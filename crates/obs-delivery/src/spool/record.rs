//! A message as a record of a spool.
//!
//! All numbers are little-endian: the version as one byte, the priority as one byte, the time of the offer as
//! milliseconds since 1970 in eight; then the content type, and the number of headers in two bytes with each
//! header's name and value; at the end the body. Texts have their length before them in four bytes, where a
//! content type that there is none of has the largest one.

use bytes::{Buf, BufMut, Bytes};
use obs_model::Timestamp;

use crate::{Message, Priority};

const VERSION: u8 = 1;
const NONE: u32 = u32::MAX;

/// About how much a record is larger than the message counts for.
pub(crate) const OVERHEAD: usize = 64;

/// Writes a message; `None` if it is too large for the format.
pub(super) fn encode(message: &Message, offered_at: Timestamp) -> Option<Vec<u8>> {
    let mut record = Vec::with_capacity(message.size() + OVERHEAD);
    record.put_u8(VERSION);
    record.put_u8(message.priority() as u8);
    record.put_i64_le(offered_at.as_millis());
    match message.content_type() {
        Some(content_type) => put_text(&mut record, content_type)?,
        None => record.put_u32_le(NONE),
    }
    record.put_u16_le(u16::try_from(message.headers().count()).ok()?);
    for (name, value) in message.headers() {
        put_text(&mut record, name)?;
        put_text(&mut record, value)?;
    }
    record.extend_from_slice(message.body());
    Some(record)
}

/// Reads what [`encode`] wrote; `None` if it is something else.
pub(super) fn decode(mut record: Bytes) -> Option<(Message, Timestamp)> {
    if record.try_get_u8().ok()? != VERSION {
        return None;
    }
    let priority = *Priority::ALL.get(usize::from(record.try_get_u8().ok()?))?;
    let offered_at = Timestamp::from_millis(record.try_get_i64_le().ok()?);
    let content_type = match record.try_get_u32_le().ok()? {
        NONE => None,
        length => Some(take_text(&mut record, length)?),
    };
    let mut headers = Vec::new();
    for _ in 0..record.try_get_u16_le().ok()? {
        let length = record.try_get_u32_le().ok()?;
        let name = take_text(&mut record, length)?;
        let length = record.try_get_u32_le().ok()?;
        headers.push((name, take_text(&mut record, length)?));
    }
    let mut message = Message::new(record).with_priority(priority);
    if let Some(content_type) = content_type {
        message = message.with_content_type(content_type);
    }
    for (name, value) in headers {
        message = message.with_header(name, value);
    }
    Some((message, offered_at))
}

fn put_text(record: &mut Vec<u8>, text: &str) -> Option<()> {
    let length = u32::try_from(text.len()).ok().filter(|length| *length != NONE)?;
    record.put_u32_le(length);
    record.extend_from_slice(text.as_bytes());
    Some(())
}

fn take_text(record: &mut Bytes, length: u32) -> Option<String> {
    let length = usize::try_from(length).ok().filter(|length| *length <= record.len())?;
    String::from_utf8(record.split_to(length).to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_written_message_reads_back(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            content_type in proptest::option::of(".{0,20}"),
            headers in proptest::collection::vec((".{0,10}", ".{0,10}"), 0..4),
            priority in 0_usize..5,
            at in any::<i64>(),
        ) {
            let mut message = Message::new(body.clone()).with_priority(Priority::ALL[priority]);
            if let Some(content_type) = &content_type {
                message = message.with_content_type(content_type.clone());
            }
            for (name, value) in &headers {
                message = message.with_header(name.clone(), value.clone());
            }
            let record = encode(&message, Timestamp::from_millis(at)).expect("encodes");
            let (read, read_at) = decode(record.into()).expect("decodes");
            prop_assert_eq!(read.body(), &body);
            prop_assert_eq!(read.content_type(), content_type.as_deref());
            let expected: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
            prop_assert_eq!(read.headers().collect::<Vec<_>>(), expected);
            prop_assert_eq!(read.priority(), Priority::ALL[priority]);
            prop_assert_eq!(read_at, Timestamp::from_millis(at));
        }

        #[test]
        fn no_record_makes_it_panic(record in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(record.clone().into());
            let mut begun_well = vec![VERSION, 2];
            begun_well.extend(record);
            let _ = decode(begun_well.into());
        }
    }
}
