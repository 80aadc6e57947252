//! The models of lock-free code, run under loom over every order in which its steps can happen.

use std::path::PathBuf;

use crate::process::{Outcome, cargo_with, root};

/// Builds the models in a target folder of their own, since everything is built anew for them, and runs them.
pub(crate) fn run() -> Outcome {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), PathBuf::from)
        .join("loom");
    let target = target.to_string_lossy();
    for (package, features) in
        [("obs-metrics", None), ("obs-tracing", Some("--no-default-features"))]
    {
        let command = ["test", "--release", "--package", package, "--lib", "--target-dir", &target];
        let command = command.into_iter().chain(features).chain(["model"]);
        cargo_with(&[("RUSTFLAGS", "--cfg obskit_loom")], command)?;
    }
    Ok(())
}
