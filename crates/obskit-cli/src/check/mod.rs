//! `obskit check`: one room for each kind of file.

mod config;
mod metrics;
mod rules;

use std::path::PathBuf;

use clap::Subcommand;

use crate::Failure;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Checks configuration files, with every problem of each.
    Config {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Checks an exposition, what a service answers to a scrape: the first line that is wrong, and why.
    Metrics(metrics::Arguments),
    /// Checks rule files of Prometheus, with every problem of each: exit status 1 for a mistake.
    Rules(rules::Arguments),
}

/// Checks; the failure is what to print.
pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Config { files } => config::check(&files).map_err(Failure::found),
        Command::Metrics(arguments) => metrics::check(&arguments),
        Command::Rules(arguments) => rules::check(&arguments),
    }
}
