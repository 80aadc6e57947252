//! Taking out series that nobody records into any more.
//!
//! A series goes when its value has not changed for the idle timeout and nobody holds a handle on it. Handles in the
//! caches of threads do not count as held. A thread may take such a handle out of its cache in the very moment in which
//! the series goes; what it records then is not lost: series that were taken out are watched for as long as any handle
//! on them exists, and come back, or are added to their successor, when something was recorded.

#[cfg(feature = "otlp")]
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use obs_model::Labels;
use tokio::time::MissedTickBehavior;

use super::family::{Family, OVERFLOW_LABEL};
use super::handle::{Cell, Lent};
use super::{Registry, Series};
use crate::cells::HistogramState;

/// The series was never looked at.
const NEVER: u64 = u64::MAX;

/// What the search for idle series knows of one series.
pub(super) struct Activity {
    /// What the series held when it was last seen to change.
    bits: AtomicU64,
    /// When that was, in milliseconds of the clock's monotonic time.
    changed_at_ms: AtomicU64,
    taken_out: AtomicBool,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            bits: AtomicU64::new(0),
            changed_at_ms: AtomicU64::new(NEVER),
            taken_out: AtomicBool::new(false),
        }
    }
}

/// What a series holds.
#[derive(Clone, Debug, PartialEq)]
enum Held {
    Whole(u64),
    Float(f64),
    /// A gauge, of which only the present value matters.
    Value(f64),
    Histogram(HistogramState),
}

/// A series that was taken out while somebody may still record into it.
pub(super) struct TakenOut {
    family: Arc<Family>,
    series: Arc<Series>,
    /// What it held when it was taken out, or when its increments were last passed on.
    held: Held,
}

impl Registry {
    /// Takes out every series that has been idle for [`RegistryConfig::idle_timeout`](super::RegistryConfig), and
    /// returns how many. Without a timeout it does nothing.
    ///
    /// Idleness shows between calls, so call it a few times per timeout; [`Registry::run_expiry`] does.
    ///
    /// A series that somebody holds a handle on stays: handles in fields and statics, those of catalogs and of
    /// typed families. A counter or histogram is idle when nothing is added to it, a gauge when it is not written,
    /// be it with the same value. When a series is used again later, it starts at zero.
    pub fn expire_idle(&self) -> usize {
        let Some(timeout) = self.0.config.idle_timeout else { return 0 };
        // Held throughout, so that two callers at once do not take turns on one series.
        let mut taken_out = self.0.taken_out.lock();
        self.look_after(&mut taken_out);
        let now = self.0.clock.monotonic();
        let own = self.0.own.families();
        let mut count = 0;
        for family in self.families() {
            if own.iter().any(|own| Arc::ptr_eq(own, &family)) {
                continue;
            }
            let idle: Vec<_> = family
                .sorted()
                .iter()
                .filter(|series| series.is_idle(now, timeout) && !series.is_held())
                .cloned()
                .collect();
            count += idle.len();
            taken_out.extend(idle.into_iter().map(|series| TakenOut::new(&family, series)));
        }
        if count > 0 {
            self.forget_taken_out(count);
        }
        count
    }

    /// Takes out one series now, unless somebody holds a handle on it; says whether it did. Labels are given as the
    /// exposition shows them.
    ///
    /// It is for gauges of things that are gone, whose last value would mislead. Handles in the caches of threads,
    /// which the macros leave there, count as held unless there is an idle timeout.
    ///
    /// ```
    /// let registry = obs_metrics::Registry::default();
    /// registry.gauge("mounted", &[("path", "/mnt")]).set(1.0);
    /// assert!(registry.remove("mounted", &[("path", "/mnt")]));
    /// assert_eq!(registry.value("mounted", &[("path", "/mnt")]), None);
    /// assert!(!registry.remove("mounted", &[("path", "/mnt")]));
    /// ```
    pub fn remove(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let mut taken_out = self.0.taken_out.lock();
        let own = self.0.own.families();
        let found = self
            .family(name)
            .filter(|family| !own.iter().any(|own| Arc::ptr_eq(own, family)))
            .zip(Labels::new(labels.iter().copied()).ok())
            .and_then(|(family, labels)| Some((family.find(&labels)?, family)));
        let Some((series, family)) = found else { return false };
        let is_overflow = series.labels.get(OVERFLOW_LABEL).is_some();
        if is_overflow || series.is_held() {
            return false;
        }
        if let Cell::Gauge(cell) = &series.cell {
            // What was written so far goes; only what is written from here on brings the series back.
            cell.take_written();
        }
        taken_out.push(TakenOut::new(&family, series));
        self.forget_taken_out(1);
        self.look_after(&mut taken_out);
        true
    }

    /// Sees to it that no handle on the series that were just taken out is given out again.
    fn forget_taken_out(&self, count: usize) {
        self.0.lookup.retain(|series| !series.is_taken_out());
        self.0.stamp.fetch_add(1, Ordering::AcqRel);
        // OK because a float holds so many series exactly.
        self.0.own.series.decrement(count as f64);
    }

    /// Calls [`Registry::expire_idle`] four times per timeout, for ever: spawn it, and abort the task to stop. It
    /// ends at once when there is no timeout.
    pub async fn run_expiry(&self) {
        let Some(timeout) = self.0.config.idle_timeout else { return };
        let mut ticks = tokio::time::interval((timeout / 4).max(Duration::from_millis(100)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.expire_idle();
        }
    }

    /// Passes on what was recorded into series after they were taken out, and lets go of those that nobody can
    /// record into any more.
    fn look_after(&self, taken_out: &mut Vec<TakenOut>) {
        taken_out.retain_mut(|gone| {
            // Asked first: a handle that is dropped in between has recorded before the value is read.
            let may_change = gone.series.handles() > 0;
            let changed = match &gone.series.cell {
                Cell::Gauge(cell) => cell.take_written(),
                cell => cell.held() != gone.held,
            };
            let stays = may_change || changed;
            if changed || gone.series.is_held() {
                let stands = gone.family.find_or_put(&gone.series);
                if Arc::ptr_eq(&stands, &gone.series) {
                    gone.series.activity.taken_out.store(false, Ordering::Release);
                    gone.series.activity.changed_at_ms.store(NEVER, Ordering::Relaxed);
                    self.0.own.series.increment(1.0);
                    return false;
                }
                let held = gone.series.cell.held();
                stands.cell.add_since(&gone.held, &held);
                gone.held = held;
            }
            if !stays {
                self.0.series.fetch_sub(1, Ordering::Relaxed);
            }
            stays
        });
    }

    /// Keeps those of `series` that are not there, and that nobody can bring back by recording into them.
    #[cfg(feature = "otlp")]
    pub(crate) fn retain_gone(&self, series: &mut Vec<(Arc<str>, Labels)>) {
        if series.is_empty() {
            return;
        }
        // Held throughout, so that none of them comes back between the two looks.
        let taken_out = self.0.taken_out.lock();
        let watched: HashSet<_> =
            taken_out.iter().map(|gone| (&*gone.family.name, &gone.series.labels)).collect();
        series.retain(|(name, labels)| {
            let is_there = || self.family(name).is_some_and(|family| family.find(labels).is_some());
            !watched.contains(&(&**name, labels)) && !is_there()
        });
    }

    /// Remembers a thread's handle, if idle series expire.
    pub(super) fn note_lent(&self, series: &Series, lent: &Arc<dyn Lent>) {
        if self.0.config.idle_timeout.is_some() {
            let mut all = series.lent.lock();
            if all.len() == all.capacity() {
                all.retain(|lent| lent.strong_count() > 0);
            }
            all.push(Arc::downgrade(lent));
        }
    }
}

impl TakenOut {
    fn new(family: &Arc<Family>, series: Arc<Series>) -> Self {
        series.activity.taken_out.store(true, Ordering::Release);
        family.remove(&series.labels);
        let held = series.cell.held();
        Self { family: Arc::clone(family), series, held }
    }
}

impl Series {
    pub(super) fn is_taken_out(&self) -> bool {
        self.activity.taken_out.load(Ordering::Acquire)
    }

    /// Notes what the series holds, and whether it has held that for so long.
    fn is_idle(&self, now: Duration, timeout: Duration) -> bool {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(NEVER - 1);
        let (bits, written) = match (&self.cell, self.cell.held()) {
            (Cell::Gauge(cell), _) => (0, cell.take_written()),
            (_, Held::Whole(total)) => (total, false),
            (_, Held::Float(total) | Held::Value(total)) => (total.to_bits(), false),
            (_, Held::Histogram(state)) => (state.count(), false),
        };
        let since = self.activity.changed_at_ms.load(Ordering::Relaxed);
        let changed = self.activity.bits.swap(bits, Ordering::Relaxed) != bits || written;
        if changed || since == NEVER {
            self.activity.changed_at_ms.store(now_ms, Ordering::Relaxed);
            return false;
        }
        let idle = Duration::from_millis(now_ms.saturating_sub(since));
        idle >= timeout && self.labels.get(OVERFLOW_LABEL).is_none()
    }

    /// How many handles there are, in caches and elsewhere.
    fn handles(&self) -> usize {
        // One is the series' own.
        self.cell.references().saturating_sub(1)
    }

    /// Whether anybody but the caches of threads has a handle.
    fn is_held(&self) -> bool {
        let mut lent = self.lent.lock();
        let mut alive = 0;
        let mut is_held = false;
        lent.retain(|lent| {
            let Some(lent) = lent.upgrade() else { return false };
            alive += 1;
            // A cached handle is there twice: the handle itself, and to be told when it leaves. One more is `lent`.
            let in_cache = if lent.is_cached() { 2 } else { 0 };
            is_held |= Arc::strong_count(&lent) - 1 > in_cache;
            true
        });
        is_held || self.handles() > alive
    }
}

impl Cell {
    fn references(&self) -> usize {
        match self {
            Self::Counter(cell) => Arc::strong_count(cell),
            Self::FloatCounter(cell) => Arc::strong_count(cell),
            Self::Gauge(cell) => Arc::strong_count(cell),
            Self::Histogram(cell) => Arc::strong_count(cell),
        }
    }

    fn held(&self) -> Held {
        match self {
            Self::Counter(cell) => Held::Whole(cell.value()),
            Self::FloatCounter(cell) => Held::Float(cell.value()),
            Self::Gauge(cell) => Held::Value(cell.value()),
            Self::Histogram(cell) => Held::Histogram(cell.state()),
        }
    }

    /// Adds what another cell of the same sort took in between two times.
    fn add_since(&self, before: &Held, after: &Held) {
        match (self, before, after) {
            (Self::Counter(cell), Held::Whole(before), Held::Whole(after)) => {
                cell.add(after.wrapping_sub(*before));
            }
            (Self::FloatCounter(cell), Held::Float(before), Held::Float(after)) => {
                cell.add(after - before);
            }
            (Self::Gauge(cell), _, Held::Value(after)) => metrics::GaugeFn::set(&**cell, *after),
            (Self::Histogram(cell), Held::Histogram(before), Held::Histogram(after)) => {
                cell.add_since(before, after);
            }
            // OK because a series keeps its sort, and labels of one family have one sort of cell; only a float
            // counter and a counter of the same name could meet here, and then the second was refused.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use obs_model::{Labels, ManualClock};

    use super::*;
    use crate::registry::RegistryConfig;

    fn registry() -> Registry {
        let idle_timeout = Some(Duration::from_secs(60));
        let config = RegistryConfig { idle_timeout, ..RegistryConfig::default() };
        Registry::with_clock(config, Arc::new(ManualClock::default()))
    }

    impl Registry {
        /// What happens when a thread took a handle out of its cache while the series went.
        pub(crate) fn take_out(&self, name: &str) {
            let family = self.family(name).unwrap();
            let series = family.find(&Labels::empty()).unwrap();
            self.0.taken_out.lock().push(TakenOut::new(&family, series));
            self.forget_taken_out(1);
        }
    }

    fn series_count(registry: &Registry) -> Option<f64> {
        registry.value("obskit_metrics_series", &[])
    }

    #[test]
    fn what_is_recorded_into_a_series_that_went_brings_it_back_with_its_total() {
        let registry = registry();
        let counter = registry.counter("x_total", &[]);
        counter.increment(5);
        registry.take_out("x_total");
        assert_eq!((registry.value("x_total", &[]), series_count(&registry)), (None, Some(0.0)));
        counter.increment(1);
        registry.expire_idle();
        assert_eq!(registry.value("x_total", &[]), Some(6.0));
        assert_eq!(series_count(&registry), Some(1.0));
        counter.increment(1);
        assert_eq!(registry.value("x_total", &[]), Some(7.0));
        assert!(registry.0.taken_out.lock().is_empty());
    }

    #[cfg(feature = "otlp")]
    #[test]
    fn a_series_is_gone_once_nobody_can_bring_it_back() {
        let registry = registry();
        let counter = registry.counter("x_total", &[]);
        registry.counter("y_total", &[]).increment(1);
        let named = |name: &str| (Arc::from(name), Labels::empty());
        let gone = || {
            let mut series = vec![named("x_total"), named("y_total"), named("z_total")];
            registry.retain_gone(&mut series);
            series
        };
        assert_eq!(gone(), [named("z_total")]);
        registry.take_out("x_total");
        assert_eq!(gone(), [named("z_total")]);
        drop(counter);
        registry.expire_idle();
        assert_eq!(gone(), [named("x_total"), named("z_total")]);
    }

    #[test]
    fn what_is_recorded_into_a_series_that_went_is_added_to_its_successor() {
        let registry = registry();
        registry.set_buckets("h", &[1.0, 2.0]).unwrap();
        let (counter, float) =
            (registry.counter("x_total", &[]), registry.float_counter("f_total", &[]));
        let (gauge, histogram) = (registry.gauge("g", &[]), registry.histogram("h", &[]));
        counter.increment(5);
        float.increment(0.5);
        gauge.set(3.0);
        histogram.record(1.5);
        for name in ["x_total", "f_total", "g", "h"] {
            registry.take_out(name);
        }
        registry.counter("x_total", &[]).increment(10);
        registry.float_counter("f_total", &[]).increment(4.0);
        registry.gauge("g", &[]).set(8.0);
        registry.histogram("h", &[]).record(9.0);
        counter.increment(1);
        float.increment(0.25);
        histogram.record_many(0.5, 2);
        for _ in 0..2 {
            registry.expire_idle();
            assert_eq!(registry.value("x_total", &[]), Some(11.0));
            assert_eq!(registry.value("f_total", &[]), Some(4.25));
            assert_eq!(registry.value("h_bucket", &[("le", "1")]), Some(2.0));
            assert_eq!(registry.value("h_count", &[]), Some(3.0));
            assert_eq!(registry.value("h_sum", &[]), Some(10.0));
        }
        gauge.set(2.0);
        registry.expire_idle();
        assert_eq!(registry.value("g", &[]), Some(2.0));
        drop((counter, float, gauge, histogram));
        registry.expire_idle();
        assert!(registry.0.taken_out.lock().is_empty());
        assert_eq!(registry.0.series.load(Ordering::Relaxed), 4);
    }
}
