//! The facade's features: each pillar alone must build, and so must none and all.

use cargo_metadata::MetadataCommand;

use crate::process::{Outcome, cargo, root};

/// Checks the facade with no feature, with each one alone, and with all; and each pillar crate without its defaults.
pub(crate) fn check() -> Outcome {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .map_err(|error| format!("cargo metadata failed: {error}"))?;
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if package.features.is_empty() {
            continue;
        }
        let check = ["check", "--quiet", "--package", name, "--no-default-features"];
        cargo(check)?;
        if name == "obskit" {
            for feature in package.features.keys().filter(|feature| *feature != "default") {
                cargo(check.into_iter().chain(["--features", feature]))?;
            }
        }
    }
    Ok(())
}
