//! When collectors are refreshed, and by whom.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Collectors, Entry};
use crate::error::{Error, Kind};

/// Collectors that run. Dropping it stops them: a refresh that is under way is not waited for.
#[derive(Debug)]
#[must_use = "dropping it stops the collectors"]
pub struct Collecting {
    stop: Arc<Stop>,
}

/// How the threads are told to end.
#[derive(Debug, Default)]
struct Stop {
    is_set: Mutex<bool>,
    told: Condvar,
}

impl Collectors {
    /// Refreshes each collector at once and then as often as it says, until what this returns is dropped.
    ///
    /// It needs no runtime. A collector that falls behind is refreshed when its turn comes, and the refreshes that
    /// it missed are left out.
    ///
    /// # Errors
    ///
    /// When the system gives no thread: [`Error::is_not_started`]. No collector runs then.
    pub fn start(self) -> Result<Collecting, Error> {
        let collecting = Collecting { stop: Arc::default() };
        let (hanging, steady): (Vec<_>, Vec<_>) =
            self.entries.into_iter().partition(|entry| entry.collector.may_hang());
        let lanes = hanging.into_iter().map(|entry| vec![entry]).chain([steady]);
        for lane in lanes.filter(|lane| !lane.is_empty()) {
            let stop = Arc::clone(&collecting.stop);
            thread::Builder::new()
                .name("obskit-collect".to_owned())
                .spawn(move || run(lane, &stop))
                .map_err(|error| Kind::NotStarted {
                    what: "the collectors".to_owned(),
                    cause: error.to_string(),
                })?;
        }
        Ok(collecting)
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        *self.stop.is_set.lock() = true;
        self.stop.told.notify_all();
    }
}

fn run(mut lane: Vec<Entry>, stop: &Stop) {
    let started = Instant::now();
    let mut turns: Vec<Turn> = lane.iter().map(|entry| Turn::new(entry.interval())).collect();
    loop {
        for (entry, turn) in lane.iter_mut().zip(&mut turns) {
            if turn.take(started.elapsed()) {
                entry.refresh();
            }
        }
        // OK because a lane has a collector, and so a next turn.
        let next = turns.iter().map(|turn| turn.next).min().unwrap_or(Duration::MAX);
        let mut is_set = stop.is_set.lock();
        while !*is_set {
            let rest = next.saturating_sub(started.elapsed());
            if rest.is_zero() {
                break;
            }
            stop.told.wait_for(&mut is_set, rest);
        }
        if *is_set {
            return;
        }
    }
}

/// When one collector is due, on a grid that begins with the start.
struct Turn {
    interval: Duration,
    next: Duration,
}

impl Turn {
    fn new(interval: Duration) -> Self {
        Self { interval, next: Duration::ZERO }
    }

    /// Whether it is due at `now`; if so, its next turn is the next on the grid after `now`.
    fn take(&mut self, now: Duration) -> bool {
        if now < self.next {
            return false;
        }
        let missed = (now - self.next).as_nanos() / self.interval.as_nanos();
        // OK because the number of turns since the start fits: a thread does not run for so long.
        let steps = u32::try_from(missed + 1).unwrap_or(u32::MAX);
        self.next += self.interval * steps;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::{Collect, REFRESH_INTERVAL};
    use super::*;
    use crate::Registry;

    #[test]
    fn a_collector_is_due_at_once_and_every_ten_seconds_and_missed_turns_are_left_out() {
        let mut turn = Turn::new(REFRESH_INTERVAL);
        let seconds = |tenths: u64| Duration::from_millis(tenths * 100);
        for (at, expected) in [
            (0, true),
            (1, false),
            (99, false),
            (100, true),
            (101, false),
            (455, true),
            (499, false),
            (500, true),
        ] {
            assert_eq!(turn.take(seconds(at)), expected, "{at}");
        }
    }

    struct Counting {
        name: &'static str,
        count: Arc<AtomicU32>,
        hangs: bool,
    }

    impl Collect for Counting {
        fn name(&self) -> &'static str {
            self.name
        }

        fn refresh(&mut self) -> Result<(), Error> {
            self.count.fetch_add(1, Ordering::SeqCst);
            match (self.hangs, self.name) {
                (true, _) => loop {
                    thread::park();
                },
                (_, "panics") => panic!("a collector panics"),
                (_, "fails") => Err(Error::unreadable("a file", "it is not there")),
                _ => Ok(()),
            }
        }

        fn interval(&self) -> Duration {
            Duration::ZERO
        }

        fn may_hang(&self) -> bool {
            self.hangs
        }
    }

    #[test]
    fn collectors_that_hang_fail_or_panic_hold_up_no_other_until_all_are_stopped() {
        let registry = Registry::default();
        let counts: [Arc<AtomicU32>; 4] = Default::default();
        let mut collectors = Collectors::none(&registry);
        for (name, count) in ["hangs", "panics", "fails", "works"].into_iter().zip(&counts) {
            let count = Arc::clone(count);
            collectors = collectors.with(Counting { name, count, hangs: name == "hangs" });
        }
        let collecting = collectors.start().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while counts[3].load(Ordering::SeqCst) < 3 {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(5));
        }
        drop(collecting);
        let failures =
            |name| registry.value("obskit_collector_failures_total", &[("collector", name)]);
        assert!(failures("panics") >= Some(2.0) && failures("fails") >= Some(2.0));
        assert_eq!((failures("works"), failures("hangs")), (Some(0.0), Some(0.0)));
        assert_eq!(counts[0].load(Ordering::SeqCst), 1);
        let duration =
            registry.value("obskit_collector_duration_seconds", &[("collector", "works")]);
        assert!(duration > Some(0.0));
        // The threads let go of their collectors when they end; only that of the hanging one does not.
        while counts[1..].iter().any(|count| Arc::strong_count(count) > 1) {
            assert!(Instant::now() < deadline);
            thread::sleep(Duration::from_millis(5));
        }
    }
}
