//! What observing a request costs: CPU of the server per request, beside the bare service and the usual stack.
//!
//! The server runs as a process of its own, so that its CPU is not mixed with the client's; the kernel's own account of
//! it (`schedstat`, in nanoseconds) is read before and after a fixed number of requests. All servers run, one with each
//! stack, and take short turns, round by round, so that a change of the machine's speed meets all of them. Where things lie
//! in the memory of a process makes a difference too, so all of it is done a few times with new processes; what is printed
//! is the median of all rounds, with the medians of each start beside it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../request/client.rs"]
mod client;
#[path = "../request/report.rs"]
mod report;
#[path = "../request/server.rs"]
mod server;

use std::error::Error;

use clap::{Parser, Subcommand, ValueEnum};

use crate::client::Child;
use crate::report::Case;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// How often the servers are started anew.
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Rounds of each start in which every stack takes its turn.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Requests of a turn.
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
}

#[derive(Subcommand)]
enum Role {
    /// Serves with one stack on a free port, which is printed.
    Serve {
        #[arg(long, value_enum)]
        stack: Stack,
        /// Where spans go, for the stacks that export them.
        #[arg(long)]
        collector: String,
    },
}

/// What observes the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stack {
    /// Nothing.
    Bare,
    /// obskit with its defaults: metrics, logs, correlation, errors, alerts, health, profiling, admin listener.
    Obskit,
    /// The same, and every span exported by OTLP.
    ObskitOtlp,
    /// What a service has at the least: metrics, an access line, 1 % of the traces exported by OTLP, and the tree of open
    /// operations; nothing is kept in memory to be searched.
    ObskitPillars,
    /// axum-prometheus, tower-http's trace layer, tracing-subscriber's JSON, tracing-opentelemetry with every span
    /// exported by OTLP.
    Usual,
}

/// What the handler does.
const PATHS: [(&str, &str); 2] = [("ok", "/ok"), ("work", "/busy/7")];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match arguments.role {
        Some(Role::Serve { stack, collector }) => {
            runtime.block_on(server::serve(stack, &collector))
        }
        None => runtime.block_on(measure(&arguments)),
    }
}

async fn measure(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let collector = client::Collector::start().await?;
    let mut cases: Vec<Case> = Vec::new();
    for start in 0..arguments.starts {
        measure_start(start, arguments, &collector, &mut cases).await?;
    }
    report::print_and_write(&cases)
}

/// Starts a server with each stack and measures all of them.
async fn measure_start(
    start: usize,
    &Arguments { rounds, requests, .. }: &Arguments,
    collector: &client::Collector,
    cases: &mut Vec<Case>,
) -> Result<(), Box<dyn Error>> {
    let mut children = Vec::new();
    for stack in Stack::value_variants() {
        let child = Child::start(*stack, &collector.url()).await?;
        for (_, path) in PATHS {
            client::drive(child.address(), path, requests).await?;
        }
        children.push((*stack, child));
    }
    for round in 0..rounds {
        for (work, path) in PATHS {
            for (stack, child) in &children {
                let (before, sent) = (child.cpu_nanoseconds()?, collector.bytes());
                client::drive(child.address(), path, requests).await?;
                let spent = (child.cpu_nanoseconds()? - before) as f64 / requests as f64 / 1_000.0;
                let exported = (collector.bytes() - sent) as f64 / requests as f64;
                cases.push(Case {
                    start,
                    round,
                    stack: *stack,
                    work,
                    microseconds: spent,
                    exported,
                });
            }
        }
    }
    for (_, child) in children {
        child.stop().await?;
    }
    Ok(())
}
