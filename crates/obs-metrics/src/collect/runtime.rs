//! What a tokio runtime does: its workers, its tasks, and how late it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Counter, Gauge};
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::Collect;
use crate::error::Error;
use crate::registry::{FloatCounter, Registry};

/// A tokio runtime, as far as its stable interface tells:
///
/// | metric | |
/// |---|---|
/// | `tokio_workers{runtime}` | worker threads |
/// | `tokio_alive_tasks{runtime}` | tasks that were spawned and have not ended |
/// | `tokio_global_queue_depth{runtime}` | tasks that wait for any worker |
/// | `tokio_scheduling_delay_seconds{runtime}` | how long the last task waited that was spawned for measuring it; while it still waits, how long it has |
/// | `tokio_worker_busy_seconds_total{runtime,worker}` | time that a worker was busy |
/// | `tokio_worker_parks_total{runtime,worker}` | how often a worker had nothing to do |
///
/// The first 128 workers are shown. `rate(tokio_worker_busy_seconds_total[1m])` is a worker's load, 0 to 1. A scheduling
/// delay of more than some milliseconds says that something blocks the workers, or that there are too few.
///
/// ```
/// use obs_metrics::Registry;
/// use obs_metrics::collect::{Collect, RuntimeCollector};
///
/// let registry = Registry::default();
/// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
/// let mut collector = RuntimeCollector::new(&registry, "jobs", runtime.handle().clone());
/// collector.refresh()?;
/// assert_eq!(registry.value("tokio_workers", &[("runtime", "jobs")]), Some(2.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RuntimeCollector {
    runtime: Handle,
    workers: Gauge,
    tasks: Gauge,
    queue: Gauge,
    delay: Gauge,
    probe: Arc<Mutex<Probe>>,
    of_workers: Vec<OfWorker>,
}

struct OfWorker {
    busy: FloatCounter,
    parks: Counter,
}

/// A task that measures how long tasks wait.
#[derive(Debug, Default)]
struct Probe {
    /// When the one that waits was spawned.
    waits_since: Option<Instant>,
    /// How long the last one waited.
    delay: Option<Duration>,
}

/// How many workers are shown.
const MAX_WORKERS: usize = 128;

const HELP: [(&str, &str); 6] = [
    ("tokio_workers", "Worker threads of the runtime."),
    ("tokio_alive_tasks", "Tasks of the runtime that have not ended."),
    ("tokio_global_queue_depth", "Tasks of the runtime that wait for any worker."),
    ("tokio_scheduling_delay_seconds", "How long a task waited for its first poll."),
    ("tokio_worker_busy_seconds_total", "Time that a worker was busy in seconds."),
    ("tokio_worker_parks_total", "How often a worker had nothing to do."),
];

impl RuntimeCollector {
    /// The metrics of `runtime` in `registry`; `name` is the value of the label `runtime`.
    #[must_use]
    pub fn new(registry: &Registry, name: &str, runtime: Handle) -> Self {
        for (name, help) in HELP {
            registry.declare(name, help, None);
        }
        let labels = [("runtime", name)];
        let count = runtime.metrics().num_workers().min(MAX_WORKERS);
        let of_workers = (0..count).map(|worker| {
            let labels = [("runtime", name), ("worker", &*worker.to_string())];
            OfWorker {
                busy: registry.float_counter("tokio_worker_busy_seconds_total", &labels),
                parks: registry.counter("tokio_worker_parks_total", &labels),
            }
        });
        Self {
            workers: registry.gauge("tokio_workers", &labels),
            tasks: registry.gauge("tokio_alive_tasks", &labels),
            queue: registry.gauge("tokio_global_queue_depth", &labels),
            delay: registry.gauge("tokio_scheduling_delay_seconds", &labels),
            probe: Arc::default(),
            of_workers: of_workers.collect(),
            runtime,
        }
    }

    /// The metrics of the runtime that the caller is in; nothing outside of one.
    #[must_use]
    pub fn current(registry: &Registry, name: &str) -> Option<Self> {
        Some(Self::new(registry, name, Handle::try_current().ok()?))
    }

    /// Shows the last measured delay and measures the next one.
    fn probe(&self) {
        let mut probe = self.probe.lock();
        if let Some(since) = probe.waits_since {
            return self.delay.set(since.elapsed().as_secs_f64());
        }
        if let Some(delay) = probe.delay {
            self.delay.set(delay.as_secs_f64());
        }
        let spawned = Instant::now();
        probe.waits_since = Some(spawned);
        drop(probe);
        let shared = Arc::clone(&self.probe);
        // OK to let go of the handle: the task ends at its first poll, or with its runtime.
        drop(self.runtime.spawn(async move {
            let mut probe = shared.lock();
            *probe = Probe { waits_since: None, delay: Some(spawned.elapsed()) };
        }));
    }
}

impl Collect for RuntimeCollector {
    fn name(&self) -> &'static str {
        "runtime"
    }

    fn refresh(&mut self) -> Result<(), Error> {
        let metrics = self.runtime.metrics();
        // OK because a float holds such counts exactly.
        self.workers.set(metrics.num_workers() as f64);
        self.tasks.set(metrics.num_alive_tasks() as f64);
        self.queue.set(metrics.global_queue_depth() as f64);
        for (worker, of) in self.of_workers.iter().enumerate() {
            of.show(&metrics, worker);
        }
        self.probe();
        Ok(())
    }
}

impl OfWorker {
    #[cfg(target_has_atomic = "64")]
    fn show(&self, metrics: &RuntimeMetrics, worker: usize) {
        self.busy.absolute(metrics.worker_total_busy_duration(worker).as_secs_f64());
        self.parks.absolute(metrics.worker_park_count(worker));
    }

    /// Without 64-bit atomics tokio does not count this.
    #[cfg(not(target_has_atomic = "64"))]
    fn show(&self, _: &RuntimeMetrics, _: usize) {}
}

impl fmt::Debug for RuntimeCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeCollector").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn eventually(mut is_so: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_blocked_runtime_shows_by_its_delay_and_its_queue_and_then_by_its_busy_time() {
        let registry = Registry::default();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut collector = RuntimeCollector::new(&registry, "main", runtime.handle().clone());
        let labels = [("runtime", "main")];
        let worker = [("runtime", "main"), ("worker", "0")];
        let delay = || registry.value("tokio_scheduling_delay_seconds", &labels).unwrap();

        let blocked = Arc::new(Barrier::new(2));
        let (begun, begin) = std::sync::mpsc::channel();
        let inner = Arc::clone(&blocked);
        runtime.spawn(async move {
            begun.send(()).unwrap();
            inner.wait();
        });
        begin.recv().unwrap();
        collector.refresh().unwrap();
        eventually(|| {
            collector.refresh().unwrap();
            delay() > 0.05
        });
        assert_eq!(registry.value("tokio_alive_tasks", &labels), Some(2.0));
        assert_eq!(registry.value("tokio_global_queue_depth", &labels), Some(1.0));

        blocked.wait();
        eventually(|| {
            collector.refresh().unwrap();
            registry.value("tokio_worker_busy_seconds_total", &worker) > Some(0.05)
                && registry.value("tokio_worker_parks_total", &worker) > Some(0.0)
        });
        // The one that waited tells how long, and those after it wait less.
        eventually(|| {
            collector.refresh().unwrap();
            delay() < 0.05
        });
    }

    #[test]
    fn a_runtime_that_is_gone_is_no_trouble() {
        let registry = Registry::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut collector = RuntimeCollector::new(&registry, "main", runtime.handle().clone());
        drop(runtime);
        collector.refresh().unwrap();
        collector.refresh().unwrap();
        assert!(RuntimeCollector::current(&registry, "none").is_none());
    }
}
