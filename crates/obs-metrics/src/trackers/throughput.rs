//! Requests per second, over a window that moves with time.

use std::sync::Arc;
use std::time::Duration;

use obs_model::Clock;
use parking_lot::Mutex;

use crate::Outcome;
use crate::error::{Error, Kind};

/// The longest window, in seconds.
const MAX_SECONDS: u64 = 86_400;

const MAX_PATTERN_BYTES: usize = 256;

/// Which requests a [`ThroughputMonitor`] counts, and over how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThroughputConfig {
    /// The paths that count; `*` by default, which is all. A `*` stands for any characters or none, also for `/`;
    /// other characters stand for themselves. 256 bytes at most.
    pub pattern: String,
    /// The window: whole seconds, from one to a day; 300 s by default.
    pub window: Duration,
    /// The span of the moving average: whole seconds, from one to the window; 60 s by default.
    pub average_span: Duration,
}

impl Default for ThroughputConfig {
    fn default() -> Self {
        Self {
            pattern: "*".to_owned(),
            window: Duration::from_secs(300),
            average_span: Duration::from_secs(60),
        }
    }
}

/// What a [`ThroughputMonitor`] saw in its window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThroughputReport {
    /// The time that the figures are about: the window, or the time since the start if that is shorter.
    pub covered: Duration,
    /// Requests in that time.
    pub requests: u64,
    /// Those of them that ended in [`Outcome::Success`].
    pub successes: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests divided by the time covered, or by one second if that is longer.
    pub requests_per_second: f64,
    /// Bytes divided likewise.
    pub bytes_per_second: f64,
    /// Successes divided by requests; `None` without requests.
    pub success_ratio: Option<f64>,
    /// The moving average of requests per second, see [`ThroughputMonitor`]; `None` in the first second.
    pub moving_average: Option<f64>,
    /// Requests since the start.
    pub total: u64,
    /// Requests since the start that were not counted because their path does not match.
    pub ignored: u64,
}

/// Counts the requests whose path matches a pattern, second by second.
///
/// It keeps one slot of 32 bytes for each second of the window. The window ends now and begins with a slot, so it
/// is up to one second shorter than configured; rates divide by what it really covers. Seconds begin with the
/// monitor's start and follow the clock's monotonic time, so setting the machine's clock changes nothing.
///
/// The moving average is an exponential one over the complete seconds of the window. With *n(a)* the requests of
/// the second that ended *a* seconds before the last complete one, and α = 2 / (span + 1), it is
/// Σ (1 − α)^a · n(a) / Σ (1 − α)^a.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use obs_metrics::Outcome;
/// use obs_metrics::trackers::{ThroughputConfig, ThroughputMonitor};
/// use obs_model::ManualClock;
///
/// let clock = Arc::new(ManualClock::default());
/// let config = ThroughputConfig { pattern: "/api/*".to_owned(), ..Default::default() };
/// let monitor = ThroughputMonitor::new(config, clock.clone())?;
/// assert!(monitor.record("/api/solve", Outcome::Success, 600));
/// assert!(monitor.record("/api/plot", Outcome::Error, 400));
/// assert!(!monitor.record("/health", Outcome::Success, 2));
/// clock.advance(Duration::from_secs(4));
///
/// let report = monitor.report();
/// assert_eq!(report.requests_per_second, 0.5);
/// assert_eq!(report.bytes_per_second, 250.0);
/// assert_eq!(report.success_ratio, Some(0.5));
/// # Ok::<(), obs_metrics::Error>(())
/// ```
pub struct ThroughputMonitor {
    config: ThroughputConfig,
    clock: Arc<dyn Clock>,
    started: Duration,
    counts: Mutex<Counts>,
}

struct Counts {
    slots: Box<[Slot]>,
    total: u64,
    ignored: u64,
}

/// What happened in one second.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// The second's number since the start; a slot without requests may have that of a second long past.
    second: u64,
    requests: u64,
    successes: u64,
    bytes: u64,
}

impl ThroughputMonitor {
    /// A monitor that begins now.
    ///
    /// # Errors
    ///
    /// When the pattern is empty or too long, or a duration is out of its range; all problems are told at once
    /// ([`Error::is_invalid_tracker`]).
    pub fn new(config: ThroughputConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let problems = problems(&config);
        if !problems.is_empty() {
            let target = format!("a throughput monitor for {:?}", config.pattern);
            return Err(Kind::InvalidTracker { target, problems: problems.join("; ") }.into());
        }
        let slots = vec![Slot::default(); config.window.as_secs() as usize].into();
        let counts = Mutex::new(Counts { slots, total: 0, ignored: 0 });
        Ok(Self { started: clock.monotonic(), config, clock, counts })
    }

    /// Counts a request that ended now; whether its path matches. What follows a `?` is not part of the path.
    pub fn record(&self, path: &str, outcome: Outcome, bytes: u64) -> bool {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let is_counted = matches(self.config.pattern.as_bytes(), path.as_bytes());
        let mut counts = self.counts.lock();
        if !is_counted {
            counts.ignored += 1;
            return false;
        }
        // The time is read under the lock, so that seconds come to the ring in their order.
        let second = self.elapsed().as_secs();
        counts.total += 1;
        let slot = counts.slot_mut(second);
        slot.requests += 1;
        slot.successes += u64::from(outcome == Outcome::Success);
        slot.bytes = slot.bytes.saturating_add(bytes);
        true
    }

    /// What happened in the window that ends now.
    #[must_use]
    pub fn report(&self) -> ThroughputReport {
        let counts = self.counts.lock();
        let elapsed = self.elapsed();
        let now = elapsed.as_secs();
        let first = (now + 1).saturating_sub(counts.slots.len() as u64);
        let covered = elapsed.saturating_sub(Duration::from_secs(first));
        let (mut requests, mut successes, mut bytes) = (0, 0, 0_u64);
        for slot in (first..=now).filter_map(|second| counts.slot(second)) {
            requests += slot.requests;
            successes += slot.successes;
            bytes = bytes.saturating_add(slot.bytes);
        }
        let seconds = covered.as_secs_f64().max(1.0);
        ThroughputReport {
            covered,
            requests,
            successes,
            bytes,
            requests_per_second: requests as f64 / seconds,
            bytes_per_second: bytes as f64 / seconds,
            success_ratio: (requests > 0).then(|| successes as f64 / requests as f64),
            moving_average: counts.moving_average(first, now, self.config.average_span),
            total: counts.total,
            ignored: counts.ignored,
        }
    }

    fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started)
    }
}

impl Counts {
    fn index(&self, second: u64) -> usize {
        // OK because the remainder is smaller than the number of slots.
        (second % self.slots.len() as u64) as usize
    }

    /// What happened in `second`, if anything did.
    fn slot(&self, second: u64) -> Option<&Slot> {
        Some(&self.slots[self.index(second)]).filter(|slot| slot.second == second)
    }

    /// The slot of `second`, emptied if it was that of another.
    fn slot_mut(&mut self, second: u64) -> &mut Slot {
        let index = self.index(second);
        let slot = &mut self.slots[index];
        if slot.second != second {
            *slot = Slot { second, ..Slot::default() };
        }
        slot
    }

    /// The average over the seconds from `first` to before `now`, which is not complete.
    fn moving_average(&self, first: u64, now: u64, span: Duration) -> Option<f64> {
        let keep = 1.0 - 2.0 / (span.as_secs() as f64 + 1.0);
        let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
        for second in (first..now).rev() {
            let requests = self.slot(second).map_or(0, |slot| slot.requests);
            sum += weight * requests as f64;
            weights += weight;
            weight *= keep;
        }
        (weights > 0.0).then(|| sum / weights)
    }
}

/// Whether all of `path` matches `pattern`. It steps back to the last `*` only, so the time is bounded by the
/// product of the lengths.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while next < path.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, next));
            at += 1;
        } else if pattern.get(at) == Some(&path[next]) {
            at += 1;
            next += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            at = star_at + 1;
            next = taken + 1;
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

fn problems(config: &ThroughputConfig) -> Vec<String> {
    let mut problems = Vec::new();
    let bytes = config.pattern.len();
    if bytes == 0 || bytes > MAX_PATTERN_BYTES {
        problems.push(format!(
            "the pattern has {bytes} bytes: 1 to {MAX_PATTERN_BYTES} are accepted, such as \"/api/*\""
        ));
    }
    let window = config.window.as_secs().clamp(1, MAX_SECONDS);
    for (what, given, most) in
        [("window", config.window, MAX_SECONDS), ("average span", config.average_span, window)]
    {
        let seconds = given.as_secs();
        if given.subsec_nanos() != 0 || seconds == 0 || seconds > most {
            problems.push(format!(
                "the {what} is {given:?}: whole seconds from 1 to {most} are accepted"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters_and_all_else_for_itself() {
        for (pattern, path, expected) in [
            ("/api/*", "/api/solve", true),
            ("/api/*", "/api/v1/solve", true),
            ("/api/*", "/api/", true),
            ("/api/*", "/api", false),
            ("/api/*", "/v2/api/solve", false),
            ("/api/*/plot", "/api/plot/1/plot", true),
            ("/api/*/plot", "/api/1/plots", false),
            ("*", "", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("/exact", "/exact", true),
            ("/exact", "/exact/", false),
            ("/a.c", "/abc", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
    }
}
