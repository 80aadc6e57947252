//! `log_events_total{level,service}`, through handles that each thread keeps.

use metrics::Counter;
use obs_model::Level;

/// One thread's handles of the counters of one layer.
#[derive(Default)]
pub(crate) struct LevelCounters {
    /// Which layer and which recorder the handles belong to.
    made_for: (u32, usize),
    handles: [Option<Counter>; Level::ALL.len()],
}

impl LevelCounters {
    /// Counts an event of the layer `owner`, whose lines all have this service.
    pub(crate) fn count(&mut self, owner: u32, level: Level, service: &str) {
        let current = (owner, recorder_address());
        if self.made_for != current {
            self.handles = Default::default();
            self.made_for = current;
        }
        self.handles[level as usize].get_or_insert_with(|| counter(level, service)).increment(1);
    }
}

/// The counter of one level and service.
pub(crate) fn counter(level: Level, service: &str) -> Counter {
    metrics::counter!("log_events_total", "level" => level.as_str(), "service" => service.to_owned())
}

/// Tells recorders apart, so that handles made before one was installed are not kept afterwards.
pub(crate) fn recorder_address() -> usize {
    metrics::with_recorder(|recorder| std::ptr::from_ref(recorder).cast::<()>().addr())
}

/// Counts lines of one level that nobody will read.
pub(crate) fn count_dropped(reason: &'static str, level: Level, lines: u64) {
    metrics::counter!("obskit_log_dropped_total", "reason" => reason, "level" => level.as_str())
        .increment(lines);
}
