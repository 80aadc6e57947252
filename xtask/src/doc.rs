//! Documentation: built without warnings, its examples run.

use crate::process::{Outcome, cargo, cargo_with};

/// Builds the API documentation and runs its examples.
pub(crate) fn build() -> Outcome {
    let strict = [("RUSTDOCFLAGS", "--deny warnings")];
    cargo_with(&strict, ["doc", "--workspace", "--no-deps", "--quiet"])?;
    cargo(["test", "--workspace", "--doc", "--quiet"])
}
