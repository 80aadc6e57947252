//! What is watched of open spans, and from when on it is too much.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use obs_model::Clock;

/// The most names in one list of the settings.
const MAX_NAMES: usize = 1_000;

/// The shortest and the longest of each duration.
const LEAST: Duration = Duration::from_millis(1);
const MOST: Duration = Duration::from_hours(7 * 24);

/// How open spans are watched: see [`InFlight`](crate::InFlight).
///
/// ```
/// use std::time::Duration;
/// use obs_model::Resource;
/// use obs_tracing::{InFlightConfig, LogConfig};
///
/// let mut watched = InFlightConfig::default();
/// watched.blocking_after = Duration::from_millis(50);
/// watched.waiting.push("consumer".into());
/// let mut config = LogConfig::new(Resource::new("checkout"));
/// config.in_flight = Some(watched);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct InFlightConfig {
    /// How long nothing may happen in a span, and in no span below it, before it counts as stuck: it is entered nowhere,
    /// and was neither opened, entered nor left for this long. 1 ms to 7 days; 30 s by default.
    pub stuck_after: Duration,
    /// How long spans of a name may be open before they count as stuck, whatever happens in them: for operations that
    /// must end, such as a request that could be tried again for ever. Empty by default.
    pub longest: Vec<(String, Duration)>,
    /// The names of spans that may wait for as long as they like, such as that of a consumer that waits for messages:
    /// they never count as stuck. Empty by default.
    pub waiting: Vec<String>,
    /// How long a span may be entered without a break on a thread that runs tokio's tasks before it counts as blocking
    /// the executor. 1 ms to 7 days; 100 ms by default.
    pub blocking_after: Duration,
    /// The names of spans that may hold their thread, because nobody waits for it, such as on a runtime of their own:
    /// see also [`may_block`](crate::may_block). Empty by default.
    pub may_block: Vec<String>,
    /// How often the numbers of open spans are counted for the metrics. 1 ms to 7 days; 5 s by default.
    pub sample_interval: Duration,
    /// How many names of spans have series of their own; those beyond count as `other`. 200 by default.
    pub max_names: usize,
    /// What the time is taken from.
    pub time: InFlightTime,
    /// What can say where a thread is in the code; the line about an operation that blocks then says it, though not more
    /// than one line in 10 s. `None` by default.
    pub stacks: Option<Arc<dyn ThreadStacks>>,
}

impl Default for InFlightConfig {
    fn default() -> Self {
        Self {
            stuck_after: Duration::from_secs(30),
            longest: Vec::new(),
            waiting: Vec::new(),
            blocking_after: Duration::from_millis(100),
            may_block: Vec::new(),
            sample_interval: Duration::from_secs(5),
            max_names: 200,
            time: InFlightTime::default(),
            stacks: None,
        }
    }
}

/// What the times of open spans are taken from.
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum InFlightTime {
    /// The kernel's own ticks, which cost a few nanoseconds to read and are 1 to 10 ms apart
    /// (`CLOCK_MONOTONIC_COARSE`). Ages are right to a tick. Busy times are right on average: a poll that is much shorter
    /// than a tick mostly counts as nothing and now and then as a whole tick. On other systems than Linux this is as
    /// exact, and as dear, as [`InFlightTime::Exact`].
    #[default]
    Ticks,
    /// The exact time, which costs some tens of nanoseconds for each entering and each leaving.
    Exact,
    /// A clock, for tests. Nothing happens by itself then: [`InFlight::sample`](crate::InFlight::sample) looks at the
    /// spans.
    Clock(Arc<dyn Clock>),
}

impl fmt::Debug for InFlightTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ticks => "Ticks",
            Self::Exact => "Exact",
            Self::Clock(_) => "Clock",
        })
    }
}

/// Says where another thread of this process is in the code.
///
/// It is asked by a thread of obskit's own, once in 10 s at most, and may take its time.
pub trait ThreadStacks: fmt::Debug + Send + Sync {
    /// The functions that the thread is in, the innermost first; `None` when that cannot be told.
    ///
    /// `os_id` is what the operating system calls the thread: on Linux, what `gettid` returns there.
    fn stack_of(&self, os_id: u32) -> Option<Vec<String>>;
}

impl InFlightConfig {
    /// What is wrong with the settings.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut check = |name: &str, time: Duration| {
            if !(LEAST..=MOST).contains(&time) {
                problems.push(format!("in_flight.{name} is {time:?}: expected 1 ms to 7 days"));
            }
        };
        check("stuck_after", self.stuck_after);
        check("blocking_after", self.blocking_after);
        check("sample_interval", self.sample_interval);
        for (name, time) in &self.longest {
            check(&format!("longest of {name:?}"), *time);
        }
        if self.max_names == 0 {
            problems.push("in_flight.max_names is 0: expected 1 or more".to_owned());
        }
        for (list, length) in [
            ("longest", self.longest.len()),
            ("waiting", self.waiting.len()),
            ("may_block", self.may_block.len()),
        ] {
            if length > MAX_NAMES {
                problems.push(format!(
                    "in_flight.{list} has {length} names: expected {MAX_NAMES} or fewer"
                ));
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_named() {
        assert_eq!(InFlightConfig::default().problems(), Vec::<String>::new());
        let config = InFlightConfig {
            stuck_after: Duration::ZERO,
            longest: vec![("pay".to_owned(), Duration::MAX)],
            max_names: 0,
            waiting: vec![String::new(); MAX_NAMES + 1],
            ..InFlightConfig::default()
        };
        let problems = config.problems();
        assert_eq!(problems.len(), 4, "{problems:?}");
        for (problem, part) in
            problems.iter().zip(["stuck_after is 0ns", "\"pay\"", "max_names", "waiting"])
        {
            assert!(problem.contains(part), "{problem}");
        }
    }
}
