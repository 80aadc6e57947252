//! What recording and rendering metrics costs, beside the libraries that people use for it.
//!
//! Every case gives all contenders the same work in the same process, turn by turn, so that a change of the machine's
//! speed meets all of them. Time is the CPU time of the threads that do the work; what is printed is the median of the
//! rounds and the ratio of ours to the best peer.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../shared/heap.rs"]
mod heap;
#[path = "../metrics/measure.rs"]
mod measure;
#[path = "../metrics/memory.rs"]
mod memory;
#[path = "../metrics/record.rs"]
mod record;
#[path = "../metrics/render.rs"]
mod render;
#[path = "../shared/report.rs"]
mod report;
#[path = "../metrics/setup.rs"]
mod setup;

use std::error::Error;

use clap::Parser;

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
    /// Run one contender of one case this many times and print nothing: for `valgrind --tool=callgrind`.
    #[arg(long)]
    calls: Option<u64>,
    /// Print by how many KiB one contender of one case grows, and do nothing else.
    #[arg(long)]
    memory: bool,
    /// Which contender, with `--calls` or `--memory`.
    #[arg(long, default_value = "obskit")]
    contender: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    if let Some(calls) = arguments.calls {
        return record::run_once(&arguments.only, &arguments.contender, calls);
    }
    if arguments.memory {
        println!("{}", memory::run_once(&arguments.only, &arguments.contender)?);
        return Ok(());
    }
    let mut rows = Vec::new();
    record::measure(&arguments.only, arguments.rounds, &mut rows);
    render::measure(&arguments.only, arguments.rounds, &mut rows);
    memory::measure(&arguments.only, &mut rows)?;
    report::write("metrics", &rows)
}
