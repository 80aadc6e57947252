//! Messages in a stream: the length before each, RFC 6587, 3.4.1.

use bytes::BytesMut;
use obs_delivery::{EncodeError, Encoder, Message};

/// Puts messages together with the length before each. It is also the form from which other framings are made.
pub(super) struct OctetCounted;

impl Encoder for OctetCounted {
    fn encode(&self, messages: &[&Message]) -> Result<Message, EncodeError> {
        let bytes: usize = messages.iter().map(|message| message.body().len() + 8).sum();
        let mut body = BytesMut::with_capacity(bytes);
        for message in messages {
            body.extend_from_slice(message.body().len().to_string().as_bytes());
            body.extend_from_slice(b" ");
            body.extend_from_slice(message.body());
        }
        Ok(Message::new(body.freeze()))
    }
}

/// The messages of such a body, up to the first that is not whole, of which there is none in what we made ourselves.
pub(super) fn messages(mut body: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let space = memchr::memchr(b' ', body)?;
        let length: usize = std::str::from_utf8(&body[..space]).ok()?.parse().ok()?;
        let message = body.get(space + 1..)?.get(..length)?;
        body = &body[space + 1 + length..];
        Some(message)
    })
}

/// The messages of such a body with a line feed after each (RFC 6587, 3.4.2). Those within a message become `#012`, as
/// rsyslog writes them.
pub(super) fn as_lines(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for message in messages(body) {
        for (at, part) in message.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 {
                out.extend_from_slice(b"#012");
            }
            out.extend_from_slice(part);
        }
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_length_counts_bytes_and_lines_hide_line_feeds() {
        let messages = [Message::new("é\n1"), Message::new(""), Message::new("3 x")];
        let whole = OctetCounted.encode(&messages.each_ref()).expect("encodes");
        assert_eq!(whole.body().as_ref(), "4 é\n10 3 3 x".as_bytes());
        assert_eq!(as_lines(whole.body()), "é#0121\n\n3 x\n".as_bytes());
    }

    proptest! {
        #[test]
        fn messages_read_back(all in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..9)) {
            let sent: Vec<Message> = all.iter().cloned().map(Message::new).collect();
            let whole = OctetCounted.encode(&sent.iter().collect::<Vec<_>>()).expect("encodes");
            let read: Vec<Vec<u8>> = messages(whole.body()).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(read, all);
        }

        #[test]
        fn anything_is_read_without_panic(body in proptest::collection::vec(any::<u8>(), 0..99)) {
            let _ = as_lines(&body);
        }
    }
}
