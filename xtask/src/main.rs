//! The project's own commands: everything that CI and a contributor run.
#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]

mod bench;
mod doc;
mod features;
mod fuzz;
mod layers;
mod loom;
mod process;
mod requirements;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::process::{Outcome, cargo};

/// Builds, checks, tests and measures the workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formats the code; with --check, only says what is not formatted.
    Fmt {
        /// Change nothing; fail where something would change.
        #[arg(long)]
        check: bool,
    },
    /// Runs clippy over everything, with warnings as errors.
    Lint,
    /// Checks that dependencies between the workspace's crates only point downwards.
    Layers,
    /// Checks the rules of the house that no compiler checks.
    Tidy,
    /// Builds the facade with each pillar alone, with none and with all.
    Features,
    /// Runs the models of lock-free code under loom.
    Loom,
    /// Sets the machine up, then runs every check and every test.
    Test,
    /// Installs the real peers that interoperability tests use (Debian, as root).
    Peers,
    /// Runs only the tests against real peers.
    Interop,
    /// Builds the API documentation, with warnings as errors, and runs the documentation's examples.
    Doc,
    /// Feeds the parsers and the evaluator with made-up input (nightly compiler).
    Fuzz {
        /// One target; without it, all of them.
        target: Option<String>,
        /// How long each target runs.
        #[arg(long, default_value_t = 600)]
        seconds: u32,
    },
    /// Measures; writes target/bench/NAME.json.
    Bench {
        /// What to measure.
        #[arg(value_enum)]
        name: bench::Name,
        /// Passed on to the benchmark.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Fmt { check } => format(check),
        Command::Lint => lint(),
        Command::Layers => layers::check(),
        Command::Tidy => tidy::check(),
        Command::Features => features::check(),
        Command::Loom => loom::run(),
        Command::Test => test::everything(),
        Command::Peers => setup::peers(),
        Command::Interop => setup::peers().and_then(|()| test::interop()),
        Command::Doc => doc::build(),
        Command::Fuzz { target, seconds } => fuzz::run_targets(target.as_deref(), seconds),
        Command::Bench { name, arguments } => bench::run(name, &arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn format(check: bool) -> Outcome {
    let check: &[&str] = if check { &["--check"] } else { &[] };
    cargo(["fmt", "--all"].iter().chain(check))
}

fn lint() -> Outcome {
    cargo(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"])
}
