//! Percentiles of durations, from a histogram of bounded size.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use metrics::counter;
use obs_model::Clock;
use parking_lot::Mutex;

use crate::Outcome;
use crate::error::{Error, Kind};

/// The shortest and the longest duration that are kept as they are, in microseconds.
const MIN_MICROS: u64 = 1;
const MAX_MICROS: u64 = 3_600_000_000;

const SHORTEST: Duration = Duration::from_micros(MIN_MICROS);
const LONGEST: Duration = Duration::from_micros(MAX_MICROS);

const SIGNIFICANT_DIGITS: u8 = 3;

const MAX_PERCENTILES: usize = 100;
const MAX_BUCKETS: usize = 200;
const MAX_ID_BYTES: usize = 256;

/// How often at most all timers are looked through for abandoned ones.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// What a [`LatencyTracker`] answers with, and how many timers it keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyConfig {
    /// The percentiles of a summary, each above 0 and at most 100; 50, 95, 99 and 99.9 by default, 100 at most.
    pub percentiles: Vec<f64>,
    /// The upper bounds of the buckets of a summary, rising; 1 ms to 10 s by default, 200 at most.
    pub buckets: Vec<Duration>,
    /// Timers that may run at a time; 10,000 by default.
    pub max_running: usize,
}

impl Default for LatencyConfig {
    fn default() -> Self {
        let millis = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];
        Self {
            percentiles: vec![50.0, 95.0, 99.0, 99.9],
            buckets: millis.map(Duration::from_millis).to_vec(),
            max_running: 10_000,
        }
    }
}

/// What became of a timer that was to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It runs.
    New,
    /// It runs, in place of one with the same id that was never ended.
    Restarted,
    /// It does not run: [`LatencyConfig::max_running`] others do, or its id has more than 256 bytes.
    Refused,
}

/// How many durations are at most as long as a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LatencyBucket {
    /// The bound, inclusive.
    pub upper_bound: Duration,
    /// The durations that are not longer, those of smaller buckets among them.
    pub count: u64,
}

/// What a [`LatencyTracker`] has recorded. Without records, all durations are `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencySummary {
    /// Records in all.
    pub count: u64,
    /// Those of them that did not end in [`Outcome::Success`].
    pub errors: u64,
    /// The shortest duration.
    pub min: Option<Duration>,
    /// The longest duration.
    pub max: Option<Duration>,
    /// The arithmetic mean, to the nanosecond.
    pub mean: Option<Duration>,
    /// The percentiles of the configuration, in its order, as `(percentile, duration)`; none without records.
    pub percentiles: Vec<(f64, Duration)>,
    /// The buckets of the configuration. Durations beyond the last bound are in [`LatencySummary::count`] alone.
    pub buckets: Vec<LatencyBucket>,
    /// Records that were outside 1 µs to 1 h and were counted as the nearer of the two.
    pub clamped: u64,
    /// Timers that run now.
    pub running: usize,
    /// Timers that were refused.
    pub refused_timers: u64,
    /// Timers that were given up, to make room, after more than an hour.
    pub abandoned_timers: u64,
}

/// Durations of one kind of work, and timers for it by id.
///
/// Durations from 1 µs to 1 h are kept in a histogram with three significant digits ([HdrHistogram]), which takes
/// about 200 KiB however many there are. So a percentile is at most 0.1 % longer than the true one (and never outside
/// the shortest and the longest duration); the other figures are exact. A percentile *p* is the shortest recorded
/// duration that at least *p* percent of the records do not exceed. Everything counts from the start or from
/// [`LatencyTracker::reset`].
///
/// [HdrHistogram]: https://hdrhistogram.github.io/HdrHistogram/
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use obs_metrics::Outcome;
/// use obs_metrics::trackers::{LatencyConfig, LatencyTracker};
/// use obs_model::ManualClock;
///
/// let clock = Arc::new(ManualClock::default());
/// let tracker = LatencyTracker::new(LatencyConfig::default(), clock.clone())?;
/// tracker.start("evaluation-7");
/// clock.advance(Duration::from_millis(30));
/// assert_eq!(tracker.end("evaluation-7", Outcome::Success), Some(Duration::from_millis(30)));
/// tracker.record(Duration::from_millis(50), Outcome::Error);
///
/// let summary = tracker.summary();
/// assert_eq!((summary.count, summary.errors), (2, 1));
/// assert_eq!(summary.mean, Some(Duration::from_millis(40)));
/// assert_eq!(summary.percentiles[1], (95.0, Duration::from_millis(50)));
/// # Ok::<(), obs_metrics::Error>(())
/// ```
pub struct LatencyTracker {
    config: LatencyConfig,
    clock: Arc<dyn Clock>,
    timers: Mutex<Timers>,
    records: Mutex<Records>,
}

#[derive(Default)]
struct Timers {
    running: HashMap<Box<str>, Duration>,
    swept_at: Option<Duration>,
    refused: u64,
    abandoned: u64,
}

struct Records {
    histogram: Histogram<u64>,
    /// One count per bucket and one for what is beyond the last; they are added up when they are read.
    buckets: Vec<u64>,
    count: u64,
    errors: u64,
    clamped: u64,
    sum_nanos: u128,
    min: Duration,
    max: Duration,
}

impl LatencyTracker {
    /// A tracker without records. Timers measure by the monotonic time of `clock`.
    ///
    /// # Errors
    ///
    /// When a percentile or a bucket is not acceptable; all problems are told at once
    /// ([`Error::is_invalid_tracker`]).
    pub fn new(config: LatencyConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let problems = problems(&config);
        if !problems.is_empty() {
            let target = "a latency tracker".to_owned();
            return Err(Kind::InvalidTracker { target, problems: problems.join("; ") }.into());
        }
        let records = Mutex::new(Records::new(config.buckets.len()));
        Ok(Self { config, clock, timers: Mutex::default(), records })
    }

    /// Starts a timer that [`LatencyTracker::end`] stops. A running one of the same id starts anew.
    pub fn start(&self, id: &str) -> Started {
        let now = self.clock.monotonic();
        let (started, abandoned) = self.timers.lock().start(id, now, self.config.max_running);
        // The recorder is called outside the lock, so that it cannot hold up other timers.
        if abandoned > 0 {
            counter!("obskit_trackers_abandoned_timers_total").increment(abandoned);
        }
        if started == Started::Refused {
            counter!("obskit_trackers_refused_timers_total").increment(1);
        }
        started
    }

    /// Stops a timer and records how long it ran, which is also the answer; `None` if no timer of this id runs.
    pub fn end(&self, id: &str, outcome: Outcome) -> Option<Duration> {
        let started = self.timers.lock().running.remove(id)?;
        let duration = self.clock.monotonic().saturating_sub(started);
        self.record(duration, outcome);
        Some(duration)
    }

    /// Stops a timer without recording; whether there was one.
    pub fn discard(&self, id: &str) -> bool {
        self.timers.lock().running.remove(id).is_some()
    }

    /// Records a duration; one outside 1 µs to 1 h is counted as the nearer of the two.
    pub fn record(&self, duration: Duration, outcome: Outcome) {
        let clamped = duration.clamp(SHORTEST, LONGEST);
        let bucket = self.config.buckets.partition_point(|bound| *bound < clamped);
        let was_clamped = clamped != duration;
        self.records.lock().add(clamped, bucket, outcome, was_clamped);
        if was_clamped {
            counter!("obskit_trackers_clamped_total").increment(1);
        }
    }

    /// The percentiles of the configuration, as `(percentile, duration)`; none without records.
    #[must_use]
    pub fn percentiles(&self) -> Vec<(f64, Duration)> {
        self.records.lock().percentiles(&self.config.percentiles)
    }

    /// All figures.
    #[must_use]
    pub fn summary(&self) -> LatencySummary {
        let records = self.records.lock().summary(&self.config);
        self.with_timers(records)
    }

    /// All figures, and from now on those of new records alone. Timers run on, and what was refused stays counted.
    pub fn reset(&self) -> LatencySummary {
        let fresh = Records::new(self.config.buckets.len());
        let old = std::mem::replace(&mut *self.records.lock(), fresh);
        self.with_timers(old.summary(&self.config))
    }

    fn with_timers(&self, summary: LatencySummary) -> LatencySummary {
        let timers = self.timers.lock();
        LatencySummary {
            running: timers.running.len(),
            refused_timers: timers.refused,
            abandoned_timers: timers.abandoned,
            ..summary
        }
    }
}

impl Timers {
    /// What became of the timer, and how many others were given up for it.
    fn start(&mut self, id: &str, now: Duration, max_running: usize) -> (Started, u64) {
        if let Some(started) = self.running.get_mut(id) {
            *started = now;
            return (Started::Restarted, 0);
        }
        let abandoned = if self.running.len() >= max_running { self.sweep(now) } else { 0 };
        if self.running.len() >= max_running || id.len() > MAX_ID_BYTES {
            self.refused += 1;
            return (Started::Refused, abandoned);
        }
        self.running.insert(Box::from(id), now);
        (Started::New, abandoned)
    }

    /// Gives up timers that have run for longer than can be recorded, so that ends that never come do not use up
    /// all timers for ever.
    fn sweep(&mut self, now: Duration) -> u64 {
        if self.swept_at.is_some_and(|at| now.saturating_sub(at) < SWEEP_INTERVAL) {
            return 0;
        }
        self.swept_at = Some(now);
        let before = self.running.len();
        self.running.retain(|_, started| now.saturating_sub(*started) <= LONGEST);
        let abandoned = (before - self.running.len()) as u64;
        self.abandoned += abandoned;
        abandoned
    }
}

impl Records {
    fn new(buckets: usize) -> Self {
        // OK because the bounds are constants that the histogram accepts.
        let histogram = Histogram::new_with_bounds(MIN_MICROS, MAX_MICROS, SIGNIFICANT_DIGITS)
            .expect("the range of latencies is one that a histogram can have");
        Self {
            histogram,
            buckets: vec![0; buckets + 1],
            count: 0,
            errors: 0,
            clamped: 0,
            sum_nanos: 0,
            min: Duration::MAX,
            max: Duration::ZERO,
        }
    }

    fn add(&mut self, duration: Duration, bucket: usize, outcome: Outcome, was_clamped: bool) {
        self.histogram.saturating_record(micros(duration));
        self.buckets[bucket] += 1;
        self.count += 1;
        self.errors += u64::from(outcome != Outcome::Success);
        self.clamped += u64::from(was_clamped);
        self.sum_nanos += duration.as_nanos();
        self.min = self.min.min(duration);
        self.max = self.max.max(duration);
    }

    fn percentiles(&self, percentiles: &[f64]) -> Vec<(f64, Duration)> {
        if self.count == 0 {
            return Vec::new();
        }
        let value_at = |percentile: f64| {
            // The next smaller number, because 99.9 / 100 may come out as more than 0.999 and name the next record.
            let micros = self.histogram.value_at_quantile((percentile / 100.0).next_down());
            Duration::from_micros(micros).clamp(self.min, self.max)
        };
        percentiles.iter().map(|&percentile| (percentile, value_at(percentile))).collect()
    }

    fn summary(&self, config: &LatencyConfig) -> LatencySummary {
        let some = |duration| (self.count > 0).then_some(duration);
        let mean_nanos = self.sum_nanos.checked_div(u128::from(self.count));
        let mut below = 0;
        let buckets = config.buckets.iter().zip(&self.buckets).map(|(&upper_bound, count)| {
            below += count;
            LatencyBucket { upper_bound, count: below }
        });
        LatencySummary {
            count: self.count,
            errors: self.errors,
            min: some(self.min),
            max: some(self.max),
            // OK because a mean is at most an hour, which fits.
            mean: mean_nanos.map(|nanos| Duration::from_nanos(nanos as u64)),
            percentiles: self.percentiles(&config.percentiles),
            buckets: buckets.collect(),
            clamped: self.clamped,
            running: 0,
            refused_timers: 0,
            abandoned_timers: 0,
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(MAX_MICROS)
}

fn problems(config: &LatencyConfig) -> Vec<String> {
    let mut problems = Vec::new();
    for percentile in &config.percentiles {
        if !(*percentile > 0.0 && *percentile <= 100.0) {
            problems.push(format!(
                "percentile {percentile}: numbers above 0 and up to 100 are accepted"
            ));
        }
    }
    for pair in config.buckets.windows(2) {
        if pair[1] <= pair[0] {
            problems.push(format!(
                "bucket {:?}: it must be longer than the one before it, {:?}",
                pair[1], pair[0]
            ));
        }
    }
    for (what, count, limit) in [
        ("percentiles", config.percentiles.len(), MAX_PERCENTILES),
        ("buckets", config.buckets.len(), MAX_BUCKETS),
    ] {
        if count > limit {
            problems.push(format!("{count} {what}: at most {limit} are accepted"));
        }
    }
    problems
}
