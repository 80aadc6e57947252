//! The whole of the checks, in the order in which they fail soonest.

use std::time::Instant;

use crate::process::{Outcome, cargo};
use crate::{doc, features, format, layers, lint, loom, requirements, setup, tidy};

/// A name to print and what to do.
type Step = (&'static str, fn() -> Outcome);

/// Sets the machine up, then runs every check and every test; stops at the first that fails.
pub(crate) fn everything() -> Outcome {
    let steps: [Step; 11] = [
        ("set-up", setup::machine),
        ("fmt", || format(true)),
        ("layers", layers::check),
        ("tidy", tidy::check),
        ("requirements", requirements::check),
        ("lint", lint),
        ("features", features::check),
        ("doc", doc::build),
        ("unit and integration tests", unit),
        ("models under loom", loom::run),
        ("interop tests", interop),
    ];
    let mut spent = Vec::new();
    for (name, step) in steps {
        println!("\n== {name}");
        let started = Instant::now();
        step()?;
        spent.push(format!("{name} {:.0} s", started.elapsed().as_secs_f64()));
    }
    println!("\nall checks passed: {}", spent.join(", "));
    Ok(())
}

/// The tests against real peers.
pub(crate) fn interop() -> Outcome {
    cargo(["build", "--package", "analyst", "--package", "obskit-cli"])?;
    cargo(["nextest", "run", "--package", "interop", "--no-fail-fast", "--test-threads", "1"])?;
    // Tests of crates that need a peer are ignored where there may be none.
    let ignored = ["--run-ignored", "only", "-E", "test(promtool)"];
    cargo(UNIT.into_iter().chain(ignored))
}

/// One selection of crates for all of their tests: another would turn other features on and build everything again.
const UNIT: [&str; 6] = ["nextest", "run", "--workspace", "--exclude", "interop", "--no-fail-fast"];

fn unit() -> Outcome {
    cargo(UNIT)
}
