//! Metrics for the hot path: handles that are found without a key, a lookup or an allocation.
//!
//! A `metrics` macro makes a key for every call and looks it up. That costs little with fixed labels, and more with
//! labels that are made at run time, because their texts are allocated for the key. Where it matters:
//!
//! - [`StaticCounter`], [`StaticGauge`] and [`StaticHistogram`] are `static` items that find their series once.
//! - A [`Family`] has typed labels: a struct made by [`label_set!`](crate::label_set), or any type that implements
//!   [`LabelSet`]. Each thread remembers the handles of the labels it has used.
//! - A [`SampledHistogram`] observes one in so many, with its weight, where even looking at the clock is too much.
//!
//! ```
//! use obs_metrics::{Registry, label_set};
//!
//! label_set! {
//!     /// The labels of a request.
//!     pub struct RequestLabels {
//!         /// The method.
//!         pub method: &'static str,
//!         /// The status code.
//!         pub status: u16,
//!     }
//! }
//!
//! let registry = Registry::default();
//! let requests = registry.counter_family::<RequestLabels>("requests_total");
//! requests.with(&RequestLabels { method: "GET", status: 200 }, |counter| counter.increment(1));
//!
//! let labels = [("method", "GET"), ("status", "200")];
//! assert_eq!(registry.value("requests_total", &labels), Some(1.0));
//! ```

mod family;
mod labels;
mod sampled;
mod statics;

pub use self::family::{CounterFamily, Family, GaugeFamily, HistogramFamily};
pub use self::labels::{LabelSet, LabelValue};
pub use self::sampled::{PickedSample, SampledHistogram};
pub use self::statics::{StaticCounter, StaticGauge, StaticHistogram};
pub(crate) use self::statics::{installed, set_installed};
