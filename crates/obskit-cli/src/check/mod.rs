//! `obskit check`: one room for each kind of file.

mod config;

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Checks configuration files, with every problem of each.
    Config {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Checks; the error is what to print.
pub(crate) fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Config { files } => config::check(&files),
    }
}
