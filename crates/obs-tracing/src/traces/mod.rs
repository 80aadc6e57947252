//! What is kept of spans after they closed.

mod batch;
mod memory;
#[cfg(feature = "otlp")]
mod said;
mod search;
mod story;
mod told;

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "otlp")]
use obs_model::DropReason;
use obs_model::{Clock, Context};

use crate::fields::RawFields;
use crate::fields::keys::IdField;
#[cfg(feature = "otlp")]
use crate::otlp::{CloseQueueOnDrop, SpanQueue};
#[cfg(feature = "otlp")]
use crate::sampling::{Tail, TailOutcome};
#[cfg(feature = "otlp")]
use crate::spans::SpanKey;
use crate::spans::SpanState;
#[cfg(feature = "otlp")]
pub(crate) use batch::{Kept, Room, SpanBatch, SpanHead};
pub(crate) use memory::{Forgotten, MIN_BYTES, SpanMemory};
#[cfg(feature = "otlp")]
use said::Said;
pub use search::{FinishedSpan, FinishedSpans, SpanInTrace, SpanQuery, Trace};
#[cfg(feature = "otlp")]
pub(crate) use story::EventHead;
pub(crate) use story::Story;
pub use told::{EventInSpan, LinkedSpan};

/// Keeps what is kept of the spans of one pipeline.
pub(crate) struct Recorder {
    clock: Arc<dyn Clock>,
    memory: Option<Arc<SpanMemory>>,
    #[cfg(feature = "otlp")]
    export: Option<CloseQueueOnDrop>,
    #[cfg(feature = "otlp")]
    tail: Option<Arc<Tail>>,
}

impl Recorder {
    /// A recorder that keeps nothing yet.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            memory: None,
            #[cfg(feature = "otlp")]
            export: None,
            #[cfg(feature = "otlp")]
            tail: None,
        }
    }

    /// This recorder, which remembers the spans that finished last.
    pub(crate) fn with_memory(mut self, memory: Option<Arc<SpanMemory>>) -> Self {
        self.memory = memory;
        self
    }

    /// This recorder, which hands sampled spans to an export.
    #[cfg(feature = "otlp")]
    pub(crate) fn with_export(mut self, queue: Option<SpanQueue>) -> Self {
        self.export = queue.map(CloseQueueOnDrop);
        self
    }

    /// This recorder, which also exports traces that are worth it.
    #[cfg(feature = "otlp")]
    pub(crate) fn with_tail(mut self, tail: Option<Arc<Tail>>) -> Self {
        self.tail = tail;
        self
    }

    /// Whether a span that is sampled or not may be exported.
    #[cfg(feature = "otlp")]
    pub(crate) fn may_export(&self, sampled: bool) -> bool {
        self.export.is_some() && (sampled || self.tail.is_some())
    }

    /// Whether an event of a span that may be exported is kept.
    #[cfg(feature = "otlp")]
    pub(crate) fn keeps_event(&self, sampled: bool, level: tracing_core::Level) -> bool {
        sampled || self.tail.as_ref().is_some_and(|tail| tail.keeps_events(level))
    }

    /// This recorder, if it keeps anything.
    pub(crate) fn if_any(self) -> Option<Self> {
        let keeps = self.memory.is_some();
        #[cfg(feature = "otlp")]
        let keeps = keeps || self.export.is_some();
        keeps.then_some(self)
    }

    /// Whether anything is kept of a span.
    pub(crate) fn keeps(&self, is_exported: bool) -> bool {
        self.memory.is_some() || is_exported
    }

    /// Adds whom the span is for.
    pub(crate) fn add_context(&self, context: &Context, raw: &mut RawFields) {
        if self.memory.is_none() {
            return;
        }
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
    }

    /// The wall-clock time of something that happens now, in nanoseconds after the epoch.
    #[cfg(feature = "otlp")]
    pub(crate) fn wall_now(&self) -> u64 {
        self.clock.unix_nanoseconds(self.clock.monotonic())
    }

    /// Takes what is kept of a span that is closing after `took`.
    pub(crate) fn close(&self, span: &mut SpanState, took: Duration, mut closing: Closing) -> Lost {
        let mut lost = Lost::default();
        let Some(began) = span.began else { return lost };
        let duration = took.as_nanos() as u64;
        let start = self.clock.unix_nanoseconds(began);
        #[cfg(feature = "otlp")]
        if closing.exported
            && let Some(queue) = &self.export
        {
            (lost.refused, lost.tail) =
                self.export(&queue.0, span, (start, duration), &mut closing);
        }
        #[cfg(not(feature = "otlp"))]
        let _ = &mut closing;
        if let Some(memory) = &self.memory {
            lost.forgotten = memory.keep(span, start, duration);
        }
        lost
    }

    /// Hands a span that is closing to the export, or to what decides whether it is exported. It is a function of its own
    /// because most spans are not.
    #[cfg(feature = "otlp")]
    #[inline(never)]
    fn export(
        &self,
        queue: &SpanQueue,
        span: &mut SpanState,
        (start, duration): (u64, u64),
        closing: &mut Closing,
    ) -> (Option<DropReason>, TailOutcome) {
        let said = closing.said.take();
        // The export has what was said as it was said.
        let kept = said.as_deref().filter(|_| self.memory.is_some()).map(Said::of);
        let (mut refused, mut outcome) = Default::default();
        match &self.tail {
            _ if span.ids.sampled => refused = queue.push(span, start, duration, said),
            Some(tail) => outcome = tail.close(queue, closing.key, span, start, duration),
            None => {}
        }
        if let Some(said) = kept {
            said.add_to(span);
        }
        (refused, outcome)
    }
}

/// What is known of a span that is closing, beside its state.
#[cfg_attr(not(feature = "otlp"), derive(Default))]
pub(crate) struct Closing {
    /// Whether it is exported.
    #[cfg(feature = "otlp")]
    pub(crate) exported: bool,
    #[cfg(feature = "otlp")]
    pub(crate) key: SpanKey,
    /// What was said to the span that stood for it.
    #[cfg(feature = "otlp")]
    pub(crate) said: Option<Box<opentelemetry_sdk::trace::SpanData>>,
}

/// What was not kept.
#[derive(Default)]
#[must_use = "what is lost is counted"]
pub(crate) struct Lost {
    forgotten: Forgotten,
    #[cfg(feature = "otlp")]
    refused: Option<DropReason>,
    #[cfg(feature = "otlp")]
    tail: TailOutcome,
}

impl Lost {
    /// Counts it. A recorder may itself log, so that nothing may be locked.
    pub(crate) fn count(self) {
        self.forgotten.count();
        #[cfg(feature = "otlp")]
        if let Some(reason) = self.refused {
            metrics::counter!("obskit_spans_dropped_total", "reason" => reason.as_str())
                .increment(1);
        }
        #[cfg(feature = "otlp")]
        self.tail.count();
    }
}
