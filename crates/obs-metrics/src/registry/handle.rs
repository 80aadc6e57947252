//! The handles that callers record through, and what the registry needs to know of each kind.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, Metadata, Recorder,
};
use obs_model::{Clock, MetricKind};

use crate::cells::{
    CounterCell, FloatCounterCell, Folding, GaugeCell, HistogramCell, Plain, Refused, Search, Spot,
};
use crate::native::NativeHistogram;

/// The cell of one series.
pub(crate) enum Cell {
    Counter(Arc<CounterCell>),
    FloatCounter(Arc<FloatCounterCell>),
    Gauge(Arc<GaugeCell>),
    Histogram(Arc<HistogramCell>),
}

/// A handle as a thread keeps it.
pub(crate) enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// A handle that is made for one thread's cache, so that its reference count is that thread's own.
pub(crate) struct Owned<C: Recorded> {
    /// What most recordings need of the cell: one place less in memory to go to.
    near: C::Near,
    cached: AtomicBool,
    cell: Arc<C>,
}

/// A cell that handles record into.
pub(crate) trait Recorded: Send + Sync {
    /// What is enough for most recordings as long as the cell lives.
    type Near: Send + Sync;

    fn near(&self) -> Self::Near;
}

impl Recorded for CounterCell {
    type Near = Spot;

    fn near(&self) -> Spot {
        self.spot()
    }
}

impl Recorded for GaugeCell {
    type Near = ();

    fn near(&self) {}
}

impl Recorded for HistogramCell {
    type Near = Option<Plain>;

    fn near(&self) -> Option<Plain> {
        self.plain().cloned()
    }
}

/// What the cache and the registry ask of such a handle.
pub(crate) trait Lent: Send + Sync {
    /// Says that the handle is no longer in a cache.
    fn leave_cache(&self);

    fn is_cached(&self) -> bool;
}

impl<C: Recorded> Lent for Owned<C> {
    fn leave_cache(&self) {
        self.cached.store(false, Ordering::Release);
    }

    fn is_cached(&self) -> bool {
        self.cached.load(Ordering::Acquire)
    }
}

impl CounterFn for Owned<CounterCell> {
    fn increment(&self, value: u64) {
        if self.near.add_if_present(value).is_none() {
            self.cell.add(value);
        }
    }

    fn absolute(&self, value: u64) {
        self.cell.raise_to(value);
    }
}

impl GaugeFn for Owned<GaugeCell> {
    fn increment(&self, value: f64) {
        self.cell.increment(value);
    }

    fn decrement(&self, value: f64) {
        self.cell.decrement(value);
    }

    fn set(&self, value: f64) {
        self.cell.set(value);
    }
}

impl HistogramFn for Owned<HistogramCell> {
    fn record(&self, value: f64) {
        let near = self.near.as_ref();
        if near.and_then(|plain| plain.observe_if_present(value, 1, value)).is_none() {
            self.cell.record(value);
        }
    }

    fn record_many(&self, value: f64, count: usize) {
        self.cell.record_many(value, count);
    }
}

/// What a new cell is made of.
pub(crate) struct CellMaker<'a> {
    pub(crate) native: Option<NativeHistogram>,
    /// Where exemplars take their time from, if there are to be any.
    pub(crate) exemplars: Option<&'a Arc<dyn Clock>>,
    pub(crate) search: &'a Arc<Search>,
    pub(crate) invalid: &'a Arc<CounterCell>,
}

/// A kind of handle that the registry can make.
pub(crate) trait Handled: Sized + Clone {
    const KIND: MetricKind;

    /// A new cell for a series that this handle records into.
    fn cell(maker: &CellMaker<'_>) -> Cell;

    /// Whether a handle can be on `cell`: whether it is of the right sort.
    fn fits(cell: &Cell) -> bool;

    /// A handle on `cell`, or nothing when the cell is of another sort.
    fn on(cell: &Cell) -> Option<Self>;

    /// As [`Handled::on`], for the cache of the calling thread.
    fn owned(cell: &Cell) -> Option<(Self, Arc<dyn Lent>)>;

    /// As [`Handled::on`], and each recording is counted in `folded`.
    fn folding(cell: &Cell, folded: &Arc<CounterCell>) -> Option<Self>;

    /// A handle of another recorder.
    fn forwarded(recorder: &dyn Recorder, key: &Key, metadata: &Metadata<'_>) -> Self;

    /// A handle that does nothing but count.
    fn refused(by: &Arc<Refused>) -> Self;

    /// The handle as a thread keeps it, if threads keep this kind.
    fn into_handle(self) -> Option<Handle>;

    /// The handle as it was kept, or nothing when it is of another kind.
    fn from_handle(handle: &Handle) -> Option<&Self>;
}

/// Implements [`Handled`] for a handle of the `metrics` facade.
macro_rules! handled {
    ($kind:ident, $register:ident, $cell:ty, |$maker:ident| $new:expr) => {
        impl Handled for $kind {
            const KIND: MetricKind = MetricKind::$kind;

            fn cell($maker: &CellMaker<'_>) -> Cell {
                Cell::$kind(Arc::new($new))
            }

            fn fits(cell: &Cell) -> bool {
                matches!(cell, Cell::$kind(_))
            }

            fn on(cell: &Cell) -> Option<Self> {
                match cell {
                    Cell::$kind(cell) => Some(Self::from_arc(Arc::clone(cell))),
                    _ => None,
                }
            }

            fn owned(cell: &Cell) -> Option<(Self, Arc<dyn Lent>)> {
                match cell {
                    Cell::$kind(cell) => {
                        let cell = Arc::clone(cell);
                        let (near, cached) = (cell.near(), AtomicBool::new(true));
                        let owned = Arc::new(Owned { near, cached, cell });
                        Some((Self::from_arc(Arc::clone(&owned)), owned))
                    }
                    _ => None,
                }
            }

            fn folding(cell: &Cell, folded: &Arc<CounterCell>) -> Option<Self> {
                match cell {
                    Cell::$kind(cell) => Some(Self::from_arc(Arc::new(Folding::<$cell> {
                        cell: Arc::clone(cell),
                        folded: Arc::clone(folded),
                    }))),
                    _ => None,
                }
            }

            fn forwarded(recorder: &dyn Recorder, key: &Key, metadata: &Metadata<'_>) -> Self {
                recorder.$register(key, metadata)
            }

            fn refused(by: &Arc<Refused>) -> Self {
                Self::from_arc(Arc::clone(by))
            }

            fn into_handle(self) -> Option<Handle> {
                Some(Handle::$kind(self))
            }

            fn from_handle(handle: &Handle) -> Option<&Self> {
                match handle {
                    Handle::$kind(handle) => Some(handle),
                    _ => None,
                }
            }
        }
    };
}

handled!(Counter, register_counter, CounterCell, |_maker| CounterCell::default());
handled!(Gauge, register_gauge, GaugeCell, |_maker| GaugeCell::default());
handled!(Histogram, register_histogram, HistogramCell, |maker| HistogramCell::new(
    Arc::clone(maker.search),
    Arc::clone(maker.invalid)
)
.with_native(maker.native)
.with_exemplars(maker.exemplars.cloned()));

/// A counter of fractions, which the `metrics` facade does not have: CPU seconds, kilograms.
///
/// It is exposed as any counter. A value that is negative or NaN is refused and counted in
/// `obskit_metrics_dropped_total{reason="invalid_value"}`.
#[derive(Clone)]
pub struct FloatCounter(FloatCounterKind);

#[derive(Clone)]
enum FloatCounterKind {
    Own(Arc<FloatCounterCell>),
    Folding(Arc<FloatCounterCell>, Arc<CounterCell>),
    /// In a recorder that has no counters of fractions.
    Forwarded(Gauge),
    Refused(Arc<Refused>),
}

impl FloatCounter {
    /// Adds `value` to the total.
    pub fn increment(&self, value: f64) {
        match (&self.0, self.cell()) {
            (FloatCounterKind::Forwarded(gauge), _) if value >= 0.0 => gauge.increment(value),
            (_, Some(cell)) => cell.add(value),
            _ => {}
        }
    }

    /// Raises the total to at least `value`, for totals that are read from elsewhere.
    pub fn absolute(&self, value: f64) {
        match (&self.0, self.cell()) {
            // A gauge cannot be asked what it has; a total that is read from elsewhere does not fall.
            (FloatCounterKind::Forwarded(gauge), _) if value >= 0.0 => gauge.set(value),
            (_, Some(cell)) => cell.raise_to(value),
            _ => {}
        }
    }

    /// The cell to record into; counts a recording that is folded or lost.
    fn cell(&self) -> Option<&FloatCounterCell> {
        match &self.0 {
            FloatCounterKind::Own(cell) => Some(cell),
            FloatCounterKind::Folding(cell, folded) => {
                folded.add(1);
                Some(cell)
            }
            FloatCounterKind::Forwarded(_) => None,
            FloatCounterKind::Refused(refused) => {
                refused.0.add(1);
                None
            }
        }
    }
}

impl fmt::Debug for FloatCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FloatCounter").finish_non_exhaustive()
    }
}

impl Handled for FloatCounter {
    const KIND: MetricKind = MetricKind::Counter;

    fn cell(maker: &CellMaker<'_>) -> Cell {
        Cell::FloatCounter(Arc::new(FloatCounterCell::new(Arc::clone(maker.invalid))))
    }

    fn fits(cell: &Cell) -> bool {
        matches!(cell, Cell::FloatCounter(_))
    }

    fn on(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::FloatCounter(cell) => Some(Self(FloatCounterKind::Own(Arc::clone(cell)))),
            _ => None,
        }
    }

    fn owned(_: &Cell) -> Option<(Self, Arc<dyn Lent>)> {
        None
    }

    fn folding(cell: &Cell, folded: &Arc<CounterCell>) -> Option<Self> {
        match cell {
            Cell::FloatCounter(cell) => {
                Some(Self(FloatCounterKind::Folding(Arc::clone(cell), Arc::clone(folded))))
            }
            _ => None,
        }
    }

    fn forwarded(recorder: &dyn Recorder, key: &Key, metadata: &Metadata<'_>) -> Self {
        Self(FloatCounterKind::Forwarded(recorder.register_gauge(key, metadata)))
    }

    fn refused(by: &Arc<Refused>) -> Self {
        Self(FloatCounterKind::Refused(Arc::clone(by)))
    }

    fn into_handle(self) -> Option<Handle> {
        None
    }

    fn from_handle(_: &Handle) -> Option<&Self> {
        None
    }
}
