//! The body of an answer, at whose end the status is known.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::call::Call;
use super::code::Code;

pin_project! {
    /// The body of an answer; of a call of gRPC, it ends the call.
    pub struct ObservedBody<B> {
        #[pin]
        inner: B,
        // The call, until it has ended. Requests that are not gRPC have none.
        call: Option<Call>,
    }
}

impl<B> ObservedBody<B> {
    pub(super) const fn new(inner: B, call: Option<Call>) -> Self {
        Self { inner, call }
    }
}

impl<B: Body> Body for ObservedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let Some(call) = this.call else { return this.inner.poll_frame(cx) };
        let polled = std::task::ready!(call.guard(|| this.inner.poll_frame(cx)));
        let ended = match &polled {
            Some(Ok(frame)) => {
                frame.trailers_ref().map(|trailers| (Code::of(trailers), Some(trailers)))
            }
            Some(Err(_)) | None => Some((None, None)),
        };
        if let Some((code, trailers)) = ended {
            call.end(code.unwrap_or(Code::UNKNOWN), trailers);
            *this.call = None;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Default> Default for ObservedBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}

impl<B> fmt::Debug for ObservedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedBody").finish_non_exhaustive()
    }
}
