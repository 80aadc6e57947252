//! Timing work on several threads by the CPU time that they spend.

use std::sync::Barrier;
use std::thread;

/// Does something `times` times on the calling thread.
pub(crate) type Work = Box<dyn Fn(u64) + Send + Sync>;

/// One library in one case.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
}

impl Contender {
    pub(crate) fn new(name: &'static str, work: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// How long one turn takes at least, per thread.
const TURN_NANOSECONDS: u64 = 30_000_000;

/// Nanoseconds of CPU time that `work` takes per time, on each of `threads` threads.
pub(crate) fn per_time(work: &Work, threads: usize, times: u64) -> f64 {
    let barrier = Barrier::new(threads);
    let spent: u64 = thread::scope(|scope| {
        let run = || {
            // Once before, so that no thread pays for its first touch in the measured part.
            work(times / 100 + 1);
            barrier.wait();
            let before = thread_clock::nanoseconds();
            work(times);
            let spent = thread_clock::nanoseconds() - before;
            barrier.wait();
            spent
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).sum()
    });
    spent as f64 / (times * threads as u64) as f64
}

/// How many times make a turn of a contender.
pub(crate) fn times_for(work: &Work) -> u64 {
    let mut times = 64;
    loop {
        let before = thread_clock::nanoseconds();
        work(times);
        let spent = thread_clock::nanoseconds() - before;
        if spent >= TURN_NANOSECONDS / 8 {
            return (times * TURN_NANOSECONDS).div_ceil(spent.max(1));
        }
        times *= 2;
    }
}

/// The median of each contender over `rounds` turns.
pub(crate) fn compare(contenders: &[Contender], threads: usize, rounds: usize) -> Vec<f64> {
    let times: Vec<u64> = contenders.iter().map(|contender| times_for(&contender.work)).collect();
    let mut spent = vec![Vec::new(); contenders.len()];
    for _ in 0..rounds {
        for ((contender, times), spent) in contenders.iter().zip(&times).zip(&mut spent) {
            spent.push(per_time(&contender.work, threads, *times));
        }
    }
    spent.into_iter().map(median).collect()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

mod thread_clock {
    //! The CPU time of the calling thread.

    pub(crate) fn nanoseconds() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a local value of the type that the call fills in.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}
