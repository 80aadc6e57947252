//! A Python with the packages that a test needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// A virtual environment of this name below `folder`, where `test` (an import) works, made on first use from `packages`;
/// the reason when it cannot be had.
///
/// # Errors
///
/// What `venv` or `pip` said.
pub fn python(folder: &Path, name: &str, test: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let folder = folder.join(name);
    let python = folder.join("bin/python");
    let has_packages =
        |python: &Path| python.exists() && run(Command::new(python).args(["-c", test])).0;
    if !has_packages(&python) {
        let step = |command: &mut Command| {
            let (ok, said) = run(command);
            if ok { Ok(()) } else { Err(said) }
        };
        step(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let pip = ["-m", "pip", "install", "--quiet"];
        step(Command::new(&python).args(pip).args(packages))?;
    }
    Ok(python)
}
