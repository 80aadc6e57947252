//! One observation per bucket that leads to its trace.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use obs_model::{Clock, Context, Exemplar, Labels, SpanId, Timestamp, TraceId};
use parking_lot::Mutex;

/// The exemplars of one histogram.
///
/// A bucket takes the first observation of a traced request after each time the exemplars are read. So every scrape
/// finds fresh ones, rare buckets have theirs, and a busy histogram pays for one per bucket and scrape; any other
/// observation costs a look at a flag.
pub(super) struct Exemplars {
    clock: Arc<dyn Clock>,
    buckets: usize,
    /// Made when the first traced observation comes.
    kept: OnceLock<Box<[Slot]>>,
}

#[derive(Default)]
struct Slot {
    is_fresh: AtomicBool,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone, Copy)]
struct Kept {
    trace: TraceId,
    span: Option<SpanId>,
    value: f64,
    time: Timestamp,
}

impl Exemplars {
    pub(super) fn new(clock: Arc<dyn Clock>, buckets: usize) -> Self {
        Self { clock, buckets, kept: OnceLock::new() }
    }

    #[inline]
    pub(super) fn offer(&self, bucket: usize, value: f64) {
        let is_fresh = self
            .kept
            .get()
            .and_then(|slots| slots.get(bucket))
            .is_some_and(|slot| slot.is_fresh.load(Ordering::Relaxed));
        if !is_fresh {
            self.take(bucket, value);
        }
    }

    #[inline(never)]
    fn take(&self, bucket: usize, value: f64) {
        let traced = Context::with_current(|context| Some((context.trace()?, context.span())));
        let Some((trace, span)) = traced else { return };
        let slots = self.kept.get_or_init(|| (0..self.buckets).map(|_| Slot::default()).collect());
        let Some(slot) = slots.get(bucket) else { return };
        // Whoever comes second has nothing to add.
        let Some(mut kept) = slot.kept.try_lock() else { return };
        *kept = Some(Kept { trace, span, value, time: self.clock.now() });
        slot.is_fresh.store(true, Ordering::Relaxed);
    }

    /// Sets `exemplars` to those of all buckets, and lets every bucket take a new one.
    pub(super) fn read(&self, exemplars: &mut Vec<Option<Exemplar>>) {
        let slots = self.kept.get().map_or(&[][..], |slots| slots);
        exemplars.extend(slots.iter().map(|slot| {
            let kept = *slot.kept.lock();
            slot.is_fresh.store(false, Ordering::Relaxed);
            kept.and_then(Kept::exemplar)
        }));
    }
}

impl Kept {
    fn exemplar(self) -> Option<Exemplar> {
        let trace = [("trace_id", self.trace.to_string())];
        let span = self.span.map(|span| ("span_id", span.to_string()));
        let labels = Labels::new(trace.into_iter().chain(span)).ok()?;
        Some(Exemplar { labels, value: self.value, timestamp: self.time })
    }
}

impl fmt::Debug for Exemplars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exemplars").field("buckets", &self.buckets).finish_non_exhaustive()
    }
}
