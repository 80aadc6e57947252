//! `obskit check rules` as a build runs it, and beside `promtool check rules`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const GOOD: &str = "groups:\n- name: a\n  rules:\n  - {record: x, expr: 1}\n";
const DUPLICATE: &str =
    "groups:\n- name: a\n  rules:\n  - {record: x, expr: 1}\n  - {record: x, expr: 2}\n";
const BAD: &str = "groups:\n- name: a\n  rules:\n  - {record: x, expr: sum(}\n  - {expr: 1}\n";

/// Runs the command with `input`, and returns its exit status, standard output and standard error.
fn run(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_obskit"))
        .args(["check", "rules"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its arguments may end before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_good_file_is_counted() {
    let out = "Checking standard input\n  SUCCESS: 1 rules found\n\n".to_owned();
    assert_eq!(run(&[], GOOD), (Some(0), out.clone(), String::new()));
    assert_eq!(run(&["-"], GOOD), (Some(0), out, String::new()));
    let (status, _, error) = run(&[], "groups: []\n---\n{}\n");
    assert_eq!(status, Some(0));
    assert_eq!(error, "  WARNING: only the first YAML document of standard input is read\n");
}

#[test]
fn every_problem_is_printed_with_its_place() {
    let (status, out, error) = run(&[], BAD);
    assert_eq!((status, out.as_str()), (Some(1), "Checking standard input\n\n"));
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines[0], "  FAILED:");
    let first = "standard input:4:27: group \"a\", rule 1, \"x\": could not parse expression: ";
    assert!(lines[1].starts_with(first), "{error}");
    assert!(lines[2].starts_with("standard input:5:5: group \"a\", rule 2, \"\": "), "{error}");
    assert_eq!(lines[3], "1 of 1 files failed");
}

#[test]
fn duplicates_are_lint() {
    let (status, out, error) = run(&[], DUPLICATE);
    assert_eq!((status, out.as_str()), (Some(0), "Checking standard input\n\n"));
    assert!(error.starts_with("  FAILED:\n1 duplicate rule(s) found\nstandard input:5:5: x{} is"));
    assert!(error.contains("already defined at 4:5"), "{error}");
    assert_eq!(run(&["--lint=all", "--lint-fatal"], DUPLICATE).0, Some(3));
    assert_eq!(run(&["--lint-fatal"], GOOD).0, Some(0));
    assert_eq!(run(&["--lint=none", "--lint-fatal"], DUPLICATE).0, Some(0));
    assert_eq!(run(&["--lint=what"], DUPLICATE).0, Some(2));
}

#[test]
fn a_mistake_outweighs_lint_and_a_file_that_is_not_there_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (bad, duplicate) = (path("bad.yml", BAD), path("duplicate.yml", DUPLICATE));
    let (status, out, _) = run(&["--lint-fatal", &duplicate, &bad], "");
    assert_eq!((status, out.matches("Checking").count()), (Some(1), 2));
    let (status, _, error) = run(&["/nowhere/rules.yml", &bad], "");
    assert_eq!(status, Some(1));
    assert!(error.starts_with("/nowhere/rules.yml cannot be read: "), "{error}");
}

#[test]
fn experimental_functions_are_accepted_when_asked_for() {
    let text = GOOD.replace("expr: 1", "expr: 'mad_over_time(up[5m])'");
    assert_eq!(run(&[], &text).0, Some(1));
    assert_eq!(run(&["--experimental"], &text).0, Some(0));
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that was skipped has to say so")]
fn files_of_promtools_tests_are_accepted_or_refused_as_there() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/promtool-rules");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    // What promtool 2.42 says, for where it is not installed.
    let good = ["at-modifier.yml", "bad-rules-error.yml", "negative-offset.yml", "rules.yml"];
    let mut checked = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let arguments = ["--lint-fatal", path.to_str().unwrap()];
        let expected =
            match Command::new("promtool").args(["check", "rules"]).args(arguments).output() {
                Ok(output) => output.status.code(),
                Err(_) if name == "rules_duplicates.yml" => Some(3),
                Err(_) => Some(i32::from(!good.contains(&name))),
            };
        let (status, out, error) = run(&arguments, "");
        assert_eq!(status, expected, "{name}\n{out}{error}");
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} files were found");
}
