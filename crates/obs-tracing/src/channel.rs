//! Messages that take their sender's context along, through any channel or queue of this process.
//!
//! ```
//! use obs_model::{Context, CorrelationId};
//! use obs_tracing::channel;
//! use tokio::sync::mpsc;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let (sender, mut receiver) = mpsc::channel(8);
//! {
//!     let _entered = Context::new().with_correlation("req-42".parse()?).enter();
//!     sender.send(channel::wrap("resize")).await.unwrap();
//! }
//! let message = receiver.recv().await.unwrap();
//! let seen = message
//!     .handle("images", |message| async move {
//!         assert_eq!(message, "resize");
//!         Context::current().correlation().map(CorrelationId::to_string)
//!     })
//!     .await;
//! assert_eq!(seen.as_deref(), Some("req-42"));
//! # Ok::<(), obs_model::InvalidId>(()) }).unwrap();
//! ```
//!
//! What handles the message runs in a span `message` of kind consumer, a child of the span in which the message was
//! wrapped, with `messaging.destination.name` and how long the message waited (`waited_ms`). That span may have ended
//! long before: a message keeps its ids, and does not hold it open. Whether the trace is exported was decided where it
//! started, and stays so.
//!
//! To other processes the context travels in headers: see `http::propagate` and [`tools`](crate::tools).

use std::fmt;
use std::future::Future;
use std::time::Instant;

use obs_model::{Context, WithContext};
use tracing::{Instrument, Span};

use crate::duration::milliseconds;
use crate::outgoing::Origin;

/// Wraps a message with the context and the span that are current here and now.
pub fn wrap<T>(message: T) -> Traced<T> {
    Traced { message, origin: Origin::here(), wrapped: Instant::now() }
}

/// A message with the context and the span of its sender; made by [`wrap`].
#[must_use = "a message that is not handled is lost"]
pub struct Traced<T> {
    message: T,
    origin: Origin,
    wrapped: Instant,
}

impl<T> Traced<T> {
    /// The message.
    pub const fn message(&self) -> &T {
        &self.message
    }

    /// The sender's context, with the span in which the message was wrapped.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.origin.context
    }

    /// The message alone: what is done with it then belongs to nobody's request.
    pub fn into_inner(self) -> T {
        self.message
    }

    /// Another message with the same origin.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Traced<U> {
        let Self { message, origin, wrapped } = self;
        Traced { message: change(message), origin, wrapped }
    }

    /// Handles the message as a part of what its sender did. `channel` is where it came from, such as the queue's name.
    pub async fn handle<F>(self, channel: &str, handler: impl FnOnce(T) -> F) -> F::Output
    where
        F: Future,
    {
        let (span, context) = self.open(channel);
        let future = {
            let _entered = context.clone().enter();
            span.in_scope(|| handler(self.message))
        };
        future.in_context(context).instrument(span).await
    }

    /// As [`Traced::handle`], where the work is not a future.
    pub fn handle_blocking<R>(self, channel: &str, handler: impl FnOnce(T) -> R) -> R {
        let (span, context) = self.open(channel);
        let _entered = context.enter();
        span.in_scope(|| handler(self.message))
    }

    fn open(&self, channel: &str) -> (Span, Context) {
        let waited_ms = milliseconds(self.wrapped.elapsed());
        self.origin.open(|| {
            tracing::info_span!(
                target: "obskit::channel",
                parent: None,
                "message",
                otel.name = format_args!("process {channel}"),
                otel.kind = "consumer",
                messaging.operation.name = "process",
                messaging.destination.name = channel,
                waited_ms,
            )
        })
    }
}

impl<T: fmt::Debug> fmt::Debug for Traced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traced")
            .field("message", &self.message)
            .field("context", &self.origin.context)
            .finish_non_exhaustive()
    }
}
