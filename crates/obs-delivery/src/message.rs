//! What is delivered.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

/// A body with what a transport needs to label it.
///
/// Its `Debug` form shows sizes and header names only, because bodies and header values may hold secrets.
#[derive(Clone)]
pub struct Message {
    body: Bytes,
    content_type: Option<Cow<'static, str>>,
    headers: Vec<(Cow<'static, str>, String)>,
}

impl Message {
    /// A message without a content type of its own: the transport's is used.
    #[must_use]
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), content_type: None, headers: Vec::new() }
    }

    /// This message with a content type, such as `application/json`.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// This message with a header of its own, such as an idempotency key.
    ///
    /// A transport without headers ignores it. A name or value that the transport cannot send is a permanent
    /// failure of this message.
    #[must_use]
    pub fn with_header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body. Cloning it is cheap.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The content type, if the message has one of its own.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The message's own headers, in the order in which they were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// What the message counts for against the byte limits: the body, the content type and the headers.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.body.len() + self.content_type.as_ref().map_or(0, |value| value.len()) + headers
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("body_bytes", &self.body.len())
            .field("content_type", &self.content_type)
            .field("headers", &self.headers.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}
