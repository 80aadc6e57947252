//! What is delivered.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

/// Which messages make room for which others when a queue that overflows
/// [by priority](crate::Overflow::ByPriority) is full.
///
/// It changes nothing about the order in which messages are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// First to go, such as a line of level `TRACE`.
    Lowest,
    /// As `DEBUG`.
    Low,
    /// As `INFO`.
    #[default]
    Normal,
    /// As `WARN`.
    High,
    /// Last to go, as `ERROR`.
    Highest,
}

impl Priority {
    /// All priorities, from the first to go to the last.
    pub const ALL: [Self; 5] = [Self::Lowest, Self::Low, Self::Normal, Self::High, Self::Highest];

    /// The value of the `priority` label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lowest => "lowest",
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Highest => "highest",
        }
    }
}

/// A body with what a transport needs to label it.
///
/// Messages are what is offered to a destination, and what its transport is given: one by one, or put together
/// by an [`Encoder`](crate::Encoder).
///
/// Its `Debug` form shows sizes and header names only, because bodies and header values may hold secrets.
#[derive(Clone)]
pub struct Message {
    body: Bytes,
    /// Apart, because most messages of a batching destination have none, and because a queue holds many.
    extras: Option<Box<Extras>>,
    priority: Priority,
}

#[derive(Clone, Default)]
struct Extras {
    content_type: Option<Cow<'static, str>>,
    headers: Vec<(Cow<'static, str>, String)>,
}

impl Message {
    /// A message of normal priority, without a content type of its own: the transport's is used.
    #[must_use]
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), extras: None, priority: Priority::Normal }
    }

    /// This message with a content type, such as `application/json`.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.extras_mut().content_type = Some(content_type.into());
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
        self.extras_mut().headers.push((name.into(), value.into()));
        self
    }

    /// This message with another priority.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
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
        self.extras.as_ref()?.content_type.as_deref()
    }

    /// The message's own headers, in the order in which they were added.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let headers = self.extras.iter().flat_map(|extras| &extras.headers);
        headers.map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// The priority.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// What the message counts for against the byte limits: the body, the content type and the headers.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body.len() + self.extras.as_ref().map_or(0, |extras| extras.size())
    }

    /// This message with another body, for a transformation such as compression.
    pub(crate) fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    fn extras_mut(&mut self) -> &mut Extras {
        self.extras.get_or_insert_default()
    }
}

impl Extras {
    fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.content_type.as_ref().map_or(0, |value| value.len()) + headers
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("body_bytes", &self.body.len())
            .field("content_type", &self.content_type())
            .field("headers", &self.headers().map(|(name, _)| name).collect::<Vec<_>>())
            .field("priority", &self.priority)
            .finish()
    }
}
