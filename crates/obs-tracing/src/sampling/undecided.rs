//! Traces whose fate is not decided yet: the spans that closed before the one that began the trace here.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::spans::{SpanKey, SpanState};
use crate::traces::{Room, SpanBatch};

/// The most threads that keep traces without meeting each other.
const SHARDS: usize = 16;

/// Traces of a part; a smaller bound has fewer parts.
const TRACES_PER_SHARD: usize = 64;

/// In which steps the memory of a trace grows, in bytes.
const STEP: usize = 512;

/// The memory of traces that were decided, kept for others: so many in each part, and so large.
const POOLED: usize = 16;
const POOLED_BYTES: usize = 32 * 1024;

/// The spans of one trace so far.
#[derive(Default)]
pub(crate) struct Undecided {
    pub(crate) spans: SpanBatch,
    /// Whether one of them reported an error.
    pub(crate) failed: bool,
}

#[derive(Default)]
struct Shard {
    /// By the span that began the trace here.
    traces: HashMap<u64, Undecided>,
    /// The same in the order in which they came, with some that are decided.
    order: VecDeque<u64>,
    bytes: usize,
    pool: Vec<SpanBatch>,
}

/// The traces that are not decided yet.
pub(super) struct UndecidedTraces {
    shards: Box<[Mutex<Shard>]>,
    max_bytes: usize,
    max_traces: usize,
    room: Room,
}

/// What could not be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Overflow {
    /// Traces that went, because others came.
    pub(super) traces: usize,
    /// Whether the span did not fit into its trace.
    pub(super) span: bool,
}

impl UndecidedTraces {
    pub(super) fn new(max_bytes: usize, max_traces: usize, max_trace_bytes: usize) -> Self {
        let shards = (max_traces / TRACES_PER_SHARD).clamp(1, SHARDS);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            max_bytes: max_bytes / shards,
            max_traces: max_traces / shards,
            room: Room { limit: max_trace_bytes.min(max_bytes / shards), step: STEP },
        }
    }

    fn shard(&self, root: SpanKey) -> &Mutex<Shard> {
        &self.shards[root.slot() as usize % self.shards.len()]
    }

    /// Keeps a span that is closing, of the trace that `root` began here.
    pub(super) fn keep(
        &self,
        root: SpanKey,
        span: &SpanState,
        start: u64,
        duration: u64,
    ) -> Overflow {
        let mut overflow = Overflow::default();
        let mut shard = self.shard(root).lock();
        let shard = &mut *shard;
        let number = root.number();
        let undecided = shard.traces.entry(number).or_insert_with(|| {
            shard.order.push_back(number);
            let spans = shard.pool.pop().unwrap_or_default();
            shard.bytes += spans.capacity();
            Undecided { spans, failed: false }
        });
        undecided.failed |= span.failed;
        let before = undecided.spans.capacity();
        overflow.span = !undecided.spans.push_with_story(span, start, duration, self.room);
        shard.bytes = shard.bytes + undecided.spans.capacity() - before;
        while (shard.bytes > self.max_bytes || shard.traces.len() > self.max_traces)
            && let Some(oldest) = shard.order.pop_front()
        {
            if let Some(evicted) = shard.traces.remove(&oldest) {
                shard.bytes -= evicted.spans.capacity();
                overflow.traces += 1;
            }
        }
        if shard.order.len() > 2 * shard.traces.len() + TRACES_PER_SHARD {
            shard.order.retain(|number| shard.traces.contains_key(number));
        }
        overflow
    }

    /// Takes the trace that `root` began here, when that closes.
    pub(super) fn take(&self, root: SpanKey) -> Option<Undecided> {
        let mut shard = self.shard(root).lock();
        let taken = shard.traces.remove(&root.number())?;
        shard.bytes -= taken.spans.capacity();
        Some(taken)
    }

    /// Takes the memory of a trace back.
    pub(super) fn give_back(&self, root: SpanKey, mut spans: SpanBatch) {
        if spans.capacity() <= POOLED_BYTES {
            spans.clear();
            let mut shard = self.shard(root).lock();
            if shard.pool.len() < POOLED {
                shard.pool.push(spans);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| shard.lock());
        shards.fold((0, 0), |(traces, bytes), shard| {
            let held: usize = shard.traces.values().map(|one| one.spans.capacity()).sum();
            assert_eq!(held, shard.bytes, "the bytes are those of the traces");
            (traces + shard.traces.len(), bytes + held)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use proptest::prelude::*;
    use tracing_core::Metadata;

    use crate::spans::ids::SpanIds;
    use crate::spans::{NewSpan, SpanTable};

    fn place() -> &'static Metadata<'static> {
        let dispatch = tracing::Dispatch::new(tracing_subscriber::Registry::default());
        let span = tracing::dispatcher::with_default(&dispatch, || tracing::info_span!("place"));
        span.metadata().expect("the registry keeps every span")
    }

    fn open(table: &Arc<SpanTable>, place: &'static Metadata<'static>, bytes: usize) -> SpanKey {
        let new = NewSpan {
            ids: SpanIds::PLACEHOLDER,
            metadata: place,
            parent: None,
            root: None,
            exported: true,
            watched_since: None,
            began: None,
            is_kept: true,
        };
        let text = obs_model::FieldValue::from("x".repeat(bytes));
        table.open(new, |raw, _| raw.put_named("text", &text)).expect("there is room")
    }

    proptest! {
        /// Whatever closes in whatever order, the bounds hold, and every trace is either taken or counted as evicted.
        #[test]
        fn the_bounds_hold_and_the_oldest_traces_go_first(
            steps in prop::collection::vec((0_usize..12, 0_usize..3_000, any::<bool>()), 0..200),
        ) {
            let table = SpanTable::new(crate::pipeline::next_owner(), 64);
            let place = place();
            let mut roots: Vec<SpanKey> = (0..12).map(|_| open(&table, place, 0)).collect();
            let undecided = UndecidedTraces::new(20_000, 5, 10_000);
            let mut model: Vec<usize> = Vec::new();
            for (which, bytes, ends) in steps {
                if ends {
                    let known = model.iter().position(|root| *root == which);
                    prop_assert_eq!(undecided.take(roots[which]).is_some(), known.is_some());
                    known.map(|at| model.remove(at));
                    // A span closes once; the next one in its slot is another.
                    let last = table.release(roots[which]);
                    table.close(last.expect("it has one reference"));
                    roots[which] = open(&table, place, 0);
                    continue;
                }
                let span = open(&table, place, bytes);
                let overflow =
                    table.with(span, |state| undecided.keep(roots[which], state, 1, 1)).unwrap();
                let last = table.release(span);
                table.close(last.expect("it has one reference"));
                if !model.contains(&which) {
                    model.push(which);
                }
                model.drain(..overflow.traces);
                let (traces, held) = undecided.size();
                prop_assert_eq!(traces, model.len());
                prop_assert!(traces <= 5 && held <= 20_000, "{} traces, {} bytes", traces, held);
            }
        }
    }
}
