//! Where values live: cells that every thread writes for itself and a reader adds up.
//!
//! The registry, the exposition and the handles use cells only through what is `pub(crate)` here.
//!
//! - [`pages`] is the memory: who may write where, and what happens when a thread ends.
//! - [`range`] gives cells to series and takes them back.
//! - The others are what a series is: a total, a value, a histogram.

mod counter;
mod exemplars;
mod exponential;
mod gauge;
mod histogram;
mod native;
mod pages;
mod range;
mod search;
mod special;

pub(crate) use self::counter::{CounterCell, FloatCounterCell};
pub(crate) use self::gauge::GaugeCell;
pub(crate) use self::histogram::{HistogramCell, HistogramState, IsNative, Plain};
pub(crate) use self::pages::Reading;
pub(crate) use self::range::{Place, Spot, read};
pub(crate) use self::search::Search;
pub(crate) use self::special::{Folding, Refused};
