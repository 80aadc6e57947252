//! The table of requirements: every row stands in it once, and every test that it names exists.

use std::collections::BTreeMap;

use crate::process::{Outcome, root, tracked_files};

/// How many rows each system has.
const SYSTEMS: [(char, usize); 5] = [('A', 20), ('E', 19), ('P', 19), ('M', 11), ('S', 25)];

/// Fails where docs/requirements.md lacks a row, has one twice, or names a test that is not there.
pub(crate) fn check() -> Outcome {
    let path = root().join("docs/requirements.md");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{} could not be read: {error}", path.display()))?;
    let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
    let mut named = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let id = line[2..].split(' ').next().unwrap_or_default();
        if SYSTEMS.iter().any(|(system, _)| id.starts_with(*system)) {
            *rows.entry(id).or_default() += 1;
            // A code span `test:PATH` names a test; any other is a command or a name.
            named.extend(line.split('`').skip(1).step_by(2).filter_map(|code| {
                let test = code.strip_prefix("test:")?;
                Some((id, test.rsplit("::").next().unwrap_or(test)))
            }));
        }
    }

    let mut problems = Vec::new();
    for (system, count) in SYSTEMS {
        for number in 1..=count {
            let id = format!("{system}{number}");
            match rows.get(id.as_str()) {
                Some(1) => {}
                Some(times) => problems.push(format!("{id} stands {times} times")),
                None => problems.push(format!("{id} is missing")),
            }
        }
    }
    let mut sources = String::new();
    for file in tracked_files()?.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
        sources += &std::fs::read_to_string(root().join(file)).unwrap_or_default();
    }
    for (id, test) in named {
        if !sources.contains(&format!("fn {test}(")) {
            problems.push(format!("{id} names the test {test}, which is not there"));
        }
    }
    if problems.is_empty() {
        println!("requirements: every row has its line, every named test exists");
        Ok(())
    } else {
        Err(format!("docs/requirements.md:\n  {}", problems.join("\n  ")))
    }
}
