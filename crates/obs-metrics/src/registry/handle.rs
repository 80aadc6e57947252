//! The handles that callers record through, and what the registry needs to know of each kind.

use std::fmt;
use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram};
use obs_model::MetricKind;

use crate::cells::{CounterCell, FloatCounterCell, Folding, GaugeCell, HistogramCell, Refused};

/// The cell of one series.
pub(crate) enum Cell {
    Counter(Arc<CounterCell>),
    FloatCounter(Arc<FloatCounterCell>),
    Gauge(Arc<GaugeCell>),
    Histogram(Arc<HistogramCell>),
}

/// A handle as the lookup keeps it.
pub(crate) enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

/// Which cell a series of `kind` needs.
pub(crate) struct CellMaker<'a> {
    pub(crate) bounds: &'a Arc<[f64]>,
    pub(crate) invalid: &'a Arc<CounterCell>,
}

/// A kind of handle that the registry can make.
pub(crate) trait Handled: Sized + Clone {
    const KIND: MetricKind;

    /// A new cell for a series that this handle records into.
    fn cell(maker: &CellMaker<'_>) -> Cell;

    /// A handle on `cell`, or nothing when the cell is of another sort.
    fn on(cell: &Cell) -> Option<Self>;

    /// As [`Handled::on`], and each recording is counted in `folded`.
    fn folding(cell: &Cell, folded: &Arc<CounterCell>) -> Option<Self>;

    /// A handle that does nothing but count.
    fn refused(by: &Arc<Refused>) -> Self;

    /// The handle as the lookup keeps it, if the lookup keeps this kind.
    fn into_handle(self) -> Option<Handle>;

    /// The handle out of the lookup, or nothing when it is of another kind.
    fn from_handle(handle: &Handle) -> Option<&Self>;
}

/// Implements [`Handled`] for a handle of the `metrics` facade.
macro_rules! handled {
    ($kind:ident, $cell:ty, |$maker:ident| $new:expr) => {
        impl Handled for $kind {
            const KIND: MetricKind = MetricKind::$kind;

            fn cell($maker: &CellMaker<'_>) -> Cell {
                Cell::$kind(Arc::new($new))
            }

            fn on(cell: &Cell) -> Option<Self> {
                match cell {
                    Cell::$kind(cell) => Some(Self::from_arc(Arc::clone(cell))),
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

handled!(Counter, CounterCell, |_maker| CounterCell::default());
handled!(Gauge, GaugeCell, |_maker| GaugeCell::default());
handled!(Histogram, HistogramCell, |maker| HistogramCell::new(
    Arc::clone(maker.bounds),
    Arc::clone(maker.invalid)
));

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
    Refused(Arc<Refused>),
}

impl FloatCounter {
    /// Adds `value` to the total.
    pub fn increment(&self, value: f64) {
        if let Some(cell) = self.cell() {
            cell.add(value);
        }
    }

    /// Raises the total to at least `value`, for totals that are read from elsewhere.
    pub fn absolute(&self, value: f64) {
        if let Some(cell) = self.cell() {
            cell.raise_to(value);
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

    fn on(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::FloatCounter(cell) => Some(Self(FloatCounterKind::Own(Arc::clone(cell)))),
            _ => None,
        }
    }

    fn folding(cell: &Cell, folded: &Arc<CounterCell>) -> Option<Self> {
        match cell {
            Cell::FloatCounter(cell) => {
                Some(Self(FloatCounterKind::Folding(Arc::clone(cell), Arc::clone(folded))))
            }
            _ => None,
        }
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
