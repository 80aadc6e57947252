//! One turn of one contender, and the comparison of many.

use std::error::Error;
use std::fmt;
use std::process::Command;
use std::sync::Barrier;
use std::thread;

use crate::contenders::{Case, OURS};
use crate::heap;
use crate::report::Row;

/// What a contender does.
pub(crate) struct Task {
    /// Does the work so many times.
    pub(crate) work: Box<dyn Fn(u64) + Send + Sync>,
    /// Waits until what was handed to other threads is done, so that no queue overflows: dropping is cheap.
    pub(crate) settle: Box<dyn Fn() + Send + Sync>,
}

/// What one turn cost, per time.
pub(crate) struct Spent {
    /// CPU nanoseconds of the threads that work.
    caller: f64,
    /// CPU nanoseconds of the whole process.
    total: f64,
    /// Calls of the allocator, of the whole process.
    allocations: f64,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.caller, self.total, self.allocations)
    }
}

/// How many times are done between two waits.
const CHUNK: u64 = 2_000;

/// How long a turn takes at least, per thread.
const TURN_NANOSECONDS: u64 = 40_000_000;

/// Takes a turn in this process.
pub(crate) fn take(task: &Task, threads: usize, times: Option<u64>) -> Spent {
    let times = times.unwrap_or_else(|| times_for(task));
    let allocations = heap::counted(|| {
        (task.work)(CHUNK);
        (task.settle)();
    });
    let before = clock::process_nanoseconds();
    let barrier = Barrier::new(threads);
    let caller: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    run(task, CHUNK);
                    barrier.wait();
                    run(task, times)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_default()).sum()
    });
    let total = clock::process_nanoseconds() - before;
    let done = (times.div_ceil(CHUNK) * CHUNK * threads as u64) as f64;
    Spent {
        caller: caller as f64 / done,
        total: total as f64 / (done + (CHUNK * threads as u64) as f64),
        allocations: allocations.calls as f64 / CHUNK as f64,
    }
}

/// CPU time of this thread that `times` take, without the waiting.
fn run(task: &Task, times: u64) -> u64 {
    let mut spent = 0;
    for _ in 0..times.div_ceil(CHUNK) {
        let before = clock::thread_nanoseconds();
        (task.work)(CHUNK);
        spent += clock::thread_nanoseconds() - before;
        (task.settle)();
    }
    spent
}

fn times_for(task: &Task) -> u64 {
    run(task, 2 * CHUNK);
    let spent = run(task, 4 * CHUNK).max(1);
    (4 * CHUNK * TURN_NANOSECONDS).div_ceil(spent)
}

/// Lets all contenders of a case take their turns.
pub(crate) fn compare(
    case: &Case,
    rounds: usize,
    rows: &mut Vec<Row>,
) -> Result<(), Box<dyn Error>> {
    for threads in [1, 2] {
        let mut spent: Vec<Vec<[f64; 3]>> = vec![Vec::new(); case.contenders.len()];
        for _ in 0..rounds {
            for ((contender, _), spent) in case.contenders.iter().zip(&mut spent) {
                spent.push(in_a_process(case.name, contender, threads)?);
            }
        }
        let mut row = |what: String, unit, at: usize| {
            let medians = spent.iter().map(|turns| median(turns.iter().map(|turn| turn[at])));
            let names = case.contenders.iter().map(|(name, _)| *name);
            let all: Vec<_> = names.zip(medians).collect();
            rows.push(Row::new(what, unit, OURS, &all));
        };
        row(format!("{}, caller, {threads}T", case.name), "ns", 0);
        if threads == 1 {
            row(format!("{}, all threads", case.name), "ns", 1);
            row(format!("{}, allocations", case.name), "per call", 2);
        }
    }
    Ok(())
}

fn in_a_process(case: &str, contender: &str, threads: usize) -> Result<[f64; 3], Box<dyn Error>> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--turn", case, "--contender", contender, "--threads", &threads.to_string()])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().map_err(|_| {
        format!("{contender} in {case}: {}", String::from_utf8_lossy(&output.stderr)).into()
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

mod clock {
    //! CPU time, of a thread and of the process.

    pub(super) fn thread_nanoseconds() -> u64 {
        read(libc::CLOCK_THREAD_CPUTIME_ID)
    }

    pub(super) fn process_nanoseconds() -> u64 {
        read(libc::CLOCK_PROCESS_CPUTIME_ID)
    }

    fn read(clock: libc::clockid_t) -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the pointer is to a local value of the type that the call fills in.
        unsafe { libc::clock_gettime(clock, &raw mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}
