//! A pipeline by way of what keeps it: looking it up in its dispatch is a call, and a request needs it many times.

use std::ops::Deref;
use std::ptr::NonNull;

use tracing_core::{Dispatch, dispatcher};

use super::Pipeline;

/// The pipeline that is current on a thread, held for as long as this lives.
pub(crate) struct HeldPipeline {
    pipeline: NonNull<Pipeline>,
    /// Keeps it.
    _dispatch: Dispatch,
}

impl HeldPipeline {
    /// The pipeline of the current subscriber, if that is one.
    #[inline]
    pub(crate) fn current() -> Option<Self> {
        dispatcher::get_default(|dispatch| {
            let pipeline = NonNull::from(dispatch.downcast_ref::<Pipeline>()?);
            Some(Self { pipeline, _dispatch: dispatch.clone() })
        })
    }
}

impl Deref for HeldPipeline {
    type Target = Pipeline;

    #[inline]
    fn deref(&self) -> &Pipeline {
        // SAFETY: The dispatch found the pipeline in its subscriber, which does not move and lives as long as any clone of
        // the dispatch, one of which is held here; and nobody borrows a subscriber mutably.
        unsafe { self.pipeline.as_ref() }
    }
}

// SAFETY: What this gives is a shared reference to a pipeline, which any thread may have, and the dispatch, which any may
// have too.
unsafe impl Send for HeldPipeline where Pipeline: Sync {}
// SAFETY: As above.
unsafe impl Sync for HeldPipeline where Pipeline: Sync {}
