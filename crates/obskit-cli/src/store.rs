//! `obskit store`: looks after state files.

use std::path::PathBuf;

use clap::Subcommand;
use obs_store::Store;

use crate::Failure;

/// Looks after state files.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Checks a state file without changing it: exit status 0 when it is sound, 1 when it is damaged, with the reasons,
    /// and 2 when it cannot be read or is in use.
    Check {
        /// The file.
        file: PathBuf,
    },
}

/// Runs a command: damage is a finding, a file that cannot be read is not.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Check { file } = command;
    let report = Store::check(file).map_err(|error| Failure::unable(error.to_string()))?;
    print!("{report}");
    match report.problems.len() {
        0 => Ok(()),
        1 => Err(Failure::found("1 problem".to_owned())),
        problems => Err(Failure::found(format!("{problems} problems"))),
    }
}
