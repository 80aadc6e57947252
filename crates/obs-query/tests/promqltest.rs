//! Prometheus' own evaluation tests, read in place where the folder is there.

use std::path::Path;

use obs_query::promqltest::{self, Report};

/// Every evaluation of the folder's files; a file that is missing would not be noticed otherwise.
const EVALUATIONS: usize = 1_479;

#[test]
#[expect(
    clippy::print_stderr,
    reason = "a test that was skipped has to say so, and the counts are its result"
)]
fn evaluations_of_prometheus_tests_come_to_what_they_expect() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/promqltest/v3.5.5");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut total = Report::default();
    let mut failures = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let report = promqltest::run(&std::fs::read_to_string(&file).unwrap());
        eprintln!("{name} {}/{}", report.passed, report.total);
        total.passed += report.passed;
        total.total += report.total;
        for failure in report.failures {
            failures.push(format!(
                "FAIL {name}:{} {} | {}",
                failure.line, failure.expr, failure.reason
            ));
        }
    }
    eprintln!("TOTAL {}/{}", total.passed, total.total);
    assert_eq!(total.total, EVALUATIONS);
    assert!(failures.is_empty(), "{}\n{} failed", failures.join("\n"), failures.len());
}
