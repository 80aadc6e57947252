//! A gauge whose value somebody says when asked.

use std::fmt;

use metrics::Gauge;

use super::Collect;
use crate::error::Error;
use crate::registry::Registry;

/// A gauge that is set to what a closure returns: the size of a queue, the statistics of an allocator.
///
/// When the closure returns nothing, the gauge keeps its value and a failure is counted. It runs on the thread of the
/// collectors and must not block.
///
/// ```
/// use std::sync::Arc;
/// use obs_metrics::Registry;
/// use obs_metrics::collect::{Collectors, GaugeCollector};
/// use parking_lot::Mutex;
///
/// let registry = Registry::default();
/// let queue = Arc::new(Mutex::new(vec!["a", "b"]));
/// let seen = Arc::clone(&queue);
/// let depth = GaugeCollector::new(&registry, "queue_depth", "Jobs that wait.", move || {
///     Some(seen.lock().len() as f64)
/// });
/// Collectors::none(&registry).with(depth).refresh();
/// assert_eq!(registry.value("queue_depth", &[]), Some(2.0));
/// ```
pub struct GaugeCollector {
    name: &'static str,
    gauge: Gauge,
    read: Box<dyn FnMut() -> Option<f64> + Send>,
}

impl GaugeCollector {
    /// The gauge `name` of `registry`.
    #[must_use]
    pub fn new(
        registry: &Registry,
        name: &'static str,
        help: &str,
        read: impl FnMut() -> Option<f64> + Send + 'static,
    ) -> Self {
        registry.declare(name, help, None);
        Self { name, gauge: registry.gauge(name, &[]), read: Box::new(read) }
    }
}

impl Collect for GaugeCollector {
    fn name(&self) -> &'static str {
        self.name
    }

    fn refresh(&mut self) -> Result<(), Error> {
        let value = (self.read)().ok_or_else(|| {
            Error::unreadable(&format!("the gauge {}", self.name), "its closure returned nothing")
        })?;
        self.gauge.set(value);
        Ok(())
    }
}

impl fmt::Debug for GaugeCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GaugeCollector").field("name", &self.name).finish_non_exhaustive()
    }
}
