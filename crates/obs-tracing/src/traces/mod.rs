//! What is kept of spans after they closed.

mod batch;
mod memory;
mod search;
mod wall;

use std::sync::Arc;
use std::time::Duration;

use obs_model::{Clock, Context};

use crate::fields::RawFields;
use crate::fields::keys::IdField;
use crate::spans::SpanState;
pub(crate) use memory::{Forgotten, MIN_BYTES, SpanMemory};
pub use search::{FinishedSpan, FinishedSpans, SpanQuery, Trace, TraceSpan};
use wall::WallClock;

/// Keeps what is kept of the spans of one pipeline.
pub(crate) struct Recorder {
    wall: WallClock,
    memory: Option<Arc<SpanMemory>>,
}

impl Recorder {
    /// A recorder, if there is anything to keep spans for.
    pub(crate) fn new(clock: Arc<dyn Clock>, memory: Option<Arc<SpanMemory>>) -> Option<Self> {
        memory.is_some().then(|| Self { wall: WallClock::new(clock), memory })
    }

    /// The time at which a span opens.
    pub(crate) fn now(&self) -> Duration {
        self.wall.monotonic()
    }

    /// Adds whom the span is for.
    pub(crate) fn add_context(&self, raw: &mut RawFields) {
        if self.memory.is_none() {
            return;
        }
        Context::with_current(|context| {
            if let Some(correlation) = context.correlation() {
                raw.put_context(IdField::Correlation, correlation.as_str());
            }
            for (field, value) in [
                (IdField::User, context.user()),
                (IdField::Organization, context.organization()),
                (IdField::Session, context.session()),
            ] {
                if let Some(value) = value {
                    raw.put_context(field, value);
                }
            }
        });
    }

    /// Takes what is kept of a span that is closing.
    pub(crate) fn close(&self, span: &SpanState) -> Forgotten {
        let Some(began) = span.began else { return Forgotten::default() };
        let duration = self.wall.monotonic().saturating_sub(began).as_nanos() as u64;
        let start = self.wall.nanoseconds(began);
        let keep = |memory: &Arc<SpanMemory>| memory.keep(span, start, duration);
        self.memory.as_ref().map(keep).unwrap_or_default()
    }
}
