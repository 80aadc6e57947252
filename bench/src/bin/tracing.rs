//! What a log line and a span cost, beside the libraries that people use for them.
//!
//! Each turn of a contender has a process of its own, because a process has one global subscriber, and because what a
//! place in the code costs depends on every subscriber that is alive. The contenders take turns, round by round, so that
//! a change of the machine's speed meets all of them. Time is the CPU time of the threads that log; what is printed is
//! the median of the rounds and the ratio of ours to the best peer.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tracing/contenders.rs"]
mod contenders;
#[path = "../shared/heap.rs"]
mod heap;
#[path = "../tracing/lines.rs"]
mod lines;
#[path = "../tracing/peers.rs"]
mod peers;
#[path = "../shared/report.rs"]
mod report;
#[path = "../tracing/requests.rs"]
mod requests;
#[path = "../tracing/saturation.rs"]
mod saturation;
#[path = "../tracing/spans.rs"]
mod spans;
#[path = "../tracing/turn.rs"]
mod turn;

use std::error::Error;

use clap::Parser;

use crate::contenders::CASES;
use crate::turn::Task;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

#[derive(Parser)]
struct Arguments {
    /// Rounds in which every contender takes its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Take one turn in this process, print what it cost and nothing else.
    #[arg(long, requires = "contender")]
    turn: Option<String>,
    /// Which contender, with `--turn`.
    #[arg(long)]
    contender: Option<String>,
    /// How many threads log, with `--turn`.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// How often, with `--turn`, in place of what fills a fixed time: for `valgrind --tool=callgrind` and `perf`.
    #[arg(long)]
    times: Option<u64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let (Some(case), Some(contender)) = (&arguments.turn, &arguments.contender) {
        let task = contenders::start(case, contender)?;
        println!("{}", turn::take(&task, arguments.threads, arguments.times));
        return Ok(());
    }
    let mut rows = Vec::new();
    for case in CASES.iter().filter(|case| case.name.contains(&arguments.only)) {
        turn::compare(case, arguments.rounds, &mut rows)?;
    }
    saturation::measure(&arguments.only, &mut rows)?;
    report::write("tracing", &rows)
}
