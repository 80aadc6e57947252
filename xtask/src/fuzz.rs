//! Fuzzing: every target, or one, for a while; needs a nightly compiler and cargo-fuzz.

use crate::process::{Outcome, answers, cargo, root, run};
use std::process::Command;

/// Runs one target or all of them, each for `seconds`.
pub(crate) fn run_targets(target: Option<&str>, seconds: u32) -> Outcome {
    if !answers("cargo-fuzz", "--version") {
        cargo(["install", "--locked", "cargo-fuzz"])?;
    }
    let targets = match target {
        Some(target) => vec![target.to_owned()],
        None => all()?,
    };
    for target in targets {
        let mut fuzz = Command::new("cargo");
        fuzz.args(["+nightly", "fuzz", "run", &target, "--"]);
        fuzz.args([format!("-max_total_time={seconds}"), "-max_len=4096".to_owned()]);
        run(&mut fuzz)?;
    }
    Ok(())
}

/// The names of all targets, which are those of their files.
fn all() -> Outcome<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}
