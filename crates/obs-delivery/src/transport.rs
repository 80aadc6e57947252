//! How one attempt is made, and how it can fail.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::Message;

/// An attempt under way. Dropping it gives the attempt up.
pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'a>>;

/// A way to get a message to where it goes.
///
/// A transport makes one attempt per call. Timeouts, retries and order are [`Delivery`](crate::Delivery)'s.
/// The trait is object safe, so transports can be put together: one that fails over between several is
/// itself a transport.
pub trait Transport: Send + Sync + 'static {
    /// Makes one attempt.
    ///
    /// # Errors
    ///
    /// [`SendError::passing`] if trying again can help, [`SendError::permanent`] if it cannot.
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

/// Why an attempt failed, and whether trying again can help.
///
/// The message ends up in [`DeliveryStatus`](crate::DeliveryStatus), so it must not hold secrets.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SendError {
    message: String,
    permanent: bool,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl SendError {
    /// A failure that may pass: the destination is away, busy or failing.
    #[must_use]
    pub fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), permanent: false, retry_after: None, source: None }
    }

    /// A failure that the same message will meet again: the destination refuses it.
    #[must_use]
    pub fn permanent(message: impl Into<String>) -> Self {
        Self { permanent: true, ..Self::passing(message) }
    }

    /// This failure, with the time for which the destination asked to be left alone.
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

    /// Whether trying again cannot help.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// For how long the destination asked to be left alone, if it did.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
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
