//! The arrows between crates: each crate may use only those of lower layers.

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::process::{Outcome, root};

/// What each crate may depend on is every crate of a lower layer. A crate that stands nowhere here is an error,
/// so that a new one gets its place on purpose.
const LAYERS: [&[&str]; 7] = [
    &["obs-model"],
    &["obs-store"],
    &["obs-delivery", "obs-query"],
    &[
        "obs-metrics",
        "obs-tracing",
        "obs-errors",
        "obs-alerts",
        "obs-slo",
        "obs-health",
        "obs-profiling",
    ],
    &["obs-server", "obs-dashboards"],
    &["obskit"],
    &["obskit-cli"],
];

/// Crates beside the layers, which nothing may depend on.
const BESIDE: [&str; 4] = ["xtask", "analyst", "bench", "interop"];

/// Fails with every arrow that points sideways or upwards.
pub(crate) fn check() -> Outcome {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .map_err(|error| format!("cargo metadata failed: {error}"))?;

    let mut problems = Vec::new();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        let own = layer_of(name);
        if own.is_none() && !BESIDE.contains(&name) {
            problems.push(format!("{name} has no place in xtask/src/layers.rs"));
        }
        let inner = package.dependencies.iter().filter(|dependency| {
            dependency.path.is_some() && dependency.kind != DependencyKind::Development
        });
        for dependency in inner {
            let other = dependency.name.as_str();
            let allowed = match (own, layer_of(other)) {
                (Some(own), Some(other)) => other < own,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            if !allowed {
                problems.push(format!("{name} depends on {other}, which is not below it"));
            }
        }
    }
    if problems.is_empty() {
        println!("layers: every arrow points downwards");
        Ok(())
    } else {
        Err(format!("layers:\n  {}", problems.join("\n  ")))
    }
}

fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}
