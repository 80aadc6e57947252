//! `obskit test`: runs tests that are written down in files.

use std::path::PathBuf;

use clap::Subcommand;
use obs_query::promqltest;

use crate::Failure;

/// Runs tests that are written down in files.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs evaluation tests in the language of Prometheus' promqltest.
    Promql {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

/// Runs a command: a failing test is a finding, a file that cannot be read is not.
pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    let Command::Promql { files } = command;
    let (mut passed, mut total, mut failures) = (0, 0, 0);
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Failure::unable(format!("{} cannot be read: {error}", file.display()))
        })?;
        let report = promqltest::run(&text);
        for failure in &report.failures {
            let promqltest::Failure { line, expr, reason } = failure;
            println!("FAIL {}:{line} {expr} | {}", file.display(), one_line(reason));
        }
        println!("{} {}/{}", file.display(), report.passed, report.total);
        passed += report.passed;
        total += report.total;
        failures += report.failures.len();
    }
    println!("TOTAL {passed}/{total}");
    if failures > 0 {
        return Err(Failure::found(format!("{failures} failed")));
    }
    Ok(())
}

fn one_line(reason: &str) -> String {
    reason.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
