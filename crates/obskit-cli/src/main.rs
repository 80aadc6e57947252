//! The `obskit` command: checks files and talks to services that obskit observes.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command answers on standard output and complains on standard error"
)]

mod check;
mod http;
mod loglevel;
mod profile;
mod query;
mod serve;
mod store;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks files and talks to services that obskit observes.
#[derive(Parser)]
#[command(name = "obskit", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks files: exit status 0 when they are in order, 1 when not, 2 when one cannot be read.
    #[command(subcommand)]
    Check(check::Command),
    /// Runs tests that are written down in files: exit status 0 when all pass, 1 when not, 2 when one cannot be read.
    #[command(subcommand)]
    Test(test::Command),
    /// Looks after state files.
    #[command(subcommand)]
    Store(store::Command),
    /// Takes a CPU profile from a running service and writes it for `go tool pprof`.
    Profile(profile::Arguments),
    /// Shows which log lines a running service writes, and changes that for a while.
    Loglevel(loglevel::Arguments),
    /// Asks a running service with PromQL and shows a table, or a chart over time.
    Query(query::Arguments),
    /// Runs the series store and its query API as a process of its own.
    Serve(serve::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Check(command) => check::run(command),
        Command::Test(command) => test::run(&command),
        Command::Store(command) => store::run(&command),
        Command::Profile(arguments) => profile::run(&arguments).map_err(Failure::found),
        Command::Loglevel(arguments) => loglevel::run(&arguments),
        Command::Query(arguments) => query::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.reason);
            ExitCode::from(failure.status)
        }
    }
}

/// What to print when a command ends otherwise than well, and its exit status.
struct Failure {
    reason: String,
    status: u8,
}

impl Failure {
    /// The command did its work, and this is what it found.
    fn found(reason: String) -> Self {
        Self { reason, status: 1 }
    }

    /// The command could not do its work: the status of wrong arguments.
    fn unable(reason: String) -> Self {
        Self { reason, status: 2 }
    }
}
