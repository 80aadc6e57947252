//! What the service uses: memory, and the sizes of its own buffers.

use std::fmt;
use std::sync::Arc;

use metrics::{Gauge, Histogram};

use super::labelled::Labelled;
use crate::registry::Registry;

const ACCUMULATOR_BUCKETS: &[f64] = &[1e3, 1e4, 1e5, 5e5, 1e6, 5e6];
const HISTORY_BUCKETS: &[f64] = &[1e3, 1e4, 1e5, 5e5, 1e6, 5e6, 1e7];

/// Metrics of what the service uses:
///
/// | metric | |
/// |---|---|
/// | `memory_usage_bytes{type}` | memory in use; [`ProcessCollector`](crate::collect::ProcessCollector) sets the types it can read |
/// | `streaming_accumulator_size_bytes` | how large an accumulator of streamed output became |
/// | `conversation_history_size_bytes` | how large a conversation's history is |
///
/// ```
/// use obs_metrics::{Registry, catalog::ResourceMetrics};
///
/// let registry = Registry::default();
/// ResourceMetrics::new(&registry).set_memory("cache", 4_096);
/// assert_eq!(registry.value("memory_usage_bytes", &[("type", "cache")]), Some(4_096.0));
/// ```
#[derive(Clone)]
pub struct ResourceMetrics(Arc<Handles>);

struct Handles {
    memory: Labelled<Gauge, 1>,
    accumulator: Labelled<Histogram, 0>,
    history: Labelled<Histogram, 0>,
}

impl ResourceMetrics {
    /// The resource metrics of `registry`.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        Self(Arc::new(Handles {
            memory: Labelled::new(
                registry,
                "memory_usage_bytes",
                ["type"],
                "Memory that the process uses, by type.",
                None,
            ),
            accumulator: Labelled::new(
                registry,
                "streaming_accumulator_size_bytes",
                [],
                "Size of accumulators of streamed output.",
                Some(ACCUMULATOR_BUCKETS),
            ),
            history: Labelled::new(
                registry,
                "conversation_history_size_bytes",
                [],
                "Size of conversation histories.",
                Some(HISTORY_BUCKETS),
            ),
        }))
    }

    /// Says how much memory of a type is in use.
    pub fn set_memory(&self, memory_type: &str, bytes: u64) {
        // OK because a float holds byte counts exactly up to 8 PiB.
        self.0.memory.with([memory_type]).set(bytes as f64);
    }

    /// Observes the size of an accumulator of streamed output.
    pub fn record_streaming_accumulator(&self, bytes: u64) {
        self.0.accumulator.with([]).record(bytes as f64);
    }

    /// Observes the size of a conversation's history.
    pub fn record_conversation_history(&self, bytes: u64) {
        self.0.history.with([]).record(bytes as f64);
    }
}

impl fmt::Debug for ResourceMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceMetrics").finish_non_exhaustive()
    }
}
