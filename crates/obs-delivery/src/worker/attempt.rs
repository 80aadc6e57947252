//! One attempt, whose panics are caught: in making it, in polling it and in dropping it.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::{Message, SendError, SendFuture, Transport};

/// An attempt under way.
pub(super) struct Caught<'a> {
    state: Attempt<'a>,
}

enum Attempt<'a> {
    New(&'a dyn Transport, &'a Message),
    UnderWay(SendFuture<'a>),
    Over,
}

impl<'a> Caught<'a> {
    pub(super) fn new(transport: &'a dyn Transport, message: &'a Message) -> Self {
        Self { state: Attempt::New(transport, message) }
    }
}

impl Future for Caught<'_> {
    /// What the transport answered, or what it panicked with.
    type Output = Result<Result<(), SendError>, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut future = match std::mem::replace(&mut self.state, Attempt::Over) {
            // OK because nothing of the transport's is looked at again after a panic but through another call
            // of `send`, and whoever writes a transport is told that panics are caught.
            Attempt::New(transport, message) => {
                match catch_unwind(AssertUnwindSafe(|| transport.send(message))) {
                    Ok(future) => future,
                    Err(panic) => return Poll::Ready(Err(panic_text(panic.as_ref()))),
                }
            }
            Attempt::UnderWay(future) => future,
            Attempt::Over => return Poll::Pending,
        };
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => {
                self.state = Attempt::UnderWay(future);
                Poll::Pending
            }
            Ok(Poll::Ready(outcome)) => {
                drop_caught(future);
                Poll::Ready(Ok(outcome))
            }
            Err(panic) => {
                drop_caught(future);
                Poll::Ready(Err(panic_text(panic.as_ref())))
            }
        }
    }
}

impl Drop for Caught<'_> {
    fn drop(&mut self) {
        if let Attempt::UnderWay(future) = std::mem::replace(&mut self.state, Attempt::Over) {
            drop_caught(future);
        }
    }
}

/// Drops an attempt. That it panics in doing so changes nothing about its outcome, which is known by now.
fn drop_caught(future: SendFuture<'_>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(future)));
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is not text".to_owned())
}
