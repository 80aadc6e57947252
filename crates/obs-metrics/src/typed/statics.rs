//! Metrics as `static` items.

use std::fmt;
use std::sync::OnceLock;

use metrics::{Counter, Gauge, Histogram, IntoF64};

use crate::registry::{Handled, Registry};

/// The registry that was installed.
static INSTALLED: OnceLock<Registry> = OnceLock::new();

pub(crate) fn set_installed(registry: &Registry) {
    // OK because a registry can be installed once only; a second call changes nothing.
    let _ = INSTALLED.set(registry.clone());
}

pub(crate) fn installed() -> Option<&'static Registry> {
    INSTALLED.get()
}

/// What a static metric is made of.
struct Fixed<H> {
    name: &'static str,
    labels: &'static [(&'static str, &'static str)],
    handle: OnceLock<H>,
}

impl<H: Handled> Fixed<H> {
    #[inline]
    fn get(&self) -> Option<&H> {
        self.handle.get().or_else(|| self.find())
    }

    #[cold]
    fn find(&self) -> Option<&H> {
        let registry = installed()?;
        Some(self.handle.get_or_init(|| registry.handle(self.name, self.labels.iter().copied())))
    }
}

macro_rules! fixed {
    ($(#[$meta:meta])* $name:ident, $handle:ty) => {
        $(#[$meta])*
        ///
        /// It belongs to the registry that is installed ([`Registry::install`]); before that, recording does nothing.
        /// Its series never expires.
        pub struct $name(Fixed<$handle>);

        impl $name {
            /// A metric with these labels.
            #[must_use]
            pub const fn new(
                name: &'static str,
                labels: &'static [(&'static str, &'static str)],
            ) -> Self {
                Self(Fixed { name, labels, handle: OnceLock::new() })
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("name", &self.0.name).finish_non_exhaustive()
            }
        }
    };
}

fixed! {
    /// A counter for a `static` item.
    ///
    /// ```
    /// use obs_metrics::{Registry, typed::StaticCounter};
    ///
    /// static JOBS: StaticCounter = StaticCounter::new("jobs_total", &[("kind", "mail")]);
    ///
    /// JOBS.increment(1); // Nothing is installed yet.
    /// let registry = Registry::default();
    /// registry.install()?;
    /// JOBS.increment(2);
    /// assert_eq!(registry.value("jobs_total", &[("kind", "mail")]), Some(2.0));
    /// # Ok::<(), obs_metrics::Error>(())
    /// ```
    StaticCounter, Counter
}

fixed! {
    /// A gauge for a `static` item.
    StaticGauge, Gauge
}

fixed! {
    /// A histogram for a `static` item.
    StaticHistogram, Histogram
}

impl StaticCounter {
    /// Adds `value`.
    #[inline]
    pub fn increment(&self, value: u64) {
        if let Some(counter) = self.0.get() {
            counter.increment(value);
        }
    }

    /// Raises the total to at least `value`.
    pub fn absolute(&self, value: u64) {
        if let Some(counter) = self.0.get() {
            counter.absolute(value);
        }
    }
}

impl StaticGauge {
    /// Sets the value.
    pub fn set<T: IntoF64>(&self, value: T) {
        if let Some(gauge) = self.0.get() {
            gauge.set(value);
        }
    }

    /// Raises the value.
    pub fn increment<T: IntoF64>(&self, value: T) {
        if let Some(gauge) = self.0.get() {
            gauge.increment(value);
        }
    }

    /// Lowers the value.
    pub fn decrement<T: IntoF64>(&self, value: T) {
        if let Some(gauge) = self.0.get() {
            gauge.decrement(value);
        }
    }
}

impl StaticHistogram {
    /// Records one observation.
    #[inline]
    pub fn record<T: IntoF64>(&self, value: T) {
        if let Some(histogram) = self.0.get() {
            histogram.record(value);
        }
    }
}
