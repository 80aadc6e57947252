//! `obskit check metrics` as a build runs it.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs the command with `input`, and returns its exit status, standard output and standard error.
fn run(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_obskit"))
        .args(["check", "metrics"])
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
fn a_valid_exposition_is_good_without_a_word() {
    let good = (Some(0), String::new(), String::new());
    assert_eq!(run(&[], "# TYPE a counter\na 1\n"), good);
    assert_eq!(run(&["-"], "a 1 1000\n"), good);
    assert_eq!(run(&["--openmetrics"], "# TYPE a counter\na_total 1\n# EOF\n"), good);
    assert_eq!(run(&["--openmetrics", "--utf8-names"], "{\"a.b\"} 1\n# EOF\n"), good);
}

#[test]
fn the_first_wrong_line_and_the_reason_are_printed() {
    for (arguments, input, expected) in [
        (&[][..], "a 1\nb{c=\"d} 2\n", "2: column 10: a quoted text does not end: expected '\"'\n"),
        (&["--openmetrics"], "a 1\n", "2: the document does not end in # EOF\n"),
        (
            &["--openmetrics"],
            "# TYPE a counter\na_total -1\n# EOF\n",
            "2: the value is -1: a total must be neither NaN nor negative\n",
        ),
    ] {
        assert_eq!(run(arguments, input), (Some(1), String::new(), expected.to_owned()));
    }
}

#[test]
fn a_file_is_read_by_name_and_one_that_is_not_there_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a.b 1\n").unwrap();
    let (status, _, error) = run(&[file.path().to_str().unwrap()], "");
    assert_eq!((status, error.starts_with("1: column 2: ")), (Some(1), true), "{error}");

    let (status, out, error) = run(&["/nowhere/metrics"], "");
    assert_eq!((status, out.as_str()), (Some(2), ""));
    assert!(error.starts_with("read /nowhere/metrics: "), "{error}");
    assert_eq!(run(&["--what"], "").0, Some(2));
}
