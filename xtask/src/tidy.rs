//! The rules of the house that no compiler checks.

use std::path::Path;

use crate::process::{Outcome, root, tracked_files};

/// The longest a source file may be, its tests apart.
const MAX_LINES: usize = 600;

/// Folders of a CI machine that have no business in the repository. Put together from pieces so that this file does not
/// contain what it forbids.
const MACHINE_PATHS: [&str; 2] = [concat!("/", "root/"), concat!("/", "work/")];

/// Endings that read as unfinished.
const UNFINISHED: [&str; 4] =
    [concat!("FIX", "ME"), concat!("XX", "X:"), concat!("TO", "DO"), concat!("HA", "CK:")];

/// Fails with every place that breaks a rule.
pub(crate) fn check() -> Outcome {
    let files = tracked_files()?;
    let mut problems = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root().join(file)) else {
            continue; // OK because a file that is not text has no lines to check.
        };
        check_text(file, &text, &mut problems);
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => check_source(file, &text, &mut problems),
            Some("md") => check_links(file, &text, &mut problems),
            _ => {}
        }
        let is_member = file.components().count() > 1 && !file.starts_with("fuzz");
        if file.file_name().is_some_and(|name| name == "Cargo.toml") && is_member {
            check_manifest(file, &text, &mut problems);
        }
    }
    if problems.is_empty() {
        println!("tidy: {} files are in order", files.len());
        Ok(())
    } else {
        Err(format!("tidy:\n  {}", problems.join("\n  ")))
    }
}

fn check_text(file: &Path, text: &str, problems: &mut Vec<String>) {
    let name = file.display();
    if matches!(file.extension().and_then(|e| e.to_str()), Some("csv" | "lock" | "svg" | "json")) {
        return;
    }
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if line.ends_with([' ', '\t']) {
            problems.push(format!("{name}:{number}: white space at the end of the line"));
        }
        for path in MACHINE_PATHS.iter().filter(|path| mentions_path(line, path)) {
            problems.push(format!("{name}:{number}: the machine path {path}"));
        }
        for word in UNFINISHED.iter().filter(|word| line.contains(**word)) {
            problems.push(format!("{name}:{number}: {word} reads as unfinished"));
        }
    }
    if !text.is_empty() && !text.ends_with('\n') {
        problems.push(format!("{name}: no line break at the end"));
    }
}

/// Whether the line names the folder itself, not an URL or a longer path that contains the word.
fn mentions_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].ends_with(|before: char| {
            before.is_ascii_alphanumeric() || matches!(before, '.' | '_' | '-' | '}' | '/')
        })
    })
}

fn check_source(file: &Path, text: &str, problems: &mut Vec<String>) {
    let name = file.display();
    if !text.starts_with("//!") {
        problems.push(format!("{name}: does not open with a //! line that says what it is for"));
    }
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    if lines > MAX_LINES && !is_test(file) {
        problems
            .push(format!("{name}: {lines} lines; more than {MAX_LINES} read better as two rooms"));
    }
}

fn is_test(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs")
}

/// Every link to a file of the repository must lead to one.
fn check_links(file: &Path, text: &str, problems: &mut Vec<String>) {
    for (at, _) in text.match_indices("](") {
        let target = text[at + 2..].split([')', '#', ' ']).next().unwrap_or_default();
        if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let folder = file.parent().unwrap_or(Path::new(""));
        if !root().join(folder).join(target).exists() {
            problems.push(format!("{}: the link to {target} leads nowhere", file.display()));
        }
    }
}

fn check_manifest(file: &Path, text: &str, problems: &mut Vec<String>) {
    for line in
        ["edition.workspace = true", "rust-version.workspace = true", "license.workspace = true"]
    {
        if !text.lines().any(|found| found == line) {
            problems.push(format!("{}: lacks `{line}`", file.display()));
        }
    }
    if !text.contains("[lints]\nworkspace = true") {
        problems.push(format!("{}: lacks the workspace's lints", file.display()));
    }
}
