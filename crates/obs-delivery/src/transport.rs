//! How one attempt is made, and how it can fail.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::Message;

/// An attempt under way. Dropping it gives the attempt up.
pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// A way to get a message to one endpoint.
///
/// A transport makes one attempt per call. Timeouts, retries, order, and the choice between several endpoints are
/// [`Delivery`](crate::Delivery)'s.
pub trait Transport: Send + Sync + 'static {
    /// Makes one attempt.
    ///
    /// # Errors
    ///
    /// [`SendError::passing`] if trying again can help, [`SendError::permanent`] if it cannot,
    /// [`SendError::too_large`] if less of it might be taken, and [`SendError::partial`] if the endpoint answered
    /// for each of the messages that were put together.
    ///
    /// # Panics
    ///
    /// A panic is caught and counted, and the message is dropped as if the failure were permanent.
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a>;
}

impl<T: Transport + ?Sized> Transport for Arc<T> {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        (**self).send(message)
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn send<'a>(&'a self, message: &'a Message) -> SendFuture<'a> {
        (**self).send(message)
    }
}

/// What an endpoint answered for one of several messages that were sent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemOutcome {
    /// It has the message.
    Accepted,
    /// It does not have it, and may take it later.
    Retry,
    /// It will never take it.
    Refused,
}

/// Why an attempt failed, and whether trying again can help.
///
/// The message ends up in [`DeliveryStatus`](crate::DeliveryStatus), so it must not hold secrets.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    message: String,
    kind: Failure,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// How an attempt failed, as far as delivery acts on it.
#[derive(Debug)]
pub(crate) enum Failure {
    Passing,
    Permanent,
    TooLarge,
    Partial(Vec<ItemOutcome>),
}

impl SendError {
    /// A failure that may pass: the endpoint is away, busy or failing.
    #[must_use]
    pub fn passing(message: impl Into<String>) -> Self {
        Self::new(message, Failure::Passing)
    }

    /// A failure that the same message will meet again: the endpoint refuses it.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(message, Failure::Permanent)
    }

    /// A permanent failure because of size: messages that were put together are halved and sent apart.
    #[must_use]
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(message, Failure::TooLarge)
    }

    /// The endpoint answered for each message of the batch, in their order, as Elasticsearch's `_bulk` does.
    ///
    /// Messages for which there is no outcome are tried again.
    #[must_use]
    pub fn partial(message: impl Into<String>, outcomes: Vec<ItemOutcome>) -> Self {
        Self::new(message, Failure::Partial(outcomes))
    }

    /// This failure, with the time for which the endpoint asked to be left alone.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// This failure, with its cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether trying the same again cannot help.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match &self.kind {
            Failure::Passing => false,
            Failure::Permanent | Failure::TooLarge => true,
            Failure::Partial(outcomes) => !outcomes.contains(&ItemOutcome::Retry),
        }
    }

    /// Whether less of it might be taken.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self.kind, Failure::TooLarge)
    }

    /// What the endpoint answered for each message, if it did.
    #[must_use]
    pub fn outcomes(&self) -> Option<&[ItemOutcome]> {
        match &self.kind {
            Failure::Partial(outcomes) => Some(outcomes),
            Failure::Passing | Failure::Permanent | Failure::TooLarge => None,
        }
    }

    /// For how long the endpoint asked to be left alone, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    fn new(message: impl Into<String>, kind: Failure) -> Self {
        Self { message: message.into(), kind, retry_after: None, source: None }
    }

    pub(crate) fn failure(&self) -> &Failure {
        &self.kind
    }

    pub(crate) fn into_failure(self) -> Failure {
        self.kind
    }

    /// The message and its causes in one line, at most `LIMIT` bytes.
    pub(crate) fn one_line(&self) -> String {
        /// A misbehaving transport must not grow the status without bound.
        const LIMIT: usize = 1_024;
        let mut line = self.message.clone();
        let mut cause = std::error::Error::source(self);
        // OK because the depth is bounded by the length: every step adds at least two bytes.
        while let Some(error) = cause
            && line.len() < LIMIT
        {
            line.push_str(": ");
            line.push_str(&error.to_string());
            cause = error.source();
        }
        line.truncate(line.floor_char_boundary(LIMIT));
        line.replace(['\n', '\r'], " ")
    }
}
