//! How several messages become one request.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use crate::{Message, Priority};

/// Puts the messages of a batch together into the one that the transport is given.
///
/// Delivery knows nothing of what a payload means: that knowledge is here. What the encoder makes is kept for
/// all attempts, so a retry sends the same bytes again; only where some of the messages were accepted, refused or
/// have expired is the rest encoded anew.
pub trait Encoder: Send + Sync + 'static {
    /// Makes one message of `messages`, which are never none, in their order.
    ///
    /// # Errors
    ///
    /// If they cannot be put together. A batch of several is then halved, so that one bad message does not cost the
    /// others; a message that cannot even be encoded alone is dropped, and counted as refused for good.
    ///
    /// # Panics
    ///
    /// A panic is caught and counted, and taken for an error.
    fn encode(&self, messages: &[&Message]) -> Result<Message, EncodeError>;

    /// Whether `next` may be sent together with `first`, such as because both are for the same tenant.
    ///
    /// A batch ends before the first message of which this is false, so that the order is kept.
    fn may_join(&self, first: &Message, next: &Message) -> bool {
        let _ = (first, next);
        true
    }
}

impl<E: Encoder + ?Sized> Encoder for std::sync::Arc<E> {
    fn encode(&self, messages: &[&Message]) -> Result<Message, EncodeError> {
        (**self).encode(messages)
    }

    fn may_join(&self, first: &Message, next: &Message) -> bool {
        (**self).may_join(first, next)
    }
}

/// Why messages could not be put together. It ends up in the status, so it must not hold secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(String);

impl EncodeError {
    /// An error that says what is wrong with the messages.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// The encoder for bodies that only need something before, between and after them.
///
/// ```
/// use obs_delivery::{Encoder, Framing, Message};
///
/// let (one, two) = (Message::new("1"), Message::new("2"));
/// for (framing, expected) in [
///     (Framing::lines(), "1\n2\n"),
///     (Framing::json_array(), "[1,2]"),
///     (Framing::plain("application/x-protobuf"), "12"),
/// ] {
///     let message = framing.encode(&[&one, &two])?;
///     assert_eq!(message.body(), expected);
/// }
/// # Ok::<(), obs_delivery::EncodeError>(())
/// ```
///
/// The headers of the first message are those of the whole, and messages with others are not put together with it.
#[derive(Clone, Debug)]
pub struct Framing {
    before: &'static str,
    between: &'static str,
    after: &'static str,
    content_type: Cow<'static, str>,
}

impl Framing {
    /// Each body ends with a line feed, as `application/x-ndjson` wants it.
    #[must_use]
    pub fn lines() -> Self {
        Self::of("", "\n", "\n", "application/x-ndjson")
    }

    /// The bodies, each a JSON value, become one array.
    #[must_use]
    pub fn json_array() -> Self {
        Self::of("[", ",", "]", "application/json")
    }

    /// The bodies follow each other directly: such as the encoded entries of a repeated protobuf field.
    #[must_use]
    pub fn plain(content_type: impl Into<Cow<'static, str>>) -> Self {
        Self::of("", "", "", content_type)
    }

    /// This framing with another content type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.content_type = content_type.into();
        self
    }

    fn of(
        before: &'static str,
        between: &'static str,
        after: &'static str,
        content_type: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { before, between, after, content_type: content_type.into() }
    }

    fn body(&self, messages: &[&Message]) -> Bytes {
        let bodies: usize = messages.iter().map(|message| message.body().len()).sum();
        let framing = self.before.len() + self.after.len() + self.between.len() * messages.len();
        let mut body = BytesMut::with_capacity(bodies + framing);
        body.extend_from_slice(self.before.as_bytes());
        for (index, message) in messages.iter().enumerate() {
            if index > 0 {
                body.extend_from_slice(self.between.as_bytes());
            }
            body.extend_from_slice(message.body());
        }
        body.extend_from_slice(self.after.as_bytes());
        body.freeze()
    }
}

impl Encoder for Framing {
    fn encode(&self, messages: &[&Message]) -> Result<Message, EncodeError> {
        let first = messages.first().ok_or_else(|| EncodeError::new("no message to encode"))?;
        let priority = messages.iter().map(|message| message.priority()).max();
        let whole = Message::new(self.body(messages))
            .with_content_type(self.content_type.clone())
            .with_priority(priority.unwrap_or(Priority::Normal));
        let headers = first.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(headers.fold(whole, |whole, (name, value)| whole.with_header(name, value)))
    }

    fn may_join(&self, first: &Message, next: &Message) -> bool {
        first.headers().eq(next.headers())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_with_other_headers_do_not_join() {
        let tenant = |name: &str| Message::new("x").with_header("x-scope-orgid", name);
        let framing = Framing::lines();
        assert!(framing.may_join(&tenant("a"), &tenant("a")));
        assert!(!framing.may_join(&tenant("a"), &tenant("b")));
        assert!(!framing.may_join(&tenant("a"), &Message::new("x")));
        let whole = framing.encode(&[&tenant("a"), &tenant("a")]).expect("encodes");
        assert_eq!(whole.headers().collect::<Vec<_>>(), [("x-scope-orgid", "a")]);
    }
}
